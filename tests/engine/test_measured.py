"""What was shed from means: whole intervals, and gaps that shed nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from emw.engine.measured import STEP, Stay, cells, down, filled, whole_intervals

NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
KW = st.floats(0.0, 1e4)


def test_only_whole_intervals_count() -> None:
    found = whole_intervals(NOON + timedelta(minutes=2), NOON + timedelta(minutes=16))
    assert found == [NOON + STEP, NOON + 2 * STEP]
    assert whole_intervals(NOON + timedelta(minutes=1), NOON + timedelta(minutes=4)) == []
    assert whole_intervals(NOON, NOON + STEP) == [NOON]


@given(st.integers(-20, 20), st.integers(0, 40), st.booleans())
def test_cells_are_counted_as_one_by_one(start: int, length: int, gap: bool) -> None:
    minute = timedelta(minutes=1)
    stay = Stay("E1", NOON + start * minute, NOON + (start + length) * minute, 7.0)
    intervals = [NOON + STEP * i for i in range(5) if not (gap and i == 2)]
    one_by_one = sum(stay.start_at <= at and at + STEP <= (stay.end_at or at) for at in intervals)
    assert cells([stay], intervals) == one_by_one
    gaps = filled({}, [stay], intervals, {})
    assert sum(len(evses) for evses in gaps.values()) == one_by_one, "and no other gap is filled"


@given(KW, KW, st.permutations(["E1", "E2", "E3"]))
def test_a_gap_sheds_nothing_and_order_is_nothing(before: float, most: float, order: list[str]) -> None:
    stays = [Stay(e, NOON, None, most) for e in order]
    known = {"E1": before, "E2": before}
    loads = filled({(NOON, "E2"): 1.0}, stays, [NOON], known)[NOON]
    assert loads == {"E1": before, "E2": 1.0, "E3": most}


@given(st.floats(-1e6, 1e6))
def test_a_shed_is_never_rounded_up(kw: float) -> None:
    assert kw - 0.001001 <= down(kw) <= kw + 2e-9 * max(1.0, abs(kw))
