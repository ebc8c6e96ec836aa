"""A start makes the governor's books again from the log: what was held before a crash is held after it (P7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emw.domain import facts as f
from emw.domain.model import Cause, Outcome
from emw.engine.governor import Governor
from emw.engine.view import Rules
from emw.store import Disk
from tests.doors.house import House, MemoryStore, house
from tests.web.world import reads, stations, world

PATH = ("site", "East")
RULES = Rules(ramp_floor_kw_per_min=1e9, gap_s=0.0)
moves = st.lists(
    st.tuples(
        st.integers(1, 120),  # seconds since the last one
        st.floats(-30.0, 30.0),  # kW
        st.floats(1.0, 2_000.0),  # what there is to move then, kW
    ),
    max_size=25,
)


@given(moves, st.floats(1.0, 2_000.0))
@settings(max_examples=200, deadline=None)
@example([(60, -2.0, 40.0), (60, 2.0, 40.0), (60, -2.0, 40.0)], 1_000.0)
@example([(60, -20.0, 900.0), (60, 3.0, 900.0), (200, 9.0, 400.0), (60, -9.0, 300.0)], 20.0)
def test_P7_what_was_booked_live_is_booked_again(
    asked: list[tuple[int, float, float]], at_start: float
) -> None:
    live, log, now = Governor(RULES), [], 0.0
    for wait_s, kw, could in asked:
        now += wait_s
        live.know(dict.fromkeys(PATH, could))
        if live.admit("e", PATH, kw, now, emergency=True) is None:
            log.append((kw, now, live.could_kw(PATH)))
    again = Governor(RULES)
    for kw, at, could_kw in log:
        again.recall("e", PATH, kw, at, could_kw)
    for governor in (live, again):
        governor.know(dict.fromkeys(PATH, at_start))
    for later_s in (0.5, 61.0, 200.5, 400.5, 601.0):
        for kw in (-at_start, -0.02 * at_start, 0.005 * at_start, 0.02 * at_start, at_start):
            held = [
                governor.admit("e", PATH, kw, now + later_s, emergency=True) for governor in (live, again)
            ]
            assert held[0] == held[1], (kw, later_s)


def test_P7_a_tree_that_changed_since_is_booked_by_what_there_is_now() -> None:
    governor = Governor(RULES)
    governor.know({"site": 40.0, "feeder": 40.0, "East": 40.0})
    for n, kw in enumerate((-2.0, 2.0, -2.0)):
        governor.recall("e", ("site", "feeder", "East"), kw, 60.0 * n, (1.0, 1.0))
    assert governor.admit("e", ("feeder",), 2.0, 200.0, emergency=True) is not None


def command(
    evse_id: str, max_a: float | None, at: datetime, *, replaces_a: float | None, kw: float
) -> f.Fact:
    return f.CommandIssued(
        at=at,
        actor="emw",
        command_id=f"co_{at:%H%M%S}",
        evse_id=evse_id,
        max_a=max_a,
        until=at + timedelta(minutes=15),
        cause=Cause.SHED,
        would_draw_a=32.0,
        replaces_a=replaces_a,
        could_kw=(kw,),
    )


async def restarted(facts: int, cars: int) -> tuple[str | None, str | None]:
    """Few cars' load fell, rose and fell again; then `cars` come, and emw dies. What a rise hears before and after."""
    store = MemoryStore()
    async with house(store=store) as emw:
        await emw.plug_in("S0")
        now = emw.clock.now()
        governor = emw.headend.dispatch.governor
        governor.know({"East": 20.0})
        amps = (26.0, None, 26.0)
        for n, max_a in enumerate(amps[:facts]):
            at = now - timedelta(seconds=300 - 60 * n)
            last = amps[n - 1] if n else None
            fact = command("S0", max_a, at, replaces_a=last, kw=20.0)
            await emw.headend.ledger.record(fact)
            moved = 0.23 * (-6 if max_a is not None else 6)
            assert governor.admit("S0", ["East"], moved, at.timestamp(), emergency=True) is None
        for n in range(1, cars):
            await emw.plug_in(f"S{n}")
        before = rise(emw)
    async with house(store=store) as emw:
        return before, rise(emw)


def rise(emw: House) -> str | None:
    """Four kW more of East, in a halt's absence."""
    dispatch = emw.headend.dispatch
    dispatch.picture.weigh()
    now = emw.clock.now().timestamp() + 30
    return dispatch.governor.admit("S1", ["East"], 4.0, now, emergency=True)


async def test_P7_turns_of_a_small_load_are_turns_after_a_restart_with_a_larger_one() -> None:
    """A turn of 1.4 kW counts among 20 kW. Taken by the 150 kW that a start finds, it would be none, and the third
    turn in five minutes would pass as the first.
    """
    before, after = await restarted(3, 20)
    assert before is not None
    assert after == before


async def test_P7_a_first_turn_passes_after_a_restart_as_before() -> None:
    assert await restarted(1, 20) == (None, None)


