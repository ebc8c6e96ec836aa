"""A driver's link, code and sticker: what they open, and what they can't. The opt-out within five seconds."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from emw.domain import facts as f
from emw.service.drivers import LETTERS, SCAN, Drivers
from emw.service.errors import BadInput, Conflict, NotFound
from tests.web.world import World, stations, world

KEY = bytes(range(32))


def session_of(w: World, evse_id: str) -> str:
    found = w.headend.state.evses[evse_id].session_id
    assert found is not None
    return found


async def unplugged(w: World, evse_id: str, energy_kwh: float | None) -> None:
    await w.headend.ledger.record(
        f.SessionEnded(
            at=w.clock.now(),
            actor=f"station:{evse_id}",
            session_id=session_of(w, evse_id),
            evse_id=evse_id,
            reason="unplugged",
            energy_kwh=energy_kwh,
        )
    )


async def until(w: World, done: Any, seconds: float = 5.0) -> None:
    """Wait in real time for what must happen within `seconds` of the driver's word."""
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - looks at what a driver would see
            await asyncio.sleep(0.02)


async def limited(w: World) -> None:
    """Ten cars, all of them held back."""
    await stations(w, [f"E{n}" for n in range(10)], amps=30.0)
    body = {"territory": "East", "kW": 40, "requestID": "R1", "durationMinutes": 120}
    await w.call("POST", "/api/v1/requests", body, headers=await w.log_in("opa"))
    limits = w.headend.state.limits
    await until(w, lambda: sum(x.max_a is not None for x in limits.values()) == 10)


async def test_a_link_and_a_code_open_one_stay_and_end_with_it() -> None:
    async with world() as w:
        drivers = Drivers(w.headend, KEY)
        await stations(w, ["E1", "E2"])
        one, two = session_of(w, "E1"), session_of(w, "E2")
        assert len({drivers.link(one), drivers.link(two), drivers.code(one), drivers.code(two)}) == 4
        assert (await drivers.by_link(drivers.link(one))).session.evse_id == "E1"
        code = drivers.code(two)
        assert len(code) == 11
        for typed in (
            code,
            code.lower(),
            code.replace("-", " "),
            f" {code} ",
            code.replace("1", "l").replace("0", "o"),
        ):
            assert drivers.link_of_code(typed) == drivers.link(two)
        # Another server's key, or a restart of this one.
        assert Drivers(w.headend, bytes(32)).link(one) != drivers.link(one)
        assert Drivers(w.headend, KEY).link_of_code(code) == drivers.link(two)
        await w.headend.ledger.record(
            f.SessionEnded(
                at=w.clock.now(),
                actor="station:E2",
                session_id=two,
                evse_id="E2",
                reason="unplugged",
                energy_kwh=7.5,
            )
        )
        with pytest.raises(NotFound):
            drivers.link_of_code(code)
        stay = await drivers.by_link(drivers.link(two))
        assert stay.over
        told = await drivers.told(stay, w.clock.now())
        assert (told["state"], told["energy_kwh"]) == ("over", 7.5)
        with pytest.raises(Conflict):
            await drivers.opt_out(stay, 30, on=True)
        with pytest.raises(Conflict):
            await drivers.need(stay, 5, None)


WRONG = [
    "",
    " ",
    "s",
    "A" * 10,
    "A" * 22,
    "s" + "A" * 22,
    "0" * 11,
    "\0",
    "ÄÖÜ" * 4,
    "\ud800" * 10,
    "\u0661" * 10,
    "x" * 64,
]


async def test_no_other_text_opens_anything() -> None:
    async with world(people=False) as w:
        drivers = Drivers(w.headend, KEY, stickers=True)
        await stations(w, ["E1"])
        session_id = session_of(w, "E1")
        good = [drivers.link(session_id), drivers.code(session_id), drivers.sticker("E1"), session_id, "E1"]
        for text in (*WRONG, *(x[:-1] for x in good), *(x + "A" for x in good)):
            with pytest.raises(NotFound):
                drivers.link_of_code(text)
            with pytest.raises(NotFound):
                drivers.link_of_sticker(text, w.clock.now())
            with pytest.raises(NotFound):
                await drivers.by_link(text)


async def test_a_sticker_opens_a_stay_that_has_just_begun_and_no_other() -> None:
    async with world() as w:
        drivers = Drivers(w.headend, KEY, stickers=True)
        await stations(w, ["E1"])
        sticker = drivers.sticker("E1")
        session_id = session_of(w, "E1")
        assert drivers.link_of_sticker(sticker, w.clock.now()) == drivers.link(session_id)
        with pytest.raises(Conflict, match="a while ago"):
            drivers.link_of_sticker(sticker, w.clock.now() + SCAN + timedelta(seconds=1))
        await w.headend.ledger.record(
            f.SessionEnded(
                at=w.clock.now(), actor="station:E1", session_id=session_id, evse_id="E1", reason="unplugged"
            )
        )
        with pytest.raises(Conflict, match="no vehicle"):
            drivers.link_of_sticker(sticker, w.clock.now())
        assert set(sticker[1:]) <= set(LETTERS + LETTERS.lower() + "ILOUilou-_")
        with pytest.raises(NotFound):  # off by default
            Drivers(w.headend, KEY).link_of_sticker(sticker, w.clock.now())


