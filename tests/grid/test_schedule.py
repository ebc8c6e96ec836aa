"""Interval arithmetic of OpenADR 3: examples of the prose, traps of real servers, what must hold for any event."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emw.grid.openadr3.schedule import Schedule, schedule_of
from emw.grid.openadr3.times import BadTime, Span, instant_of, span_of
from emw.grid.openadr3.wire import Event, event_of

SEEN = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
FAR = SEEN + timedelta(days=8)
H = timedelta(hours=1)


def event(*intervals: dict[str, Any], **more: Any) -> Event:
    listed = [{"id": i, "payloads": [], **x} for i, x in enumerate(intervals)]
    found = event_of({"id": "e", "programID": "p", "intervals": listed, **more})
    assert isinstance(found, Event)
    return found


def times(schedule: Schedule) -> list[tuple[Any, Any]]:
    return [((s.start - SEEN) / H, None if s.end is None else (s.end - SEEN) / H) for s in schedule.slots]


def plan(e: Event, **more: Any) -> Schedule:
    return schedule_of(e, **{"first_seen": SEEN, "since": SEEN, "until": FAR, **more})


# --- texts


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-23T12:03:38Z", datetime(2026, 11, 23, 12, 3, 38, tzinfo=UTC)),
        ("2026-11-23T12:03:38+01:00", datetime(2026, 11, 23, 11, 3, 38, tzinfo=UTC)),
        ("2026-11-23 12:03:38", datetime(2026, 11, 23, 12, 3, 38, tzinfo=UTC)),
        ("2026-11-23t12:03:38.5z", datetime(2026, 11, 23, 12, 3, 38, 500_000, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("0001-01-01", None),
        ("0001-01-01T00:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("0000-00-00", None),
    ],
)
def test_instants_as_servers_write_them(text: str, at: datetime | None) -> None:
    assert instant_of(text).at == at


def test_a_time_without_an_offset_is_utc_and_says_so() -> None:
    assert "UTC is assumed" in (instant_of("2026-11-23 12:03:38").doubt or "")
    assert instant_of("2026-11-23T12:03:38Z").doubt is None


@pytest.mark.parametrize("text", ["12:03:38", "", "soon", "2026-13-40T00:00:00Z", "20261123T120338Z"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(BadTime):
        instant_of(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("PT1H", Span(seconds=3600)),
        ("P1DT30M", Span(days=1, seconds=1800)),
        ("PT0.5S", Span(seconds=0.5)),
        ("P2W", Span(days=14)),
        ("P1Y2M", Span(months=14)),
        ("P9999Y", Span(endless=True)),
        ("PT99999999999999H", Span(endless=True)),
        ("PT0S", Span()),
        ("-PT0S", Span()),
    ],
)
def test_durations(text: str, span: Span) -> None:
    assert span_of(text) == span


@pytest.mark.parametrize("text", ["-PT1H", "P", "PT", "1H", "", "P1H"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadTime):
        span_of(text)


def test_a_month_ends_where_the_calendar_says() -> None:
    assert Span(months=1).after(datetime(2026, 1, 31, tzinfo=UTC)) == datetime(2026, 2, 28, tzinfo=UTC)


def test_no_arithmetic_reaches_the_end_of_the_calendar() -> None:
    assert Span(months=12 * 999).after(datetime(8500, 1, 1, tzinfo=UTC)) is None
    assert Span(seconds=1e12).after(SEEN) is None


# --- the rules


def test_intervals_follow_each_other_from_the_events_start() -> None:
    e = event({}, {}, {}, intervalPeriod={"start": "2026-07-01T13:00:00Z", "duration": "PT1H"})
    assert times(plan(e)) == [(1, 2), (2, 3), (3, 4)]


def test_an_intervals_own_period_wins_and_the_next_follows_it() -> None:
    own = {"start": "2026-07-01T18:00:00Z", "duration": "PT2H"}
    e = event(
        {}, {"intervalPeriod": own}, {}, intervalPeriod={"start": "2026-07-01T13:00:00Z", "duration": "PT1H"}
    )
    assert times(plan(e)) == [(1, 2), (6, 8), (8, 9)]


@pytest.mark.parametrize("now", ["0001-01-01", "0001-01-01T00:00:00", "0000-00-00"])
def test_now_is_when_it_was_first_seen_and_later_right_after_the_one_before(now: str) -> None:
    period = {"start": now, "duration": "PT1H"}
    e = event({}, {"intervalPeriod": period}, intervalPeriod=period)
    assert times(plan(e)) == [(0, 1), (1, 2)]


def test_now_does_not_move_when_looked_at_later() -> None:
    e = event({}, intervalPeriod={"start": "0001-01-01", "duration": "PT1H"})
    assert plan(e, since=SEEN + H / 2).slots == plan(e).slots


def test_an_event_that_began_before_it_was_seen_is_in_its_present_interval() -> None:
    e = event({}, {}, {}, intervalPeriod={"start": "2026-07-01T10:30:00Z", "duration": "PT1H"})
    assert times(plan(e)) == [(-0.5, 0.5), (0.5, 1.5)]


def test_an_event_wholly_past_has_no_slot() -> None:
    e = event({}, intervalPeriod={"start": "2026-07-01T10:00:00Z", "duration": "PT1H"})
    assert plan(e).slots == ()
    assert not plan(e).cancelled


def test_without_end_is_none_and_what_follows_never_begins() -> None:
    e = event({}, {}, intervalPeriod={"start": "2026-07-01T13:00:00Z", "duration": "P9999Y"})
    found = plan(e)
    assert times(found) == [(1, None)]
    assert "never begins" in found.notes[0]


def test_a_duration_of_nothing_is_a_cancel() -> None:
    e = event({}, intervalPeriod={"start": "0001-01-01", "duration": "PT0S"})
    assert plan(e).cancelled
    assert plan(e).slots == ()


def test_an_event_without_intervals_is_its_period() -> None:
    e = event(intervalPeriod={"start": "2026-07-01T13:00:00Z", "duration": "PT1H"})
    assert times(plan(e)) == [(1, 2)]


def test_the_programs_period_holds_where_the_event_has_none() -> None:
    from emw.grid.openadr3.wire import Period

    e = event({})
    assert times(plan(e, default=Period("2026-07-01T13:00:00Z", "PT1H"))) == [(1, 2)]


@pytest.mark.parametrize(
    ("period", "why"),
    [
        ({"duration": "PT1H"}, "no start"),
        ({"start": "yesterday", "duration": "PT1H"}, "no date and time"),
        ({"start": "2026-07-01T13:00:00Z", "duration": "-PT1H"}, "negative"),
        ({"start": "2026-07-01T13:00:00Z", "duration": "one hour"}, "no ISO 8601"),
        (
            {"start": "2026-07-01T13:00:00Z", "duration": "PT1H", "randomizeStart": "P1M"},
            "longer than a week",
        ),
    ],
)
def test_what_cannot_be_understood_is_said_and_nothing_is_guessed(period: dict[str, str], why: str) -> None:
    found = plan(event({}, intervalPeriod=period))
    assert found.slots == ()
    assert why in " ".join(found.notes)


def test_a_shorter_event_duration_cuts_and_a_longer_one_loops() -> None:
    period = {"start": "2026-07-01T12:00:00Z", "duration": "PT1H"}
    assert times(plan(event({}, {}, {}, intervalPeriod=period, duration="PT90M"))) == [(0, 1), (1, 1.5)]
    looped = plan(event({}, {}, intervalPeriod=period, duration="PT5H"))
    assert times(looped) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert [s.interval_id for s in looped.slots] == [0, 1, 0, 1, 0]


def test_a_daily_tariff_loops_for_ever_but_only_its_window_is_made() -> None:
    period = {"start": "2020-01-01T00:00:00Z", "duration": "PT12H"}
    found = plan(event({}, {}, intervalPeriod=period, duration="P9999Y"), until=SEEN + timedelta(days=2))
    assert times(found) == [(0, 12), (12, 24), (24, 36), (36, 48)]


def test_a_daily_tariff_keeps_its_local_hours_over_a_change_of_the_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    seen = datetime(2026, 10, 24, 0, 0, tzinfo=UTC)
    period = {"start": "2026-10-20T22:00:00Z", "duration": "PT12H"}  # midnight in Berlin
    e = event({}, {}, intervalPeriod=period, duration="P9999Y")
    found = schedule_of(e, first_seen=seen, since=seen, until=seen + timedelta(days=4), zone=berlin)
    assert {s.start.astimezone(berlin).hour for s in found.slots} == {0, 12}


def test_a_day_has_25_hours_once_a_year() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    seen = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
    e = event({}, intervalPeriod={"start": "2026-10-24T22:00:00Z", "duration": "P1D"})
    (slot,) = schedule_of(e, first_seen=seen, since=seen, until=FAR + timedelta(days=200), zone=berlin).slots
    assert slot.end is not None
    assert slot.end - slot.start == 25 * H


def test_a_random_start_moves_what_hangs_together() -> None:
    period = {"start": "2026-07-01T13:00:00Z", "duration": "PT1H", "randomizeStart": "PT30M"}
    assert times(plan(event({}, {}, intervalPeriod=period), draw=1.0)) == [(1.5, 2.5), (2.5, 3.5)]
    assert times(plan(event({}, {}, intervalPeriod=period), draw=-0.5)) == [(0.75, 1.75), (1.75, 2.75)]


# --- what holds for any event

SPANS = st.sampled_from(["PT0S", "PT20M", "PT1H", "P1D", "P1M", "P9999Y", None])
STARTS = st.sampled_from(
    [
        "0001-01-01",
        "2026-06-30T12:00:00Z",
        "2026-07-01T12:00:00Z",
        "2026-07-01 13:00:00",
        "2026-10-24T22:00:00Z",
        None,
    ]
)
PERIODS = st.fixed_dictionaries(
    {},
    optional={
        "start": STARTS,
        "duration": SPANS,
        "randomizeStart": st.sampled_from(["PT5M", "-PT5M", "PT0S", None]),
    },
)
EVENTS = st.builds(
    lambda intervals, period, whole: event(
        *({"intervalPeriod": p} if p else {} for p in intervals),
        **({"intervalPeriod": period} if period else {}),
        **({"duration": whole} if whole else {}),
    ),
    st.lists(st.none() | PERIODS, max_size=6),
    st.none() | PERIODS,
    SPANS,
)
ZONES = st.sampled_from([UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/Los_Angeles")])


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.floats(-1, 1), ZONES)
def test_any_event_gives_slots_in_order_that_touch_the_window(e: Event, draw: float, zone: Any) -> None:
    found = plan(e, draw=draw, zone=zone)
    assert all(a.start <= b.start for a, b in pairwise(found.slots))
    for slot in found.slots:
        assert slot.start.tzinfo is UTC
        assert slot.start < FAR
        assert slot.end is None or (slot.end > slot.start and slot.end > SEEN)


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.floats(-1, 1), ZONES, st.integers(0, 7 * 24))
def test_a_window_shows_the_same_slots_whenever_it_is_opened(
    e: Event, draw: float, zone: Any, hours: int
) -> None:
    later = SEEN + hours * H
    whole = [s for s in plan(e, draw=draw, zone=zone).slots if s.end is None or s.end > later]
    assert list(plan(e, draw=draw, zone=zone, since=later).slots) == whole


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.floats(-1, 1))
def test_a_draw_moves_a_start_by_no_more_than_was_asked(e: Event, draw: float) -> None:
    still, moved = plan(e), plan(e, draw=draw)
    by_number = {(s.number, s.interval_id): s for s in still.slots} if e.duration is None else {}
    for slot in moved.slots:
        before = by_number.get((slot.number, slot.interval_id))
        if before is not None:
            assert abs(slot.start - before.start) <= timedelta(minutes=5)


@settings(deadline=None, max_examples=60)
@given(EVENTS)
def test_an_event_duration_is_never_outlasted(e: Event) -> None:
    found = plan(e)
    if e.duration in {None, "PT0S", "P9999Y", "P1M"} or not found.slots:
        return
    began = schedule_of(e, first_seen=SEEN, since=SEEN - timedelta(days=9_000), until=FAR).slots[0].start
    end = span_of(e.duration).after(began)
    assert end is not None
    assert all(s.end is not None and s.end <= end for s in found.slots)
