"""What an event means here: its intervals as segments of a GridSignal. Pure.

Each payload type that changes load becomes a segment that is served. Everything else is kept with the reason why
not, so that a person can see it: never dropped in silence, never guessed (requirement 7 of the VEN).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final

from emw.domain.signals import Segment, SignalKind
from emw.grid.openadr3.schedule import Slot, schedule_of
from emw.grid.openadr3.settings import Amount, Meaning
from emw.grid.openadr3.wire import Descriptor, Event, Payload, Program, Target, targets_of

KW_PER: Final = {"W": 0.001, "KW": 1.0, "MW": 1_000.0, "GW": 1_000_000.0}
MOST_KW: Final = 1e9
KEPT: Final = timedelta(days=9, hours=1)
"""Of what loops, so much is worked out in all, to the end of the time looked ahead: a tariff runs for years."""
SERIES: Final = {
    "PRICE": "a price series: emw sheds on request, it does not trade",
    "EXPORT_PRICE": "a price series: emw sheds on request, it does not trade",
    "PRICE_ALTERNATE": "a price series: emw sheds on request, it does not trade",
    "GHG": "a carbon series: emw sheds on request, it does not follow one",
}
SHOWN: Final = {
    "CHARGE_STATE_SETPOINT": "a state of charge: stations don't tell emw their vehicles'",
    "OLS": "the shape of a load: emw has no use for it",
    "CURVE": "an inverter's curve: emw controls no inverters",
    "EXPORT_CAPACITY_LIMIT": "a limit on export: nothing here exports",
    "EXPORT_CAPACITY_SUBSCRIPTION": "a limit on export: nothing here exports",
    "EXPORT_CAPACITY_RESERVATION": "a limit on export: nothing here exports",
    "IMPORT_CAPACITY_RESERVATION": "capacity granted beyond a limit: emw asks for none",
    "IMPORT_CAPACITY_RESERVATION_FEE": "a fee, not a change of load",
    "IMPORT_CAPACITY_AVAILABLE": "an offer of capacity: emw asks for none",
    "IMPORT_CAPACITY_AVAILABLE_PRICE": "an offer of capacity: emw asks for none",
    "EXPORT_CAPACITY_RESERVATION_FEE": "a fee, not a change of load",
    "EXPORT_CAPACITY_AVAILABLE": "an offer of capacity: nothing here exports",
    "EXPORT_CAPACITY_AVAILABLE_PRICE": "an offer of capacity: nothing here exports",
    "ALERT_POSSIBLE_OUTAGE": "an alert for people: emw does not charge ahead",
}
LEVELS_OF: Final = {"ALERT_GRID_EMERGENCY": 3, "ALERT_BLACK_START": 3, "ALERT_FLEX_ALERT": 1}
"""Alerts that ask for load, and the level of the program's table that they stand for."""
BY_CONFIG: Final = ("CONTROL_SETPOINT", "DISPATCH_INSTRUCTION")


@dataclass(frozen=True, slots=True)
class Meant:
    """What a payload asks, before it is given a place: kind and value, or why nothing is done about it."""

    kind: SignalKind = SignalKind.OTHER
    value: float | None = None
    why_not: str | None = None


@dataclass(frozen=True, slots=True)
class Translated:
    """An event in emw's words."""

    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()
    cancelled: bool = False
    failed: bool = False
    """Its times can't be understood."""
    slots: tuple[Slot, ...] = ()
    places: tuple[str, ...] = ()
    """Our territories that it is about."""


def translate(
    event: Event,
    program: Program | None,
    meaning: Meaning | None,
    *,
    first_seen: datetime,
    until: datetime,
    draw: float,
    territories: Callable[[str], Container[str] | None],
    max_kw: float = MOST_KW,
) -> Translated:
    """The segments of `event` from when it was first seen to `until` (only what loops for ever is cut off there).

    `meaning` None: its program is not one of ours. `territories(name)`: a territory and all above it, None where
    there is none of that name.
    """
    schedule = schedule_of(
        event,
        first_seen=first_seen,
        since=first_seen if event.duration is None else max(first_seen, until - KEPT),
        until=until,
        draw=draw,
        zone=meaning.zone if meaning else _utc,
        default=program.intervalPeriod if program else None,
    )
    notes = list(schedule.notes)
    if meaning is None:
        places: Sequence[str | None] = (None,)
        nowhere: str | None = "its program is not one of those configured"
        meaning = Meaning()
    else:
        places, nowhere = _places(targets_of(event.targets), meaning, territories, notes)
    units = _Units(event, program, meaning)
    segments = [
        Segment(
            start_at=piece.start,
            end_at=piece.end,
            kind=meant.kind,
            value=meant.value,
            territory_id=place,
            said=said,
            interval_id=piece.interval_id,
            why_not=meant.why_not or nowhere,
        )
        for slot in schedule.slots
        for piece, meant, said in _asked_in(slot, units, meaning, max_kw)
        for place in places
    ]
    return Translated(
        tuple(segments),
        tuple(dict.fromkeys(notes)),
        schedule.cancelled,
        schedule.failed,
        schedule.slots,
        tuple(p for p in places if p is not None),
    )