async def test_an_opt_out_lifts_the_limit_in_five_seconds_even_just_after_a_change() -> None:
    async with world() as w:
        drivers = Drivers(w.headend, KEY)
        await limited(w)
        stay = await drivers.by_link(drivers.link(session_of(w, "E3")))
        told = await drivers.told(stay, w.clock.now())
        assert told["state"] == "limited"
        assert told["returns_at"] == w.clock.now() + timedelta(minutes=120)
        assert told["limit_kw"] < told["full_kw"]
        assert [h["what"] for h in told["history"]] == ["limited"]
        await drivers.opt_out(stay, None, on=True)
        limits = w.headend.state.limits
        await until(w, lambda: limits["E3"].max_a is None)  # the clock stands still: no gap has passed
        stay = await drivers.by_link(drivers.link(session_of(w, "E3")))
        told = await drivers.told(stay, w.clock.now())
        assert (told["state"], told["opted_out_for_stay"]) == ("opted_out", True)
        assert [h["what"] for h in told["history"]] == ["limited", "opted_out", "freed"]
        row = next(r for r in w.store.log if r["kind"] == "OptedOut")
        assert row["actor"] == f"driver:{stay.session.session_id}"
        await drivers.opt_out(stay, None, on=False)
        assert w.headend.state.evses["E3"].opted_out_until is None
        # Limited again no sooner than a gap later: nobody swings a car by opting out and in.
        await asyncio.sleep(0.3)
        assert limits["E3"].max_a is None


async def test_P7_an_opt_out_with_a_key_waits_for_the_gap_like_everything_else() -> None:
    """A stolen key must not make load swing; who stands at the car is let go in seconds."""
    async with world() as w:
        await limited(w)
        limits, rules = w.headend.state.limits, w.headend.settings.rules
        path = "/api/v1/evses/E3/optOut"
        told = await w.call(
            "POST", path, {"minutes": 60, "reason": "asked by phone"}, headers=await w.log_in("opa")
        )
        assert told.status == 200
        await asyncio.sleep(0.3)
        assert limits["E3"].max_a is not None
        drivers = Drivers(w.headend, KEY)
        stay = await drivers.by_link(drivers.link(session_of(w, "E3")))
        shown = await drivers.told(stay, w.clock.now())
        assert shown["returns_at"] == limits["E3"].until, "he waits for his limit, no longer for the request"
        w.clock.at += timedelta(seconds=rules.gap_s + 1)
        w.headend.dispatch.wake("East")
        await until(w, lambda: limits["E3"].max_a is None)


async def test_P7_many_opt_outs_at_once_come_back_along_the_ramp() -> None:
    async with world() as w:
        drivers = Drivers(w.headend, KEY)
        await limited(w)
        for n in range(10):
            stay = await drivers.by_link(drivers.link(session_of(w, f"E{n}")))
            await drivers.opt_out(stay, 60, on=True)
        limits, rules = w.headend.state.limits, w.headend.settings.rules
        await until(w, lambda: any(x.max_a is None for x in limits.values()))
        await asyncio.sleep(0.3)
        freed = [x for x in limits.values() if x.max_a is None]
        risen_kw = sum((30.0 - x.would_draw_a) * 0.23 + 4.0 for x in freed)  # each rises by some 4 kW
        assert 1 <= len(freed) < 10
        assert risen_kw <= rules.ramp_floor_kw_per_min + 8.0


async def test_what_the_driver_tells_is_what_dispatch_knows() -> None:
    async with world() as w:
        drivers = Drivers(w.headend, KEY)
        await stations(w, ["E1"])
        session_id = session_of(w, "E1")
        stay = await drivers.by_link(drivers.link(session_id))
        leaves = w.clock.now() + timedelta(hours=1)
        await drivers.need(stay, 12.0, leaves)
        session = w.headend.state.sessions[session_id]
        assert (session.energy_requested_kwh, session.departure_at, session.told_by_driver) == (
            12.0,
            leaves,
            True,
        )
        for wrong in (w.clock.now(), w.clock.now() - timedelta(hours=1), w.clock.now() + timedelta(days=8)):
            with pytest.raises(BadInput):
                await drivers.need(stay, 12.0, wrong)
