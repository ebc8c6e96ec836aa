"""Bytes on a real socket: odd framing, heads without end, bodies that never come (F19, A14)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator

import pytest

from emw.app import guarded as server_module
from tests.doors.house import House, served

Address = tuple[str, int]
BODY = b'{"evseID": "S1", "newMaxAmps": 20}'
LENGTH = str(len(BODY)).encode()
LINE = b"POST /evse/adjustedMaxAmps HTTP/1.1\r\n"
HOST = b"Host: emw\r\n"
JSON = b"Content-Type: application/json\r\n"
PART_S = 0.25
"""What stands for the deadlines of the real thing in these tests."""


@pytest.fixture
async def wire(emw: House, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Address, None]:
    monkeypatch.setattr(server_module, "HEAD_DEADLINE_S", PART_S)
    monkeypatch.setattr(server_module, "BODY_DEADLINE_S", PART_S)
    await emw.power_on("S1")
    async with served(emw.plane) as address:
        yield address


async def say(address: Address, *parts: bytes, pause_s: float = 0.0, most_s: float = 3.0) -> bytes:
    """Send parts with pauses between them; returns all that came back until the server closed or fell silent."""
    reader, writer = await asyncio.open_connection(*address)
    got = b""

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause_s)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(most_s):
            while True:
                quiet_s = 0.15 if got and sending.done() else most_s
                async with asyncio.timeout(quiet_s):
                    chunk = await reader.read(65_536)
                if not chunk:
                    break
                got += chunk
    except (TimeoutError, ConnectionError):
        pass
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return got


def statuses(raw: bytes) -> list[int]:
    """The status of every answer in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", raw)]


def head(*lines: bytes, line: bytes = LINE, token: str = "") -> bytes:
    bearer = f"Authorization: Bearer {token}\r\n".encode() if token else b""
    return line + HOST + JSON + bearer + b"".join(x + b"\r\n" for x in lines) + b"\r\n"


