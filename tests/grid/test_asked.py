"""Which reports are due when: the examples of the User Guide, what must hold for any descriptor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.grid.openadr3.asked import OPEN_INTERVALS, SUB_INTERVALS, Ask, Due, Plan, Span, dues, ended

SEEN = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
H = timedelta(hours=1)
FAR = SEEN + 1_000 * H
PIECE = timedelta(minutes=15)


def plan(number: int = 6, ahead: float = 1, *, total: int | None = -1, turn: int = 0, **wanted: Any) -> Plan:
    """Hourly intervals from `ahead` hours after the event was seen; ids count by tens."""
    spans = tuple(Span(SEEN + (ahead + i) * H, SEEN + (ahead + i + 1) * H, i, 10 * i) for i in range(number))
    ask = Ask(**{"payload_type": "DEMAND", "name": "DEMAND", **wanted})
    return Plan(places=("East",), asks=(ask,), spans=spans, total=number if total == -1 else total, turn=turn)


def told(of: Plan) -> list[tuple[float, list[int]]]:
    """Per report: hours after the event's begin, and the intervals it is about."""
    began = of.spans[0].start
    return [((d.at - began) / H, [s.number for s in d.spans]) for d in all_dues(of)]


def all_dues(of: Plan) -> list[Due]:
    """Every report, one after the other, as time goes on."""
    since: datetime | None = None
    now: datetime | None = SEEN
    found: list[Due] = []
    while now is not None:
        due, ahead = dues(of, SEEN, PIECE, since, now)
        assert ahead is None or ahead > now
        found += due
        since, now = now, ahead
    assert all(
        d in found or any(d.name == x.name for x in found) for d in dues(of, SEEN, PIECE, None, FAR)[0]
    )
    return found


@pytest.mark.parametrize(
    ("wanted", "reports"),
    [
        pytest.param({}, [(6, [0, 1, 2, 3, 4, 5])], id="all, when the last is over"),
        pytest.param(
            {"historical": False}, [(-1, [0, 1, 2, 3, 4, 5]), (0, [0, 1, 2, 3, 4, 5])], id="forecast"
        ),
        pytest.param({"start_interval": 1, "num_intervals": 3}, [(4, [1, 2, 3])], id="a part"),
        pytest.param({"start_interval": 4}, [(6, [4, 5])], id="the last of them"),
        pytest.param({"num_intervals": 2}, [(6, [4, 5])], id="the last two"),
        pytest.param(
            {"start_interval": 1, "num_intervals": 2, "frequency": 2, "repeat": 3},
            [(2, [0, 1]), (4, [2, 3]), (6, [4, 5])],
            id="each two",
        ),
        pytest.param(
            {"start_interval": 0, "num_intervals": 3, "frequency": 1, "repeat": 3, "historical": False},
            [(0, [0, 1, 2]), (1, [1, 2, 3]), (2, [2, 3, 4])],
            id="rolling forecast",
        ),
        pytest.param(
            {"frequency": 2, "repeat": -1}, [(2, [0, 1]), (4, [2, 3]), (6, [4, 5])], id="each two, to the end"
        ),
        pytest.param(
            {"frequency": 4, "repeat": -1}, [(4, [0, 1, 2, 3]), (6, [4, 5])], id="the rest is told, too"
        ),
        pytest.param({"frequency": 1, "repeat": 2}, [(1, [0]), (2, [1])], id="each, twice"),
        pytest.param({"start_interval": 9}, [], id="none that it has"),
    ],
)
def test_the_user_guides_examples(wanted: dict[str, Any], reports: list[Any]) -> None:
    assert told(plan(**wanted)) == reports


def test_an_ad_hoc_report_is_one_report_that_grows() -> None:
    found = all_dues(plan(3, frequency=0))
    assert [len(d.spans) for d in found] == [1, 2, 3]
    assert {d.name for d in found} == {"DEMAND-0"}


def test_a_report_that_grows_for_long_is_carried_on_in_another() -> None:
    found = all_dues(plan(200, frequency=0))
    last = {d.name: d for d in found}
    assert [(n, len(d.spans)) for n, d in last.items()] == [
        ("DEMAND-0", 96),
        ("DEMAND-1", 96),
        ("DEMAND-2", 8),
    ]


def test_what_loops_is_told_each_time_all_intervals_have_passed() -> None:
    assert told(plan(6, total=None, turn=3)) == [(3, [0, 1, 2]), (6, [3, 4, 5])]


def test_what_has_no_end_is_told_when_it_ends() -> None:
    open_ended = plan(4, total=None)
    assert all(d.at >= open_ended.spans[-1].end for d in all_dues(open_ended))
    over = ended(open_ended, SEEN + 2.5 * H)
    assert told(over) == [(1.5, [0, 1])]
    assert over.spans[-1].end == SEEN + 2.5 * H


def test_a_forecast_without_an_end_is_of_a_day() -> None:
    (due, _) = all_dues(plan(2_000, total=None, historical=False))
    assert len(due.spans) == 96


def test_of_what_was_due_before_the_event_was_seen_only_the_latest_is_told() -> None:
    assert told(plan(6, ahead=-3.5, frequency=1, repeat=-1)) == [
        (3, [2]),
        (4, [3]),
        (5, [4]),
        (6, [5]),
    ]


def test_sub_intervals_keep_their_ids_and_open_ones_count_from_0() -> None:
    sub = all_dues(plan(2, intervals=SUB_INTERVALS))[0]
    assert [s.id for s in sub.spans] == [0] * 4 + [10] * 4
    assert {s.end - s.start for s in sub.spans} == {PIECE}
    free = all_dues(plan(2, intervals=OPEN_INTERVALS))[0]
    assert [s.id for s in free.spans] == list(range(8))


@given(
    number=st.integers(1, 12),
    ahead=st.floats(-30, 30),
    total=st.sampled_from([-1, None]),
    turn=st.integers(0, 3),
    start=st.integers(-2, 14),
    size=st.integers(-2, 14),
    frequency=st.integers(-2, 14),
    repeat=st.integers(-2, 14),
    historical=st.booleans(),
    intervals=st.sampled_from(["INTERVALS", SUB_INTERVALS, OPEN_INTERVALS]),
    over=st.one_of(st.none(), st.floats(-30, 40)),
)
def test_any_descriptor_gives_reports_that_make_sense(
    number: int,
    ahead: float,
    total: int | None,
    turn: int,
    start: int,
    size: int,
    frequency: int,
    repeat: int,
    historical: bool,
    intervals: str,
    over: float | None,
) -> None:
    of = plan(
        number,
        ahead,
        total=total,
        turn=turn if total is None else 0,
        start_interval=start,
        num_intervals=size,
        frequency=frequency,
        repeat=repeat,
        historical=historical,
        intervals=intervals,
    )
    if over is not None:
        of = ended(of, SEEN + over * H)
    found = all_dues(of)
    assert len(found) <= 2_100
    assert found == sorted(found, key=lambda d: (d.at, d.name))
    for due in found:
        assert due.spans
        assert all(s.start < s.end for s in due.spans)
        assert all(a.end <= b.start for a, b in zip(due.spans, due.spans[1:], strict=False))
        if historical:
            assert due.at == due.spans[-1].end
        else:
            assert due.at <= max(due.spans[0].start, SEEN)
