"""What a command says to whoever gave it something wrong, and that its tables leave nothing out."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from emw.cli import control, show
from emw.cli.control import Control
from emw.cli.main import app_for

KEY = "id_p0D7xv7pckKe8DStrR4KbQ65VrI7pkPp"
ROWS = [
    {
        "keyID": KEY,
        "name": "prometheus",
        "scopes": ["watching", "reports"],
        "expiresAt": None,
        "revoked": False,
    }
]


def said(*words: str, folder: Path | None = None, **env: str) -> tuple[int, str]:
    """Exit status and all that was said, of a process of its own: as a shell sees it."""
    where = [] if folder is None else ["--data-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "emw", *words, *where],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", **env},
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_wrong_use_ends_with_2_and_what_failed_with_1(tmp_path: Path) -> None:
    assert said("territory", "add", "East", folder=tmp_path)[0] == 0
    for words, status, why in (
        (["territory", "add", "F", "--parent", "East", "--ceiling-kw", "nan"], 2, "ceilingKW: nan"),
        (["territory", "add", "F", "--parent", "East", "--ceiling-kw", "-1"], 2, "must be at least 0"),
        (["territory", "add", "F", "--parent", "Nowhere"], 1, "no territory 'Nowhere'"),
        (["report", "requests", "--state", "going"], 2, "none of pending, active"),
        (["report", "month", "2026-05", "--rate", "inf"], 2, "less than or equal to 1000000"),
        (["operator", "add", "ann", "--role", "king"], 2, "'viewer', 'operator', 'administrator'"),
    ):
        code, text = said(*words, folder=tmp_path)
        assert (code, why in text, "Traceback" in text) == (status, True, False), text
    listed = json.loads(said("territory", "list", "--json", folder=tmp_path)[1])
    assert [t["territoryID"] for t in listed["items"]] == ["East"], (
        "none came to be without the ceiling meant for it"
    )


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["--server", "http://127.0.0.1:9"], 1, "no answer: Cannot connect to host 127.0.0.1:9"),
        (["--server", "nonsense"], 2, "--server: 'nonsense' is no address"),
        (["--start", "tomorrow"], 2, "--start: write a time like"),
    ],
)
def test_a_grid_operator_is_told_in_words_what_does_not_work(words: list[str], status: int, why: str) -> None:
    code, text = said("iso", "decrease", "R1", "-t", "East", "--kw", "5", *words, EMW_ISO_TOKEN="iso_x")
    assert (code, why in text, "Error(" in text) == (status, True, False), text


def test_a_database_that_is_not_there_is_not_whole(tmp_path: Path) -> None:
    told = CliRunner().invoke(app_for("db"), ["db", "check", "--data-dir", str(tmp_path / "typo")])
    assert (told.exit_code, "no database" in told.output) == (1, True)
    made = CliRunner().invoke(app_for("db"), ["db", "upgrade", "--data-dir", str(tmp_path / "new")])
    assert (made.exit_code, made.output) == (0, "there was no database; one was made\n")
    again = CliRunner().invoke(app_for("db"), ["db", "upgrade", "--data-dir", str(tmp_path / "new")])
    assert again.output == "the tables are of this version\n"


@pytest.mark.parametrize(("columns", "terminal"), [(40, True), (60, True), (200, True), (80, False)])
def test_a_table_shows_whole_what_other_commands_are_given(
    columns: int, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key's id that ends in an ellipsis revokes nothing."""
    there = io.StringIO()
    console = Console(file=there, width=columns, force_terminal=terminal, color_system=None, soft_wrap=True)
    monkeypatch.setattr(show, "out", console)
    monkeypatch.setattr(sys, "stdout", there)
    show.print_table(ROWS, ["keyID", "name", "scopes", "expiresAt", "revoked"])
    text = there.getvalue()
    assert KEY in text
    assert "watching, reports" in text
    assert "…" not in text


def test_a_list_is_asked_for_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PAGE", 2)
    there = list(range(5))

    def get(_: Control, path: str, limit: int, offset: int = 0, **query: Any) -> Any:
        assert (path, query) == ("/stations", {"held": None})
        return {"items": there[offset : offset + limit], "total": len(there), "limit": limit}

    monkeypatch.setattr(Control, "get", get)
    asked: Any = Control.__new__(Control).get_all("/stations", held=None)
    assert (asked["items"], asked["total"]) == (there, 5)


def doctor(folder: Path, *words: str) -> dict[str, str]:
    """What it found: text to level."""
    code, text = said("doctor", "--json", *words, folder=folder)
    told = json.loads(text)
    assert told["ok"] is (code == 0), text
    return {f["what"]: f["level"] for f in told["findings"]}


def test_doctor_tells_what_a_start_mends_from_what_it_does_not(tmp_path: Path) -> None:
    assert said("db", "upgrade", folder=tmp_path)[0] == 0
    file = tmp_path / "emw.db"
    (sound,) = [what for what in doctor(tmp_path) if "whole" in what]
    assert "newest rows" in sound, "it has not looked at all of them"
    assert "the database is whole" in doctor(tmp_path, "--log")
    tmp_path.chmod(0o777)
    found = doctor(tmp_path)
    assert found[f"others on this machine can write in {tmp_path}: chmod 700 {tmp_path}"] == "warning"
    tmp_path.chmod(0o700)
    for version, level, why in (
        ("0001", "notice", "the start will bring the database to this version"),
        ("9999", "error", "database: the database was made by a newer emw"),
    ):
        with sqlite3.connect(file) as there:
            there.execute("UPDATE alembic_version SET version_num = ?", (version,))
        assert [how for what, how in doctor(tmp_path).items() if what.startswith(why)] == [level]
    (told,) = [what for what, how in doctor(Path("/proc/emw")).items() if how == "error"]
    assert told.startswith("data_dir: /proc/emw can't be used")


def test_a_misspelt_setting_is_told_with_the_one_it_is_nearest_to(tmp_path: Path) -> None:
    file = tmp_path / "emw.toml"
    for wrong, near in (
        ("[dispatch]\nconfirm_above_kW = 5", "did you mean dispatch.confirm_above_kw?"),
        ("[station]\nlisten = '127.0.0.1:1'", "did you mean stations?"),
        ("[dispatch]\nqqqqq = 5", "qqqqq: is not a field here\n"),
    ):
        file.write_text(wrong)
        code, text = said("doctor", "--config", str(file))
        assert (code, near in text) == (1, True), text


def test_what_only_a_running_server_knows_is_not_told_as_nothing(tmp_path: Path) -> None:
    assert said("station", "add", "E1", folder=tmp_path)[0] == 0
    code, text = said("station", "frames", "E1", folder=tmp_path)
    assert (code, "no server runs" in text) == (1, True), text
    assert "no server runs" in said("grid", "status", folder=tmp_path)[1]