async def test_the_good_one_is_taken_on_the_wire(emw: House, wire: Address) -> None:
    raw = await say(wire, head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY)
    assert statuses(raw) == [200]
    raw = await say(wire, head(b"Transfer-Encoding: chunked", token=emw.tokens["S1"])
                    + f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n0\r\n\r\n")  # fmt: skip
    assert statuses(raw) == [200]


SMUGGLED = head(b"Content-Length: 2", line=b"POST /evse/smuggled HTTP/1.1\r\n") + b"{}"
"""A second request that must never be seen as one: its path would be answered 404."""

ODD: dict[str, bytes] = {
    "length and chunked": head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED,
    "chunked and length": head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n" + SMUGGLED,
    "two lengths": head(b"Content-Length: 2", b"Content-Length: 40") + b"{}" + SMUGGLED,
    "two lengths alike": head(b"Content-Length: 2", b"Content-Length: 2") + b"{}" + SMUGGLED,
    "lengths in a list": head(b"Content-Length: 2, 2") + b"{}" + SMUGGLED,
    "a negative length": head(b"Content-Length: -2") + b"{}" + SMUGGLED,
    "a length with a plus": head(b"Content-Length: +2") + b"{}" + SMUGGLED,
    "a hex length": head(b"Content-Length: 0x2") + b"{}" + SMUGGLED,
    "a length beyond numbers": head(b"Content-Length: " + b"9" * 30) + b"{}",
    "an odd coding": head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked in disguise": head(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "chunked by a tab": head(b"Transfer-Encoding:\tchunked\x0b") + b"0\r\n\r\n",
    "a name with a blank": head(b"Content-Length : 2") + b"{}",
    "a folded line": head(b"X-Odd: a\r\n folded", b"Content-Length : 2") + b"{}",
    "a name with a line end": head(b"X\n: y"),
    "a NUL in a value": head(b"X: a\x00b", b"Content-Length: 2") + b"{}",
    "no name": head(b": x", b"Content-Length: 2") + b"{}",
    "no colon": head(b"nothing here"),
    "a chunk of negative size": head(b"Transfer-Encoding: chunked") + b"-1\r\n{}\r\n0\r\n\r\n",
    "a chunk of odd size": head(b"Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk of endless size": head(b"Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n{}",
    "a chunk longer than it says": head(b"Transfer-Encoding: chunked") + b"1\r\n{}\r\n0\r\n\r\n",
    "HTTP/0.9": b"GET /iso/requests\r\n\r\n",
    "HTTP/3.7": b"GET /iso/requests HTTP/3.7\r\n\r\n",
    "no version": b"POST /evse/powerOn \r\n\r\n",
    "a method in small letters": b"post /evse/powerOn HTTP/1.1\r\nHost: x\r\n\r\n",
    "no method": b" /evse/powerOn HTTP/1.1\r\nHost: x\r\n\r\n",
    "a made-up method": b"SHED /evse/powerOn HTTP/1.1\r\nHost: x\r\n\r\n",
    "two blanks": b"POST  /evse/powerOn HTTP/1.1\r\nHost: x\r\n\r\n\r\n",
    "a control character in the path": b"POST /evse/\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
    "high bytes in the path": b"POST /evse/\xff\xfe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a blank in the path": b"POST /evse/power On HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "noise": bytes(range(256)) * 4,
    "20,000 headers": LINE + HOST + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    "one huge header": LINE + HOST + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
    "a huge name": LINE + HOST + b"X" * 1_000_000 + b": y\r\n\r\n",
    "a huge path": b"POST /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a huge method": b"P" * 1_000_000 + b" / HTTP/1.1\r\n\r\n",
    "trailers without end": head(b"Transfer-Encoding: chunked")
    + b"2\r\n{}\r\n0\r\n"
    + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)),
}  # fmt: skip


async def test_F19_A14_odd_framing_is_refused(emw: House, wire: Address) -> None:
    await emw.settled()
    before = emw.snapshot()
    wrong = []
    for what, told in zip(ODD, await asyncio.gather(*(say(wire, raw) for raw in ODD.values())), strict=True):
        found = statuses(told)
        if not all(400 <= status < 500 for status in found) or len(found) > 1 or b"smuggled" in told:
            wrong.append(f"{what}: {told[:500]!r}")
    assert not wrong, "\n".join(wrong)
    assert emw.snapshot() == before
    assert 500 not in emw.plane.answers
    still = await say(wire, head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY)
    assert statuses(still) == [200], "the others are served"


LOOSE: dict[str, tuple[bytes, set[int]]] = {
    "bare line ends": (LINE.replace(b"\r", b"") + b"Host: x\n\n", {400, 415}),
    "absolute form": (
        b"POST http://elsewhere/evse/adjustedMaxAmps HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\n\r\n{}",
        {400},
    ),
    "an authority": (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404, 405}),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404, 405}),
    "an upgrade": (
        b"GET /iso/requests HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        {400, 401},
    ),
    "an upgrade to HTTP/2": (
        b"GET /iso/requests HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        {400, 401},
    ),
    "HTTP/1.0": (b"POST /evse/adjustedMaxAmps HTTP/1.0\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}", {400}),
    "no host": (LINE + JSON + b"Content-Length: 2\r\n\r\n{}", {400}),
    "two hosts": (LINE + HOST + HOST + JSON + b"Content-Length: 2\r\n\r\n{}", {400}),
    "continue": (head(b"Content-Length: 2", b"Expect: 100-continue") + b"{}", {100, 400}),
    "a proxy's word": (head(b"Content-Length: 2", b"X-Forwarded-For: 10.0.0.1") + b"{}", {400}),
    "an escaped path": (
        b"POST /evse/%61djustedMaxAmps HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\n\r\n{}",
        {400},
    ),
    "half an escape": (b"POST /evse/%6 HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", {404}),
    "an escaped half character": (b"POST /evse/%ff%fe HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", {404}),
    "a NUL escaped": (b"POST /evse/powerOn%00 HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", {404}),
    "a way up": (b"POST /evse/../evse/powerOn HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", {404}),
}  # fmt: skip


async def test_A14_loose_forms_are_no_fault_of_ours(emw: House, wire: Address) -> None:
    answers = await asyncio.gather(*(say(wire, raw) for raw, _ in LOOSE.values()))
    wrong = [
        f"{what}: {told[:300]!r}"
        for (what, (_, expected)), told in zip(LOOSE.items(), answers, strict=True)
        if not set(statuses(told)) <= expected
    ]
    assert not wrong, "\n".join(wrong)
    assert 500 not in emw.plane.answers


