"""The live counterfactual of each held EVSE, per five minutes: what was believed, when, and what the meter showed.

Summed up in memory while requests are metered, handed to the store in groups beside the readings. One row per EVSE
and interval, however many requests hold it, so that a kWh is never there twice. A crash loses the interval that was
open; a clean stop writes it as far as it went.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

from emw.service.groups import hand_over
from emw.service.ports import Believed, Store
from emw.service.settings import ServiceSettings

METHOD = "virtual-twin"
"""The live counterfactual: each held vehicle's twin goes on charging, and fades as its need would have been met."""
INTERVAL = timedelta(minutes=5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Sum:
    """One EVSE's sums over one interval: kWs, and kWs of standard deviation."""

    __slots__ = ("baseline", "doubt", "load", "looked_at", "seconds")

    def __init__(self) -> None:
        self.looked_at = EPOCH
        self.seconds = self.baseline = self.doubt = self.load = 0.0


class Twins:
    """Collects beliefs, hands whole intervals to the store."""

    def __init__(self, store: Store, settings: ServiceSettings) -> None:
        self.dropped = 0
        self._store = store
        self._settings = settings
        self._open: dict[datetime, dict[str, _Sum]] = {}
        self._waiting: deque[Believed] = deque(maxlen=settings.telemetry_bound)

    def add(
        self,
        evse_id: str,
        now: datetime,
        seconds: float,
        *,
        baseline_kw: float,
        doubt_kw: float,
        load_kw: float,
    ) -> None:
        """What is believed of an EVSE now holds for the last `seconds`. A second request's look adds nothing. Hot."""
        middle = now - timedelta(seconds=seconds / 2)
        interval = self._open.get(start := middle - (middle - EPOCH) % INTERVAL)
        if interval is None:
            interval = self._open[start] = {}
        one = interval.get(evse_id)
        if one is None:
            one = interval[evse_id] = _Sum()
        if one.looked_at == now or seconds <= 0:
            return
        one.looked_at = now
        one.seconds += seconds
        one.baseline += baseline_kw * seconds
        one.doubt += doubt_kw * seconds
        one.load += load_kw * seconds

    async def flush(self, now: datetime | None = None) -> None:
        """Write intervals that are over; without `now` all there are."""
        # A look after an interval's end may still reach back into it.
        late = INTERVAL + timedelta(seconds=2 * self._settings.rules.round_s)
        for start in [s for s in self._open if now is None or s + late <= now]:
            sums = self._open.pop(start)
            rows = [_row(start, evse_id, one) for evse_id, one in sorted(sums.items()) if one.seconds > 0]
            self.dropped += max(0, len(self._waiting) + len(rows) - (self._waiting.maxlen or 0))
            self._waiting.extend(rows)
        size = self._settings.telemetry_group
        self.dropped += await hand_over(self._waiting, size, self._store.add_beliefs)


def _row(start: datetime, evse_id: str, one: _Sum) -> Believed:
    s = one.seconds
    return Believed(
        evse_id=evse_id,
        interval_start=start,
        believed_at=one.looked_at,
        method=METHOD,
        seconds=round(s, 3),
        baseline_kw=round(one.baseline / s, 6),
        doubt_kw=round(one.doubt / s, 6),
        load_kw=round(one.load / s, 6),
    )
