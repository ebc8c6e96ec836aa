"""Whose turn it is: what each EVSE gave lately, so that the same drivers are not asked again and again. Pure.

Three rules over a season (a sliding window of days). A *cap*: nobody takes part in more requests than that. A
*cool-down*: nobody is asked again before it has passed. And *fairness*: between drivers whom a hold costs nearly the
same, who gave more lately goes last. The price on that is bounded, so that it never outweighs a real need.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta

HALF_KWH = 10.0
"""Who gave this much lately pays half of the most that fairness may weigh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """The rules."""

    days: float = 30.0
    events_most: int = 0
    """Requests that one EVSE takes part in within a season; 0: any number."""
    cool_down_s: float = 0.0
    """Rest after a part has ended."""
    fairness: float = 0.05
    """The most that what was given may weigh, kWh missed per kWh shed."""

    @property
    def length(self) -> timedelta:
        """`days` as a timedelta."""
        return timedelta(days=self.days)


@dataclass(slots=True)
class _Part:
    """What an EVSE did for one request."""

    last_at: datetime
    kwh: float


class Turns:
    """Remembers parts that have ended, by EVSE and request."""

    def __init__(self, season: Season) -> None:
        self._season = season
        self._parts: dict[str, dict[str, _Part]] = {}

    def ended(self, evse_id: str, request_key: str, at: datetime, kwh: float) -> None:
        """A part in a request is over; a driver after another on one EVSE adds to the same part."""
        parts = self._parts.setdefault(evse_id, {})
        part = parts.get(request_key)
        if part is None:
            parts[request_key] = _Part(at, max(kwh, 0.0))
        else:
            part.last_at = max(part.last_at, at)
            part.kwh += max(kwh, 0.0)

    def why_not(self, evse_id: str, running: Container[str], now: datetime) -> str | None:
        """Why it is not asked for a request that it has no part in yet; None: it may be.

        `running`: requests that are live; a part in one of those is the same part, not another.
        """
        season = self._season
        if season.events_most <= 0 and season.cool_down_s <= 0:
            return None
        parts = self._recent(evse_id, now)
        if any(key in running for key in parts):
            return None
        if 0 < season.events_most <= len(parts):
            return "has done its part"
        rest = timedelta(seconds=season.cool_down_s)
        if any(now - p.last_at < rest for p in parts.values()):
            return "resting"
        return None

    def price(self, evse_id: str, now: datetime) -> float:
        """What is added to the price of holding it, kWh missed per kWh shed."""
        parts = self._recent(evse_id, now) if self._season.fairness > 0 else {}
        if not parts:
            return 0.0
        given_kwh = sum(p.kwh for p in parts.values())
        # In this form rounding can't make more given weigh less.
        return self._season.fairness * (1.0 - HALF_KWH / (given_kwh + HALF_KWH))

    def _recent(self, evse_id: str, now: datetime) -> dict[str, _Part]:
        parts = self._parts.get(evse_id)
        if not parts:
            return {}
        since = now - self._season.length
        for key in [k for k, p in parts.items() if p.last_at < since]:
            del parts[key]
        return parts
