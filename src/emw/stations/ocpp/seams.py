"""What a connection stands between: the socket below it, and a CSMS of the station's own beside it; and its CALLs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from emw.service.errors import EmwError, Unavailable
from emw.stations.ocppj import Answered, Call, Conversation, Failed, Fault

Heard = Callable[[Answered | Failed | None], None]
"""Hears what came of a CALL; None: nothing in time, or the connection is gone. A late answer is heard as well."""


class Decoder(Protocol):
    """What reads a payload."""

    def decode(self, payload: msgspec.Raw, /) -> Any:
        """The message. Raises msgspec.DecodeError for what is none."""
        ...


class Wire(Protocol):
    """The socket under a connection: the seam to the library."""

    def send(self, frame: bytes) -> None:
        """Send a text frame. Never blocks, never raises; nothing happens on a closed one."""
        ...

    def ping(self) -> None:
        """Send a ping."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye and close."""
        ...


class Between(Protocol):
    """What passes on between a station and its own CSMS."""

    @property
    def conversation(self) -> Conversation:
        """Our CALLs and the CSMS's, one at a time."""
        ...

    def start(self) -> None:
        """The station is who it says: connect to its CSMS."""
        ...

    def station_says(self, frame: bytes) -> None:
        """A frame of the station."""
        ...

    async def owe(self, call: Call, told: bytes) -> None:
        """What was answered in the CSMS's place is kept for it."""
        ...

    def close(self) -> None:
        """The station is gone."""
        ...


class Watched(Call, frozen=True, gc=False):
    """A CALL that the station's own CSMS answers: taken, and not answered by us."""


class Owed(Call, frozen=True, gc=False):
    """A CALL that we answer in the CSMS's place, and owe it: it is kept before the answer goes out."""


class Refusal(Exception):
    """A CALL can't be taken: the CALLERROR's code and why."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(why)
        self.fault = fault


def fault_for(error: EmwError) -> Fault:
    """The code of what the service refuses."""
    return Fault.INTERNAL if isinstance(error, Unavailable) else Fault.PROPERTY
