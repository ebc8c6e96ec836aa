"""The command line in a folder where no emw is: it says so, makes nothing, and promises nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from emw.app.secrets_file import KEY_BYTES, server_key
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


def test_a_fleet_in_a_territory_that_is_not_there_renews_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str]] = []

    class Answering:
        def __init__(self, *_: object, **__: object) -> None: ...

        def get(self, path: str) -> object:
            asked.append(("GET", path))
            return {"items": [{"territoryID": "East"}, {"territoryID": "West"}]}

        def post(self, path: str, _: object) -> object:
            asked.append(("POST", path))
            return {"secret": "es_new"}

    monkeypatch.setattr("emw.cli.other_side.Control", Answering)
    options = ("--stations", "5", "--territory", "Eest", "--server", "http://127.0.0.1:1")
    assert emw("fleet", *options, "--data-dir", str(tmp_path)) == 1
    assert "there is no 'Eest' here; there are East, West" in capsys.readouterr().err
    assert asked == [("GET", "/territories")]


@pytest.mark.parametrize(("mode", "complains"), [(0o600, False), (0o640, True), (0o644, True)])
def test_A18_doctor_says_who_else_can_read_the_passwords_of_a_csms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, mode: int, complains: bool
) -> None:
    file = tmp_path / "emw.toml"
    file.write_text(
        f'data_dir = "{tmp_path / "d"}"\n[stations]\nlisten = "127.0.0.1:0"\n[operator]\nlisten = "127.0.0.1:0"\n'
        '[ocpp.proxy]\nurl = "ws://127.0.0.1:9/{stationID}"\npasswords = {E1 = "0123456789abcdef"}\n'
    )
    file.chmod(mode)
    with contextlib.suppress(SystemExit):  # what else it says of this file is not asked here
        emw("doctor", "--config", str(file))
    assert (f"chmod 600 {file}" in capsys.readouterr().out.replace("\n", "")) == complains


def test_F1_a_key_that_was_half_written_when_the_server_was_killed_is_made_anew(tmp_path: Path) -> None:
    """The first start was killed between making the file and writing it; it would never have started again."""
    (tmp_path / "server.key.partial").write_bytes(b"half")
    key = server_key(tmp_path / "server.key")
    assert len(key) == KEY_BYTES
    assert server_key(tmp_path / "server.key") == key
    assert [p.name for p in tmp_path.iterdir()] == ["server.key"]
    assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600
