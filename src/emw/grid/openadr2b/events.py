"""What an oadrDistributeEvent says, and what it means here. Pure.

An event of 2.0b is said again in the words of 3.x (a LOAD_DISPATCH delta is a DISPATCH_SETPOINT_RELATIVE, and so
on), signal by signal, and then goes the one way of every event: `openadr3.translate`. What has no such word keeps its
own name, `SIGNAL/type`, and can be given a meaning in the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from emw.domain.signals import Segment
from emw.grid.openadr2b.xml import Node, child, children, text
from emw.grid.openadr3.settings import Meaning
from emw.grid.openadr3.times import BadTime, instant_of, span_of
from emw.grid.openadr3.translate import Translated, translate
from emw.grid.openadr3.wire import Descriptor, Event, Interval, Payload, Period

ENDLESS: Final = "P9999Y"
MOST_INTERVALS: Final = 2_000
SCALES: Final = {
    "p": 1e-12, "n": 1e-9, "micro": 1e-6, "m": 1e-3, "c": 1e-2, "d": 0.1, "none": 1.0, "k": 1e3, "M": 1e6, "G": 1e9,
    "T": 1e12,
}  # fmt: skip
"""siScaleCode: what the number of watts is multiplied with."""
POWER: Final = {"powerReal", "powerApparent", "powerReactive"}
WORDS: Final = {
    ("LOAD_DISPATCH", "delta"): "DISPATCH_SETPOINT_RELATIVE",
    ("LOAD_DISPATCH", "setpoint"): "DISPATCH_SETPOINT",
    ("LOAD_DISPATCH", "multiplier"): "DISPATCH_SETPOINT_RELATIVE",
    ("SIMPLE", "level"): "SIMPLE",
}
"""Signal name and type of 2.0b (table 1 of the profile) as a payload type of 3.x."""
SHOWN: Final = {
    "ELECTRICITY_PRICE": "a price series: emw sheds on request, it does not trade",
    "ENERGY_PRICE": "a price series: emw sheds on request, it does not trade",
    "DEMAND_CHARGE": "a price series: emw sheds on request, it does not trade",
    "BID_PRICE": "a bid, not a change of load",
    "BID_LOAD": "a bid, not a change of load",
    "BID_ENERGY": "a bid, not a change of load",
    "CHARGE_STATE": "a state of charge: stations don't tell emw their vehicles'",
}
OURS: Final = {"ELECTRIC_VEHICLE", "EV", "EVSE"}
"""Device classes (eiTarget of a signal) that mean what emw controls."""


class Unreadable(ValueError):
    """An event can't be read; the text says why. `event_id` where at least that could."""

    def __init__(self, event_id: str | None, why: str) -> None:
        super().__init__(why)
        self.event_id = event_id
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal of an event. `slots`: duration, number and own start of each interval, as text."""

    name: str
    type: str
    unit: str | None = None
    scale: str | None = None
    devices: tuple[str, ...] = ()
    slots: tuple[tuple[str | None, float | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An eiEvent as read. `answer`: the VTN wants to hear what emw does."""

    event_id: str
    modification_number: int
    market_context: str
    status: str
    test: bool
    priority: int | None
    start: str
    duration: str | None
    start_after: str | None
    signals: tuple[Signal, ...]
    targets: tuple[tuple[str, str], ...]
    answer: bool = True
    comment: str | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the VTN takes it back."""
        return self.status == "cancelled"

    @property
    def completed(self) -> bool:
        """Whether the VTN says that it is over."""
        return self.status == "completed"

    def body(self) -> str:
        """The event as text that is the same while it asks the same: its status moves by itself."""
        return msgspec.json.encode(replace(self, status=""), order="deterministic").decode()


def version_in(body: str) -> int:
    """The modification number in a body that was kept; -1 where there is none."""
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return -1
    number = found.get("modification_number") if isinstance(found, dict) else None
    return number if isinstance(number, int) else -1


# --- reading


def events_in(message: Node) -> Iterator[Told | Unreadable]:
    """The events of an oadrDistributeEvent; one that can't be read never hides the others."""
    for node in children(message, "oadrEvent"):
        event = child(node, "eiEvent")
        event_id = text(event, "eventDescriptor", "eventID")
        try:
            yield _told(node, event, event_id)
        except (Unreadable, ValueError, OverflowError) as error:
            yield error if isinstance(error, Unreadable) else Unreadable(event_id, str(error))


