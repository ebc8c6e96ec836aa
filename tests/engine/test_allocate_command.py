"""`emw allocate` as an outsider runs it: lines in, a line out for each, whatever the lines are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from emw.cli.main import app_for


def line(now_min: int, phase: str, limits: dict[str, float] | None = None) -> str:
    """Forty cars at 16 A of one phase, with the limits that they confirmed."""
    cars: list[dict[str, Any]] = [
        {"id": str(i), "kw_per_a": 0.23, "max_a": 32, "draw_a": 16.0, "got_kwh": 2.0, "req_kwh": 40.0}
        | {"plug_min": 480, "depart_min": 1200, "limit_a": (limits or {}).get(str(i), 32)}
        for i in range(40)
    ]
    for car in cars:
        car["draw_a"] = min(16.0, float(car["limit_a"]))
    request = {"id": "r1", "phase": phase, "kw": 50.0, "start": 605, "end": 665}
    return json.dumps({"v": 1, "now_min": now_min, "request": request, "evses": cars})


def told(lines: list[str]) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(app_for("allocate"), ["allocate"], input="\n".join(lines) + "\n")
    return result.exit_code, [json.loads(x) for x in result.stdout.splitlines()]


def test_every_line_has_an_answer_and_state_is_kept_between_them() -> None:
    status, answers = told([line(600 + i, "idle") for i in range(5)] + [line(605, "shed")])
    assert status == 0
    assert len(answers) == 6
    assert [a["set"] for a in answers[:5]] == [[]] * 5
    off_kw = sum(0.23 * (16 - x["amps"]) for x in answers[5]["set"])
    assert off_kw == pytest.approx(50, rel=0.06)


ODD = (
    "nonsense",
    "[]",
    "7",
    "null",
    '{"v":1}',
    '{"v":2,"now_min":1,"evses":[]}',
    '{"now_min":1,"evses":[7]}',
)


def test_an_odd_line_is_answered_and_changes_nothing() -> None:
    good = [line(600 + i, "idle") for i in range(5)] + [line(605, "shed")]
    _, plain = told(good)
    status, answers = told([*good[:3], *ODD, *good[3:]])
    assert status == 1
    assert [a for a in answers if "error" not in a] == plain
    assert [a["set"] for a in answers if "error" in a] == [[]] * len(ODD)


def test_an_empty_line_is_none() -> None:
    status, answers = told(["", line(600, "idle"), "  "])
    assert status == 0
    assert len(answers) == 1
