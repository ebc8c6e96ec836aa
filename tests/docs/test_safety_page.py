"""The page on safety names every row, and the tests it names are there (docs/explanation/safety.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs/explanation/safety.md").read_text(encoding="utf-8")
CELLS: Final = r"^\| (?P<row>[PFA]\d+) \| (?P<what>[^|]+) \| (?P<files>[^|]*) \| (?P<open>[^|]*) \|$"
ROW: Final = re.compile(CELLS, re.MULTILINE)
ROWS: Final = {m["row"]: m for m in ROW.finditer(PAGE)}
ALL: Final = [f"{kind}{n}" for kind, count in (("P", 14), ("F", 23), ("A", 21)) for n in range(1, count + 1)]


def held_by(row: str, file: Path) -> list[str]:
    """The tests in a file that carry a row's number in their name."""
    return re.findall(rf"def (test_\w*?{row}_\w+)\(", file.read_text(encoding="utf-8"))


def test_every_row_is_there_once() -> None:
    assert [m["row"] for m in ROW.finditer(PAGE)] == ALL


@pytest.mark.parametrize("row", ALL)
def test_a_row_names_tests_that_exist_or_says_that_there_are_none(row: str) -> None:
    files = re.findall(r"`([^`]+)`", ROWS[row]["files"])
    for name in files:
        assert held_by(row, ROOT / "tests" / name), f"{name} has no test with {row} in its name"
    if not files:
        assert ROWS[row]["open"].strip(), f"{row} has no test, and the page does not say so"


def test_every_test_with_a_number_has_its_row() -> None:
    names = {
        n
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
        for n in re.findall(r"(?<=_)([PFA]\d{1,2})(?=_)", name)
    }
    assert names <= set(ALL)
