"""What both generations of OCPP have in common on the wire: meter values and a few answers.

Read loosely: only the fields that emw uses, unknown ones ignored, enumerations as plain text, times as text (stations
write them in many ways). Written strictly: the tests hold every message that goes out against the official schemas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from emw.stations.ocppj import LONGEST_TAKEN

encode = msgspec.json.Encoder().encode
EMPTY = b"{}"
_HEAD: Final = 80
"""Within so many bytes of a frame its action stands: a longer id is not the usual."""


class Unit(Struct, frozen=True, gc=False):
    """2.x: a unit and its power of ten. Frozen: the words of a sample are looked up by it."""

    unit: str = "Wh"
    multiplier: int = 0


class Sampled(Struct, gc=False):
    """One sampled value. 1.6 has text and `unit`, 2.x a number and `unitOfMeasure`; stations mix them.

    One without a value says nothing, and takes nothing from what is said beside it.
    """

    value: float | str | None = None
    measurand: str | None = None
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


Measurand = Literal[
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "SoC",
    "Current.Offered",
    "Power.Offered",
    "Temperature",
    "Frequency",
    "Power.Factor",
    "Power.Reactive.Import",
    "Power.Active.Export",
    "Power.Reactive.Export",
    "Current.Export",
    "RPM",
    "Energy.Active.Import.Interval",
    "Energy.Active.Export.Register",
    "Energy.Active.Export.Interval",
    "Energy.Reactive.Import.Register",
    "Energy.Reactive.Import.Interval",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Export.Interval",
]
"""Those of 1.6 and most of 2.x. A text of a fixed set is no text to make and to hash: it is looked up while parsing."""
Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
UnitWord = Literal[
    "Wh", "kWh", "W", "kW", "A", "V", "Percent", "Celsius", "varh", "kvarh", "var", "kvar", "VA", "kVA", "K", "Hertz"
]  # fmt: skip
Context = Literal[
    "Sample.Periodic",
    "Sample.Clock",
    "Trigger",
    "Transaction.Begin",
    "Transaction.End",
    "Interruption.Begin",
    "Interruption.End",
    "Other",
]
Location = Literal["Outlet", "Inlet", "Body", "EV", "Cable"]


class Measured(Struct, gc=False):
    """A sampled value as nearly all are: a number, though 1.6 writes it as text, and words of the specification."""

    value: float
    measurand: Measurand = "Energy.Active.Import.Register"
    phase: Phase | None = None
    unit: UnitWord | None = None
    context: Context | None = None
    location: Location | None = None
    unitOfMeasure: Unit | None = None
    format: Literal["Raw"] | None = None


class MeasuredValue(Struct, gc=False):
    """Usual values of one moment."""

    timestamp: str
    sampledValue: list[Measured] = []


Values = Sequence[MeterValue] | Sequence[MeasuredValue]
"""What one message says of a meter."""
Payload = TypeVar("Payload")


class Whole(Struct, Generic[Payload], array_like=True, tag=2, gc=False):
    """A CALL with its payload, read at one go."""

    id: Annotated[str, Meta(max_length=LONGEST_TAKEN)]
    action: str
    payload: Payload

    def result(self, payload: bytes) -> bytes:
        """The CALLRESULT to it."""
        return b"[3,%b,%b]" % (encode(self.id), payload)


class Usual:
    """Reads the message that a station says most, as it usually is, at one go with its frame."""

    __slots__ = ("_action", "_decode", "_mark")

    def __init__(self, action: str, payload: type[Any]) -> None:
        """`payload` is read loosely: a number may be told as text."""
        self._action = action
        self._mark = b'"%b"' % action.encode()
        self._decode = msgspec.json.Decoder(Whole[payload], strict=False).decode  # type: ignore[valid-type]

    def read(self, frame: bytes) -> Whole[Any] | None:
        """The message; None for any other, and for one that is not as usual."""
        if frame.find(self._mark, 0, _HEAD) < 0:
            return None
        try:
            whole = self._decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return whole if whole.action == self._action else None


class DataTransferIn(Struct, gc=False):
    """DataTransfer: a vendor's own."""

    vendorId: str
    messageId: str | None = None


class Anything(Struct, gc=False):
    """A message of which nothing is needed but that it came."""


class Status(Struct, gc=False):
    """An answer that is one word, to many of our CALLs."""

    status: str = ""


_status = msgspec.json.Decoder(Status)


_SAID_MOST: Final = {b'{"status":"%b"}' % word.encode(): word for word in ("Accepted", "Rejected", "Unknown")}


def status_of(payload: bytes) -> str:
    """The word of a one-word answer; empty where there is none."""
    usual = _SAID_MOST.get(payload)
    if usual is not None:
        return usual
    try:
        return as_specified(_status.decode(payload).status, ANSWERS)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


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
        plain = text.strip().upper()  # blanks around it, a small z
        return otherwise if plain == text else parse_time(plain, otherwise)


def as_specified(word: str, words: Mapping[str, str]) -> str:
    """A station's word as the specification spells it, if it has it: some write in small letters, or leave blanks.

    `words`: by their small letters.
    """
    return words.get(word.strip().casefold(), word)


def by_small_letters(*words: str) -> dict[str, str]:
    """For `as_specified`."""
    return {word.casefold(): word for word in words}


ANSWERS: Final = by_small_letters(
    "Accepted", "Rejected", "Unknown", "NotSupported", "NotImplemented", "RebootRequired", "Pending"
)
"""The words of one-word answers, as far as any is waited for."""
STATUSES: Final = by_small_letters(
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEV",
    "SuspendedEVSE",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
    "Occupied",
)
"""How a connector stands, in all versions."""
