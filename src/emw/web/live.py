"""The live feed: one look per second for all viewers together, only while somebody looks, told as SSE.

There is no task and no queue. Whoever of the viewers wakes first makes the tick; the others find it made. The last
ticks are kept in a ring; a viewer that has fallen out of it (a slow line, a sleeping laptop) gets everything anew,
like one who just came. A look that costs much is followed by a longer pause: the feed never takes more than a
small share of a core, whatever the number of EVSEs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog

from emw.domain.facts import Fact
from emw.engine.view import Rules
from emw.service.errors import TooMany, Unavailable
from emw.service.headend import HeadEnd
from emw.web.board import Board, Row
from emw.web.log_words import ENGLISH, activity_of
from emw.web.packing import GZIP_HEADER, Event, block
from emw.web.past import HALF_INTERVAL, Point, unwatched
from emw.web.ticks import Tick, encode, in_words, log_line
from emw.web.tongue import Tongue

log = structlog.get_logger()

SHARE: Final = 0.04
"""The feed takes at most this share of a core."""
RING: Final = 30
"""So many ticks a viewer may be behind."""
HISTORY_S: Final = 2 * 3_600.0
POINTS: Final = 720
POINT_S: Final = 5.0
"""Points of the curve that are kept are so far apart."""
LOG_LINES: Final = 40
RARE: Final = 100
QUIET_S: Final = 10.0
BULK: Final = frozenset(
    {
        "CommandIssued",
        "CommandAnswered",
        "Enrolled",
        "EnrolmentEnded",
        "PoweredOn",
        "PoweredOff",
        "RequestTallied",
    }
)
"""Kinds that come by the thousand: in a burst they give way to all others."""
COLUMNS: Final = (
    "evseID",
    "territory",
    "state",
    "loadKW",
    "baselineKW",
    "limitAmps",
    "limitUntil",
    "limitCause",
    "evseMaxAmps",
    "heardAt",
    "site",
)
READING_COLUMNS: Final = ("evseID", "loadKW", "baselineKW")
"""Of an EVSE whose reading alone is new, that is, came since the last tick. The most of what is told, so no more."""
NODE_COLUMNS: Final = (
    "territoryID",
    "parentID",
    "kind",
    "ceilingKW",
    "evses",
    "charging",
    "loadKW",
    "baselineKW",
    "targetKW",
    "shedKW",
    "availableKW",
    "timeZone",
    "ceilingAmps",
)


class Feed:
    """Makes ticks and hands them out."""

    def __init__(self, headend: HeadEnd, board: Board, *, tick_s: float, viewers: int) -> None:
        self._headend = headend
        self._board = board
        self._tick_s = tick_s
        self._most = viewers
        self.viewers = 0
        self._with_rows = 0
        self.ticks = 0
        self.cost_s = 0.0
        self._next_at = 0.0
        self._ring: deque[Tick] = deque(maxlen=RING)
        self._points: deque[Point] = deque(maxlen=int(HISTORY_S / POINT_S))
        self._bulk: deque[tuple[int, Fact]] = deque(maxlen=LOG_LINES)
        self._bulk_count = 0
        self._told_seq = 0
        self._rare: deque[tuple[int, Fact]] = deque(maxlen=RARE)
        self._nodes: dict[str, tuple[Any, ...]] = {}
        self._last: dict[str, Any] = {}
        self._full: tuple[int, bytes] = (-1, b"")
        """The rows of everybody, and of which tick they are."""
        headend.ledger.listen(self._committed)

    def _committed(self, first_seq: int, facts: Sequence[Fact]) -> None:
        """New rows of the log. The rare kinds are kept apart: a burst of commands must not push them out."""
        for n, fact in enumerate(facts):
            if type(fact).__name__ not in BULK:
                self._rare.append((first_seq + n, fact))
            elif self.viewers:
                self._bulk.append((first_seq + n, fact))
                self._bulk_count += 1

    # --- one viewer

    async def watch(
        self,
        alive: Callable[[], bool],
        *,
        rows: bool = True,
        packed: bool = False,
        tongue: Tongue = ENGLISH,
    ) -> AsyncGenerator[bytes, None]:
        """The stream of one viewer: everything once, then what changes, until `alive` says no.

        `rows`: with a line for every EVSE; pages that show none are spared them. `packed`: as gzip.
        """
        if self.viewers >= self._most:
            raise TooMany("too many live pages are open", retry_after_s=30)
        return self._stream(alive, rows=rows, packed=packed, tongue=tongue)

    async def _stream(
        self, alive: Callable[[], bool], *, rows: bool, packed: bool, tongue: Tongue
    ) -> AsyncGenerator[bytes, None]:
        self.viewers += 1
        self._with_rows += rows
        try:
            if packed:
                yield GZIP_HEADER
            yield _plain(b"retry: 2000\n\n", packed=packed)
            self._advance()
            seen = self.ticks
            yield self._everything(tongue, rows=rows).told(packed=packed)
            yield (await self._past(tongue)).told(packed=packed)
            while True:
                if not await self._until_due():
                    yield _plain(b": still here\n\n", packed=packed)
                    continue
                if not alive():
                    yield Event("bye", b"{}").told(packed=packed)
                    return
                self._advance()
                if self._ring and self._ring[0].number > seen + 1:
                    seen = self.ticks
                    yield self._everything(tongue, rows=rows).told(packed=packed)
                    yield (await self._past(tongue)).told(packed=packed)
                    continue
                for tick in tuple(self._ring):
                    if tick.number > seen:
                        seen = tick.number
                        yield tick.event(tongue, rows=rows).told(packed=packed)
        finally:
            self.viewers -= 1
            self._with_rows -= rows
            if not self.viewers:
                self._bulk.clear()
                self._bulk_count = 0
                self._ring.clear()

    async def _until_due(self) -> bool:
        """Sleep until the next tick, or until a sign of life is due."""
        wait_s = self._next_at - asyncio.get_running_loop().time()
        await asyncio.sleep(min(max(wait_s, 0.01), QUIET_S))
        return wait_s <= QUIET_S

    # --- one tick for all

    def _advance(self) -> None:
        """Make the next tick, unless another viewer has made it already."""
        began = asyncio.get_running_loop().time()
        if began < self._next_at:
            return
        self._board.look()
        renewed, read = self._board.news()
        self.ticks += 1
        body = self._summary()
        nodes = self._nodes_now()
        body["territories"] = [n for key, n in nodes.items() if self._nodes.get(key) != n]
        self._nodes = nodes
        lines, body["logOmitted"] = self._new_lines()
        tick = Tick(self.ticks, body, lines)
        if self._with_rows:  # who comes later begins with everything
            tick.with_rows(evses=self._lines(renewed), readings=self._board.readings(read))
        self._ring.append(tick)
        self._note_point()
        last_s, self.cost_s = self.cost_s, asyncio.get_running_loop().time() - began
        # One dear look alone is the first after a while without viewers: it is no habit.
        self._next_at = began + max(self._tick_s, min(last_s, self.cost_s) / SHARE)

    def _summary(self) -> dict[str, Any]:
        """What is told at every tick."""
        headend, total = self._headend, self._board.total
        halt = headend.state.halt["all"]
        self._last = {
            "at": headend.clock.now(),
            "secondsPerSecond": round(1 / (headend.clock.loop_seconds(1.0) or 1.0), 3),
            "halted": headend.dispatch.halted,
            "haltedBy": halt.by if halt.halted else None,
            "stops": [(s.territory_id, s.by) for s in headend.state.stops.values()],
            "total": {
                "evses": total.evses,
                "charging": total.charging,
                "loadKW": round(total.load_kw, 3),
                "baselineKW": round(total.baseline_kw, 3),
                "targetKW": round(max(total.baseline_kw - total.wanted_kw, 0.0), 3),
                "requestedKW": round(total.wanted_kw, 3),
                "shedKW": round(total.shed_kw, 3),
                "availableKW": round(total.available_kw, 3),
                "states": {state: n for state, n in self._board.states.items() if n},
            },
            "requests": self._requests_now(),
        }
        return dict(self._last)

    def _requests_now(self) -> list[dict[str, Any]]:
        """The running requests, summed up from what the board knows of their territories."""
        headend, sums = self._headend, self._board.sums
        live = [r for r in headend.state.requests.values() if r.live]
        live.sort(key=lambda r: (r.received_at, r.request_key))
        now = headend.clock.now()
        return [
            {
                **headend.requests.told_briefly(
                    r, sums[r.territory_id].part if r.territory_id in sums else None
                ),
                "requestKey": r.request_key,
                "isoID": r.iso_id,
                "held": r.held,
                "askedBy": r.asked_by,
                "endedAt": r.ended_at,
                "releaseMinutes": round(_release_min(r.kw, headend.settings.rules), 1),
                "at": now,
            }
            for r in live
        ]

    def _nodes_now(self) -> dict[str, tuple[Any, ...]]:
        return {
            t.territory_id: (
                t.territory_id,
                t.parent_id,
                t.kind,
                t.ceiling_kw,
                t.evses,
                t.charging,
                t.load_kw,
                t.baseline_kw,
                t.target_kw,
                t.shed_kw,
                t.available_kw,
                t.time_zone,
                t.ceiling_amps,
            )
            for t in self._board.territories()
        }

    def _lines(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """EVSEs as the table shows them, in the order of COLUMNS."""
        lines: list[tuple[Any, ...]] = []
        for row, baseline_kw in zip(rows, self._board.baselines(rows), strict=True):
            evse, reading, limit = row.evse, row.reading, row.limit if row.limited else None
            assert evse is not None  # noqa: S101 - only rows that have been filled are handed out
            lines.append(
                (
                    evse.evse_id,
                    evse.territory_id,
                    row.state,
                    None if reading is None else round(reading.kw, 3),
                    baseline_kw,
                    None if limit is None else limit.max_a,
                    None if limit is None else limit.until,
                    None if limit is None else str(limit.cause),
                    evse.max_a,
                    row.heard_at,
                    evse.site,
                )
            )
        return lines

    def _note_point(self) -> None:
        total = self._board.total
        target = total.baseline_kw - total.wanted_kw if total.wanted_kw else None
        at = self._last["at"]
        if self._points and (at - self._points[-1][0]).total_seconds() < POINT_S:
            return
        self._points.append(
            (
                at,
                round(total.load_kw, 2),
                round(total.baseline_kw, 2),
                target and round(target, 2),
                round(total.available_kw, 2),
            )
        )

    def _new_lines(self) -> tuple[list[tuple[int, Fact]], int]:
        """New rows of the log; in a burst the rare ones first, and how many were left out."""
        rare = [x for x in self._rare if x[0] > self._told_seq]
        if rare:
            self._told_seq = rare[-1][0]
        room = max(LOG_LINES - len(rare), 0)
        bulk = list(self._bulk)[-room:] if room else []
        omitted = self._bulk_count - len(bulk) + max(len(rare) - LOG_LINES, 0)
        self._bulk.clear()
        self._bulk_count = 0
        shown = sorted(rare[-LOG_LINES:] + bulk, key=lambda x: x[0])
        return shown, omitted

    # --- everything, for who just came

    def _everything(self, tongue: Tongue, *, rows: bool) -> Event:
        """A full snapshot. The rows, its large part, are encoded once per tick for all who come."""
        body: dict[str, Any] = {
            **in_words(self._last, tongue),
            "columns": COLUMNS,
            "readingColumns": READING_COLUMNS,
            "nodeColumns": NODE_COLUMNS,
            "territories": list(self._nodes.values()),
        }
        if rows:
            if self._full[0] != self.ticks:
                self._full = (self.ticks, encode(self._lines(list(self._board.rows.values()))))
            body["evses"] = msgspec.Raw(self._full[1])
        return Event("snapshot", encode(body))

    async def _past(self, tongue: Tongue) -> Event:
        """What the store remembers: the curve of the past hours, the last rows of the log. It may take its time."""
        return Event("past", encode({"history": await self._history(), "log": await self._log_lines(tongue)}))

    async def _history(self) -> list[Point]:
        """The past hours: what was seen live, and from the store what nobody watched."""
        now = self._headend.clock.now()
        since = now - timedelta(seconds=HISTORY_S)
        seen = [p for p in self._points if p[0] >= since]
        near = {int(p[0].timestamp()) // 60 for p in seen}
        try:
            async with asyncio.timeout(3.0):
                rows = await self._headend.store.query("load_curve", since=since, until=now)
        except (Unavailable, TimeoutError) as error:
            log.warning("web.no_history", why=str(error))
            rows = []
        for row in rows:
            at = row["interval_start"] + HALF_INTERVAL  # a mean stands in the middle of its interval
            if int(at.timestamp()) // 60 not in near:
                seen.append(unwatched(self._headend.state, self._board, at, row["kw"], row["shed_kw"]))
        seen.sort(key=lambda p: p[0])
        step = len(seen) // POINTS + 1
        return seen[::step]

    async def _log_lines(self, tongue: Tongue) -> list[dict[str, Any]]:
        """The last rows of the log, and further back the last of the rare kinds; oldest first."""
        try:
            async with asyncio.timeout(3.0):
                rows = await self._headend.store.query("activity", limit=LOG_LINES)
        except (Unavailable, TimeoutError) as error:
            log.warning("web.no_log", why=str(error))
            return []
        stored = {
            x.seq: {"seq": x.seq, "at": x.at, "actor": x.actor, "kind": x.kind, "text": x.text}
            for x in (activity_of(row, tongue) for row in rows)
        }
        rare = {seq: log_line(seq, fact, tongue) for seq, fact in self._rare}
        return [line for _, line in sorted({**stored, **rare}.items())]


def _release_min(kw: float, rules: Rules) -> float:
    """How long a shed takes to come back: along the slow return, a small one faster."""
    return kw / max(kw / rules.return_min, rules.ramp_floor_kw_per_min, 1e-9)


def _plain(data: bytes, *, packed: bool) -> bytes:
    """What is no event: a sign of life."""
    return block(data) if packed else data
