"""What a station may hold that may not have heard of its last commands: never less than the truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from emw.domain import facts as f
from emw.domain.evolve import evolve
from emw.domain.held import at_most_a
from emw.domain.model import Cause, Outcome
from emw.domain.state import State

START = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
COMMANDS = st.lists(
    st.tuples(
        st.sampled_from([None, 0.0, 6.0, 10.0, 16.0]),
        st.integers(1, 40),  # for how many minutes
        st.sampled_from(list(Outcome)),
        st.booleans(),  # whether one that was not answered arrived all the same
        st.integers(0, 6),  # how long until the next, min
    ),
    min_size=1,
    max_size=6,
)


@given(COMMANDS, st.integers(0, 45))
def test_P4_what_a_station_may_hold_is_never_below_what_it_holds(
    commands: list[tuple[float | None, int, Outcome, bool, int]], later: int
) -> None:
    """A command that is on its way is believed to arrive, so of those the last one counts as arrived."""
    state, now = State(), START
    held: tuple[float, datetime] | None = None
    for n, (amps, minutes, outcome, arrives, pause) in enumerate(commands):
        until = now + timedelta(minutes=minutes)
        before = state.limits.get("E1")
        same = before is not None and before.max_a == amps and before.holds(now)
        told = f.CommandIssued(
            at=now, actor="emw", command_id=f"c{n}", evse_id="E1", max_a=amps, until=until, cause=Cause.CEILING,
            renewal=same and amps is not None,
        )  # fmt: skip
        put(state, told)
        if outcome is not Outcome.PENDING:
            answer = f.CommandAnswered(
                at=now, actor="t", command_id=f"c{n}", evse_id="E1", outcome=outcome, answered_a=amps
            )
            put(state, answer)
        last_waits = n == len(commands) - 1 and outcome is Outcome.PENDING
        if outcome is Outcome.APPLIED or last_waits or (outcome is not Outcome.REJECTED and arrives):
            held = None if amps is None else (amps, until)
        elif outcome is Outcome.REJECTED:
            held = None  # it said no: whatever it holds, nobody counts on it
        now += timedelta(minutes=pause)
    now += timedelta(minutes=later)
    most_a = at_most_a(state.limits.get("E1"), now)
    if most_a is not None:
        assert held is not None
        assert now < held[1]
        assert held[0] <= most_a


def put(state: State, fact: f.Fact) -> None:
    for record in evolve(state, fact):
        state.put(record)
