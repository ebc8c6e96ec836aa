"""In or out: what emw answers to an event, from what can really be shed. Pure.

An event that begins later is accepted and looked at again when it is near: what can be shed is known then. A vehicle
that drives off in mid-event must not flip the answer, so a change from in to out waits; back in is at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from emw.domain.signals import LIMITS, REDUCES, Segment, SignalKind
from emw.grid.openadr2b.messages import OK, SIGNAL_NOT_SUPPORTED, TARGET_MISMATCH

NEAR: Final = timedelta(minutes=30)
PATIENCE: Final = timedelta(minutes=5)
OUT: Final = "opted out: "
"""How the reason of a segment begins that emw has declined."""


@dataclass(frozen=True, slots=True)
class Able:
    """What a territory could give now, kW: all that can be shed (with what is shed already), and its baseline."""

    available_kw: float
    baseline_kw: float


@dataclass(frozen=True, slots=True)
class Choice:
    """In, or out with the reason; `code` is the response code of 2.0b that goes with it."""

    opt_in: bool
    why: str = ""
    code: int = OK


IN: Final = Choice(opt_in=True)


def choose(
    segments: Sequence[Segment], able: Callable[[str], Able], *, least_share: float, now: datetime
) -> Choice:
    """Whether to take part in an event.

    `least_share`: out if less than this share (0..1) of what is asked can be shed. A ceiling is a law: it is always
    taken.
    """
    served = [s for s in segments if _kept(s) and s.kind in REDUCES | LIMITS]
    if not served:
        return _cannot(segments)
    if any(s.kind in LIMITS for s in served):
        return IN
    ahead = [s for s in served if s.end_at is None or s.end_at > now]
    if not ahead:
        return IN
    first = min(s.start_at for s in ahead)
    if first > now + NEAR:
        return IN
    asked = given = 0.0
    for s in ahead:
        if s.start_at > max(first, now) or s.territory_id is None:
            continue
        can = able(s.territory_id)
        asked += _asked_kw(s, can)
        given += can.available_kw
    if asked > 0 and given < least_share * asked:
        return Choice(opt_in=False, why=f"{given:.1f} of {asked:.1f} kW can be shed now")
    return IN


def _kept(segment: Segment) -> bool:
    return segment.why_not is None or segment.why_not.startswith(OUT)


def _asked_kw(segment: Segment, can: Able) -> float:
    value = segment.value or 0.0
    match segment.kind:
        case SignalKind.REDUCE_SHARE:
            return value * can.baseline_kw
        case SignalKind.SETPOINT_KW:
            return max(can.baseline_kw - value, 0.0)
        case _:
            return value


def _cannot(segments: Sequence[Segment]) -> Choice:
    """Nothing of it can be served: the first reason, and the code that fits it."""
    if any(s.kind is SignalKind.OTHER and s.why_not is None for s in segments):
        return IN
    why = next((s.why_not for s in segments if s.why_not), "it has no signal that emw could serve")
    if why.startswith("a test event"):
        return IN
    mismatch = "territory" in why or "target" in why
    return Choice(opt_in=False, why=why, code=TARGET_MISMATCH if mismatch else SIGNAL_NOT_SUPPORTED)


def patient(
    before: bool, choice: Choice, out_since: datetime | None, now: datetime
) -> tuple[bool, datetime | None]:
    """In or out from now on, and since when out is wanted: in stays in until that has lasted a while."""
    if choice.opt_in:
        return True, None
    if not before:
        return False, None
    since = out_since or now
    return (now - since < PATIENCE), since
