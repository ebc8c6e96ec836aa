"""Servers on loopback addresses that answer in many ways, and note every knock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

Behave = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Canary:
    """One listening socket: what was said to it, and how it behaves."""

    host: str
    port: int = 0
    knocks: int = 0
    heard: list[bytes] = field(default_factory=list)
    behave: Behave | None = None
    tasks: set[asyncio.Task[object]] = field(default_factory=set)

    @property
    def url(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while request := await _request(reader):
                self.heard.append(request)
                if self.behave is None:
                    writer.write(answer(b'{"maxAmps": 10}'))
                    await writer.drain()
                else:
                    await self.behave(request, reader, writer)
                    if writer.is_closing():
                        break
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever called has gone, or the test is over
        finally:
            self.tasks.discard(task)
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line:
            return b""
        head += line
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """One HTTP answer."""
    top = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(top).encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def canary(host: str, port: int = 0, behave: Behave | None = None) -> AsyncGenerator[Canary, None]:
    """Listen on a loopback address."""
    bird = Canary(host, port, behave=behave)
    server = await asyncio.start_server(bird.serve, host, port)
    bird.port = server.sockets[0].getsockname()[1]
    try:
        yield bird
    finally:
        server.close()
        for task in list(bird.tasks):
            task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
