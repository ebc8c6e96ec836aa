"""What a connection asks of the one who keeps it, and by whom its messages are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from emw.service.ports import Clock
from emw.stations.ocpp.seams import Decoder
from emw.stations.ocpp.wire import Whole
from emw.stations.ocppj import Version

if TYPE_CHECKING:  # which is made of what is here
    from emw.stations.ocpp.connection import Connection

Said = Callable[["Connection", Any], bytes | Coroutine[Any, Any, bytes]]


class Handler(NamedTuple):
    """What a message's payload is, and who takes it."""

    decoder: Decoder
    take: Said


class Hot(NamedTuple):
    """The message that is said most: read from its frame at one go where it is as usual (else None), and taken."""

    read: Callable[[bytes], Whole[Any] | None]
    take: Said


class Home(Protocol):
    """Who keeps connections, as far as one needs it."""

    @property
    def time(self) -> Callable[[], float]:
        """The loop's: that of pings and deadlines."""
        ...

    @property
    def asking(self) -> list[Connection]:
        """Whose CALLs of ours go out now: their answers are due, and each looked after when its time is over."""
        ...

    @property
    def clock(self) -> Clock:
        """The time of day."""
        ...

    def handlers(self, version: Version) -> dict[str, Handler]:
        """The messages of a version."""
        ...

    def usual(self, version: Version) -> Hot:
        """The message that is said most."""
        ...

    def watched(self, version: Version) -> dict[str, Handler]:
        """The messages that are taken where somebody else answers."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Do this beside."""
        ...

    def greet(self, connection: Connection) -> None:
        """A station can be spoken to from now on."""
        ...

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        ...
