"""The map at the head of a room names every file of it, and none that is not there."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules

import pytest

ROOMS = {
    "emw.engine": {"service", "learning", "picture", "dispatch"},
    "emw.service": {"stations", "grid"},
    "emw.stations.ocpp": {"service", "stations", "ocppj"},
    "emw.web": {"service"},
}
"""With the neighbours that each names, too."""


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_of_a_room_names_every_file_and_none_that_is_not_there(room: str) -> None:
    package = import_module(room)
    text = package.__doc__ or ""
    files = {module.name for module in iter_modules(package.__path__)}
    assert files <= set(re.findall(r"\w+", text)), "not on the map"
    drawn = {name for line in re.findall(r"─ ([\w, ]+?)  ", text) for name in line.split(", ")}
    assert drawn | set(re.findall(r"`(\w+)`", text)) <= files | ROOMS[room], "not there"
