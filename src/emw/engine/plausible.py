"""Whether a meter contradicts itself: the energy its register gains against the power it shows (attack A10).

Between two readings the load was between the two, so the power shown bounds the energy from below and from above:
no profile has to be guessed. A register that lies outside is no error of sampling. What can't be seen here: a meter
whose register tells the same tale as its power, and one without a register. Only a meter above it, at the site, knows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

LONG_ENOUGH: Final = timedelta(minutes=15)
ENOUGH_KWH: Final = 1.0
"""Less energy than this, by both, is judged by nobody: a register's step would be most of it."""
OFF: Final = 0.10
"""Voltages that are not metered, a power factor, a cheap meter's class: so much is no lie."""
STEP_KWH: Final = 0.1
"""The coarsest step of a register that is met in the field."""
NO_TIME: Final = timedelta(0)
GAP: Final = timedelta(minutes=10)
"""After so much silence nobody knows what the load was in between."""


class Judged(NamedTuple):
    """What a span showed: kWh by its register, and the least and the most that the power shown allows."""

    since: datetime
    register_kwh: float
    least_kwh: float
    most_kwh: float

    @property
    def agrees(self) -> bool:
        """Whether register and power can both be true."""
        return (
            self.least_kwh * (1 - OFF) - STEP_KWH <= self.register_kwh <= self.most_kwh * (1 + OFF) + STEP_KWH
        )


class Span(NamedTuple):
    """Readings of one meter since `since`, summed up: times, register (kWh), power (kW) and its bounds (kWh).

    A tuple: one is made for every reading.
    """

    since: datetime
    first_kwh: float
    at: datetime
    kwh: float
    kw: float
    least_kwh: float = 0.0
    most_kwh: float = 0.0

    def then(self, at: datetime, kw: float, kwh: float) -> tuple[Span, Judged | None]:
        """The span with one reading more, kW and kWh, and a judgement where it is long enough for one.

        A register or a clock that went back, and silence, begin a new span.
        """
        passed = at - self.at
        if kwh < self.kwh or not NO_TIME < passed <= GAP:
            return begun(at, kw, kwh), None
        hours, before_kw = passed.total_seconds() / 3600, self.kw
        lower_kw, higher_kw = (before_kw, kw) if before_kw < kw else (kw, before_kw)
        least_kwh = self.least_kwh + hours * lower_kw
        most_kwh = self.most_kwh + hours * higher_kw
        gained_kwh = kwh - self.first_kwh
        if (gained_kwh < ENOUGH_KWH and least_kwh < ENOUGH_KWH) or at - self.since < LONG_ENOUGH:
            return _span((self.since, self.first_kwh, at, kwh, kw, least_kwh, most_kwh)), None
        return begun(at, kw, kwh), Judged(self.since, gained_kwh, least_kwh, most_kwh)


_span = Span._make
"""The quick way to make one: of a tuple."""


def begun(at: datetime, kw: float, kwh: float) -> Span:
    """A span of one reading."""
    return Span(at, kwh, at, kwh, kw)
