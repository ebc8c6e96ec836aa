"""Stations and grid operators that answer badly (F11, F12): the outcome is recorded, counts zero, delays nobody."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator

import pytest

from emw.domain.model import Outcome
from tests.doors.canary import Behave, answer, canary
from tests.doors.house import House, house

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
DEADLINE_S = 0.4


def says(raw: bytes, *, close: bool = False) -> Behave:
    async def behave(_: bytes, __: Reader, writer: Writer) -> None:
        writer.write(raw)
        await writer.drain()
        if close:
            writer.close()

    return behave


async def _silent(_: bytes, __: Reader, writer: Writer) -> None:
    await asyncio.sleep(30)


async def _slow(_: bytes, __: Reader, writer: Writer) -> None:
    for number in answer(b'{"maxAmps": 6}'):
        writer.write(bytes([number]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _huge(_: bytes, __: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
    for _round in range(1_024):
        writer.write(b" " * 65_536)
        await writer.drain()


async def _endless(_: bytes, __: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"400\r\n" + b" " * 1_024 + b"\r\n")
        await writer.drain()


async def _endless_head(_: bytes, __: Reader, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: " + b"y" * 1_000 + b"\r\n")
        await writer.drain()


async def _reset(_: bytes, __: Reader, writer: Writer) -> None:
    writer.transport.abort()


BOMB = gzip.compress(gzip.compress(b" " * 50_000_000))

GARBAGE: dict[str, Behave] = {
    "nothing in time": _silent,
    "letter by letter": _slow,
    "64 MB": _huge,
    "without end": _endless,
    "a head without end": _endless_head,
    "a reset": _reset,
    "nothing at all": says(b"", close=True),
    "half an answer": says(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"maxAmps"', close=True),
    "half a head": says(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
    "noise": says(bytes(range(256)) * 8, close=True),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.2\r\n", close=True),
    "HTTP/0.9": says(b'{"maxAmps": 6}', close=True),
    "no JSON": says(answer(b"<html>it works</html>")),
    "an empty body": says(answer(b"")),
    "204": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "NaN": says(answer(b'{"maxAmps": NaN}')),
    "Infinity": says(answer(b'{"maxAmps": Infinity}')),
    "1e308": says(answer(b'{"maxAmps": 1e308}')),
    "1e400": says(answer(b'{"maxAmps": 1e400}')),
    "400 digits": says(answer(b'{"maxAmps": ' + b"9" * 400 + b"}")),
    "below zero": says(answer(b'{"maxAmps": -1}')),
    "text": says(answer(b'{"maxAmps": "6"}')),
    "true": says(answer(b'{"maxAmps": true}')),
    "null": says(answer(b'{"maxAmps": null}')),
    "a list": says(answer(b"[6]")),
    "nothing in it": says(answer(b"{}")),
    "more than was asked": says(answer(b'{"maxAmps": 32}')),
    "deep": says(answer(b'{"maxAmps":' + b"[" * 30_000 + b"]" * 30_000 + b"}")),
    "invalid UTF-8": says(answer(b'{"maxAmps\xff": 6}')),
    "half a character": says(answer(b'{"maxAmps": 6, "x": "\\ud800"}')),
    "UTF-16": says(answer('{"maxAmps": 6}'.encode("utf-16"))),
    "a bomb": says(answer(BOMB, "200 OK", "Content-Encoding: gzip")),
    "a bomb that says nothing": says(answer(BOMB)),
    "an unknown coding": says(answer(b"x", "200 OK", "Content-Encoding: x")),
    "a redirect": says(answer(b"", "307 Moved", "Location: http://127.0.0.1:1/")),
    "a redirect to a file": says(answer(b"", "302 Moved", "Location: file:///etc/passwd")),
    "100 for ever": says(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "an upgrade": says(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "400": says(answer(b"{}", "400 Bad")),
    "400 with a reason that is none": says(answer(b'{"title": 7, "detail": "x"}', "400 Bad")),
    "400 with a long and odd reason": says(
        answer(
            b'{"detail": "\\u0000\\u202e' + b"x" * 4_000 + b'"}',
            "400 Bad",
            "Content-Type: application/problem+json",
        )
    ),
    "401": says(answer(b"{}", "401 Who")),
    "404": says(answer(b"{}", "404 Not Found")),
    "429": says(answer(b"{}", "429 Slow", "Retry-After: 99999999")),
    "500": says(answer(b"{}", "500 Oops")),
    "status 0": says(answer(b"{}", "0 x")),
    "status 999": says(answer(b"{}", "999 x")),
    "a status of letters": says(answer(b"{}", "abc x")),
    "two lengths": says(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 14\r\n\r\n{"maxAmps": 6}'),
    "a negative length": says(b'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{"maxAmps": 6}'),
    "NUL in a header": says(b'HTTP/1.1 200 O\x00K\r\nX: a\x00b\r\nContent-Length: 14\r\n\r\n{"maxAmps": 6}'),
    "a huge header": says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", close=True),
    "a bad chunk": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", close=True),
}


@pytest.fixture
async def emw() -> AsyncGenerator[House, None]:
    async with house(networks=["127.0.0.0/8"], deadline_s=DEADLINE_S) as running:
        yield running


async def test_why_a_station_refuses_is_told_in_its_own_words(emw: House) -> None:
    async with canary("127.0.0.1") as station:
        station.behave = says(answer(b'{"title": "the cable is hot", "status": 409}', "409 Conflict"))
        await a_station_at(emw, "Hot", station.url)
        iso = await emw.iso("grid", "East")
        body = {"requestID": "R1", "territory": "East", "kW": 5, "durationMinutes": 30}
        assert (await emw.post("/iso/decrease", body, iso)).status == 200
        limit = emw.headend.state.limits["Hot"]
        assert limit.outcome is Outcome.REJECTED
        assert limit.reason == "it answered 409: the cable is hot"


async def a_station_at(emw: House, name: str, url: str) -> None:
    await emw.power_on(name, accessURL=url)
    await emw.plug_in(name)
    assert (await emw.heartbeat(name, currentAmps=32)).status == 200


@pytest.mark.parametrize("what", GARBAGE)
async def test_F12_what_a_bad_station_answers_counts_as_nothing(emw: House, what: str) -> None:
    async with canary("127.0.0.1", behave=GARBAGE[what]) as bad, canary("127.0.0.1") as good:
        good.behave = says(answer(b'{"maxAmps": 6}'))
        await a_station_at(emw, "Bad", bad.url)
        await a_station_at(emw, "Good", good.url)
        iso = await emw.iso("grid", "East")
        loop = asyncio.get_running_loop()
        started = loop.time()
        body = {"requestID": "R1", "territory": "East", "kW": 11, "durationMinutes": 30}
        told = await emw.post("/iso/decrease", body, iso)
        took_s = loop.time() - started
        limits = emw.headend.state.limits
        assert told.status == 200
        assert took_s < 2.5, "the round is not held up"
        await emw.until(lambda: "Bad" in limits and limits["Bad"].outcome is not Outcome.PENDING)
        bad_limit, good_limit = limits["Bad"], limits["Good"]
        assert bad_limit.outcome in {Outcome.REJECTED, Outcome.TIMED_OUT, Outcome.OFFLINE}, bad_limit
        reason = bad_limit.reason or ""
        assert reason
        assert "\x00" not in reason
        assert len(reason) <= 300
        assert good_limit.outcome is Outcome.APPLIED, "the others are asked, and heard"
        r = (await emw.get("/iso/requests/R1", iso)).body
        parts = r["confirmedKW"] + r["pendingKW"] + r["refusedKW"] + r["shortKW"]
        assert r["requestedKW"] == pytest.approx(parts, abs=1e-9)
        would_kw = 32 * 0.23
        assert r["confirmedKW"] <= would_kw, "no more than the good one gives"
        assert r["confirmedKW"] > 0
        assert good.knocks
        assert 500 not in emw.plane.answers


async def test_F12_one_that_lies_dead_is_recorded(emw: House) -> None:
    """Nothing listens there at all, or what listens never accepts."""
    import socket

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        await a_station_at(emw, "Full", f"http://127.0.0.1:{full.getsockname()[1]}")
        await a_station_at(emw, "Dead", "http://127.0.0.1:1024")
        await emw.iso("grid", "East")
        await emw.decrease("grid", "R1", 8)
        limits = emw.headend.state.limits
        await emw.until(
            lambda: len(limits) == 2 and all(x.outcome is not Outcome.PENDING for x in limits.values())
        )
        assert limits["Dead"].outcome is Outcome.OFFLINE
        assert limits["Full"].outcome is Outcome.TIMED_OUT


async def test_F12_a_hundred_deaf_stations_do_not_hold_up_one_that_hears(emw: House) -> None:
    async with canary("127.0.0.1", behave=_silent) as bad, canary("127.0.0.1") as good:
        good.behave = says(answer(b'{"maxAmps": 6}'))
        for n in range(100):
            await a_station_at(emw, f"Deaf{n}", bad.url)
        await a_station_at(emw, "Good", good.url)
        iso = await emw.iso("grid", "East")
        body = {"requestID": "R1", "territory": "East", "kW": 300, "durationMinutes": 30}
        loop = asyncio.get_running_loop()
        started = loop.time()
        deciding = asyncio.create_task(emw.post("/iso/decrease", body, iso))
        limits = emw.headend.state.limits
        await emw.until(lambda: "Good" in limits and limits["Good"].outcome is Outcome.APPLIED)
        assert loop.time() - started < 1.0
        assert (await deciding).status == 200


REPORTS = [
    "nothing in time",
    "64 MB",
    "a reset",
    "noise",
    "a redirect",
    "429",
    "500",
    "half an answer",
    "a bomb",
]


@pytest.mark.parametrize("what", REPORTS)
async def test_F11_reports_are_kept_until_somebody_takes_them(emw: House, what: str) -> None:
    async with canary("127.0.0.1", behave=GARBAGE[what]) as grid:
        iso = await emw.iso("grid", "East")
        assert (await emw.post("/iso/connected", {"accessURL": grid.url}, iso)).status == 200
        await emw.decrease("grid", "R1", 3)
        outbox = emw.headend.outbox
        await emw.until(lambda: emw.headend.state.reports)
        await emw.plug_in("S1")
        assert (await emw.heartbeat("S1")).status == 200, "nothing else waits for it"
        await emw.until(lambda: outbox.failed)
        kept = dict(emw.headend.state.reports)
        assert kept
        grid.behave = None
        for _ in range(100):
            if not emw.headend.state.reports:
                break
            emw.clock.forward(600)
            outbox.wake("grid")
            await asyncio.sleep(0.02)
        assert not emw.headend.state.reports
        assert any(b"/reductionReport" in heard for heard in grid.heard)


async def test_P8_A7_what_goes_to_a_grid_operator_names_no_driver_and_no_token(emw: House) -> None:
    async with canary("127.0.0.1") as grid, canary("127.0.0.1") as station:
        station.behave = says(answer(b'{"maxAmps": 6}'))
        iso = await emw.iso("grid", "East")
        await emw.power_on("S1", accessURL=station.url, customerID="Erika-Mustermann")
        await emw.plug_in("S1", vehicle="WVWZZZ-VIN")
        await emw.heartbeat("S1", currentAmps=32)
        await emw.post("/iso/connected", {"accessURL": grid.url}, iso)
        await emw.decrease("grid", "R1", 3)
        await emw.until(lambda: grid.heard)
        for heard in grid.heard:
            for secret in (b"Erika", b"VIN", b"ct_", iso.encode(), emw.tokens["S1"].encode(), b"S1"):
                assert secret not in heard
        assert all(b"Bearer ct_" in h for h in station.heard if b"setMaxAmps" in h)


async def test_A7_every_station_has_a_control_token_of_its_own_and_a_new_one_at_every_power_on(
    emw: House,
) -> None:
    tokens: list[bytes] = []

    async def note(request: bytes, _: Reader, writer: Writer) -> None:
        if b"authWithControl" in request:
            tokens.append(request.split(b'"token":"')[1].split(b'"')[0])
        writer.write(answer(b"{}"))
        await writer.drain()

    async with canary("127.0.0.1", behave=note) as station:
        for name in ("S1", "S2", "S1", "S2"):
            await emw.power_on(name, accessURL=station.url)
        await emw.until(lambda: len(tokens) >= 4)
        assert len(set(tokens)) == 4
        assert all(len(t) >= 30 for t in tokens)