_utc: Final = Meaning().zone


def _asked_in(
    slot: Slot, units: _Units, meaning: Meaning, max_kw: float
) -> Iterator[tuple[Slot, Meant, str]]:
    """What the payloads of an interval ask, when, and in the grid's own words."""
    exact = any(p.type.strip().upper() in _AS for p in slot.payloads)
    for payload in slot.payloads:
        for piece, value in _pieces(slot, payload):
            meant = _capped(_meant(payload, value, units, meaning), max_kw)
            if exact and payload.type.strip().upper() == "SIMPLE":
                meant = Meant(why_not="another payload of this interval says it in kW")
            yield piece, meant, _said(payload, value, units)


# --- where


def _places(
    targets: Iterable[Target],
    meaning: Meaning,
    territories: Callable[[str], Container[str] | None],
    notes: list[str],
) -> tuple[Sequence[str | None], str | None]:
    """Our territories that the targets stand for, or why there are none."""
    told = list(targets)
    if not told:
        if meaning.territory_id is None:
            return (None,), "it names no target, and no territory is configured for such events"
        return _there([meaning.territory_id], territories)
    found: list[str] = []
    for target in told:
        place = _place(target, meaning, territories)
        if place is None:
            notes.append(f"target {target.value!r} stands for no territory of ours")
        elif place not in found:
            found.append(place)
    if not found:
        return (None,), "none of its targets stands for a territory of ours"
    return _there(found, territories)


def _place(
    target: Target, meaning: Meaning, territories: Callable[[str], Container[str] | None]
) -> str | None:
    for rule in meaning.targets:
        if rule.fits(target.value, target.type):
            return rule.territory_id
    above = territories(target.value)
    if above is not None and any(node in above for node in meaning.may_name):
        return target.value
    return None


def _there(
    found: Sequence[str], territories: Callable[[str], Container[str] | None]
) -> tuple[Sequence[str | None], str | None]:
    missing = [t for t in found if territories(t) is None]
    if missing:
        return (None,), f"there is no territory {missing[0]!r}"
    return tuple(found), None


# --- what


class _Units:
    """The unit of a payload type: the event's descriptor, else the program's."""

    def __init__(self, event: Event, program: Program | None, meaning: Meaning) -> None:
        own = event.descriptors()
        inherited: Sequence[Descriptor] = program.descriptors() if program else ()
        self._units: dict[str, str] = {}
        for descriptor in (*inherited, *own):
            if descriptor.units and descriptor.objectType != "REPORT_PAYLOAD_DESCRIPTOR":
                self._units[descriptor.payloadType] = descriptor.units.strip().upper()
        self._assume_kw = meaning.assume_kw

    def of(self, payload_type: str) -> str | None:
        """KW, PERCENT …; None: nothing says so."""
        return self._units.get(payload_type) or ("KW" if self._assume_kw else None)


