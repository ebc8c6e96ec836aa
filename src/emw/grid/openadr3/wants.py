"""The reports an event and its program ask for, as a plan: what emw can tell, and why not the rest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from emw.domain.signals import LIMITS, REDUCES, Segment
from emw.grid.openadr3.asked import INTERVALS, OPEN_INTERVALS, SUB_INTERVALS, Ask, Plan, spans_of
from emw.grid.openadr3.schedule import Slot
from emw.grid.openadr3.wire import Descriptor, Event, Program, ReportDescriptor

KW_UNITS: Final = {"KW": 1.0, "W": 1_000.0, "MW": 0.001}
KWH_UNITS: Final = {"KWH": 1.0, "WH": 1_000.0, "MWH": 0.001}
CAN_TELL: Final[dict[str, tuple[str, ...]]] = {
    "DEMAND": tuple(KW_UNITS),
    "BASELINE": (*KW_UNITS, *KWH_UNITS),
    "USAGE": tuple(KWH_UNITS),
    "DELTA_USAGE": tuple(KWH_UNITS),
    "LOAD_SHED_DELTA_AVAILABLE": (*KW_UNITS, *KWH_UNITS),
    "OPERATING_STATE": (),
}
"""The report types that emw makes, and the units it has for each; the first one is meant where none is named."""
READING: Final = {
    "DEMAND": "MEAN",
    "BASELINE": "MEAN",
    "USAGE": "DIRECT_READ",
    "DELTA_USAGE": "ESTIMATED",
    "LOAD_SHED_DELTA_AVAILABLE": "FORECAST",
}
READINGS: Final = frozenset({"DIRECT_READ", "MEAN", "AVERAGE", "SUMMED", "ESTIMATED", "FORECAST"})
MOST_ASKS: Final = 32
ENDLESS: Final = "P9999Y"
WAYS: Final = (INTERVALS, SUB_INTERVALS, OPEN_INTERVALS)


def implied(event: Event) -> Event:
    """An event without intervals whose reports span several or repeat: its period stands for one after another."""
    several = (d.numIntervals > 1 or d.frequency > 0 or d.repeat != 1 for d in event.report_descriptors())
    if event.intervals or event.duration is not None or not any(several):
        return event
    return msgspec.structs.replace(event, duration=ENDLESS)


def report_only(event: Event) -> bool:
    """Whether it wants to be told something and asks for nothing else."""
    return bool(event.report_descriptors()) and not any(i.payloads for i in event.intervals or ())


def plan_of(
    event: Event,
    program: Program | None,
    places: Sequence[str],
    slots: Sequence[Slot],
    segments: Sequence[Segment],
    *,
    unasked: Sequence[str],
    until: datetime,
    piece: timedelta,
) -> tuple[Plan | None, list[str]]:
    """What is to be told about an event in our `places`, and what is not, in words. None: nothing."""
    notes: list[str] = []
    asks: list[Ask] = []
    for wanted in event.report_descriptors()[:MOST_ASKS]:
        _add(asks, wanted, notes)
    told = {a.payload_type for a in asks}
    for descriptor in program.descriptors() if program else ():
        if descriptor.objectType == "REPORT_PAYLOAD_DESCRIPTOR" and descriptor.payloadType not in told:
            _add(asks, _by_program(descriptor), notes)
    served = any(s.why_not is None and s.kind in REDUCES | LIMITS for s in segments)
    told = {a.payload_type for a in asks}
    for kind in unasked if served else ():
        if kind not in told:
            wanted = ReportDescriptor(payloadType=kind, aggregate=True, frequency=0)
            _add(asks, wanted, notes)
    if not asks or not places or not slots:
        return None, notes
    per_turn = max(len(event.intervals or ()), 1)
    spans = spans_of(slots, per_turn, until, piece)
    endless = any(s.end is None for s in slots) or max(s.end for s in spans) >= until
    plan = Plan(
        places=tuple(places),
        asks=tuple(asks),
        spans=spans,
        total=None if endless else max(s.number for s in spans) + 1,
        turn=per_turn if any(s.turn for s in slots) else 0,
    )
    return plan, notes


def _by_program(descriptor: Descriptor) -> ReportDescriptor:
    return ReportDescriptor(
        payloadType=descriptor.payloadType, readingType=descriptor.readingType, units=descriptor.units
    )


def _add(asks: list[Ask], wanted: ReportDescriptor, notes: list[str]) -> None:
    kind = wanted.payloadType.strip().upper()
    units = CAN_TELL.get(kind)
    if units is None:
        notes.append(f"a report of {wanted.payloadType} is asked for: emw has none")
        return
    unit = None if wanted.units is None else wanted.units.strip().upper()
    if unit is not None and units and unit not in units:
        notes.append(
            f"a report of {kind} in {wanted.units} is asked for: emw tells it in {' or '.join(units)}"
        )
        return
    reading = (wanted.readingType or READING.get(kind, "")).strip().upper()
    if reading == "PEAK" and kind != "DEMAND":
        notes.append(f"a report of {kind} as PEAK is asked for: it is told as {READING.get(kind, 'it is')}")
        reading = READING.get(kind, "")
    elif reading and reading not in READINGS | {"PEAK"}:
        notes.append(f"a report of {kind} as {wanted.readingType} is asked for: emw has no such reading")
        return
    ahead = kind == "LOAD_SHED_DELTA_AVAILABLE" or reading == "FORECAST"
    same = sum(a.payload_type == kind for a in asks)
    asks.append(
        Ask(
            payload_type=kind,
            name=kind if not same else f"{kind}-{same + 1}",
            reading_type=reading or None,
            units=unit or (units[0] if units else None),
            aggregate=wanted.aggregate,
            start_interval=wanted.startInterval,
            num_intervals=wanted.numIntervals,
            historical=wanted.historical and not ahead,
            frequency=wanted.frequency,
            repeat=wanted.repeat,
            intervals=wanted.reportIntervals if wanted.reportIntervals in WAYS else INTERVALS,
        )
    )
