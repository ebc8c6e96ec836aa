"""The other side of `bench.large`: a server in a process of its own, its many stations, and the probe among them."""

from __future__ import annotations

import asyncio
import json
import multiprocessing as mp
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

from bench.measure import cpu_s, resident_mb

CONNECTIONS = 64
"""Kept alive: a proxy before many stations keeps no more."""
KW_PER_A = 0.23
TAKES_LESS_A = 0.4
HEAD = "{} {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
TOML = """data_dir = "{data}"
log_level = "error"
stations.listen = "127.0.0.1:0"
operator.listen = "127.0.0.1:0"
outgoing.networks = ["127.0.0.0/8"]
{store}
"""


def request(path: str, body: Any, token: str = "", method: str = "POST") -> bytes:
    """A request as it goes over the wire."""
    text = "" if body is None else json.dumps(body)
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    return (HEAD.format(method, path, bearer, len(text)) + text).encode()


class Bay:
    """A station, its EVSE and the vehicle at it."""

    __slots__ = ("command_id", "kwh", "limit_a", "n", "name", "plugged", "secret", "token", "wants_a")

    def __init__(self, n: int) -> None:
        self.n, self.name = n, f"EVSE-{n:06}"
        self.secret = self.token = ""
        self.plugged = False
        self.limit_a: float | None = None
        self.command_id = ""
        self.wants_a = 8.0 + n % 23
        self.kwh = 0.0

    @property
    def draws_a(self) -> float:
        """What its vehicle draws now."""
        return (
            self.wants_a if self.limit_a is None else min(self.wants_a, max(self.limit_a - TAKES_LESS_A, 0.0))
        )

    def beat(self) -> bytes:
        """A minute later."""
        self.kwh += KW_PER_A * self.draws_a / 60
        said = {
            "evseID": self.name,
            "timestamp": datetime.now(UTC).isoformat(timespec="microseconds"),
            "lineVoltage": 230.0,
            "currentAmps": round(self.draws_a, 2),
            "evseMaxAmps": 32.0,
            "carMaxAmps": 32.0,
            "limitAmps": self.limit_a,
            "energyKWh": round(self.kwh, 3),
        }
        return request("/evse/plugInHeartBeat", said, self.token)


