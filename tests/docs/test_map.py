"""The map at the head of the engine names every file of it, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import emw.engine

HERE = Path(emw.engine.__file__).parent
SERVICE = {"service", "learning", "picture", "dispatch"}


def test_the_engines_map_names_every_file_and_none_that_is_not_there() -> None:
    text = emw.engine.__doc__ or ""
    files = {path.stem for path in HERE.glob("*.py")} - {"__init__"}
    assert files <= set(re.findall(r"\w+", text))
    drawn = {name for line in re.findall(r"─ ([\w, ]+?)  ", text) for name in line.split(", ")}
    assert drawn | set(re.findall(r"`(\w+)`", text)) <= files | SERVICE
