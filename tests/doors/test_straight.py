"""The short way of a heartbeat against the ordinary one: nobody who sends or reads bytes can tell them apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from emw.app.server import PlaneServer, server_for
from emw.domain import facts as f
from emw.domain.facts import Fact
from tests.doors.house import House
from tests.doors.test_wire import LINE, LOOSE, ODD, REFUSED, head

HEART = b"POST /evse/plugInHeartBeat HTTP/1.1\r\n"


class Peer:
    """A transport that keeps what is written, as `asyncio.Transport` where HTTP asks for it."""

    def __init__(self) -> None:
        self.got = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.got += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("192.0.2.7", 4711), "sockname": ("192.0.2.1", 8000)}.get(name)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def connected(server: PlaneServer, peer: Peer) -> Any:
    """The server's side of a new connection."""
    http: Any = server.config.http_protocol_class
    connection = http(server.config, server.server_state, {})
    connection.connection_made(peer)
    return connection


async def answers(server: PlaneServer, pieces: Iterable[bytes]) -> bytes:
    """All that comes back on one connection to which these pieces are sent."""
    peer, state = Peer(), server.server_state
    connection = connected(server, peer)
    for piece in pieces:
        if not peer.closed:
            connection.data_received(piece)
    while not peer.closed and state.tasks:  # noqa: ASYNC110 - its tasks are the server's own business
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # what is held back for this turn of the loop goes out
    connection.connection_lost(None)
    while state.tasks:  # noqa: ASYNC110 - the same
        await asyncio.sleep(0)
    return peer.got


def in_pieces(raw: bytes) -> list[bytes]:
    """As a slow line brings it: never whole."""
    step = 1 if len(raw) < 2_000 else 1_000
    return [raw[n : n + step] for n in range(0, len(raw), step)]


def beat(emw: House, token: str = "", **over: Any) -> bytes:
    """A heartbeat of S1 as bytes; `token` instead of its own."""
    body = json.dumps(emw.heartbeat_body("S1", **over)).encode()
    lines = head(b"Content-Length: %d" % len(body), line=HEART, token=token or emw.tokens["S1"])
    return lines + body


@pytest.fixture
async def server(emw: House) -> PlaneServer:
    await emw.plug_in("S1")
    made = server_for(emw.plane)
    made.config.load()
    return made


async def test_a_heartbeat_in_one_piece_is_answered_before_the_loop_turns(
    emw: House, server: PlaneServer
) -> None:
    peer = Peer()
    connection = connected(server, peer)
    connection.data_received(beat(emw) + beat(emw, currentAmps=21))
    assert peer.got.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert peer.got.endswith(b"\r\ncontent-length: 2\r\n\r\n{}")
    assert not server.server_state.tasks
    assert emw.headend.telemetry.taken == 2


async def test_what_is_odd_is_answered_alike_on_both_ways(emw: House, server: PlaneServer) -> None:
    odd = ODD | {what: raw for what, (raw, _) in (LOOSE | REFUSED).items()}
    for what, told in odd.items():
        raw = told.replace(LINE, HEART).replace(b"/adjustedMaxAmps", b"/plugInHeartBeat")
        assert await answers(server, [raw]) == await answers(server, in_pieces(raw)), what
    assert emw.headend.telemetry.taken == 0


async def test_what_is_usual_is_answered_alike_on_both_ways(emw: House, server: PlaneServer) -> None:
    good = beat(emw)
    cases = {
        "good": good,
        "two": good + beat(emw, currentAmps=21),
        "another door between": good + head(line=b"GET /nowhere HTTP/1.1\r\n") + good,
        "the last one": good.replace(HEART, HEART + b"Connection: close\r\n") + good,
        "of the old kind": good.replace(b"HTTP/1.1", b"HTTP/1.0"),
        "in chunks": head(b"Transfer-Encoding: chunked", line=HEART, token=emw.tokens["S1"])
        + b"2\r\n{}\r\n0\r\n\r\n",
        "a wrong token": beat(emw, token="another"),
        "no number": beat(emw, currentAmps="much"),
        "too much": beat(emw, currentAmps=99),
        "no JSON": head(b"Content-Length: 3", line=HEART, token=emw.tokens["S1"]) + b"NaN",
        "too large": head(b"Content-Length: 70000", line=HEART) + bytes(70_000),
        "another type": good.replace(b"application/json", b"text/plain"),
        "another method": good.replace(b"POST", b"PUT"),
        "no body": head(line=HEART, token=emw.tokens["S1"]),
    }
    for what, raw in cases.items():
        one, other = await answers(server, [raw]), await answers(server, in_pieces(raw))
        assert one == other, what
        assert one.startswith(b"HTTP/1.1 "), what


async def test_a_heartbeat_that_shows_something_new_is_answered_once_that_is_written(
    emw: House, server: PlaneServer
) -> None:
    def turned() -> list[Fact]:
        return [fact for fact in emw.store.log if isinstance(fact, f.KnobTurned)]

    emw.store.slow_s = 0.01
    told = await answers(server, [beat(emw, evseMaxAmps=16, currentAmps=10) + beat(emw, evseMaxAmps=16)])
    assert told.count(b"HTTP/1.1 200 OK") == 2
    assert len(turned()) == 1
    assert emw.headend.telemetry.taken == 2


async def test_who_reads_no_answers_is_asked_to_wait(emw: House, server: PlaneServer) -> None:
    peer = Peer()
    connection = connected(server, peer)
    connection.pause_writing()
    connection.data_received(beat(emw))
    await emw.settled()
    assert not peer.got
    connection.resume_writing()
    await emw.until(lambda: peer.got.startswith(b"HTTP/1.1 200 OK"))
