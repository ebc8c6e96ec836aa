"""A report as it goes over the wire: figures into intervals, units, readings and the quality of each value. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from emw.grid.openadr3.asked import Ask, Span
from emw.grid.openadr3.wants import KW_UNITS, KWH_UNITS

AGGREGATED: Final = "AGGREGATED_REPORT"
COVERED: Final = 0.98
"""A value is OK where meters vouch for this much of it: a look each 10 s never meets an interval's edges quite."""
IDLE_KW: Final = 0.1


@dataclass(frozen=True, slots=True)
class Figures:
    """One resource over one span, kW means. `covered` 0: nothing is known. `available_kw`: what could be shed."""

    load_kw: float = 0.0
    baseline_kw: float = 0.0
    peak_kw: float = 0.0
    covered: float = 0.0
    forecast: bool = False
    available_kw: float | None = None
    state: str = "NORMAL"


def body_of(
    name: str,
    ask: Ask,
    event_id: str,
    client_name: str,
    figures: Mapping[str, Sequence[tuple[Span, Figures]]],
) -> str:
    """The report as JSON text; the version's own fields are added when it is sent. `figures`: by resource name."""
    descriptor: dict[str, Any] = {
        "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
        "payloadType": ask.payload_type,
        "readingType": ask.reading_type,
        "units": ask.units,
    }
    body = {
        "eventID": event_id,
        "clientName": client_name,
        "reportName": name,
        "payloadDescriptors": [{k: v for k, v in descriptor.items() if v is not None}],
        "resources": [
            {
                "resourceName": resource,
                "intervals": [_interval(ask, span, known) for span, known in told],
            }
            for resource, told in figures.items()
        ],
    }
    return msgspec.json.encode(body).decode()


def _interval(ask: Ask, span: Span, known: Figures) -> dict[str, Any]:
    seconds = (span.end - span.start).total_seconds()
    value = _value(ask, known, seconds / 3600)
    payloads: list[dict[str, Any]] = []
    if value is not None:
        payloads.append({"type": ask.payload_type, "values": [value]})
    if ask.payload_type != "OPERATING_STATE":
        payloads.append({"type": "DATA_QUALITY", "values": [_quality(ask, known, value)]})
    return {
        "id": span.id,
        "intervalPeriod": {"start": instant_text(span.start), "duration": duration_text(seconds)},
        "payloads": payloads,
    }


def _value(ask: Ask, known: Figures, hours: float) -> float | str | None:
    if ask.payload_type == "OPERATING_STATE":
        return known.state
    if ask.payload_type == "LOAD_SHED_DELTA_AVAILABLE":
        kw = known.available_kw
    elif known.covered <= 0:
        kw = None
    else:
        kw = {
            "DEMAND": known.peak_kw if ask.reading_type == "PEAK" else known.load_kw,
            "USAGE": known.load_kw,
            "BASELINE": known.baseline_kw,
            "DELTA_USAGE": known.load_kw - known.baseline_kw,
        }[ask.payload_type]
    if kw is None:
        return None
    if ask.units in KWH_UNITS:
        return round(kw * hours * KWH_UNITS[ask.units], 6) + 0.0
    return round(kw * KW_UNITS[ask.units or "KW"], 6) + 0.0


def _quality(ask: Ask, known: Figures, value: float | str | None) -> str:
    if value is None:
        return "MISSING"
    if known.forecast or ask.payload_type == "LOAD_SHED_DELTA_AVAILABLE":
        return "ESTIMATED"
    return "OK" if known.covered >= COVERED else "ESTIMATED"


def state_of(known: Figures, *, curtailed: bool, opted_out: bool, error: bool) -> str:
    """The operating state of a resource over a span."""
    if error:
        return "ERROR"
    doing = "IDLE" if known.load_kw < IDLE_KW else "RUNNING"
    if curtailed:
        return f"{doing}_CURTAILED"
    return f"{doing}_OPTED_OUT" if opted_out else "NORMAL"


def duration_text(seconds: float) -> str:
    """Seconds as an ISO 8601 duration that the schema's pattern takes."""
    whole = round(seconds, 3)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{int(hours)}H" if hours else "", f"{int(minutes)}M" if minutes else ""]
    if left or not (hours or minutes):
        parts.append(f"{left:.3f}".rstrip("0").rstrip(".") + "S")
    return "PT" + "".join(parts)


def instant_text(at: datetime) -> str:
    """A UTC instant as RFC 3339."""
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds").replace("+00:00", "Z")


def summed(parts: Sequence[Figures]) -> Figures:
    """Several resources as one."""
    if len(parts) == 1:
        return parts[0]
    given = [p.available_kw for p in parts]
    states = {p.state for p in parts}
    return Figures(
        load_kw=sum(p.load_kw for p in parts),
        baseline_kw=sum(p.baseline_kw for p in parts),
        peak_kw=sum(p.peak_kw for p in parts),
        covered=min((p.covered for p in parts), default=0.0),
        forecast=any(p.forecast for p in parts),
        available_kw=None if any(g is None for g in given) else sum(g or 0.0 for g in given),
        state=next((s for s in WORST_FIRST if s in states), "NORMAL"),
    )


WORST_FIRST: Final = (
    "ERROR",
    "RUNNING_CURTAILED",
    "IDLE_CURTAILED",
    "RUNNING_OPTED_OUT",
    "IDLE_OPTED_OUT",
    "NORMAL",
)
