"""The rows that reports are made from, each read once: also where a month has many requests over the same EVSEs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from emw.engine.measured import Presence, presence
from emw.service.ports import Store

Row = dict[str, Any]
MOST: Final = 10_000_000
"""All there are: a report that leaves rows out proves nothing."""


class Sources:
    """Answers of a store, kept for as long as one report is being made."""

    def __init__(self, store: Store, since: datetime | None = None, until: datetime | None = None) -> None:
        """`since`, `until`: what the requests of a report look at together, where that is known beforehand."""
        self.store = store
        self._span = (since, until)
        self._kept: dict[Any, list[Row]] = {}
        self._there: dict[tuple[str, ...], Presence] = {}

    async def once(self, question: str, **asked: Any) -> list[Row]:
        """The rows of a question, read when it is asked first."""
        key = (question, *sorted(asked.items()))
        if key not in self._kept:
            self._kept[key] = await self.store.query(question, **asked)
        return self._kept[key]

    async def there(self, territory_ids: Sequence[str], since: datetime, until: datetime) -> Presence:
        """How many vehicles stood at these nodes' EVSEs, at least from `since` to `until`."""
        key = tuple(territory_ids)
        known = self._there.get(key)
        if known is None or not known.covers(since, until):
            since, until = min(since, self._span[0] or since), max(until, self._span[1] or until)
            rows = await self.store.query("presence", territory_ids=key, since=since, until=until)
            spans = ((r["started_at"], r["ended_at"]) for r in rows)
            known = self._there[key] = presence(spans, since, until)
        return known
