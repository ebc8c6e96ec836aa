"""Grid operators in the simulated world: they ask, ask again, change their minds, read, and take reports or don't."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import msgspec

from emw.simulation.network import Answer, Message, Network
from emw.simulation.node import SimClock

Json = dict[str, Any]


@dataclass(slots=True)
class Asked:
    """A request as the grid operator remembers it."""

    body: Json
    acknowledged: bool = False
    cancelled: bool = False
    """The cancel was acknowledged."""


@dataclass(frozen=True, slots=True)
class GridWatchers:
    """Who wants to know what a grid operator heard."""

    answer: Callable[[GridOperator, str, Json, Answer], None]
    report: Callable[[GridOperator, bytes], None]
    say: Callable[[str], None]


@dataclass(slots=True)
class GridOperator:
    """One ISO: a few requests an hour in its own territories."""

    name: str
    token: str
    territories: tuple[str, ...]
    clock: SimClock
    network: Network
    chance: Random
    watch: GridWatchers
    per_hour: float
    most_kw: float
    address: str
    cut: bool = False
    grumpy: bool = False
    """Its report URL answers 500."""
    asked: dict[str, Asked] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    """Reports it has taken, by their text."""
    stopped: bool = False

    @property
    def url(self) -> str:
        """Where its reports go."""
        return f"http://{self.address}:9000"

    async def say(
        self, method: str, path: str, body: Json | None = None, *, patient: bool = True
    ) -> Answer | None:
        """One message, said again until it is answered when `patient`."""
        encoded = b"" if body is None else msgspec.json.encode(body)
        while True:
            hurry = self.chance.random() < 0.3
            headers = [(b"prefer", b"respond-async")] if hurry else []
            message = Message(self.name, method, path, self.token, encoded, headers)
            answer = await self.network.say(message, cut=self.cut, deadline_s=30.0)
            if answer is not None:
                self.watch.answer(self, path, body or {}, answer)
                if answer.status < 500:
                    return answer
            if not patient:
                return None
            await self.clock.sleep(self.chance.uniform(0.5, 8.0))

    async def run(self) -> None:
        """Say hello, then live."""
        await self.say("POST", "/iso/connected", {"accessURL": self.url})
        while not self.stopped:
            await self.clock.sleep(self.chance.expovariate(self.per_hour / 3600.0))
            if not self.stopped:
                await self._do_something()

    async def _do_something(self) -> None:
        draw = self.chance.random()
        open_ones = [key for key, a in self.asked.items() if a.acknowledged and not a.cancelled]
        if draw < 0.5 or not self.asked:
            await self.ask()
        elif draw < 0.62 and open_ones:
            await self.cancel(self.chance.choice(open_ones))
        elif draw < 0.72:
            await self.repeat(self.chance.choice(list(self.asked)))
        elif draw < 0.78:
            await self.change(self.chance.choice(list(self.asked)))
        elif draw < 0.95:
            await self.read(self.chance.choice(list(self.asked)))
        else:
            await self.say("GET", "/iso/requests", patient=False)

    async def ask(self) -> None:
        """A new request, now or a little ahead, for minutes or (seldom) until further notice."""
        chance = self.chance
        key = f"R{len(self.asked) + 1}"
        body: Json = {
            "requestID": key,
            "territory": chance.choice(self.territories),
            "kW": round(
                self.most_kw * chance.choice([0.05, 0.1, 0.2, 0.4, 0.7, 1.5]) * chance.uniform(0.7, 1.3), 3
            ),
        }
        if chance.random() < 0.4:
            start = self.clock.now() + timedelta(seconds=round(chance.uniform(5.0, 900.0)))
            body["start"] = start.isoformat()
        minutes = round(chance.choice([1.0, 3.0, 10.0, 25.0, 40.0]) * chance.uniform(0.8, 1.3), 2)
        if chance.random() < 0.9:
            body["durationMinutes"] = minutes
        self.asked[key] = Asked(body)
        self.watch.say(f"{self.name} asks {key} {body['territory']} {body['kW']:g} kW {minutes:g} min")
        answer = await self.say("POST", "/iso/decrease", body)
        if answer is not None and answer.status < 300:
            self.asked[key].acknowledged = True

    async def repeat(self, key: str) -> None:
        """The same once more: it is the same request."""
        await self.say("POST", "/iso/decrease", self.asked[key].body, patient=False)

    async def change(self, key: str) -> None:
        """Other contents under the same id: a conflict; so the change is a cancel and a new request."""
        body = self.asked[key].body | {"kW": self.asked[key].body["kW"] + 1.0}
        await self.say("POST", "/iso/decrease", body, patient=False)
        if self.asked[key].acknowledged and not self.asked[key].cancelled:
            await self.cancel(key)
            await self.ask()

    async def cancel(self, key: str) -> None:
        """Return to normal before its time."""
        self.watch.say(f"{self.name} cancels {key}")
        answer = await self.say("POST", "/iso/returnToNormal", {"requestID": key})
        if answer is not None and answer.status < 300:
            self.asked[key].cancelled = True

    async def read(self, key: str) -> None:
        """How does it stand?"""
        await self.say("GET", f"/iso/requests/{key}", patient=False)

    def took(self, path: str, body: Json) -> bool:
        """Whether the request that a message is about has been acknowledged."""
        asked = self.asked.get(str(body.get("requestID", path.rsplit("/", 1)[-1])))
        return asked is not None and asked.acknowledged

    # --- reports

    def called(self, path: str, token: str | None, body: bytes) -> tuple[int, bytes]:
        """A report comes in."""
        if self.grumpy:
            return 500, b"{}"
        self.taken.add(body.decode())
        self.watch.report(self, body)
        return 200, b"{}"
