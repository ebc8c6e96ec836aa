"""How grid systems stand, for people: what each adapter knows of its own link. Gone with the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Notified:
    """What became of our own VTN's notifications since the start; `muted`: callbacks that are called no more."""

    delivered: int
    dropped: int
    muted: int


@dataclass(slots=True)
class Standing:
    """How a VTN stands, for people: not facts, gone with the process."""

    polls: int = 0
    failures: int = 0
    polled_at: datetime | None = None
    heard_at: datetime | None = None
    next_at: datetime | None = None
    why: str | None = None
    trouble: str | None = None
    events: int = 0
    unreadable: list[tuple[str | None, str]] = field(default_factory=list)
    told_at: datetime | None = None
    """When a notification came last."""
    webhook: str | None = None
    """Why there is no subscription; None: there is one, or none is wanted."""
    mqtt: str | None = None
    """Why the broker is not listened to; likewise."""
    notified: Callable[[], Notified] | None = None
    """Of our own VTN: how its subscribers are told; None: it is somebody else's."""

    def listed(self, vtn: str, events: int, unreadable: list[tuple[str | None, str]]) -> None:
        """So many events there are, and these can't be read: each is in the log once."""
        for event_id, why in unreadable:
            if (event_id, why) not in self.unreadable:
                log.warning("ven.event_unreadable", vtn=vtn, event_id=event_id, why=why)
        self.events, self.unreadable = events, unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSeen:
    """One grid system as its adapter sees it now. `webhook`, `mqtt`: whether they are wanted."""

    source_id: str
    name: str
    url: str
    protocol: str
    standing: Standing
    webhook: bool = False
    mqtt: bool = False


class GridSource(Protocol):
    """An adapter that can be asked how it stands."""

    def seen(self) -> GridSeen:
        """How it stands now."""
        ...
