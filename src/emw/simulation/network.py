"""The network: messages take time, get lost on the way there or back, arrive twice or too late.

Both directions are the real thing up to the socket: stations and grid operators call the node's `Plane` over ASGI
with real JSON, the node calls them through its own links over a guarded client whose `post` ends here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_network
from random import Random
from typing import Any, Protocol

from emw.outgoing import CallFailed, CallTimedOut, Outgoing, OutgoingRules, Reply
from emw.simulation.loop import SimLoop

Headers = list[tuple[bytes, bytes]]


QUICKEST_S = 0.002


class Fate(StrEnum):
    """What becomes of one message."""

    ARRIVES = "arrives"
    LOST_BEFORE = "lost before"
    LOST_AFTER = "lost after"
    DOUBLED = "doubled"
    LATE = "late"
    REFUSED = "refused"


@dataclass(slots=True)
class Weather:
    """How likely each fate is now; calm when all are 0."""

    odds: dict[Fate, float] = field(default_factory=dict)
    latency_s: tuple[float, float] = (QUICKEST_S, 0.15)

    def fate(self, chance: Random) -> Fate:
        """Draw one."""
        draw = chance.random()
        for fate, odds in self.odds.items():
            draw -= odds
            if draw < 0:
                return fate
        return Fate.ARRIVES

    def latency(self, chance: Random) -> float:
        """One way, s."""
        return chance.uniform(*self.latency_s)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from the node's doors."""

    status: int
    body: bytes
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One call of the node's doors: who, where, what."""

    sender: str
    method: str
    path: str
    token: str | None
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    ordered: bool = False
    """Only the sender's latest message of this kind can arrive late or again."""


class Doors(Protocol):
    """The node, as the network sees it."""

    def serve(self, message: Message, answer: Callable[[Answer | None], None]) -> bool:
        """Begin to serve; `answer` is called once. False: nobody listens."""
        ...


class Receiver(Protocol):
    """Who can be called by the node: a station or a grid operator's report URL."""

    name: str

    @property
    def cut(self) -> bool:
        """Whether its network is down."""
        ...

    def called(self, path: str, token: str | None, body: bytes) -> tuple[int, bytes]:
        """Answer a call."""
        ...