async def test_A14_requests_in_one_packet_are_answered_in_order(emw: House, wire: Address) -> None:
    good = head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY
    lost = head(b"Content-Length: 2", line=b"POST /nowhere HTTP/1.1\r\n") + b"{}"
    assert statuses(await say(wire, good + lost + good)) == [200, 404, 200]


@pytest.mark.parametrize("path", ["/evse/adjustedMaxAmps", "/evse/plugInHeartBeat"])
async def test_F19_A14_what_was_done_is_answered_before_a_malformed_request_ends_the_connection(
    emw: House, wire: Address, path: str
) -> None:
    """What a station is not told, it says again: it must not be left to guess what of its words was taken."""
    await emw.plug_in("S1")
    body = json.dumps(emw.heartbeat_body("S1")).encode() if "Heart" in path else BODY
    line = b"POST " + path.encode() + b" HTTP/1.1\r\n"
    good = head(b"Content-Length: %d" % len(body), line=line, token=emw.tokens["S1"]) + body
    assert statuses(await say(wire, good * 3 + b"GARBAGE\r\n\r\n" + good)) == [200, 200, 200, 400]
    broken = head(b"Transfer-Encoding: chunked", line=line, token=emw.tokens["S1"]) + b"zz\r\n"
    assert statuses(await say(wire, good * 2 + broken + good)) == [200, 200, 400]


async def test_F22_A14_of_too_many_in_one_packet_those_that_were_taken_are_answered(
    emw: House, wire: Address
) -> None:
    good = head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY
    told = statuses(await say(wire, good * (server_module.MOST_WAITING_REQUESTS + 20)))
    assert set(told[:-1]) == {200}
    assert told[-1] == 429
    assert len(told) == server_module.MOST_WAITING_REQUESTS + 2


