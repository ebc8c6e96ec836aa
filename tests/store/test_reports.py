"""Reports: the same rows for people and programs, and nothing in them that acts."""

import csv
import io
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emw.domain.model import RECORDS
from emw.store import reports, schema
from tests.store.world import HOSTILE

AT = datetime(2026, 5, 4, 9, 0, tzinfo=timezone(timedelta(hours=2)))
COLUMNS = ("name", "kw", "count", "open", "at", "payload")
ROWS: list[dict[str, Any]] = [
    {"name": name, "kw": -1.5 * i, "count": -i, "open": i % 2 == 0, "at": AT, "payload": {"said": name}}
    for i, name in enumerate(HOSTILE)
]
ROWS.append(dict.fromkeys(COLUMNS))


def written(form: str, rows: list[dict[str, Any]] = ROWS, columns: tuple[str, ...] = COLUMNS) -> bytes:
    out = io.BytesIO()
    reports.write(rows, columns, form, out)
    return out.getvalue()


def read_csv(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_A13_a_cell_of_text_is_never_a_formula(start: str) -> None:
    cell = read_csv(written("csv", [{"name": start}], ("name",)))[0]["name"]
    assert cell.startswith("'")


def test_A13_numbers_stay_numbers() -> None:
    rows = read_csv(written("csv"))
    assert [row["kw"] for row in rows[:3]] == ["-0.0", "-1.5", "-3.0"]
    assert [row["count"] for row in rows[:3]] == ["0", "-1", "-2"]
    assert rows[0]["open"] == "true"
    assert rows[0]["at"] == "2026-05-04T07:00:00Z"
    assert json.loads(rows[2]["payload"]) == {"said": HOSTILE[2]}
    assert list(rows[-1].values()) == [""] * 6


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_A13_nothing_that_a_terminal_obeys(form: str) -> None:
    text = written(form).decode().replace("\n", "")
    assert all(c.isprintable() for c in text)


@pytest.mark.parametrize("form", sorted(set(reports.FORMATS) - {"parquet"}))
def test_every_name_is_there(form: str) -> None:
    text = written(form).decode()
    for name in HOSTILE[:3]:
        assert reports.plain(name) in text or json.dumps(reports.plain(name)) in text or name in text


def test_json_lines_come_back_to_the_letter() -> None:
    rows = [json.loads(line) for line in written("json").decode().split("\n")[:-1]]
    assert [row["name"] for row in rows[:-1]] == list(HOSTILE)
    assert datetime.fromisoformat(rows[0]["at"]) == AT
    assert rows[-1] == dict.fromkeys(COLUMNS)


def test_parquet_comes_back_with_its_types(tmp_path: Path) -> None:
    path = tmp_path / "report.parquet"
    reports.write(ROWS, COLUMNS, "parquet", path)
    table = pq.read_table(path)
    assert [str(field.type) for field in table.schema] == [
        "string",
        "double",
        "int64",
        "bool",
        "timestamp[us, tz=UTC]",
        "string",
    ]
    assert table["name"].to_pylist() == [*HOSTILE, None]
    assert table["at"].to_pylist()[0] == AT


@pytest.mark.parametrize("form", sorted(reports.FORMATS))
def test_no_rows_are_a_report_too(form: str) -> None:
    data = written(form, [], ("name", "at", "kw"))
    if form == "parquet":
        found = pq.read_table(pa.BufferReader(data)).schema
        assert [str(field.type) for field in found] == ["string", "timestamp[us, tz=UTC]", "double"]
    elif form != "json":
        assert b"name" in data


class Screen:
    """Standard output that is a terminal."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("width", "lists"), [(40, True), (80, False)])
def test_a_terminal_too_narrow_for_a_table_gets_a_list_a_row_and_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, width: int, lists: bool
) -> None:
    screen = Screen()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", screen)
    why = "every word of a long reason is to be read, however narrow it is"
    rows = [{"request_key": f"grid:R{n}", "territory_id": "East", "why_short": why} for n in range(2)]
    reports.write(rows, ("request_key", "territory_id", "empty", "why_short"), "table")
    shown = screen.buffer.getvalue().decode()
    assert shown.count("request_key") == (2 if lists else 1)
    assert "empty" not in shown
    assert all(shown.count(word) == 2 for word in ("every", "reason", "however", "grid:R"))


def test_A18_a_written_report_is_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    reports.write(ROWS, COLUMNS, "csv", path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_reports_name_columns_that_there_are() -> None:
    tables = {record.table for record in RECORDS}
    for name, columns in reports.COLUMNS.items():
        table = schema.activity if name == "activity" else schema.metadata.tables[name]
        assert set(columns) <= set(table.columns.keys())
        assert name in tables | {"activity"}
        assert not any(column.endswith("_hash") for column in columns)


def test_times_are_told_in_utc() -> None:
    assert AT.astimezone(UTC).strftime("%H:%M:%SZ") in written("table").decode()
