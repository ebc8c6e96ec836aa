"""What was shed from means: clocks, gaps and the bounds of the correction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.measured import (
    CAP,
    STEP,
    DayBaseline,
    Span,
    Stay,
    cells,
    down,
    filled,
    same_clock,
    ten_of_ten,
    whole_intervals,
)

ZONE = ZoneInfo("Europe/Berlin")
DAY = date(2026, 9, 16)
NOON = datetime(2026, 9, 16, 10, 0, tzinfo=UTC)
KW = st.floats(0.0, 1e4)


def test_only_whole_intervals_count() -> None:
    found = whole_intervals(NOON + timedelta(minutes=2), NOON + timedelta(minutes=16))
    assert found == [NOON + STEP, NOON + 2 * STEP]
    assert whole_intervals(NOON + timedelta(minutes=1), NOON + timedelta(minutes=4)) == []
    assert whole_intervals(NOON, NOON + STEP) == [NOON]


def test_local_clocks_match_over_a_change_and_what_they_leap_over_is_not_there() -> None:
    before = datetime(2026, 10, 23, 17, 0, tzinfo=ZONE)
    after = same_clock(before, date(2026, 10, 26), ZONE)
    assert after == datetime(2026, 10, 26, 16, 0, tzinfo=UTC)
    assert same_clock(datetime(2026, 3, 27, 2, 30, tzinfo=ZONE), date(2026, 3, 29), ZONE) is None


@given(st.integers(-20, 20), st.integers(0, 40), st.booleans())
def test_cells_are_counted_as_one_by_one(start: int, length: int, gap: bool) -> None:
    minute = timedelta(minutes=1)
    stay = Stay("E1", NOON + start * minute, NOON + (start + length) * minute, 7.0)
    intervals = [NOON + STEP * i for i in range(5) if not (gap and i == 2)]
    one_by_one = sum(stay.start_at <= at and at + STEP <= (stay.end_at or at) for at in intervals)
    assert cells([stay], intervals) == one_by_one


@given(KW, KW, st.permutations(["E1", "E2", "E3"]))
def test_a_gap_sheds_nothing_and_order_is_nothing(before: float, most: float, order: list[str]) -> None:
    stays = [Stay(e, NOON, None, most) for e in order]
    known = {"E1": before, "E2": before}
    loads = filled({(NOON, "E2"): 1.0}, stays, [NOON], known)[NOON]
    assert loads == {"E1": before, "E2": 1.0, "E3": most}


def baseline(
    day_kw: float, window_kw: float, today_kw: float, days: Sequence[date] | None = None
) -> DayBaseline:
    window, event = [NOON - 3 * STEP, NOON - 2 * STEP], [NOON, NOON + STEP]

    def read(intervals: Sequence[datetime]) -> Span:
        if intervals == window:
            return Span((today_kw, today_kw), 1.0)
        return Span((window_kw, window_kw, day_kw, day_kw + 1), 1.0)

    return ten_of_ten(
        DAY,
        event,
        window,
        zone=ZONE,
        candidates=days or [DAY - timedelta(days=i) for i in range(46)],
        events=frozenset(),
        holidays=frozenset(),
        read=read,
    )


@given(KW, st.floats(0.1, 1e4), KW)
def test_the_correction_is_bounded_by_its_cap(day_kw: float, window_kw: float, today_kw: float) -> None:
    found = baseline(day_kw, window_kw, today_kw)
    for kw, plain in zip(found.kw, (day_kw, day_kw + 1), strict=True):
        assert (1 - CAP) * plain - 1e-6 <= kw <= (1 + CAP) * plain + 1e-6


@given(KW, st.floats(0, 100))
def test_a_shift_of_all_like_days_shifts_the_baseline(day_kw: float, shift: float) -> None:
    plain, shifted = baseline(day_kw, 50.0, 50.0), baseline(day_kw + shift, 50.0, 50.0)
    assert [b - a for a, b in zip(plain.kw, shifted.kw, strict=True)] == pytest.approx([shift] * 2, abs=1e-6)


@given(st.permutations([DAY - timedelta(days=i) for i in range(1, 20)]))
def test_the_order_of_days_is_nothing(days: list[date]) -> None:
    found = baseline(5.0, 1.0, 1.0, days)
    assert list(found.days) == sorted((d for d in days if d.weekday() < 5), reverse=True)[:10]


@given(st.floats(-1e6, 1e6))
def test_a_shed_is_never_rounded_up(kw: float) -> None:
    assert kw - 0.001001 <= down(kw) <= kw + 2e-9 * max(1.0, abs(kw))
