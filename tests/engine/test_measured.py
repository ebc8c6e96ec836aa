"""What was shed from means: whole intervals, and gaps that shed nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.measured import STEP, Presence, Stay, down, filled, grid_floor, presence, whole_intervals

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
KW = st.floats(0.0, 1e4)


def test_only_whole_intervals_count() -> None:
    found = whole_intervals(NOON + timedelta(minutes=2), NOON + timedelta(minutes=16))
    assert found == [NOON + STEP, NOON + 2 * STEP]
    assert whole_intervals(NOON + timedelta(minutes=1), NOON + timedelta(minutes=4)) == []
    assert whole_intervals(NOON, NOON + STEP) == [NOON]


SPANS = st.lists(st.tuples(st.integers(-20, 40), st.none() | st.integers(0, 40)), max_size=4)


@given(SPANS, st.booleans(), st.integers(-4, 0))
def test_cells_are_counted_as_one_by_one(spans: list[tuple[int, int | None]], gap: bool, off: int) -> None:
    minute = timedelta(minutes=1)
    stays = [
        Stay(f"E{n}", NOON + a * minute, None if length is None else NOON + (a + length) * minute, 7.0)
        for n, (a, length) in enumerate(spans)
    ]
    intervals = [NOON + STEP * i for i in range(5) if not (gap and i == 2)]
    one_by_one = sum(
        s.start_at <= at and (s.end_at is None or at + STEP <= s.end_at) for s in stays for at in intervals
    )
    there = presence(
        [(s.start_at, s.end_at) for s in stays], NOON + off * minute, NOON + 5 * STEP - off * minute
    )
    assert there.cells(intervals) == one_by_one
    gaps = filled({}, stays, intervals, {})
    assert sum(len(evses) for evses in gaps.values()) == one_by_one, "and no other gap is filled"


@given(st.integers(-12, 12), st.integers(0, 12))
def test_what_was_not_counted_is_not_zero(begin: int, minutes: int) -> None:
    since = NOON + timedelta(minutes=begin)
    until = since + timedelta(minutes=minutes)
    there = presence([], since, until)
    assert there.covers(since, until)
    assert there.cells(whole_intervals(since, until)) == 0
    assert not there.covers(since - STEP - STEP, until)
    assert not there.covers(since, until + STEP + STEP)
    for other in (grid_floor(since) - STEP, until + STEP):
        with pytest.raises(IndexError):
            there.cells([other])
    with pytest.raises(IndexError):
        Presence(NOON, ()).cells([NOON])


@given(KW, KW, st.permutations(["E1", "E2", "E3"]))
def test_a_gap_sheds_nothing_and_order_is_nothing(before: float, most: float, order: list[str]) -> None:
    stays = [Stay(e, NOON, None, most) for e in order]
    known = {"E1": before, "E2": before}
    loads = filled({(NOON, "E2"): 1.0}, stays, [NOON], known)[NOON]
    assert loads == {"E1": before, "E2": 1.0, "E3": most}


@given(st.floats(-1e6, 1e6))
def test_a_shed_is_never_rounded_up(kw: float) -> None:
    assert kw - 0.001001 <= down(kw) <= kw + 2e-9 * max(1.0, abs(kw))
