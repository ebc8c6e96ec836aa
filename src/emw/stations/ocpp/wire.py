"""What both generations of OCPP have in common on the wire: meter values and a few answers.

Read loosely: only the fields that emw uses, unknown ones ignored, enumerations as plain text, times as text (stations
write them in many ways). Written strictly: the tests hold every message that goes out against the official schemas.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

encode = msgspec.json.Encoder().encode
EMPTY = b"{}"


class Unit(Struct, frozen=True, gc=False):
    """2.x: a unit and its power of ten. Frozen: the words of a sample are looked up by it."""

    unit: str = "Wh"
    multiplier: int = 0


class Sampled(Struct, gc=False):
    """One sampled value. 1.6 has text and `unit`, 2.x a number and `unitOfMeasure`; stations mix them."""

    value: float | str
    measurand: str = "Energy.Active.Import.Register"
    phase: str | None = None
    unit: str | None = None
    context: str | None = None
    location: str | None = None
    unitOfMeasure: Unit | None = None
    format: str | None = None


class MeterValue(Struct, gc=False):
    """Values of one moment."""

    timestamp: str
    sampledValue: list[Sampled] = []


class Measured(Sampled, gc=False):
    """A sampled value that is a number, though 1.6 writes it as text: what nearly all are."""

    value: float


class MeasuredValue(MeterValue, gc=False):
    """Numbers of one moment."""

    sampledValue: list[Measured] = []  # type: ignore[assignment]  # as above


class EitherWay:
    """Reads a message as it usually is, and what does not fit so as it may be."""

    def __init__(self, usual: type[Any], else_as: type[Any]) -> None:
        """`usual` is read loosely: a number may be told as text."""
        self._usual = msgspec.json.Decoder(usual, strict=False).decode
        self._else_as = msgspec.json.Decoder(else_as).decode

    def decode(self, payload: msgspec.Raw | bytes, /) -> Any:
        """The message. Raises msgspec.DecodeError for what is none."""
        try:
            return self._usual(payload)
        except msgspec.ValidationError:
            return self._else_as(payload)


class DataTransferIn(Struct, gc=False):
    """DataTransfer: a vendor's own."""

    vendorId: str
    messageId: str | None = None


class Anything(Struct, gc=False):
    """A message of which nothing is needed but that it came."""


class Status(Struct, gc=False):
    """An answer that is one word, to many of our CALLs."""

    status: str = ""


class BootOut(Struct):
    """BootNotification's answer."""

    currentTime: str
    interval: int
    status: str


class HeartbeatOut(Struct):
    """Heartbeat's answer."""

    currentTime: str


def stamp(at: datetime) -> str:
    """A time as stations read it: UTC, whole milliseconds, `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(at: datetime) -> str:
    """A time to the second: what some stations insist on in schedules."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_time(text: str, otherwise: datetime) -> datetime:
    """A station's time as UTC. Without an offset it is taken for UTC; one that can't be read is `otherwise`."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is UTC:
            return at
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return otherwise