@pytest.mark.parametrize(("next_min", "rose"), [(None, False), (5, True), (18, False)])
async def test_P7_when_a_limit_ends_load_comes_back_only_where_a_car_stood_by_then(
    next_min: int | None, rose: bool
) -> None:
    """A car leaves, its limit ends later: nothing rises, or what rises next would seem to be no turn. Unless the next
    car had come before that: it was held by the same limit, and is free with its end.
    """
    store = MemoryStore()
    async with house(store=store) as emw:
        session = (await emw.plug_in("S0"))["sessionID"]
        await emw.plug_in("S1")
        ago = emw.clock.now() - timedelta(minutes=20)
        left = ago + timedelta(minutes=1)
        facts = [
            command("S0", 6.0, ago, replaces_a=None, kw=20.0),
            f.SessionEnded(at=left, actor="station:S0", session_id=session, evse_id="S0", reason="unplugged"),
        ]
        if next_min is not None:
            facts.append(
                f.SessionStarted(
                    at=ago + timedelta(minutes=next_min),
                    actor="station:S0",
                    session_id="next",
                    evse_id="S0",
                    line_voltage_v=230.0,
                    evse_max_a=32.0,
                    car_max_a=32.0,
                )
            )
        await emw.headend.ledger.record(*facts)
    async with house(store=store) as emw:
        node = emw.headend.dispatch.governor._nodes["East"].way
        assert (node.direction, node.level_kw) == ((1, 0.0) if rose else (-1, -0.23 * 26))


async def test_P7_a_meter_under_a_limit_does_not_tell_the_free_draw_when_that_limit_has_ended_since() -> None:
    """The car drew 5.5 A because it might draw 6: it comes back, and dispatch must know when it looks again."""
    disk = Disk()
    async with world(real=disk.reopen()) as w:
        w.clock.at -= timedelta(minutes=10)
        await stations(w, ["E1"], amps=20.0)
        limited = f.CommandIssued(
            at=w.clock.now(),
            actor="emw",
            command_id="co_1",
            evse_id="E1",
            max_a=6.0,
            until=w.clock.now() + timedelta(minutes=5),
            cause=Cause.SHED,
            would_draw_a=20.0,
        )
        await w.headend.ledger.record(limited)
        w.clock.at += timedelta(minutes=4)
        reads(w, "E1", 5.5)
        await w.headend.telemetry.flush()
    async with world(real=disk.reopen(), people=False) as w:  # five minutes after its end
        assert w.headend.dispatch.picture.weigh()["East"] == 20.0 * 0.23


@pytest.mark.parametrize("stays", [True, False])
async def test_P7_a_ceilings_limit_of_an_hour_ago_that_ended_in_a_crash_is_in_the_books(stays: bool) -> None:
    """It was set before the end of the log that a start reads, and let load rise while nobody was there to count it:
    what comes down next is a turn. Where the vehicle had left before that, nothing rose.
    """
    disk = Disk()
    async with world(real=disk.reopen()) as w:
        w.clock.at -= timedelta(minutes=60)
        await stations(w, ["E1"], amps=20.0)
        ends = w.clock.now() + timedelta(minutes=55)
        limited = f.CommandIssued(
            at=w.clock.now(),
            actor="emw",
            command_id="co_1",
            evse_id="E1",
            max_a=6.0,
            until=ends,
            cause=Cause.CEILING,
            node_id="East",
            would_draw_a=20.0,
        )
        await w.headend.ledger.record(limited)
        w.clock.at = ends - timedelta(minutes=2)
        if not stays:
            session_id = w.headend.state.evses["E1"].session_id
            assert session_id is not None
            await w.headend.ledger.record(
                f.SessionEnded(
                    at=w.clock.now(),
                    actor="station:E1",
                    session_id=session_id,
                    evse_id="E1",
                    reason="unplugged",
                )
            )
        await w.headend.ledger.record(f.ServerStarted(at=w.clock.now(), actor="emw", version="now"))
    async with world(real=disk.reopen(), people=False, at=ends + timedelta(minutes=1)) as w:
        node = w.headend.dispatch.governor._nodes["East"].way
        assert node.level_kw == pytest.approx(0.23 * 14 if stays else 0.0)
        assert node.direction == (1 if stays else 0)


async def test_P7_what_came_back_in_a_crash_is_what_the_next_look_believes_of_it() -> None:
    """Nothing was drawn as the command was issued, and it was refused. When its limit ends nobody is there to look; the
    start that follows knows better, and what it takes away at its first command must have come back before.
    """
    disk = Disk()
    async with world(real=disk.reopen()) as w:
        w.clock.at -= timedelta(minutes=10)
        await stations(w, ["E1"], amps=20.0)
        began = w.clock.now()
        refused = f.CommandIssued(
            at=began,
            actor="emw",
            command_id="co_1",
            evse_id="E1",
            max_a=6.0,
            until=began + timedelta(minutes=5),
            cause=Cause.SHED,
            would_draw_a=0.0,
        )
        answer = f.CommandAnswered(
            at=began, actor="station:E1", command_id="co_1", evse_id="E1", outcome=Outcome.REJECTED
        )
        await w.headend.ledger.record(refused, answer)
        w.clock.at += timedelta(minutes=4)
        reads(w, "E1", 20.0)
        await w.headend.telemetry.flush()
    async with world(real=disk.reopen(), people=False, at=began + timedelta(minutes=6)) as w:
        assert w.headend.dispatch.governor._nodes["East"].way.level_kw == pytest.approx(0.23 * 14)
        until = began + timedelta(minutes=20)
        again = replace(refused, at=w.clock.now(), command_id="co_2", would_draw_a=20.0, until=until)
        await w.headend.ledger.record(again)
    async with world(real=disk.reopen(), people=False, at=began + timedelta(minutes=7)) as w:
        way = w.headend.dispatch.governor._nodes["East"].way
        assert (way.direction, len(way.turns)) == (1, 2), (
            "back in the crash, taken away, let go as nobody asks for it"
        )
