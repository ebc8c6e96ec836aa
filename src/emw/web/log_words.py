"""What each row of the activity log says, in the reader's language: one sentence per kind of fact.

The sentences are in the catalogues, as `says.<kind>`; a fact's own fields fill them. What emw itself said when it wrote
the fact (why something is short) was English, and is told in the reader's language where it is known to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from emw.domain.facts import Fact
from emw.domain.model import Outcome
from emw.web.tongue import DEFAULT, TONGUES, Tongue
from emw.web.wire import ActivityOut, wire_name
from emw.web.words import ANSWERS, number

Row = Mapping[str, Any]

ENGLISH: Final = TONGUES[DEFAULT]
AMPS: Final = {
    "max_a": "maxAmps",
    "evse_max_a": "evseMaxAmps",
    "car_max_a": "carMaxAmps",
    "car_min_a": "carMinAmps",
    "answered_a": "answeredAmps",
    "would_draw_a": "wouldDrawAmps",
    "limit_a": "limitAmps",
    "current_a": "currentAmps",
    "line_voltage_v": "lineVoltage",
    "territory_id": "territory",
}
STAMPS: Final = frozenset({"seq", "at", "actor", "kind", "evse_id", "request_key", "iso_id", "territory_id"})

WAYS: Final[dict[str, Callable[[Row], str]]] = {
    "OptedOut": lambda r: "" if r["until"] is not None else "_back",
    "CommandIssued": lambda r: "" if r["max_a"] is not None else "_normal",
    "EvseWired": lambda r: "" if r["wiring"] is not None else "_unknown",
    "LimitedByHand": lambda r: "" if r["max_a"] is not None else "_free",
    "GridLinkChanged": lambda r: "" if r["connected"] else "_lost",
    "GridCeilingMoved": lambda r: "" if r["kw"] is not None else "_none",
}
"""Kinds that say one thing or another: the ending of the sentence's key."""
MORE: Final[dict[str, tuple[str, ...]]] = {
    "CommandAnswered": ("answered_a",),
    "TerritoryDefined": ("parent_id", "ceiling_kw", "ceiling_a"),
    "StationBooted": ("firmware",),
    "NeedTold": ("departure_at",),
    "VehicleTold": ("car_min_a",),
}
"""What is added where the fact has it: `says.<kind>.<field>`."""
REASONED: Final = frozenset(
    {
        "CommandAnswered",
        "DispatchHalted",
        "DispatchResumed",
        "LimitedByHand",
        "PrioritySet",
        "RequestChanged",
        "StationCalled",
        "TerritoryResumed",
        "TerritoryStopped",
        "TransactionEnded",
        "VtnCallbackMuted",
        "VtnClientRevoked",
        "VtnObjectDeleted",
    }
)
"""Kinds whose reason, where one was given, stands behind the sentence."""
WORDS: Final = {"cause": "cause.", "state": "state.", "role": "role.", "kind": "report_kind."}
"""Fields whose values are words of emw, and where their translations are."""
REASONS: Final = frozenset({"reason", "why", "why_short"})


def sentence(kind: str, row: Row, tongue: Tongue = ENGLISH) -> str:
    """What a row of the log says. A row of a later version, with other fields, is still shown by its kind."""
    try:
        key = f"says.{kind}{WAYS[kind](row) if kind in WAYS else ''}"
        if key not in tongue.says:
            return kind
        given = {name: _told(name, value, tongue) for name, value in row.items()}
        given |= _made(kind, row, tongue)
        text = tongue.t(key, **given)
        for name in MORE.get(kind, ()):
            if row.get(name) is not None and row[name] != "":
                text += tongue.t(f"says.{kind}.{name}", **given)
        if kind in REASONED and row.get("reason"):
            text += f": {given['reason']}"
    except (KeyError, TypeError, ValueError):
        return kind
    return text


