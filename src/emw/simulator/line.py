"""The cut between a station and what it speaks.

    Driver --- Line.talk() --+--- RestLine --- Station ---------+--- Hardware
                             +--- OcppLine --- OcppStation -----+

The same driver, fleet and hardware run every protocol through it.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol

from emw.simulator.clock import Clock
from emw.simulator.control import Reply
from emw.simulator.link import Link
from emw.simulator.orders import Violation
from emw.simulator.station import Request, Station

_HANGS_S: Final = 30.0


class Agent(Protocol):
    """A station, whatever it speaks: what it is to those who run and watch it. Sans I/O; times are true time."""

    @property
    def powered(self) -> bool:
        """Whether the server knows it."""
        ...

    @property
    def off(self) -> bool:
        """Whether it has said goodbye."""
        ...

    @property
    def violations(self) -> Sequence[Violation]:
        """Every broken promise that it saw."""
        ...

    @property
    def commands(self) -> int:
        """How often it was told a limit, or to drop one."""
        ...

    def due(self, now: datetime) -> datetime | None:
        """When it has something to say; None: only when something happens."""
        ...

    def power_off(self) -> None:
        """Say what is unsaid, then goodbye."""
        ...

    def reboot(self, now: datetime, boots_s: float = 30.0) -> None:
        """Its computer restarts."""
        ...


class Line(ABC):
    """One station's way to its server. `lost`: its network is cut, both ways. `tell` hears when that way begins to
    work (None) or to fail (why). The rest is the driver's own.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.lost = False
        self.tell: Callable[[str | None], None] = lambda _: None
        self.talking = False
        self.due: datetime | None = None
        self.trouble: str | None = ""
        """Why that way fails; None: it works; empty: nothing is known yet."""

    def stands(self, trouble: str | None) -> None:
        """How it went now: None is well. Told where it is news."""
        if trouble != self.trouble:
            self.trouble = trouble
            self.tell(trouble)

    @abstractmethod
    async def talk(self) -> None:
        """Say everything there is to say now."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more will be said."""


class RestLine(Line):
    """A station that speaks REST: every message is a request with its answer."""

    def __init__(self, station: Station, link: Link, clock: Clock) -> None:
        super().__init__(station)
        self._station = station
        self._link = link
        self._clock = clock
        self._closed = asyncio.Event()

    async def talk(self) -> None:
        """Say everything there is to say now, one request after the other."""
        while (request := self._station.next_request(self._clock.now())) is not None:
            await self._exchange(request)

    async def called(self, path: str, bearer: str | None, body: bytes) -> Reply:
        """A control call from the server, unless the network is cut: then it hangs like the real thing."""
        if self.lost:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HANGS_S):
                    await self._closed.wait()
            return Reply(504, b"{}")
        return self._station.called(path, bearer, body, self._clock.now())

    def close(self) -> None:
        """Who hangs on a cut line is let go."""
        self._closed.set()

    async def _exchange(self, request: Request) -> None:
        answer = "no network" if self.lost else await self._link.say(request)
        now = self._clock.now()
        if isinstance(answer, str) or self.lost:
            self.stands(answer if isinstance(answer, str) else "no network")
            self._station.failed(request, now)
        else:
            why_not = answer.why_not
            self.stands(why_not and f"{request.path} is refused, {why_not}")
            self._station.answered(request, answer.status, answer.body, now, answer.retry_after_s)