class Network:
    """Carries messages both ways."""

    def __init__(self, loop: SimLoop, chance: Random, say: Callable[[str], None]) -> None:
        self.weather = Weather()
        self.messages = 0
        self.faults = 0
        self.receivers: dict[str, Receiver] = {}
        self.doors: Doors | None = None
        self._saying: dict[str, bytes] = {}
        self.hurt_at: dict[str, float] = {}
        """When a message from or to somebody last went wrong."""
        self._loop = loop
        self._chance = chance
        self._say = say
        self._world = Context()

    def now_s(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    def hurt(self, name: str) -> None:
        """Note that a message of somebody's did not simply arrive."""
        self.faults += 1
        self.hurt_at[name] = self._loop.time()

    def _later(self, delay_s: float, what: Callable[..., Any], *args: Any) -> None:
        self._loop.call_later(delay_s, what, *args, context=self._world)

    # --- to the node

    async def say(self, message: Message, *, cut: bool, deadline_s: float = 10.0) -> Answer | None:
        """Call a door. None: no answer by the deadline, or the connection broke."""
        self.messages += 1
        loop, chance, weather = self._loop, self._chance, self.weather
        if message.ordered:
            self._saying[message.sender] = message.body
        back: asyncio.Future[Answer | None] = loop.create_future()
        fate = Fate.LOST_BEFORE if cut else weather.fate(chance)
        if fate is not Fate.ARRIVES:
            self.hurt(message.sender)
            self._say(f"net {message.sender} {message.path}: {fate}")
        there_s = weather.latency(chance)
        if fate is Fate.LATE:
            there_s = deadline_s + chance.uniform(0.1, 20.0)
        reply_lost = fate in {Fate.LOST_AFTER, Fate.LATE}
        if fate is Fate.REFUSED:
            self._later(there_s, _settle, back, None)
        elif fate is not Fate.LOST_BEFORE:
            self._later(there_s, self._arrive, message, back, reply_lost)
        if fate is Fate.DOUBLED:
            self._later(there_s + chance.uniform(0.0, 8.0), self._arrive, message, None, True)
        try:
            async with asyncio.timeout(deadline_s):
                return await back
        except TimeoutError:
            return None

    def _overtaken(self, message: Message) -> bool:
        """A station says one thing at a time over one connection: a copy of an earlier one finds it closed.

        The station protocol numbers nothing, so nobody could tell such a copy from the thing happening again.
        """
        return message.ordered and self._saying.get(message.sender) is not message.body

    def _arrive(self, message: Message, back: asyncio.Future[Answer | None] | None, reply_lost: bool) -> None:
        if self._overtaken(message):
            return

        def answered(answer: Answer | None) -> None:
            if back is not None and not reply_lost:
                self._later(self.weather.latency(self._chance), _settle, back, answer)

        if self.doors is None or not self.doors.serve(message, answered):
            self.hurt(message.sender)
            answered(None)

    # --- from the node

    async def post(self, host: str, path: str, body: bytes, token: str | None, deadline_s: float) -> Reply:
        """A call of the node's, in the node's own task."""
        self.messages += 1
        chance, weather = self._chance, self.weather
        receiver = self.receivers.get(host)
        if receiver is None:
            raise CallFailed("connection refused")
        fate = Fate.LOST_BEFORE if receiver.cut else weather.fate(chance)
        if fate is not Fate.ARRIVES:
            self.hurt(receiver.name)
            self._say(f"net to {receiver.name} {path}: {fate}")
        back: asyncio.Future[Reply] = self._loop.create_future()
        there_s = weather.latency(chance)
        if fate is Fate.REFUSED:
            await asyncio.sleep(there_s)
            raise CallFailed("connection refused")
        if fate is Fate.LATE:
            there_s = deadline_s + chance.uniform(0.1, 10.0)
        if fate is not Fate.LOST_BEFORE:
            lost = fate in {Fate.LOST_AFTER, Fate.LATE}
            self._later(there_s, self._reach, receiver, path, token, body, None if lost else back)
        if fate is Fate.DOUBLED:
            self._later(there_s + chance.uniform(0.0, 8.0), self._reach, receiver, path, token, body, None)
        try:
            async with asyncio.timeout(deadline_s):
                return await back
        except TimeoutError as error:
            raise CallTimedOut("no answer in time") from error

    def _reach(
        self,
        receiver: Receiver,
        path: str,
        token: str | None,
        body: bytes,
        back: asyncio.Future[Reply] | None,
    ) -> None:
        if back is None:
            # Late, or once more: what it was told since, by another life perhaps, is overtaken now.
            self.hurt_at[receiver.name] = self._loop.time()
        if receiver.cut:
            return
        status, said = receiver.called(path, token, body)
        if back is not None:
            self._later(self.weather.latency(self._chance), _settle, back, Reply(status, said))


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


class SimOutgoing(Outgoing):
    """The guarded client with its guard and without its sockets."""

    def __init__(self, network: Network, alive: Callable[[], bool], *, deadline_s: float) -> None:
        rules = OutgoingRules(networks=(ip_network("10.0.0.0/8"),))
        super().__init__(rules, deadline_s=deadline_s)
        self._network = network
        self._alive = alive
        self._most_s = deadline_s

    async def post(
        self,
        base_url: str,
        path: str,
        body: bytes,
        *,
        token: str | None = None,
        deadline_s: float | None = None,
    ) -> Reply:
        """As the real one: guarded, by a deadline, with its exceptions and no others."""
        host = self.guard.check(base_url).host or ""
        if not self._alive():
            raise CallFailed("the dead call nobody")
        return await self._network.post(host, path, body, token, deadline_s or self._most_s)


async def call_asgi(app: Any, message: Message) -> Answer:
    """One HTTP request to an ASGI app, without a socket."""
    headers: Headers = [(b"content-type", b"application/json"), *message.headers]
    if message.token is not None:
        headers.append((b"authorization", b"Bearer " + message.token.encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "method": message.method,
        "path": message.path,
        "headers": headers,
        "client": (message.sender, 1),
    }
    said: dict[str, Any] = {"status": 0, "headers": [], "body": b""}

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": message.body, "more_body": False}

    async def send(part: Mapping[str, Any]) -> None:
        if part["type"] == "http.response.start":
            said["status"], said["headers"] = part["status"], part["headers"]
        else:
            said["body"] += part.get("body", b"")

    await app(scope, receive, send)
    retry = dict(said["headers"]).get(b"retry-after")
    return Answer(said["status"], said["body"], None if retry is None else float(retry))