def _made(kind: str, row: Row, tongue: Tongue) -> dict[str, str]:
    """What a sentence needs beside the fact's own fields."""
    match kind:
        case "SessionStarted":
            return {"most_a": tongue.number(number(min(row["evse_max_a"], row["car_max_a"])))}
        case "SignalReceived":
            return {"program": row["program"] or row["program_id"]}
        case "EvseChanged":
            return {"changes": ", ".join(_changes(row, tongue))}
    return {}


def _told(name: str, value: Any, tongue: Tongue) -> str:
    """A field as the reader reads it."""
    match value:
        case None:
            return "?"
        case bool():
            return str(value)
        case int() | float():
            return tongue.number(number(value))
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%MZ}"
        case list() | tuple() | set() | frozenset():
            return ", ".join(str(x) for x in value)
    text = str(value)
    if name == "outcome" and text in set(Outcome):
        return tongue.t(ANSWERS[Outcome(text)])
    if name in WORDS:
        return tongue.says.get(WORDS[name] + text, text)
    return reason(text, tongue) if name in REASONS else text


def _changes(row: Row, tongue: Tongue) -> list[str]:
    """What is new of an EVSE, in words."""
    found = []
    if row.get("status") is not None:
        found.append(str(row["status"]))
    if row.get("phases") is not None:
        found.append(tongue.t("says.EvseChanged.phases", phases=row["phases"]))
    if row.get("can_limit") is not None:
        found.append(
            tongue.t("says.EvseChanged.limits" if row["can_limit"] else "says.EvseChanged.no_limits")
        )
    return found or [tongue.t("says.EvseChanged.nothing")]


# --- reasons

_KNOWN: Final = {text: key for key, text in ENGLISH.says.items() if key.startswith("reason.")}
_FILLED: Final = [
    (re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[\\d.]+)", re.escape(text))), key)
    for text, key in _KNOWN.items()
    if "{" in text
]
"""Those with numbers in them."""
_SHORT: Final = re.compile(r"short ([\d.]+) kW: (.*)", re.DOTALL)
_PART: Final = re.compile(r"([\d.]+) kW (.*)", re.DOTALL)


def reason(text: str, tongue: Tongue) -> str:
    """Why, as emw wrote it down, in the reader's language; what others wrote stays as it is."""
    if tongue is ENGLISH:
        return text
    if text in _KNOWN:
        return tongue.t(_KNOWN[text])
    for pattern, key in _FILLED:
        if found := pattern.fullmatch(text):
            return tongue.t(key, **{name: tongue.number(value) for name, value in found.groupdict().items()})
    short = _SHORT.fullmatch(text)
    if short is None:
        return text
    parts = []
    for part in short[2].split(", "):
        whole = _PART.fullmatch(part)
        parts.append(
            reason(part, tongue)
            if whole is None
            else f"{tongue.number(whole[1])} kW {reason(whole[2], tongue)}"
        )
    return tongue.t("reasons.short", kw=tongue.number(short[1]), parts=", ".join(parts))


# --- rows


def fields_of(fact: Fact) -> dict[str, Any]:
    """A fact's fields without its secrets."""
    return {x.name: getattr(fact, x.name) for x in fields(fact) if not x.name.endswith("_hash")}


def wire_fields(row: Row) -> dict[str, Any]:
    """The fields of a stored row under the names of the wire; secrets, should one slip through, stay here."""
    return {AMPS.get(k) or wire_name(k): v for k, v in row.items() if not k.endswith("_hash")}


def activity_of(row: dict[str, Any], tongue: Tongue = ENGLISH) -> ActivityOut:
    """A stored row in the words of the wire."""
    nested: dict[str, Any] = row.get("payload") or {}
    plain = {k: v for k, v in row.items() if k != "payload" and not (k in STAMPS and v is None)}
    everything = {**plain, **nested}
    details = {k: v for k, v in everything.items() if k not in {"seq", "at", "actor", "kind", "day", "hash"}}
    return ActivityOut(
        seq=row["seq"],
        at=row["at"],
        actor=row["actor"],
        kind=row["kind"],
        text=sentence(row["kind"], everything, tongue),
        details=wire_fields(details),
    )
