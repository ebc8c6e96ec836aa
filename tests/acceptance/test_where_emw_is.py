"""The command line in a folder where no emw is: it says so, makes nothing, and promises nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from emw.cli.control import ControlError
from emw.cli.main import app_for


def emw(*said: str) -> object:
    """Run a command; returns what it ends with, where it ends before its time."""
    return app_for(said[0])(list(said), standalone_mode=False)


@pytest.mark.parametrize(
    "said", [("halt",), ("resume",), ("station", "list"), ("request", "list"), ("grid", "status")]
)
def test_nothing_is_halted_or_listed_where_no_emw_is(tmp_path: Path, said: tuple[str, ...]) -> None:
    folder = tmp_path / "elsewhere"
    with pytest.raises(ControlError, match=r"there is no data folder .*--data-dir"):
        emw(*said, "--data-dir", str(folder))
    assert not folder.exists()


def test_without_a_server_a_halt_says_what_it_did_and_a_forecast_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ("--data-dir", str(tmp_path / "d"))
    emw("territory", "add", "East", *here)
    emw("halt", *here)
    assert "no server runs; it will start with dispatch stopped" in capsys.readouterr().out
    with pytest.raises(ControlError, match="no server runs with data folder"):
        emw("forecast", "--territory", "East", *here)


@pytest.mark.parametrize("said", ["rest 127.0.0.1:1", "mixed ws://127.0.0.1:1", "ocpp1.6 127.0.0.1:1"])
def test_a_fleet_that_has_nowhere_to_call_does_not_even_look_for_who_would_enrol_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    """It renewed the secrets of its stations first, and then said so."""
    protocol, server = said.split()
    options = ("--stations", "5", "--territory", "East", "--protocol", protocol, "--server", server)
    assert emw("fleet", *options, "--data-dir", str(tmp_path)) == 2
    assert "--server: " in capsys.readouterr().err
