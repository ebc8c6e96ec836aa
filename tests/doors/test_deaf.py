"""Who asks and does not read what it is told is cut off: all at once, or little by little (F19, F22)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from emw.app import guarded as of_app
from tests.doors.house import House, served

ASK = b"GET /iso/requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer iso_guessed\r\n\r\n"


async def connect(place: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock = socket.create_connection(place)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    return await asyncio.open_connection(sock=sock, limit=1024)


async def test_F22_a_few_requests_ahead_are_answered_in_their_order(emw: House) -> None:
    async with served(emw.plane) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(ASK * of_app.MOST_WAITING_REQUESTS)
        async with asyncio.timeout(60):
            for _ in range(of_app.MOST_WAITING_REQUESTS):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith((b"HTTP/1.1 401", b"HTTP/1.1 429"))
                length = next(x for x in head.split(b"\r\n") if x.lower().startswith(b"content-length"))
                await reader.readexactly(int(length.split(b":")[1]))
        writer.close()


async def test_F22_many_requests_ahead_cut_the_connection(emw: House) -> None:
    async with served(emw.plane) as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(ASK * 2_000)
        async with asyncio.timeout(60):
            try:
                while await reader.read(65_536):
                    pass
            except ConnectionError:
                pass
        writer.close()
        assert sum(emw.plane.answers.values()) < 200


async def test_F19_F22_who_does_not_read_is_cut_off(emw: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_app, "READ_DEADLINE_S", 0.5)
    async with served(emw.plane) as place:
        _, writer = await connect(place)
        gone = False
        async with asyncio.timeout(60):
            while not gone:
                try:
                    writer.write(ASK * 20)
                    await writer.drain()
                    await asyncio.sleep(0.002)
                except ConnectionError:
                    gone = True
        assert gone
        told = await emw.get("/iso/requests", "iso_guessed", address="192.0.2.9")
        assert told.status == 401
