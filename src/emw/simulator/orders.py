"""What a station thinks of an order before it obeys: the promises every command must keep, and a memory of commands."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from emw.simulator.hardware import FLOOR_A
from emw.simulator.wire import LimitOrder

GRACE: Final = timedelta(minutes=2)
"""An order may arrive a little after its end: networks are slow. Later than this, somebody sent it dead."""

_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A broken promise, seen where it hurts: at the station. `rule` names it, `detail` has the numbers."""

    at: datetime
    evse_id: str
    command_id: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an order: the rule, the field to blame, the numbers; `fatal`: it can't be obeyed."""

    rule: str
    field: str
    detail: str
    fatal: bool = True


def faults_in(order: LimitOrder, knob_a: float, now: datetime) -> list[Fault]:
    """What is wrong with `order` for a station with this knob, at this (true) time. Nothing, if emw keeps its
    word.

    Above the knob is a broken promise but not fatal: the station goes to its knob. The knob given here is the
    highest one that the server may still believe in.
    """
    found = []
    amps = order.max_a
    if not math.isfinite(amps) or amps < 0.0:
        found.append(Fault("below 0", "maxAmps", f"{amps} A"))
    elif 0.0 < amps < FLOOR_A:
        found.append(Fault("between 0 and the floor", "maxAmps", f"{amps} A, floor {FLOOR_A} A"))
    elif amps > knob_a:
        found.append(Fault("above the knob", "maxAmps", f"{amps} A, knob {knob_a} A", fatal=False))
    if order.until is None:
        found.append(Fault("no end", "until", "missing"))
    elif order.until.tzinfo is None:
        found.append(Fault("no end", "until", f"{order.until.isoformat()} has no offset"))
    elif order.until < now - GRACE:
        found.append(
            Fault("ended before it began", "until", f"{order.until.isoformat()}, now {now.isoformat()}")
        )
    return found


class Memory:
    """The commands a station has carried out, so that the same one again changes nothing."""

    def __init__(self) -> None:
        """Nothing carried out yet."""
        self._went_to: OrderedDict[str, float] = OrderedDict()
        self._latest: str | None = None

    def went_to(self, command_id: str) -> float | None:
        """The amps this command led to, if it was carried out."""
        return self._went_to.get(command_id)

    def remember(self, command_id: str, amps: float) -> None:
        """Keep what this command led to; the oldest of many is forgotten."""
        self._went_to[command_id] = amps
        self._latest = command_id
        if len(self._went_to) > _REMEMBERED:
            self._went_to.popitem(last=False)

    def is_latest(self, command_id: str) -> bool:
        """Whether this is the last command carried out: an older one that comes again is only late."""
        return command_id == self._latest
