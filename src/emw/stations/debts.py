"""What emw has answered in a CSMS's place and owes to it: kept durably, told in order, and bounded. Pure.

A transaction is never let go of: where there is no room, its message is refused, and the station keeps it. Readings
are: of too many the oldest go (2.0.1 E04.FR.07 lets a station do the same).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from emw.service.ports import KeptFrame

MOST_OWED: Final = 1_000
MOST_READINGS: Final = 200
"""Per station, in messages: a night of readings a minute would be ten times that."""
DECISIONS: Final = frozenset(
    {
        "Authorize",
        "DataTransfer",
        "Get15118EVCertificate",
        "GetCertificateStatus",
        "Heartbeat",
        "NotifyEVChargingNeeds",
        "PullDynamicScheduleUpdate",
        "SignCertificate",
    }
)
"""Questions: what was decided on them can't be told afterwards."""
_READINGS: Final = frozenset({"MeterValues", "StatusNotification", "Heartbeat"})
_PERIODIC: Final = (b'"MeterValuePeriodic"', b'"MeterValueClock"')


class Full(Exception):
    """There is no room for another message."""


class Debts:
    """One station's messages to its CSMS, oldest first, and the names under which transactions go there."""

    __slots__ = ("_number", "_readings", "frames", "names")

    def __init__(self, frames: Iterable[KeptFrame] = (), names: Iterable[tuple[str, str]] = ()) -> None:
        self.frames: list[KeptFrame] = sorted(frames, key=lambda x: x.number)
        self.names: dict[str, str] = dict(names)
        """Of a 1.6 transaction: our number to that of the CSMS."""
        self._number = self.frames[-1].number if self.frames else 0
        self._readings = sum(1 for f in self.frames if is_reading(f.action, f.payload))

    def __bool__(self) -> bool:
        return bool(self.frames)

    def owe(self, station_id: str, action: str, payload: bytes, ours: str | None) -> NewDebt | None:
        """A message more; None: it is owed already. Raises Full."""
        reading = is_reading(action, payload)
        if not reading and any(f.payload == payload and f.action == action for f in self.frames):
            return None
        if ours is not None and ours in self.names:
            return None
        dropped = None
        if reading and self._readings >= MOST_READINGS:
            dropped = next(f for f in self.frames if is_reading(f.action, f.payload))
            self.frames.remove(dropped)
        elif reading:
            self._readings += 1
        elif len(self.frames) >= MOST_OWED:
            raise Full
        self._number += 1
        frame = KeptFrame(station_id, self._number, action, payload, ours)
        self.frames.append(frame)
        return NewDebt(frame, dropped)

    def forget(self, frame: KeptFrame) -> None:
        """A message is owed no more: told, or not durable."""
        if frame in self.frames:
            self.frames.remove(frame)
            self._readings -= is_reading(frame.action, frame.payload)


class NewDebt(msgspec.Struct, frozen=True):
    """What became of one that is owed, and of one that had to make room."""

    frame: KeptFrame
    dropped: KeptFrame | None


def is_reading(action: str, payload: bytes) -> bool:
    """Whether the next message like it says it better."""
    return action in _READINGS or (
        action == "TransactionEvent" and b'"Updated"' in payload and any(p in payload for p in _PERIODIC)
    )


def renamed(payload: bytes, names: dict[str, str]) -> bytes:
    """A 1.6 payload with the transaction under its other number, at whatever place it names one; else as it came."""
    try:
        told = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return payload
    profile = told.get("csChargingProfiles", told.get("chargingProfile")) if isinstance(told, dict) else None
    changed = False
    for place in (told, profile):
        changed = _rename(place, names) or changed
    return msgspec.json.encode(told) if changed else payload


def _rename(place: Any, names: dict[str, str]) -> bool:
    if not isinstance(place, dict):
        return False
    other = names.get(str(place.get("transactionId")))
    if other is None:
        return False
    place["transactionId"] = int(other) if other.lstrip("-").isdigit() else other
    return True
