"""How one grid system can be heard: its standing for people, when it counts as lost, and when to try again."""

from __future__ import annotations

from random import Random
from typing import Final

import structlog

from emw.domain.state import State
from emw.grid.openadr3.client import Trouble, VtnFailed
from emw.service.errors import Unavailable
from emw.service.grid_standing import Standing
from emw.service.ports import Clock
from emw.service.signals import Signals

log = structlog.get_logger()
LOST_AFTER: Final = 2
"""So many looks must fail in a row before a system counts as lost."""
FIRST_RETRY_S: Final = 2.0
MOST_RETRY_AFTER_S: Final = 3_600.0


class Link:
    """Kept by whoever listens: `polled` before a look, then `heard` or `missed`."""

    def __init__(
        self, source_id: str, name: str, state: State, signals: Signals, clock: Clock, chance: Random
    ) -> None:
        self.standing = Standing()
        self.failed = 0
        """Looks that failed since the last that did not."""
        self._source_id = source_id
        self._name = name
        self._links = state.grid_links
        self._signals = signals
        self._clock = clock
        self._chance = chance

    @property
    def is_lost(self) -> bool:
        """Whether it is on record that it can't be heard."""
        known = self._links.get(self._source_id)
        return known is not None and not known.connected

    def polled(self) -> None:
        """A look begins."""
        self.standing.polls += 1
        self.standing.polled_at = self._clock.now()

    async def heard(self, protocol: str) -> None:
        """It answered. Raises Unavailable where that is news and can't be written."""
        standing, now = self.standing, self._clock.now()
        standing.heard_at, standing.why, standing.trouble, self.failed = now, None, None, 0
        await self._signals.linked(self._source_id, protocol, connected=True, heard_at=now)

    async def missed(self, error: VtnFailed, protocol: str, most_s: float) -> float:
        """It did not answer, or wrongly; returns how long to wait before the next try, s, `most_s` by ourselves."""
        standing = self.standing
        standing.failures += 1
        standing.why, standing.trouble = error.why, error.trouble
        self.failed += 1
        log.warning("ven.poll_failed", vtn=self._name, trouble=str(error.trouble), why=error.why)
        if self.failed >= LOST_AFTER or error.trouble is Trouble.CREDENTIALS:
            try:
                await self._lost(protocol, error.why)
            except Unavailable as unavailable:
                log.warning("ven.not_written", vtn=self._name, why=unavailable.detail)
        pause_s = FIRST_RETRY_S * 2 ** min(self.failed - 1, 10) * self._chance.uniform(0.5, 1.0)
        return float(max(min(pause_s, most_s), min(error.retry_after_s or 0.0, MOST_RETRY_AFTER_S)))

    async def _lost(self, protocol: str, why: str) -> None:
        known = self._links.get(self._source_id)
        await self._signals.linked(
            self._source_id,
            known.protocol if known else protocol,
            connected=False,
            heard_at=self.standing.heard_at or (known.heard_at if known else None),
            why=why,
        )