def _told(node: Node, event: Node, event_id: str | None) -> Told:
    if not event_id:
        raise Unreadable(None, "it has no eventID")
    described, period = child(event, "eventDescriptor"), child(event, "eiActivePeriod", "properties")
    start = text(period, "dtstart", "date-time")
    if start is None:
        raise Unreadable(event_id, "its eiActivePeriod has no dtstart")
    priority = _whole(text(described, "priority"), event_id, "priority")
    return Told(
        event_id=event_id,
        modification_number=_whole(text(described, "modificationNumber"), event_id, "modificationNumber")
        or 0,
        market_context=text(described, "eiMarketContext", "marketContext") or "",
        status=(text(described, "eventStatus") or "").lower(),
        test=(text(described, "testEvent") or "false").lower() != "false",
        priority=priority or None,  # 0: none (2.0b), which comes last
        start=start,
        duration=text(period, "duration", "duration"),
        start_after=text(period, "tolerance", "tolerate", "startafter"),
        signals=tuple(
            _signal(s, event_id) for s in children(child(event, "eiEventSignals"), "eiEventSignal")
        ),
        targets=_targets(child(event, "eiTarget")),
        answer=(text(node, "oadrResponseRequired") or "always") == "always",
        comment=text(described, "vtnComment"),
    )


def _whole(said: str | None, event_id: str, field: str) -> int | None:
    if said is None:
        return None
    if not said.isdecimal() or len(said) > 9:
        raise Unreadable(event_id, f"its {field} is {said[:40]!r}")
    return int(said)


def _signal(node: Node, event_id: str) -> Signal:
    slots: list[tuple[str | None, float | None, str | None]] = []
    for interval in children(child(node, "intervals"), "interval"):
        number = text(interval, "signalPayload", "payloadFloat", "value") or text(
            interval, "signalPayload", "payloadInt", "value"
        )
        slots.append(
            (
                text(interval, "duration", "duration"),
                None if number is None else float(number),
                text(interval, "dtstart", "date-time"),
            )
        )
    if len(slots) > MOST_INTERVALS:
        raise Unreadable(event_id, f"a signal has more than {MOST_INTERVALS} intervals")
    measured = next((child(node, p) for p in sorted(POWER) if child(node, p) is not None), None)
    return Signal(
        name=(text(node, "signalName") or "").upper(),
        type=text(node, "signalType") or "",
        unit=text(measured, "itemUnits"),
        scale=text(measured, "siScaleCode"),
        devices=tuple(
            mrid
            for target in children(node, "eiTarget")
            for asset in children(target, "endDeviceAsset")
            if (mrid := text(asset, "mrid")) is not None
        ),
        slots=tuple(slots),
    )


def _targets(node: Node | None) -> tuple[tuple[str, str], ...]:
    """Kind and value of each plain target (groupID, resourceID, venID, partyID, groupName)."""
    if node is None:
        return ()
    plain = ("groupID", "groupName", "resourceID", "venID", "partyID")
    found = [(kind, value) for kind in plain for n in children(node, kind) if (value := text(n))]
    found += [
        ("serviceArea", value)
        for area in children(node, "serviceArea")
        if (value := text(area, "FeatureCollection", "location", "Polygon") or area.get("id"))
    ]
    return tuple(dict.fromkeys(found))


# --- meaning


def meant(
    told: Told,
    meaning: Meaning | None,
    *,
    ven_id: str | None,
    ven_name: str,
    first_seen: datetime,
    until: datetime,
    draw: float,
    territories: Callable[[str], Container[str] | None],
    max_kw: float,
) -> Translated:
    """The segments of an event; parameters as `translate` has them. A target that names us names all that is ours."""
    us = {ven_id, ven_name}
    targets = [{"type": kind, "values": [v]} for kind, v in told.targets if not (kind == "venID" and v in us)]
    parts = [
        _one(
            signal,
            told,
            targets,
            meaning,
            first_seen=first_seen,
            until=until,
            draw=draw,
            territories=territories,
            max_kw=max_kw,
        )
        for signal in told.signals
    ]
    segments = [s for part in parts for s in part.segments]
    if any(_dispatches(s) for s in segments):
        segments = [
            replace(s, why_not=s.why_not or "another signal of this event says it in kW")
            if s.said.startswith("SIMPLE/")
            else s
            for s in segments
        ]
    if told.test:
        segments = [replace(s, why_not="a test event: it is answered and not served") for s in segments]
    notes = [n for part in parts for n in part.notes]
    if not told.signals:
        notes.append("it has no signal")
    return Translated(
        tuple(segments),
        tuple(dict.fromkeys(notes)),
        failed=bool(parts) and all(p.failed for p in parts),
        slots=tuple(s for part in parts for s in part.slots),
    )