class Line(asyncio.Protocol):
    """A connection to the server that asks one thing after another."""

    def __init__(self) -> None:
        self._waits: deque[tuple[bytes, asyncio.Future[tuple[int, bytes]]]] = deque()
        self._asked: asyncio.Future[tuple[int, bytes]] | None = None
        self._got = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None
        for future in [self._asked, *(f for _, f in self._waits)]:
            if future is not None and not future.done():
                future.set_result((0, b""))

    def ask(self, data: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Status and body; 0: the connection is lost."""
        future = asyncio.get_running_loop().create_future()
        self._waits.append((data, future))
        self._next()
        return future

    def _next(self) -> None:
        if self._asked is None and self._waits and self.transport is not None:
            data, self._asked = self._waits.popleft()
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, blank, body = self._got.partition(b"\r\n\r\n")
        _, named, behind = head.lower().partition(b"content-length: ")
        if not blank or not named or len(body) < int(behind.split(b"\r\n", 1)[0]):
            return
        self._got = b""
        asked, self._asked = self._asked, None
        if asked is not None and not asked.done():
            asked.set_result((int(head[9:12]), body))
        self._next()


class Stations(asyncio.Protocol):
    """The stations' own side: a path each on one port; they say yes at once.

    What they are told is counted: a command that they know, with its id; the same amps for longer; other amps.
    """

    told: ClassVar[Counter[str]] = Counter()
    last_at = 0.0

    def __init__(self, bays: Sequence[Bay]) -> None:
        self._bays = bays
        self._got = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, blank, body = self._got.partition(b"\r\n\r\n")
        _, _, behind = head.lower().partition(b"content-length: ")
        if not blank or len(body) < int(behind.split(b"\r\n", 1)[0]):
            return
        self._got = b""
        _, _, number, _, what = head.split(b" ", 2)[1].split(b"/")
        bay = self._bays[int(number)]
        if what != b"authWithControl":
            said = json.loads(body)
            limit_a = said["maxAmps"] if what == b"setMaxAmps" else None
            known, same = said["commandID"] == bay.command_id, limit_a == bay.limit_a
            Stations.told["said again" if known else "for longer" if same else "other amps"] += 1
            bay.limit_a, bay.command_id = limit_a, said["commandID"]
            Stations.last_at = time.perf_counter()
        answer = json.dumps({"maxAmps": 32.0 if bay.limit_a is None else bay.limit_a})
        head_out = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
        )
        self._transport.write((head_out + answer).encode())


def probe(pipe: Connection) -> None:
    """A process of its own. Hears `(port, bay)`: goes on there; hears None: tells what it saw since the last time."""
    waited_s: list[float] = []
    port, bay, sock = 0, Bay(0), None
    while True:
        while pipe.poll(0.1):
            heard = pipe.recv()
            if heard is None:
                pipe.send(sorted(waited_s))
                waited_s.clear()
            else:
                (port, bay), sock = heard, None
        if not port:
            continue
        began = time.perf_counter()
        try:
            sock = sock or socket.create_connection(("127.0.0.1", port), timeout=120)
            sock.sendall(bay.beat())
            while b"}" not in (got := sock.recv(65_536)):
                if not got:
                    raise ConnectionResetError
        except OSError:
            sock = None  # between a kill and the start after it
            continue
        waited_s.append(time.perf_counter() - began)


class Fleet:
    """The server and its stations."""

    def __init__(self, evses: int, folder: Path, store_url: str | None) -> None:
        self.bays = [Bay(n) for n in range(evses)]
        self.lines: list[Line] = []
        self.told: dict[str, Any] = {}
        self._folder = folder
        self._data = folder / "data"
        self._data.mkdir(mode=0o700)
        store = "" if store_url is None else f'store.url = "{store_url}"'
        (folder / "emw.toml").write_text(TOML.format(data=self._data, store=store))
        self.pipe, there = mp.get_context("spawn").Pipe()
        mp.get_context("spawn").Process(target=probe, args=(there,), daemon=True).start()

    def say(self, part: str, **figures: Any) -> None:
        """A line, and what goes into the JSON object."""
        self.told[part] = figures
        print(
            f"large: {part}: " + ", ".join(f"{name} {value}" for name, value in figures.items()), flush=True
        )

    def seen(self) -> dict[str, float]:
        """What the probe waited for its answers since this was asked last, ms."""
        self.pipe.send(None)
        waited_s = self.pipe.recv()
        if not waited_s:
            return {}
        p99 = waited_s[min(int(len(waited_s) * 0.99), len(waited_s) - 1)]
        return {"heartbeat p99 ms": round(p99 * 1e3), "heartbeat longest ms": round(waited_s[-1] * 1e3)}

    async def serve(self) -> float:
        """Start the server; s until it says that it is ready."""
        began = time.perf_counter()
        self.server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "emw", "serve", "--json", "--config", str(self._folder / "emw.toml")),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.server.stdout is not None
        ready = json.loads(await self.server.stdout.readline())
        took_s = time.perf_counter() - began
        self.port = int(ready["stations"].rpartition(":")[2])
        self.lines = [await self.line() for _ in range(CONNECTIONS)]
        return took_s

    async def line(self, *, control: bool = False) -> Line:
        """Another connection: to the stations' door, or to the control socket."""
        loop = asyncio.get_running_loop()
        if control:
            return (await loop.create_unix_connection(Line, str(self._data / "control.sock")))[1]
        return (await loop.create_connection(Line, "127.0.0.1", self.port))[1]

    async def each(
        self,
        bays: Sequence[Bay],
        lines: Sequence[Line],
        ask: Callable[[Bay], bytes],
        heard: Callable[..., None],
    ) -> dict[str, float]:
        """Ask something for each of many, as fast as the lines go."""
        began, cpu = time.perf_counter(), cpu_s(self.server.pid)
        answers = await asyncio.gather(*(lines[n % len(lines)].ask(ask(bay)) for n, bay in enumerate(bays)))
        for bay, (status, body) in zip(bays, answers, strict=True):
            if status not in {200, 201}:
                raise SystemExit(f"{bay.name}: {status} {body.decode()}")
            heard(bay, json.loads(body))
        each_us = (cpu_s(self.server.pid) - cpu) / len(bays) * 1e6
        return {"s": round(time.perf_counter() - began, 1), "µs of CPU each": round(each_us)}

    async def beats(self) -> None:
        """A heartbeat a minute of each vehicle but the probe's, evenly, until cancelled."""
        began, slot = time.perf_counter(), 0
        while True:
            for bay in self.bays[1 + slot % 600 :: 600]:
                if bay.plugged and self.lines[bay.n % CONNECTIONS].transport is not None:
                    self.lines[bay.n % CONNECTIONS].ask(bay.beat())
            slot += 1
            await asyncio.sleep(max(0.0, began + slot / 10 - time.perf_counter()))

    async def part(self, name: str, minutes: float, **figures: Any) -> None:
        """Let it go on for a while, and tell what that took."""
        began, cpu = time.perf_counter(), cpu_s(self.server.pid)
        await asyncio.sleep(minutes * 60)
        load = (cpu_s(self.server.pid) - cpu) / (time.perf_counter() - began)
        self.say(name, **figures, **self.seen(), cores=round(load, 2), MB=resident_mb(self.server.pid))
