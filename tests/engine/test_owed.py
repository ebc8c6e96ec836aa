"""What is owed by any signals, told instant by instant: the rule as a person would apply it to one moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from emw.domain.signals import Segment, SignalKind
from emw.engine.owed import Asked, by_event, ceilings_of, next_change, runs_of

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EXACT = [SignalKind.REDUCE_KW, SignalKind.SETPOINT_KW, SignalKind.REDUCE_SHARE]
LIMITS = [SignalKind.LIMIT_KW, SignalKind.DEFAULT_LIMIT_KW]


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    start = draw(st.integers(-3, 6))
    length = draw(st.sampled_from([1, 2, 5, None]))
    return Segment(
        interval_id=draw(st.integers(0, 3)),
        start_at=NOON + start * HOUR,
        end_at=None if length is None else NOON + (start + length) * HOUR,
        kind=draw(st.sampled_from([*EXACT, *LIMITS])),
        value=draw(st.sampled_from([0.0, 0.2, 100.0, 300.0])),
        territory_id=draw(st.sampled_from(["East", "East", "West"])),
        why_not=draw(st.sampled_from([None, None, None, "no such unit"])),
    )


@st.composite
def signals(draw: st.DrawFn) -> list[Asked]:
    keys = draw(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("xyz")), max_size=4, unique=True))
    return [
        Asked(
            key=key,
            program_id=draw(st.sampled_from(["p", "q"])),
            precedence=draw(st.sampled_from([1, 100])),
            priority=draw(st.sampled_from([None, 0, 5])),
            segments=tuple(draw(st.lists(segments(), max_size=4))),
            cut_at=draw(st.sampled_from([None, NOON + 4 * HOUR])),
        )
        for key in keys
    ]


def in_force(asked: Asked, at: datetime, kinds: list[SignalKind], place: str) -> list[Segment]:
    found = []
    for s in asked.segments:
        end_at = asked.cut_at if s.end_at is None else s.end_at
        if s.kind in kinds and s.territory_id == place and s.why_not is None and s.start_at <= at:
            found += [s] if end_at is None or at < end_at else []
    return found


def owed_at(asked: list[Asked], at: datetime, place: str) -> dict[tuple[str, str], tuple[SignalKind, float]]:
    """By each event at one instant: the most exact kind counts, and of that who asks most; "normal" asks nothing."""
    asking = [(a, found) for a in asked if (found := in_force(a, at, EXACT, place))]
    owed = {}
    for a, found in asking:
        if any(_outranks(other, a) for other, _ in asking):
            continue
        kind = min((s.kind for s in found), key=EXACT.index)
        values = [s.value or 0.0 for s in found if s.kind is kind]
        value = min(values) if kind is SignalKind.SETPOINT_KW else max(values)
        if value > 0 or kind is SignalKind.SETPOINT_KW:
            owed[a.key] = (kind, value)
    return owed


def _outranks(one: Asked, other: Asked) -> bool:
    if one.precedence != other.precedence:
        return one.precedence < other.precedence
    same_program = (one.key[0], one.program_id) == (other.key[0], other.program_id)
    first, second = (99 if a.priority is None else a.priority for a in (one, other))
    return same_program and first < second


@given(signals(), st.integers(-2, 16))
@settings(max_examples=150, deadline=None)
def test_at_every_instant_it_is_owed_what_the_signals_in_force_then_ask(
    asked: list[Asked], half: int
) -> None:
    runs = runs_of(asked, NOON)
    assert sorted(map(repr, runs_of(asked[::-1], NOON))) == sorted(map(repr, runs)), "in any order"
    at = NOON + half * HOUR / 2
    for place in ("East", "West"):
        owed = {}
        for run in runs:
            if run.territory_id == place and run.start_at <= at and (run.end_at is None or at < run.end_at):
                assert run.key not in owed, "one at a time"
                owed[run.key] = (run.at(at).kind, run.at(at).value)
        assert at < NOON or owed == owed_at(asked, at, place)
    for (key, place), own in by_event(runs).items():
        assert {(r.key, r.territory_id) for r in own} == {(key, place)}
        for before, after in pairwise(own):
            assert before.end_at is not None
            assert before.end_at < after.start_at, "what follows without a gap is one request"


@given(signals())
@settings(max_examples=100, deadline=None)
def test_all_limits_hold_at_once_and_a_default_only_where_its_own_source_sets_no_other(
    asked: list[Asked],
) -> None:
    found = ceilings_of(asked, NOON)
    for place in ("East", "West"):
        lowest = []
        for source in "AB":
            own = [s for a in asked if a.key[0] == source for s in in_force(a, NOON, LIMITS, place)]
            set_kw = [s.value or 0.0 for s in own if s.kind is SignalKind.LIMIT_KW]
            default_kw = [s.value or 0.0 for s in own if s.kind is SignalKind.DEFAULT_LIMIT_KW]
            lowest += [min(set_kw or default_kw)] if own else []
        assert (found[place][0] if place in found else None) == min(lowest, default=None)


@given(signals(), st.floats(0.01, 0.99))
@settings(max_examples=100, deadline=None)
def test_nothing_changes_before_it_is_said_to(asked: list[Asked], part: float) -> None:
    change = next_change(asked, NOON)
    until = NOON + 20 * HOUR if change is None else change
    at = NOON + part * (until - NOON)
    assert ceilings_of(asked, at) == ceilings_of(asked, NOON)
    for place in ("East", "West"):
        assert owed_at(asked, at, place) == owed_at(asked, NOON, place)
