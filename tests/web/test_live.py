"""The live feed: everything once, then only what changes, at one cost for all viewers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from emw.domain import facts as f
from emw.domain.model import Outcome
from emw.domain.people import Role
from emw.service.settings import ServiceSettings
from emw.service.tally import Part
from emw.web import live as live_module
from emw.web.app import WebSettings
from emw.web.board import Board
from emw.web.live import RING, Feed
from emw.web.log_words import sentence
from emw.web.past import unwatched
from emw.web.tongue import TONGUES
from tests.service.test_drivers import unplugged
from tests.web.world import HOSTILE, World, reads, stations, world

FAST = WebSettings(tick_s=0.02, viewers=3)


def feed_of(w: World) -> Feed:
    found: Feed = w.app.state["feed"]
    return found


@contextlib.asynccontextmanager
async def viewer(w: World, alive: Any = lambda: True) -> AsyncGenerator[AsyncIterator[bytes], None]:
    stream = await feed_of(w).watch(alive)
    async with contextlib.aclosing(stream):
        yield stream


async def event(stream: AsyncIterator[bytes], wanted: str = "") -> tuple[str, Any]:
    """The next event (of that name)."""
    async with asyncio.timeout(60):
        async for chunk in stream:
            if not chunk.startswith(b"event: "):
                continue
            head, _, rest = chunk.partition(b"\n")
            assert rest.endswith(b"\n\n")
            name = head.removeprefix(b"event: ").decode()
            if wanted in {"", name}:
                return name, msgspec.json.decode(rest.removeprefix(b"data: "))
    raise AssertionError("the stream ended")


async def test_who_comes_gets_everything_then_only_what_changes() -> None:
    async with world(FAST) as w:
        await stations(w, ["E1", "E2", *HOSTILE])
        async with viewer(w) as stream:
            name, told = await event(stream)
            assert name == "snapshot"
            ids = {row[0] for row in told["evses"]}
            assert ids == {"E1", "E2", *HOSTILE}
            assert told["total"]["loadKW"] == pytest.approx(4.6 * len(ids))
            assert told["columns"][:4] == ["evseID", "territory", "state", "loadKW"]
            name, told = await event(stream)
            assert name == "past"  # the store may take its time: the numbers of now were here before
            assert len(told["history"]) >= 8
            assert any(
                line["kind"] == "PoweredOn" or line["kind"] == "TerritoryDefined" for line in told["log"]
            )
            name, told = await event(stream)
            assert (name, told["evses"], told["territories"]) == ("tick", [], [])
            reads(w, "E2", 10)
            while True:
                name, told = await event(stream)
                if told["readings"]:
                    break
            assert [row[:2] for row in told["readings"]] == [["E2", 2.3]]
            assert told["evses"] == []  # only its meter says something else
            assert [row[0] for row in told["territories"]] == ["East"]


async def test_requests_and_the_log_come_as_they_happen() -> None:
    async with world(FAST) as w:
        await stations(w, [f"E{n}" for n in range(10)])
        async with viewer(w) as stream:
            await event(stream, "snapshot")
            me = await w.log_in("opa")
            await w.call("POST", "/api/v1/requests", {"territory": "East", "kW": 20}, headers=me)
            kinds: list[str] = []
            told: Any = {}
            while not told.get("requests") or told["requests"][0]["confirmedKW"] == 0:
                _, told = await event(stream, "tick")
                kinds += [line["kind"] for line in told["log"]]
            one = told["requests"][0]
            parts = sum(one[k] for k in ("confirmedKW", "pendingKW", "refusedKW", "shortKW"))
            assert parts == pytest.approx(one["requestedKW"])
            assert told["total"]["targetKW"] == pytest.approx(26)
            assert "RequestReceived" in kinds


async def test_a_burst_of_commands_does_not_push_out_what_matters() -> None:
    async with world(FAST) as w:
        await stations(w, ["E1"])
        feed = feed_of(w)
        feed.viewers = 1
        now = w.clock.now()
        enrolled = f.Enrolled(at=now, actor="emw", request_key="r", evse_id="E1")
        feed._new_lines()
        feed._committed(10_000, [f.DispatchHalted(at=now, actor="operator:x"), *[enrolled] * 3_000])
        lines, omitted = feed._new_lines()
        assert type(lines[0][1]) is f.DispatchHalted
        assert (len(lines), omitted) == (live_module.LOG_LINES, 3_001 - live_module.LOG_LINES)


async def test_sums_that_are_carried_on_are_those_made_anew() -> None:
    async with world() as w:
        for name in ("East", "West"):
            await stations(w, [f"{name}{n}" for n in range(8)], name)
        board, chance = Board(w.headend), Random(4)
        await w.log_in("opa")
        for turn in range(90):
            for _ in range(chance.randrange(5)):
                reads(w, chance.choice(list(w.headend.state.evses)), chance.uniform(0, 32))
            if turn == 30:
                await stations(w, ["North1"], "North")
            if turn in {10, 50}:
                await w.headend.by_hand.limit("test", "East1", 8.0, 1.0, "to and fro")
            w.clock.at += timedelta(seconds=chance.randrange(40))
            board.look()
            fresh = Board(w.headend)
            fresh.look()
            for node_id, sums in fresh.sums.items():
                for part in (*Part._fields, "shed_kw", "evses", "charging", "wanted_kw"):
                    carried, anew = (
                        getattr(s.part if part in Part._fields else s, part)
                        for s in (board.sums[node_id], sums)
                    )
                    assert carried == pytest.approx(anew, abs=1e-6), (turn, node_id, part)
            assert +board.states == +fresh.states


async def test_what_nobody_watched_is_drawn_with_what_was_asked_then() -> None:
    async with world() as w:
        await w.headend.admin.define_territory("test", "Zone")
        await w.headend.admin.define_territory("test", "East", parent_id="Zone")
        await stations(w, ["E1", "E2"])
        ask = {"territory": "East", "kW": 3, "durationMinutes": 60}
        assert (await w.call("POST", "/api/v1/requests", ask, headers=await w.log_in("opa"))).status == 201
        async with asyncio.timeout(60):
            while next(iter(w.headend.state.requests.values())).started_at is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        before, after = w.clock.at - timedelta(minutes=5), w.clock.at + timedelta(minutes=5)
        seen = functools.partial(unwatched, w.headend.state, Board(w.headend))
        assert seen(before, 9.0, None) == (before, 9.0, None, None, None)
        assert seen(before, 9.0, 0.5) == (before, 9.0, 9.5, None, None)
        assert seen(after, 7.0, 2.5) == (after, 7.0, 9.5, 6.5, None)
        end = f"/api/v1/requests/{next(iter(w.headend.state.requests))}/returnToNormal"
        assert (await w.call("POST", end, {}, headers=await w.log_in("opa"))).status == 200
        assert seen(after, 7.0, 2.5) == (after, 7.0, None, None, None)  # on the way back


async def test_a_packed_stream_is_the_same_stream() -> None:
    async with world(FAST) as w:
        await stations(w, ["E1", *HOSTILE])
        feed = feed_of(w)
        plain = await feed.watch(lambda: True)
        packed = await feed.watch(lambda: True, packed=True)
        async with contextlib.aclosing(plain), contextlib.aclosing(packed):
            open_up = zlib.decompressobj(wbits=31)
            text = b""
            for _ in range(4):  # its header, how soon to come again, everything, the past
                text += open_up.decompress(await anext(packed))
            wanted = b""
            for _ in range(3):
                wanted += await anext(plain)
            assert text == wanted
            reads(w, "E1", 9)
            # Who comes later reads the same bytes: no block looks back.
            late = await feed.watch(lambda: True, packed=True)
            async with contextlib.aclosing(late):
                fresh = zlib.decompressobj(wbits=31)
                told = b"".join([fresh.decompress(await anext(late)) for _ in range(5)])
                assert told.count(b"event: snapshot") == 1
                assert told.endswith(b"\n\n")


async def test_who_looks_meanwhile_takes_nothing_from_the_viewers() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        key = await w.key(Role.VIEWER)
        async with viewer(w) as stream:
            await event(stream, "snapshot")
            reads(w, "E2", 10)
            await w.call("GET", "/metrics", key=key)  # it looks at the same board
            reads(w, "E1", 9)
            _, told = await event(stream, "tick")
            assert {row[0]: row[1] for row in told["readings"]} == {"E1": 2.07, "E2": 2.3}


async def test_a_page_without_rows_is_spared_them() -> None:
    async with world(FAST) as w:
        await stations(w, ["E1", "E2"])
        stream = await feed_of(w).watch(lambda: True, rows=False)
        async with contextlib.aclosing(stream):
            _, told = await event(stream, "snapshot")
            assert "evses" not in told
            assert told["total"]["states"] == {"charging": 2}
            reads(w, "E2", 10)
            _, told = await event(stream, "tick")
            assert "evses" not in told


async def test_who_falls_behind_gets_everything_anew() -> None:
    async with world(FAST) as w:
        await stations(w, ["E1"])
        async with viewer(w) as slow, viewer(w) as quick:
            await event(slow, "snapshot")
            await event(quick, "snapshot")
            for _ in range(RING + 5):
                await event(quick, "tick")
            await event(slow, "past")
            name, told = await event(slow)
            assert name == "snapshot"
            assert [row[0] for row in told["evses"]] == ["E1"]


async def test_one_look_serves_all_and_nobody_looks_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(FAST) as w:
        await stations(w, ["E1"])
        feed = feed_of(w)
        looks: list[int] = []
        look = feed._board.look

        def counted() -> None:
            looks.append(1)
            look()

        monkeypatch.setattr(feed._board, "look", counted)
        async with viewer(w) as one, viewer(w) as two:
            for stream in (one, two):
                await event(stream, "snapshot")
            for _ in range(10):
                first, second = await event(one, "tick"), await event(two, "tick")
                assert first == second
        assert len(looks) <= 14
        assert feed.viewers == 0
        count = len(looks)
        await asyncio.sleep(0.1)
        assert len(looks) == count


async def test_there_is_a_bound_on_viewers() -> None:
    async with world(FAST) as w:
        key = (
            await w.headend.admin.add_key("test", "k", next(iter(w.headend.state.operators.values())).role)
        )[1]
        async with viewer(w) as a, viewer(w) as b, viewer(w) as c:
            for stream in (a, b, c):
                await event(stream, "snapshot")
            assert (await w.call("GET", "/api/v1/live", key=key)).status == 429


async def test_the_stream_ends_with_the_login() -> None:
    async with world(FAST) as w:
        me = await w.log_in()
        page = asyncio.create_task(w.call("GET", "/api/v1/live", headers=me))
        await asyncio.sleep(0.3)
        assert not page.done()
        await w.call("POST", "/api/v1/logout", {}, headers=me)
        told = await page
        assert told.headers["content-type"].startswith("text/event-stream")
        assert told.headers["cache-control"] == "no-store"
        assert told.body.startswith(b"retry: ")
        assert told.body.endswith(b"event: bye\ndata: {}\n\n")


async def test_looking_on_is_not_use() -> None:
    async with world(WebSettings(tick_s=0.02, idle_s=0.3)) as w:
        told = await w.call("GET", "/api/v1/live", headers=await w.log_in())
        assert told.body.endswith(b"event: bye\ndata: {}\n\n")


async def test_dear_looks_are_followed_by_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(FAST) as w:
        feed = feed_of(w)
        loop = asyncio.get_running_loop()
        at = [1000.0]
        monkeypatch.setattr(loop, "time", lambda: at[0])

        def dear() -> None:
            at[0] += 0.2

        monkeypatch.setattr(feed._board, "look", dear)
        feed._advance()
        assert (
            feed._next_at == 1000.0 + FAST.tick_s
        )  # who comes first is not kept waiting for the second tick
        at[0] = 2000.0
        feed._advance()
        monkeypatch.undo()
        assert feed._next_at - 2000.0 == pytest.approx(0.2 / live_module.SHARE)


@pytest.mark.parametrize("tag", sorted(TONGUES))
@pytest.mark.parametrize("kind", sorted(f.FACTS))
def test_every_fact_says_something(kind: str, tag: str) -> None:
    tongue = TONGUES[tag]
    assert f"says.{kind}" in tongue.says
    # A row of a later version, whose fields are others, is still shown.
    assert sentence(kind, {}, tongue) in {kind, tongue.says[f"says.{kind}"]}


def test_no_sentence_is_about_what_is_no_fact() -> None:
    said = {key.split(".")[1].split("_")[0] for key in TONGUES["en"].says if key.startswith("says.")}
    assert said == set(f.FACTS)


async def test_P8_metrics_name_nobody() -> None:
    async with world() as w:
        await stations(w, ["station-of-bob", "E2"])
        me = await w.log_in_by_the_door()
        await w.call("POST", "/api/v1/requests", {"territory": "East", "kW": 3}, headers=me)
        async with asyncio.timeout(60):
            while [x.outcome for x in w.headend.state.limits.values()] != [Outcome.APPLIED] * 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        told = await w.call("GET", "/metrics", headers=me)
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = told.body.decode()
        for name in ("station-of-bob", "customer", "vehicle", "E2", "East", "ann", "operator:"):
            assert name not in text, name
        assert "emw_load_kilowatts 9.2" in text
        assert 'emw_evses{state="limited"} 2.0' in text
        assert 'emw_requests{state="active"} 1.0' in text
        assert 'emw_limits{outcome="applied"} 2.0' in text
        assert 'emw_operator_answers_total{status="200"}' in text
        assert (await w.call("GET", "/metrics")).status == 401
    async with world(WebSettings(open_metrics=True)) as w:
        assert (await w.call("GET", "/metrics")).status == 200


async def test_A10_what_is_too_many_for_a_customer_is_available_nowhere() -> None:
    """One sum for the grid, the console and the metric; who is inside the cap is let in as soon as somebody leaves."""
    async with world(service=ServiceSettings(most_evses_per_customer=2)) as w:
        await stations(w, ["E1", "E2", "E3", "E4"], customer="one")
        await stations(w, ["F1"])
        key = await w.key(Role.VIEWER)

        async def available_kw() -> list[float]:
            metrics = (await w.call("GET", "/metrics", key=key)).body.decode()
            nodes = (await w.call("GET", "/api/v1/territories", key=key)).json["items"]
            (line,) = [x for x in metrics.splitlines() if x.startswith("emw_available_kilowatts ")]
            return [float(line.split()[1]), nodes[0]["availableKW"]]

        one_kw = 0.23 * (20 - 6)
        assert await available_kw() == pytest.approx([3 * one_kw] * 2)
        await unplugged(w, "E1", None)
        assert await available_kw() == pytest.approx([3 * one_kw] * 2), "E3 has its place"
        await unplugged(w, "E2", None)
        await unplugged(w, "E3", None)
        assert await available_kw() == pytest.approx([2 * one_kw] * 2)
        asked = await w.call(
            "POST", "/api/v1/requests", {"territory": "East", "kW": 99}, headers=await w.log_in()
        )
        assert asked.json["availableKW"] == pytest.approx(2 * one_kw, abs=1e-3)
