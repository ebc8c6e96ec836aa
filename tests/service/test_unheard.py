"""A line that breaks just when something has to be said: the books say what the station is believed to do."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta

import pytest

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.ports import Answer
from emw.service.requests import Decrease
from emw.service.tally import Tally
from emw.store import Disk
from tests.service.test_starts import (
    AWAY,
    HALF_KW,
    HERE,
    Listening,
    amps,
    half_is_asked,
    limits,
    minutes,
    read,
)
from tests.web.world import Obeying, World, stations, world


class Breaking(Listening):
    """Some hear nothing, and nobody knows that; or those that hear say nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.half_open: Collection[str] = ()
        self.silent = False

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        if evse.evse_id in self.half_open:
            return Answer(Outcome.TIMED_OUT, reason="no answer in 30 s; it may hold the limit")
        if self.silent:
            return Answer(Outcome.PENDING)
        return await super().send(station, evse, limit, now)


def sums(w: World) -> Tally:
    (request,) = w.headend.accounts.live_requests()
    return w.headend.accounts.sums(request, w.clock.now())


async def answers(w: World) -> None:
    """What was said last has been answered or given up."""
    async with asyncio.timeout(60):
        while w.headend.dispatch.commands._sending:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)
    await w.headend.ledger.settled()


async def test_a_renewal_that_is_not_heard_leaves_what_was_agreed_to_until_that_ends() -> None:
    """Half of the lines break, unnoticed, before limits are renewed. What these stations hold counted as nothing, and
    all others were asked for it once more.
    """
    link = Breaking()
    async with world(link=link) as w:
        await half_is_asked(w)
        await minutes(w, 4, HERE)
        before = limits(w)
        link.half_open = lost = sorted(before)[::2]
        heard = [name for name in HERE if name not in lost]
        confirmed_kw = sums(w).confirmed_kw
        while not any(w.headend.state.limits[name].outcome is Outcome.TIMED_OUT for name in lost):
            await minutes(w, 1, heard)
            await answers(w)
        assert w.clock.now() < min(before[name].until for name in lost), "what was said before stands still"
        after = limits(w)
        assert sum(amps(after, e) != amps(before, e) for e in HERE) <= 1, "twins fade meanwhile"
        assert abs(sums(w).confirmed_kw - confirmed_kw) < 0.05 * HALF_KW
        unheard = [name for name in lost if after[name].outcome is Outcome.TIMED_OUT and after[name].renewal]
        assert unheard
        assert all(after[name].ends_at == before[name].until for name in unheard)

        link.half_open = ()
        await minutes(w, 3, HERE)
        await answers(w)
        now = limits(w)
        assert {now[name].outcome for name in unheard} == {Outcome.APPLIED}, "it is said again in time"
        assert all(now[name].until > before[name].until for name in unheard)


async def test_what_was_agreed_to_and_never_renewed_counts_for_nothing_once_it_is_over() -> None:
    link = Breaking()
    async with world(link=link) as w:
        await half_is_asked(w)
        await minutes(w, 4, HERE)
        before = limits(w)
        link.half_open = lost = sorted(before)[::2]
        while w.clock.now() < min(before[name].until for name in lost):
            await minutes(w, 1, HERE)
            await answers(w)
        over = [x for name in lost if (x := w.headend.state.limits[name]).ends_at <= w.clock.now() < x.until]
        assert over
        assert not any(x.agreed(w.clock.now()) or x.holds(w.clock.now()) for x in over)
        assert sums(w).refused_kw > 0.0, "it may hold what it was told since, and nobody knows"


async def test_P7_a_command_that_was_killed_before_its_answer_is_waited_for_until_its_time_is_over() -> None:
    """Stations call. After a start none has yet, and what was on its way to them counted as refused."""
    disk, link = Disk(), Breaking()
    async with world(real=disk.reopen(), link=link) as w:
        link.silent = True
        await half_is_asked_in_vain(w)
        await w.headend.telemetry.flush()
        at, before = w.clock.now(), limits(w)
        assert {x.outcome for x in before.values()} == {Outcome.PENDING}
        pending_kw = sums(w).pending_kw
    later = Listening(away=HERE)
    async with world(real=disk.reopen(), people=False, at=at + AWAY, link=later) as w:
        w.headend.dispatch.picture.asking.away = lambda evse: evse.evse_id in later.away
        started_at = w.clock.now()
        await w.headend.dispatch.next_round("East")
        await answers(w)
        tally = sums(w)
        assert (tally.refused_kw, tally.confirmed_kw) == (0.0, 0.0)
        assert abs(tally.pending_kw - pending_kw) < 0.05 * HALF_KW

        first = min(before)
        later.away.discard(first)
        for name in HERE:
            if name not in before:
                later.away.discard(name)
        w.headend.book.say_again([w.headend.state.evses[first]])
        await w.headend.dispatch.next_round("East")
        await answers(w)
        assert limits(w)[first].outcome is Outcome.APPLIED, "one is back, and agrees"
        assert {e: amps(limits(w), e) for e in HERE} == {e: amps(before, e) for e in HERE}, (
            "nobody stands in for those who may well hold what they were told"
        )

        w.clock.at += timedelta(seconds=149)
        await w.headend.watch.look(w.clock.now(), started_at)
        assert sums(w).refused_kw == 0.0
        w.clock.at += timedelta(seconds=2)
        await w.headend.watch.look(w.clock.now(), started_at)
        tally = sums(w)
        assert tally.pending_kw == 0.0
        assert tally.refused_kw > 0.9 * pending_kw - 0.05 * HALF_KW