def _dispatches(segment: Segment) -> bool:
    return segment.why_not is None and not segment.said.startswith("SIMPLE/")


def _one(
    signal: Signal, told: Told, targets: Sequence[Any], meaning: Meaning | None, *, draw: float, **how: Any
) -> Translated:
    ours = f"{signal.name}/{signal.type}"
    theirs = WORDS.get((signal.name, signal.type)) or ("SIMPLE" if signal.name == "SIMPLE" else ours)
    try:
        event = _said_again(signal, told, targets, theirs, draw)
    except BadTime as error:
        return Translated((), (f"{ours}: {error}",), failed=True)
    found = translate(event, None, meaning, draw=0.0, **how)
    reason = SHOWN.get(signal.name)
    if reason is None and signal.devices and not any(d.upper() in OURS for d in signal.devices):
        reason = f"it is for other devices ({', '.join(signal.devices)[:80]})"
    return replace(
        found,
        segments=tuple(
            replace(s, said=s.said.replace(theirs, ours, 1), why_not=reason or s.why_not)
            for s in found.segments
        ),
    )


def _said_again(signal: Signal, told: Told, targets: Sequence[Any], theirs: str, draw: float) -> Event:
    """The event with one of its signals, in the words of 3.x."""
    shift = timedelta(0)
    if told.start_after is not None:  # a start at random within the tolerance, never before the told one
        span = span_of(told.start_after)
        if span.endless or span.months or span.days * 86_400 + span.seconds > 7 * 86_400:
            raise BadTime(f"startafter {told.start_after!r} is longer than a week")
        shift = timedelta(seconds=round((span.days * 86_400 + span.seconds) * (draw + 1) / 2, 3))
    units, factor = _kw(signal)
    share = (signal.name, signal.type) == ("LOAD_DISPATCH", "multiplier")
    intervals = []
    open_ended = any(length is not None and _nothing(length) for length, _, _ in signal.slots)
    for index, (length, value, start) in enumerate(signal.slots):
        number = None if value is None else value - 1.0 if share else value * factor
        intervals.append(
            Interval(
                id=index,
                payloads=[Payload(type=theirs, values=[] if number is None else [number])],
                intervalPeriod=Period(
                    start=None if start is None and index else _moved(start or told.start, shift),
                    duration=_length(length or told.duration),
                ),
            )
        )
    return Event(
        id=told.event_id,
        programID=told.market_context,
        targets=list(targets),
        priority=told.priority,
        duration=told.duration if open_ended and _length(told.duration) != ENDLESS else None,
        intervalPeriod=Period(start=_moved(told.start, shift), duration=_length(told.duration)),
        intervals=intervals,
        payloadDescriptors=[Descriptor(payloadType=theirs, units="PERCENT" if share else units)]
        if share or units
        else None,
    )


def _kw(signal: Signal) -> tuple[str | None, float]:
    """The unit of a signal's numbers in words of 3.x, and what brings them there: W, kW, MW become kW."""
    if signal.unit is None:
        return None, 1.0
    if signal.unit.upper() != "W":
        return signal.unit.upper(), 1.0  # J/s and VA are no real power in watts: refused by name further on
    factor = SCALES.get(signal.scale or "none")
    return (f"{signal.scale}{signal.unit}", 1.0) if factor is None else ("KW", factor / 1_000)


def _moved(start: str, shift: timedelta) -> str:
    at = instant_of(start).at
    if at is None:
        raise BadTime(f"{start!r} is no time")
    return (at + shift).astimezone(UTC).isoformat()


def _length(said: str | None) -> str:
    """A duration; PT0S and none at all are "until it is taken back"."""
    return ENDLESS if said is None or _nothing(said) else said


def _nothing(said: str) -> bool:
    """Whether a duration is none. openleadr writes zero as a bare P."""
    return said in {"P", "PT"} or span_of(said).empty