async def test_A14_who_offers_another_protocol_is_served_in_this_one(emw: House, wire: Address) -> None:
    """Some HTTP clients offer HTTP/2 on every first request; its body must not get lost, nor what comes after."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ"
    good = head(offer, b"Content-Length: " + LENGTH, token=emw.tokens["S1"])
    assert statuses(await say(wire, good, BODY[:9], BODY[9:] + good + BODY)) == [200, 200]
    chunked = head(offer, b"Transfer-Encoding: chunked", token=emw.tokens["S1"])
    assert statuses(
        await say(wire, chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY) + good + BODY)
    ) == [200, 200]


REFUSED: dict[str, tuple[bytes, int]] = {
    "noise": (b"\x16\x03\x01\r\n\r\n", 400),
    "no host": (LINE + JSON + b"Content-Length: 2\r\n\r\n{}", 400),
    "two hosts": (head(b"Host: elsewhere", b"Content-Length: " + LENGTH) + BODY, 400),
    "two credentials": (head(b"Authorization: Bearer x", b"Content-Length: " + LENGTH, token="y") + BODY, 400),
    "HTTP/2.0": (head(b"Content-Length: 2", line=LINE.replace(b"1.1", b"2.0")) + b"{}", 400),
    "a chunk that is none": (head(b"Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n", 400),
    "many lines": (LINE + HOST + b"".join(b"X-%d: y\r\n" % n for n in range(120)) + b"\r\n", 431),
    "a long line": (LINE + HOST + b"X: " + b"y" * 40_000 + b"\r\n\r\n", 431),
}  # fmt: skip


async def test_A14_F19_what_never_reaches_a_door_hears_why_in_the_same_form(
    emw: House, wire: Address
) -> None:
    for what, (raw, status) in REFUSED.items():
        told = await say(wire, raw)
        top, _, body = told.partition(b"\r\n\r\n")
        assert statuses(told) == [status], (what, told)
        assert b"content-type: application/problem+json" in top, what
        assert json.loads(body)["status"] == status, what


async def test_A14_a_body_as_long_as_it_says_swallows_what_looks_like_a_request(
    emw: House, wire: Address
) -> None:
    raw = head(b"Content-Length: " + str(len(SMUGGLED)).encode()) + SMUGGLED
    told = await say(wire, raw)
    assert statuses(told) == [400], told


# --- slow


SLOW: dict[str, list[bytes]] = {
    "silence": [],
    "a head letter by letter": [bytes([b]) for b in head(b"X: y")[:-2] * 3],
    "headers one by one": [LINE + HOST, *[b"X-%d: y\r\n" % n for n in range(90)]],
    "line ends": [b"\r\n"] * 90,
    "a head that stops": [LINE + HOST],
    "a body that never comes": [head(b"Content-Length: 30")],
    "a body letter by letter": [head(b"Content-Length: 30"), *[b"{"] * 29],
    "a chunk that never comes": [head(b"Transfer-Encoding: chunked")],
    "a chunk letter by letter": [head(b"Transfer-Encoding: chunked"), b"fff\r\n", *[b" "] * 90],
    "chunks without end": [head(b"Transfer-Encoding: chunked"), *[b"1\r\n \r\n"] * 90],
    "a chunk extension without end": [head(b"Transfer-Encoding: chunked"), b"1;", *[b"x"] * 90],
    "trailers without end": [head(b"Transfer-Encoding: chunked"), b"0\r\n", *[b"X: y\r\n"] * 90],
    "a body nobody asked for": [
        b"GET /iso/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n", *[b"x"] * 90
    ],
}  # fmt: skip


async def test_F19_the_slow_are_cut_off_and_others_served(emw: House, wire: Address) -> None:
    loop = asyncio.get_running_loop()

    async def timed(parts: list[bytes]) -> tuple[float, bytes]:
        started = loop.time()
        told = await say(wire, *parts, pause_s=0.04, most_s=4.0)
        return loop.time() - started, told

    slow = [asyncio.create_task(timed(parts)) for parts in SLOW.values()]
    await asyncio.sleep(0.1)
    good = await say(wire, head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY)
    assert statuses(good) == [200]
    for what, (took_s, told) in zip(SLOW, await asyncio.gather(*slow), strict=True):
        assert took_s < PART_S * 6, f"{what}: a connection can't be held for ever"
        assert all(400 <= s < 500 for s in statuses(told)), (what, told)


async def test_F19_a_hundred_slow_ones_hold_nobody_up(emw: House, wire: Address) -> None:
    slow = [
        asyncio.create_task(say(wire, head(b"Content-Length: 30"), b"{", pause_s=0.1)) for _ in range(100)
    ]
    await asyncio.sleep(0.05)
    started = asyncio.get_running_loop().time()
    good = await say(wire, head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY)
    assert statuses(good) == [200]
    assert asyncio.get_running_loop().time() - started < 1.0
    for told in await asyncio.gather(*slow):
        assert statuses(told) == [408]


async def test_F19_a_late_body_hears_why_and_nothing_is_read_after_it(emw: House, wire: Address) -> None:
    told = await say(wire, head(b"Content-Length: 30"), b"{", SMUGGLED, pause_s=PART_S + 1.0)
    assert statuses(told) == [408]
    top, _, body = told.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in top
    assert f"content-length: {len(body)}".encode() in top
    assert json.loads(body)["status"] == 408


async def test_F19_an_answer_is_not_lost_by_a_next_request_that_stalls(emw: House, wire: Address) -> None:
    good = head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY
    assert statuses(await say(wire, good, head(b"Content-Length: 30"), pause_s=1.0)) == [200, 408]
    assert statuses(await say(wire, good + head(b"Content-Length: 30"), b"{", pause_s=1.0)) == [200, 408]
    assert statuses(await say(wire, good, LINE + HOST, pause_s=0.05)) == [200]


async def test_F19_a_connection_without_requests_is_closed(
    emw: House, wire: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "NEXT_DEADLINE_S", PART_S)
    reader, writer = await asyncio.open_connection(*wire)
    writer.write(head(b"Content-Length: " + LENGTH, token=emw.tokens["S1"]) + BODY)
    async with asyncio.timeout(PART_S * 8):
        assert statuses(await reader.read()) == [200]
    writer.close()


async def test_F19_ten_megabytes_are_refused_without_being_kept(emw: House, wire: Address) -> None:
    told = await say(wire, head(b"Content-Length: 10000000"), *[b" " * 100_000] * 20)
    assert statuses(told) == [413]
    told = await say(
        wire, head(b"Transfer-Encoding: chunked"), *[b"186a0\r\n" + b" " * 100_000 + b"\r\n"] * 20
    )
    assert statuses(told)[:1] == [413], told[:300]


async def test_an_answer_says_what_it_is(emw: House, wire: Address) -> None:
    told = await say(wire, head(b"Content-Length: 2") + b"{}")
    top, _, body = told.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in top
    assert b"x-content-type-options: nosniff" in top
    assert b"server:" not in top.lower()
    assert json.loads(body)["field"] == "evseID"