def _number(value: Any) -> float | None:
    """A finite number, also where it came as text; a truth value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _meant(payload: Payload, value: Any, units: _Units, meaning: Meaning) -> Meant:
    kind = payload.type.strip().upper()
    if kind in SERIES or kind in SHOWN:
        return Meant(why_not=SERIES.get(kind) or SHOWN[kind])
    if kind in LEVELS_OF:
        return _level(LEVELS_OF[kind], meaning, f"{kind} stands for level {LEVELS_OF[kind]}, and")
    if kind.startswith(("ALERT_", "CTA2045_")):
        return Meant(why_not="for people or devices, no change of load that emw could make")
    number = _number(value)
    if kind == "SIMPLE":
        if number is None or number not in {0.0, 1.0, 2.0, 3.0}:
            return Meant(why_not=f"{value!r} is no SIMPLE level (0 to 3)")
        return _level(int(number), meaning, "")
    as_kind = _AS.get(kind) or meaning.payloads.get(payload.type) or meaning.payloads.get(kind)
    if as_kind is None:
        what = "program-defined" if kind.startswith("CONTROL_") or kind in BY_CONFIG else "unknown"
        return Meant(why_not=f"{payload.type} is {what}: say in the settings what it stands for")
    if number is None:
        return Meant(why_not=f"{value!r} is no number")
    if as_kind is SignalKind.REDUCE_SHARE:  # as configured: 0.15, with the sign of a change of load
        return _relative(number, "PERCENT", payload.type)
    unit = units.of(payload.type)
    if as_kind is SignalKind.REDUCE_KW:
        return _relative(number, unit, payload.type)
    return _absolute(number, unit, payload.type, as_kind)


_AS: Final = {
    "DISPATCH_SETPOINT_RELATIVE": SignalKind.REDUCE_KW,
    "DISPATCH_SETPOINT": SignalKind.SETPOINT_KW,
    "IMPORT_CAPACITY_LIMIT": SignalKind.LIMIT_KW,
    "IMPORT_CAPACITY_SUBSCRIPTION": SignalKind.DEFAULT_LIMIT_KW,
}


def _level(level: int, meaning: Meaning, what: str) -> Meant:
    if level == 0:
        return Meant(SignalKind.REDUCE_KW, 0.0)
    amount = meaning.levels.get(level)
    if amount is None:
        return Meant(why_not=f"{what} no amount is configured for level {level}".strip())
    return _amount(amount)


def _amount(amount: Amount) -> Meant:
    if amount.kw is not None:
        return Meant(SignalKind.REDUCE_KW, amount.kw)
    return Meant(SignalKind.REDUCE_SHARE, amount.share or 0.0)


def _no_unit(payload_type: str, unit: str | None) -> Meant:
    if unit is None:
        return Meant(
            why_not=f"nothing says the unit of {payload_type}, and the settings don't allow to assume kW"
        )
    return Meant(why_not=f"{unit} is no unit of {payload_type} that emw knows")


def _relative(number: float, unit: str | None, payload_type: str) -> Meant:
    """A change of load: the sign is flipped here, once. Less load is a shed."""
    if number > 0:
        return Meant(why_not="it asks for more load; emw only sheds")
    if unit == "PERCENT":
        if number < -1:
            return Meant(why_not=f"PERCENT runs from -1 to 1, and this is {number:g}")
        return Meant(SignalKind.REDUCE_SHARE, -number + 0.0)
    if unit not in KW_PER:
        return _no_unit(payload_type, unit)
    return Meant(SignalKind.REDUCE_KW, -number * KW_PER[unit] + 0.0)


def _absolute(number: float, unit: str | None, payload_type: str, kind: SignalKind) -> Meant:
    if unit not in KW_PER:
        return _no_unit(payload_type, unit)
    kw = number * KW_PER[unit]
    if kw < 0:
        return Meant(why_not="it asks for export; nothing here exports")
    return Meant(kind, kw)


def _capped(meant: Meant, max_kw: float) -> Meant:
    if meant.kind is SignalKind.REDUCE_KW and (meant.value or 0.0) > max_kw:
        return Meant(why_not=f"more than {max_kw:g} kW, the most that a request may ask here")
    return meant


# --- when


def _pieces(slot: Slot, payload: Payload) -> list[tuple[Slot, Any]]:
    """A payload's values in time. Several in one payload of a series divide the interval evenly."""
    values = payload.values
    if payload.type.strip().upper() in SERIES and len(values) > 1 and slot.end is not None:
        length = (slot.end - slot.start) / len(values)
        at = [slot.start + i * length for i in range(len(values))] + [slot.end]
        return [
            (Slot(at[i], at[i + 1], slot.number, slot.interval_id, ()), v)
            for i, v in enumerate(values)
            if at[i + 1] - at[i] > timedelta(0)
        ]
    return [(slot, values[0] if values else None)]


def _said(payload: Payload, value: Any, units: _Units) -> str:
    unit = units.of(payload.type)
    told = " ".join(str(x)[:60] for x in (payload.type, value, unit) if x is not None)
    return told[:160]
