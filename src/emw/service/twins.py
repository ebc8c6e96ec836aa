"""The live counterfactual of each held EVSE, per five minutes: what was believed, when, and what the meter showed.

Summed up in memory while requests are metered, handed to the store in groups beside the readings. One row per EVSE
and interval, however many requests hold it, so that a kWh is never there twice. A crash loses the interval that was
open; a clean stop writes it as far as it went.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from emw.service.groups import hand_over
from emw.service.ports import Believed, Store
from emw.service.settings import ServiceSettings

Figures = npt.NDArray[np.float64]
METHOD = "virtual-twin"
"""The live counterfactual: each held vehicle's twin goes on charging, and fades as its need would have been met."""
INTERVAL = timedelta(minutes=5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Interval:
    """Sums of many EVSEs over one interval, side by side: s, kWs of baseline, of its standard deviation, of load."""

    __slots__ = ("_looks", "_place", "_seen_at", "_sums")

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._sums = np.zeros((0, 4))
        self._looks: list[datetime] = []
        self._seen_at = np.zeros(0, dtype=np.intp)
        """Which of the looks saw each EVSE last."""

    def add(self, evse_ids: Iterable[str], now: datetime, seconds: float, believed_kw: Figures) -> None:
        if not self._looks or self._looks[-1] != now:
            self._looks.append(now)
        look = len(self._looks) - 1
        place = self._place
        places = np.array([place.setdefault(evse_id, len(place)) for evse_id in evse_ids], dtype=np.intp)
        new = len(place) - len(self._sums)
        self._sums = np.concatenate((self._sums, np.zeros((new, 4))))
        self._seen_at = np.concatenate((self._seen_at, np.full(new, -1)))
        unseen = self._seen_at[places] != look
        places = places[unseen]
        self._seen_at[places] = look
        self._sums[places, 0] += seconds
        self._sums[places, 1:] += believed_kw[unseen] * seconds

    def rows(self, start: datetime) -> list[Believed]:
        """In order of EVSE."""
        seconds = self._sums[:, 0]
        means_kw = (self._sums[:, 1:] / seconds[:, None]).round(6).tolist()
        spans_s, looks = seconds.round(3).tolist(), self._seen_at.tolist()
        return [
            Believed(evse_id, start, self._looks[looks[n]], METHOD, spans_s[n], *means_kw[n])
            for evse_id, n in sorted(self._place.items())
        ]


class Twins:
    """Collects beliefs, hands whole intervals to the store."""

    def __init__(self, store: Store, settings: ServiceSettings) -> None:
        self.dropped = 0
        self._store = store
        self._settings = settings
        self._open: dict[datetime, _Interval] = {}
        self._waiting: deque[Believed] = deque(maxlen=settings.telemetry_bound)

    def add(self, evse_ids: Iterable[str], now: datetime, seconds: float, believed_kw: Figures) -> None:
        """What is believed of EVSEs now holds for the last `seconds`. A second request's look adds nothing. Hot.

        `believed_kw`: a line each of baseline, its standard deviation, and load.
        """
        if seconds <= 0:
            return
        middle = now - timedelta(seconds=seconds / 2)
        start = middle - (middle - EPOCH) % INTERVAL
        self._open.setdefault(start, _Interval()).add(evse_ids, now, seconds, believed_kw)

    async def flush(self, now: datetime | None = None) -> None:
        """Write intervals that are over; without `now` all there are."""
        # A look after an interval's end may still reach back into it.
        late = INTERVAL + timedelta(seconds=2 * self._settings.rules.round_s)
        for start in [s for s in self._open if now is None or s + late <= now]:
            rows = self._open.pop(start).rows(start)
            self.dropped += max(0, len(self._waiting) + len(rows) - (self._waiting.maxlen or 0))
            self._waiting.extend(rows)
        size = self._settings.telemetry_group
        self.dropped += await hand_over(self._waiting, size, self._store.add_beliefs)
