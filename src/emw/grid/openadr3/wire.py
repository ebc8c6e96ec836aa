"""The words of OpenADR 3.1 and 3.0.1 as emw reads them: strict in nothing that it does not need.

Real servers send times without a zone, `null` for lists, numbers as text and fields that no version knows. What emw
does not use is not looked at; one object that can't be read at all never hides the others.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

MOST_PRIORITY: Final = 2**31


class Period(Struct):
    """`intervalPeriod`."""

    start: str | None = None
    duration: str | None = None
    randomizeStart: str | None = None


class Payload(Struct):
    """A `valuesMap`: a type and its values."""

    type: str
    values: list[Any] = []


class Interval(Struct):
    """A slice of an event. `id` is a label, not an order."""

    id: int = 0
    payloads: list[Payload] | None = None
    intervalPeriod: Period | None = None


class Descriptor(Struct):
    """A payload descriptor of an event, a program or a report."""

    payloadType: str
    objectType: str | None = None
    units: str | None = None
    currency: str | None = None
    readingType: str | None = None


class ReportDescriptor(Struct):
    """What the VTN wants to be told (User Guide, reports)."""

    payloadType: str
    readingType: str | None = None
    units: str | None = None
    aggregate: bool = False
    startInterval: int = -1
    numIntervals: int = -1
    historical: bool = True
    frequency: int = -1
    repeat: int = 1
    reportIntervals: str | None = None


class Program(Struct):
    """A program: its name and what its events may leave out."""

    id: str
    programName: str = ""
    intervalPeriod: Period | None = None
    payloadDescriptors: list[Any] | None = None
    targets: Any = None

    def descriptors(self) -> list[Descriptor]:
        """The payload descriptors that can be read."""
        return _readable(self.payloadDescriptors, Descriptor)


class Event(Struct):
    """An event as far as emw needs it. Metadata (`modificationDateTime`) is a label here, never parsed."""

    id: str
    programID: str = ""
    eventName: str | None = None
    priority: int | None = None
    targets: Any = None
    duration: str | None = None
    intervalPeriod: Period | None = None
    intervals: list[Interval] | None = None
    payloadDescriptors: list[Any] | None = None
    reportDescriptors: list[Any] | None = None
    modificationDateTime: Any = None

    @property
    def rank(self) -> int | None:
        """Its priority, if that is a number a database can hold; else none, which comes last as it would."""
        return self.priority if self.priority is not None and abs(self.priority) < MOST_PRIORITY else None

    def descriptors(self) -> list[Descriptor]:
        """The payload descriptors that can be read."""
        return _readable(self.payloadDescriptors, Descriptor)

    def report_descriptors(self) -> list[ReportDescriptor]:
        """The report descriptors that can be read."""
        return _readable(self.reportDescriptors, ReportDescriptor)


class Target(Struct, frozen=True):
    """A target: plain text in 3.1, with a type (SERVICE_AREA, GROUP …) in 3.0.1."""

    value: str
    type: str | None = None


class Token(Struct):
    """What a token server answers. `expires_in` may be missing, `scope` may be a list: neither is needed."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the word of the wire, no secret
    expires_in: Any = None


class Problem(Struct):
    """A problem body; `status` may be text."""

    title: str | None = None
    status: Any = None
    detail: str | None = None
    error: str | None = None
    error_description: str | None = None


class Unreadable(Struct):
    """An object that emw could not read: which, and why."""

    id: str | None
    why: str


Listed = TypeVar("Listed")


def _readable(descriptors: list[Any] | None, kind: type[Listed]) -> list[Listed]:
    """Those that can be read. `null` says as much as nothing; the User Guide's own examples write `payLoadType`."""
    found = []
    for raw in descriptors or []:
        told = {k: v for k, v in raw.items() if v is not None} if isinstance(raw, dict) else raw
        if isinstance(told, dict) and "payLoadType" in told:
            told.setdefault("payloadType", told["payLoadType"])
        try:
            found.append(msgspec.convert(told, kind, strict=False))
        except msgspec.ValidationError:
            continue
    return found


def event_of(raw: Any) -> Event | Unreadable:
    """One event out of a listing. Never raises."""
    found: Event | Unreadable = _read(raw, Event)
    return found


def program_of(raw: Any) -> Program | Unreadable:
    """One program out of a listing. Never raises."""
    found: Program | Unreadable = _read(raw, Program)
    return found


def _read(raw: Any, kind: type[Any]) -> Any:
    name = raw.get("id") if isinstance(raw, dict) else None
    name = str(name) if isinstance(name, str | int) and not isinstance(name, bool) else None
    if not name:
        return Unreadable(None, "it has no id")
    try:
        return msgspec.convert({**raw, "id": name}, kind, strict=False)
    except msgspec.ValidationError as error:
        return Unreadable(name, str(error))


def targets_of(raw: Any) -> tuple[Target, ...]:
    """Targets of either version; what is neither is kept as text, so that it can be shown."""
    found: list[Target] = []
    for item in raw if isinstance(raw, list) else []:
        if isinstance(item, str):
            found.append(Target(item))
        elif isinstance(item, dict) and isinstance(item.get("values"), list):
            kind = item.get("type")
            found.extend(Target(str(v), None if kind is None else str(kind)) for v in item["values"])
        else:
            found.append(Target(str(item)))
    return tuple(dict.fromkeys(found))


def canonical(raw: Any) -> str:
    """An object as text that is the same whenever it says the same: without what a server adds by itself."""
    body = raw
    if isinstance(raw, dict):
        body = {k: v for k, v in raw.items() if k not in {"createdDateTime", "modificationDateTime"}}
    return msgspec.json.encode(body, order="deterministic").decode()