async def test_P4_who_does_not_hear_that_his_share_of_a_ceiling_changes_counts_with_what_he_held() -> None:
    """He counted with all that he could draw without a limit, and his neighbours had to make room for that."""
    link = Breaking()
    async with world(link=link) as w:
        await stations(w, HERE)
        await minutes(w, 4, HERE)
        await w.headend.admin.define_territory("test", "East", kind="zone", ceiling_kw=120.0)
        await minutes(w, 4, HERE)
        await answers(w)
        before = limits(w)
        link.half_open = lost = HERE[::4]
        await w.headend.admin.define_territory("test", "East", kind="zone", ceiling_kw=110.0)
        for _ in range(3):
            await minutes(w, 1, HERE)
            await answers(w)
        after = limits(w)
        unheard = [e for e in lost if after[e].outcome is Outcome.TIMED_OUT and not after[e].renewal]
        assert unheard
        held = {e: before[e] if e in unheard else after[e] for e in HERE}
        could_kw = 0.23 * sum(amps(held, e) - 0.4 for e in HERE)  # each takes so much less than its limit
        assert 105.0 < could_kw <= 110.0, (
            "the ceiling holds with what each has heard of, and nobody gives for nothing"
        )


@pytest.mark.parametrize("says", [Outcome.TIMED_OUT, Outcome.REJECTED])
async def test_a_release_that_is_not_heard_or_refused_is_said_again_less_and_less_often(
    says: Outcome,
) -> None:
    """Whoever refused was never told again, and whoever did not hear every ten seconds."""
    link = Refusing(says)
    async with world(link=link) as w:
        await half_is_asked(w)
        await answers(w)
        started_at, name = w.clock.now(), min(limits(w))
        link.told = []
        w.clock.at += timedelta(minutes=2)
        await w.headend.intake.unplugged(w.headend.state.stations[name], name, None)
        await w.headend.dispatch.next_round("East")
        await answers(w)
        assert link.told == [name]
        for _ in range(6 * 20):
            w.clock.at += timedelta(seconds=10)
            await w.headend.watch.look(w.clock.now(), started_at)
            await answers(w)
        assert link.told == [name] * 5, "at once, and after 1, 3, 7 and 15 minutes"
        link.says = Outcome.APPLIED
        for _ in range(6 * 20):
            w.clock.at += timedelta(seconds=10)
            await w.headend.watch.look(w.clock.now(), started_at)
            await answers(w)
        assert link.told == [name] * 6
        assert w.headend.state.limits[name].outcome is Outcome.APPLIED


class Refusing(Obeying):
    """Takes every limit, and lets nobody go."""

    def __init__(self, says: Outcome) -> None:
        self.says = says
        self.told: list[str] = []

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        if limit.max_a is not None:
            return await super().send(station, evse, limit, now)
        self.told.append(evse.evse_id)
        return Answer(self.says, evse.max_a if self.says is Outcome.APPLIED else None)


@pytest.mark.parametrize("called", [True, False])
async def test_who_missed_the_end_of_a_ceiling_hears_of_it_however_late_he_is_back(called: bool) -> None:
    """A ceiling's limit holds for a day. After a quarter of an hour nobody said any more that it was lifted."""
    link = Breaking()
    async with world(link=link) as w:
        await stations(w, HERE)
        await minutes(w, 4, HERE)
        await w.headend.admin.define_territory("test", "East", kind="zone", ceiling_kw=120.0)
        await minutes(w, 4, HERE)
        await answers(w)
        assert limits(w).keys() == set(HERE)
        link.half_open = HERE
        await w.headend.admin.define_territory("test", "East", kind="zone", ceiling_kw=None)
        for _ in range(30):
            await minutes(w, 1, HERE)
            await answers(w)
        state = w.headend.state
        freed = [name for name in HERE if state.limits[name].max_a is None]
        assert len(freed) > len(HERE) / 2
        assert {state.limits[name].outcome for name in freed} == {Outcome.TIMED_OUT}
        w.clock.at += timedelta(hours=6)
        link.half_open = ()
        if called:
            w.headend.book.say_again([state.evses[name] for name in freed])
            await answers(w)
            assert {state.limits[name].outcome for name in freed} == {Outcome.APPLIED}
        else:
            told = [w.headend.dispatch.commands.limit_to_tell(name) for name in freed]
            assert all(x is not None and x.max_a is None for x in told)


async def half_is_asked_in_vain(w: World) -> None:
    """... of the load, and nobody has answered yet."""
    await stations(w, HERE)
    for _ in range(4):
        await read(w, HERE)
        await w.headend.dispatch.next_round("East")
    asked = Decrease(request_id="R1", territory_id="East", kw=HALF_KW, minutes=60)
    await w.headend.requests.decrease("operator", asked, actor="operator:opa")
    await w.headend.dispatch.next_round("East")
    await answers(w)
