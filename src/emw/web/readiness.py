"""Whether this server can do its work: started, and its ledger could write lately."""

from __future__ import annotations

import asyncio
from typing import Final

from emw.service.headend import HeadEnd

UNWELL_S: Final = 30.0
"""How long one failed commit makes this server not ready, unless one has succeeded since."""


class Readiness:
    """Whether the ledger could write lately."""

    def __init__(self, headend: HeadEnd) -> None:
        self._headend = headend
        self._failures = headend.ledger.failures
        self._failed_at: float | None = None
        headend.ledger.listen(lambda _, __: self._written())

    def _written(self) -> None:
        self._failures, self._failed_at = self._headend.ledger.failures, None

    def why_not(self) -> str | None:
        """What keeps this server from its work; None: nothing."""
        if not self._headend.ready.is_set():
            return "it is starting"
        now_s = asyncio.get_running_loop().time()
        if self._headend.ledger.failures != self._failures:
            self._failures, self._failed_at = self._headend.ledger.failures, now_s
        if self._failed_at is not None and now_s - self._failed_at < UNWELL_S:
            return "its store could not be written"
        return None
