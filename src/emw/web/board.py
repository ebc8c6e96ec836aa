"""The board: one row per EVSE and the sums of every territory, kept up to date by looking only at what changed.

Records are frozen and replaced when they change, so "is it the same object" is the whole comparison, and it is made
for all EVSEs at once; who has a new reading, telemetry says. Only rows that changed are made anew. Lists, territories,
metrics and the live feed all read this one board.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from emw.domain.model import Evse, Limit, ReductionRequest, RequestState, Session
from emw.service.customer_cap import beyond_cap
from emw.service.headend import HeadEnd
from emw.service.ports import Reading
from emw.service.tally import (
    BASELINE,
    DRAWN,
    LOAD,
    METERS,
    SHED,
    STANDING,
    Figures,
    Part,
    parts_of,
    seen_of,
    standing_of,
)
from emw.service.telemetry import Live
from emw.web.wire import EvseOut, TerritoryOut

DRAWS_KW: Final = 0.05
"""Less than this is standby, not charging."""
NEVER: Final = datetime.max.replace(tzinfo=UTC)
PARTS: Final = len(Part._fields)
Places = npt.NDArray[np.intp]


class Row:
    """One EVSE as the board knows it."""

    __slots__ = ("evse", "limit", "limited", "live", "place", "session", "state", "turns_at", "word")

    def __init__(self) -> None:
        self.place = -1
        """Where it stands in the board's order."""
        self.evse: Evse | None = None
        self.limit: Limit | None = None
        self.session: Session | None = None
        self.live: Live | None = None
        self.limited = False
        self.turns_at = NEVER
        """When a limit or an opt-out ends by itself."""
        self.word: str | None = None
        """Its state, where that does not depend on what it draws."""
        self.state = ""

    @property
    def reading(self) -> Reading | None:
        """What its meter said last of the vehicle that is there."""
        return None if self.live is None or self.session is None else self.live.reading

    @property
    def heard_at(self) -> datetime | None:
        """When its station was heard last."""
        return None if self.live is None else self.live.heard_at


class Sums:
    """What lies under one territory."""

    __slots__ = ("charging", "evses", "part", "wanted_kw")

    def __init__(self, evses: int = 0, figures: Iterable[float] = (0.0,) * (PARTS + 1)) -> None:
        *part, charging = figures
        self.part = Part(*part)
        self.evses = evses
        self.charging = int(charging)
        self.wanted_kw = 0.0

    @property
    def load_kw(self) -> float:
        """Measured, and what is expected where nothing is."""
        return self.part.load_kw

    @property
    def baseline_kw(self) -> float:
        """Without limits."""
        return self.part.baseline_kw

    @property
    def shed_kw(self) -> float:
        """As metered, of those who are held or give back: the very sum that a request of this node is told."""
        return self.part.shed_kw

    @property
    def available_kw(self) -> float:
        """What could be shed."""
        return self.part.available_kw


class Board:
    """Rows and sums, as of the last `look`."""

    def __init__(self, headend: HeadEnd) -> None:
        self._headend = headend
        self.rows: dict[str, Row] = {}
        self.sums: dict[str, Sums] = {}
        self.total = Sums()
        self.states: Counter[str] = Counter()
        """How many EVSEs are in each state."""
        self._renewed: set[int] = set()
        self._read: set[int] = set()
        self._turns_at = NEVER
        """No row turns before that."""
        self._beyond: frozenset[str] = frozenset()
        # The same for all EVSEs side by side, in one order: records as they were, and what is summed up.
        self._ids: list[str] = []
        self._order: list[Row] = []
        self._evses: list[Evse] = []
        self._limits: list[Limit] = []
        self._standing: Figures = np.zeros((0, STANDING))
        self._parts: Figures = np.zeros((0, PARTS))
        self._drawn_kw: Figures = np.zeros(0)
        # Leaves in order, how many rows each has, where they begin among the rows laid leaf by leaf.
        self._leaves: list[str] = []
        self._counts: Places = np.zeros(0, dtype=np.intp)
        self._starts: Places = self._counts
        self._by_leaf: Places | None = None

    def look(self) -> None:
        """Bring the board up to date."""
        state, now = self._headend.state, self._headend.clock.now()
        fresh = self._headend.telemetry.fresh
        ids, evses, limits = list(state.evses), list(state.evses.values()), list(state.limits.values())
        if ids != self._ids:
            self._order_anew(ids)
        records: set[int] = set()
        if evses != self._evses:  # a session that comes or goes makes a new record of its EVSE
            records.update(n for n, row in enumerate(self._order) if row.evse is not evses[n])
            self._evses = list(evses)
        if limits != self._limits:
            get = state.limits.get
            records.update(n for n, row in enumerate(self._order) if row.limit is not get(ids[n]))
            self._limits = limits
        touched = records.union(self.rows[evse_id].place for evse_id in fresh if evse_id in self.rows)
        fresh.clear()
        if now >= self._turns_at:
            touched.update(row.place for row in self._order if row.turns_at <= now)
            self._turns_at = min((r.turns_at for r in self._order if r.turns_at > now), default=NEVER)
            records = set(touched)
        if records:
            beyond = beyond_cap(state, self._headend.settings.most_evses_per_customer, now)
            records.update(self.rows[evse_id].place for evse_id in beyond ^ self._beyond)
            self._beyond = beyond
            self._settle(records, now)
            touched |= records
        if touched:
            self._renewed |= records
            self._measure([self._order[place] for place in touched])
            self._read |= touched
        self._sum_tree()

    def news(self) -> tuple[list[Row], list[int]]:
        """Rows of which more than the reading changed since this was asked last, and the others' places.

        Whoever looked meanwhile takes nothing away.
        """
        renewed, read = [self._order[place] for place in self._renewed], list(self._read - self._renewed)
        self._renewed.clear()
        self._read.clear()
        return renewed, read

    def _order_anew(self, ids: list[str]) -> None:
        """EVSEs came, or a commit that failed took some back."""
        rows = {evse_id: self.rows.get(evse_id) or Row() for evse_id in ids}
        for evse_id in self.rows.keys() - rows.keys():
            self.states[self.rows[evse_id].state] -= 1
        order = list(rows.values())
        old = [row.place for row in order]  # one who is new stood last, with nothing
        self._standing = np.vstack([self._standing, np.zeros((1, STANDING))])[old]
        self._parts = np.vstack([self._parts, np.zeros((1, PARTS))])[old]
        self._drawn_kw = np.append(self._drawn_kw, 0.0)[old]
        self._by_leaf = None
        renewed = [self._order[place] for place in self._renewed | self._read]
        for place, row in enumerate(order):
            row.place = place
        self._read.clear()
        self._renewed = {row.place for row in renewed if row.evse is not None and row.evse.evse_id in rows}
        self.rows, self._ids, self._order = rows, ids, order
        self._beyond &= rows.keys()

    def _settle(self, places: Iterable[int], now: datetime) -> None:
        """What follows from an EVSE's records alone."""
        state = self._headend.state
        for place in places:
            row, evse = self._order[place], self._evses[place]
            limit = state.limits.get(evse.evse_id)
            if row.evse is None or row.evse.territory_id != evse.territory_id:
                self._by_leaf = None
            opt_out = evse.opted_out_until
            opted_out = opt_out is not None and opt_out > now
            row.evse, row.limit = evse, limit
            row.session = state.session_of(evse)
            row.limited = limit is not None and limit.in_force(now)
            row.turns_at = limit.until if row.limited and limit is not None else NEVER
            if opted_out and opt_out is not None:
                row.turns_at = min(row.turns_at, opt_out)
            self._turns_at = min(self._turns_at, row.turns_at)
            row.word = _word_of(row, evse, opted_out=opted_out)
            counts = evse.evse_id not in self._beyond
            self._standing[place] = standing_of(evse, row.session, limit, now, counts=counts)

    def _measure(self, rows: list[Row]) -> None:
        """What follows from its reading, too. Hot: each reading of the whole fleet passes here."""
        lives = self._headend.telemetry.live
        seen: list[tuple[float, ...]] = []
        for row in rows:
            evse = row.evse
            assert evse is not None  # noqa: S101 - settled before it is measured
            live = row.live
            if live is None:
                live = row.live = lives.get(evse.evse_id)
            seen.append(seen_of(live, evse, row.session))
        places, lines = [row.place for row in rows], np.array(seen)
        self._drawn_kw[places] = lines[:, DRAWN]
        parts = self._parts[places] = parts_of(self._standing[places], lines)
        for row, load_kw in zip(rows, parts[:, LOAD].tolist(), strict=True):
            state = row.word or ("charging" if load_kw > DRAWS_KW else "idle")
            if state != row.state:
                self.states[row.state] -= bool(row.state)
                self.states[state] += 1
                row.state = state
                self._renewed.add(row.place)

    def _group(self) -> Places:
        """Where each leaf's rows stand, leaf by leaf."""
        where = [row.evse.territory_id for row in self._order if row.evse is not None]
        counts = Counter(where)
        self._leaves = sorted(counts)
        self._counts = np.array([counts[leaf] for leaf in self._leaves], dtype=np.intp)
        self._starts = self._counts.cumsum() - self._counts
        return np.array(sorted(range(len(where)), key=where.__getitem__), dtype=np.intp)

    def _sum_tree(self) -> None:
        """From the leaves up. A node's target is its largest request, or what its children's come to."""
        state = self._headend.state
        lines = np.column_stack([self._parts, self._parts[:, LOAD] > DRAWS_KW])
        if self._by_leaf is None:
            self._by_leaf = self._group()
        figures = np.zeros((0, PARTS + 1))
        if self._ids:
            figures = np.add.reduceat(lines[self._by_leaf], self._starts, axis=0)
        counts = self._counts
        below_of: dict[str, list[int]] = {territory_id: [] for territory_id in state.territories}
        for leaf, territory_id in enumerate(self._leaves):
            for node_id in state.path(territory_id):
                if node_id in below_of:
                    below_of[node_id].append(leaf)
        sums = {
            node_id: Sums(int(counts[leaves].sum()), figures[leaves].sum(axis=0).tolist())
            for node_id, leaves in below_of.items()
        }
        self.total = Sums(int(counts.sum()), figures.sum(axis=0).tolist())
        wanted = self.wanted(r for r in state.requests.values() if r.state is RequestState.ACTIVE)
        for node_id, kw in wanted.items():
            sums[node_id].wanted_kw = kw
            if state.territories[node_id].parent_id not in sums:
                self.total.wanted_kw += kw
        self.sums = sums

    def wanted(self, requests: Iterable[ReductionRequest]) -> dict[str, float]:
        """What these requests together ask of each node, kW: its largest one, or what its children's come to."""
        state = self._headend.state
        wanted = dict.fromkeys(sorted(state.territories, key=lambda n: -len(state.path(n))), 0.0)
        for request in requests:
            if request.territory_id in wanted:
                wanted[request.territory_id] = max(wanted[request.territory_id], request.kw)
        below = dict.fromkeys(wanted, 0.0)
        for node_id, kw in wanted.items():  # from the leaves up
            wanted[node_id] = max(kw, below[node_id])
            parent_id = state.territories[node_id].parent_id
            if parent_id in below:
                below[parent_id] += wanted[node_id]
        return wanted

    # --- telling

    def told(self, row: Row) -> EvseOut:
        """A row in the words of the wire."""
        evse, reading = row.evse, row.reading
        assert evse is not None  # noqa: S101 - only rows that have been filled are handed out
        limit = row.limit if row.limited else None
        return EvseOut(
            evse_id=evse.evse_id,
            territory=evse.territory_id,
            state=row.state,
            load_kw=None if reading is None else round(reading.kw, 3),
            baseline_kw=self.baselines([row])[0],
            current_amps=None if reading is None else round(reading.current_a, 3),
            limit_amps=None if limit is None else limit.max_a,
            limit_until=None if limit is None else limit.until,
            limit_cause=None if limit is None else str(limit.cause),
            evse_max_amps=evse.max_a,
            online=evse.online,
            heard_at=row.heard_at,
            evse_model=evse.model,
            site=evse.site,
            session_id=evse.session_id,
            opted_out_until=evse.opted_out_until,
        )

    def load_kw(self, row: Row) -> float:
        """Measured, or what is expected where nothing is."""
        return float(self._parts[row.place, LOAD])

    def shed_kw(self, row: Row) -> float | None:
        """What it is believed to give now; None: no meter that counts stands behind it, or it is not held."""
        return float(self._parts[row.place, SHED]) if self._parts[row.place, METERS] else None

    def readings(self, places: Sequence[int]) -> list[tuple[str, float, float]]:
        """Id, load measured last (nan: none) and load without limits, kW, to the watt."""
        loads, baselines = self._drawn_kw[places].round(3), self._parts[places, BASELINE].round(3)
        ids = [self._ids[place] for place in places]
        return list(zip(ids, loads.tolist(), baselines.tolist(), strict=True))

    def baselines(self, rows: Sequence[Row]) -> list[float]:
        """What each would draw without limits, kW, to the watt."""
        found: list[float] = self._parts[[row.place for row in rows], BASELINE].round(3).tolist()
        return found

    def territories(self) -> list[TerritoryOut]:
        """Every node with its sums, ids in order."""
        state = self._headend.state
        return [
            TerritoryOut(
                territory_id=t.territory_id,
                parent_id=t.parent_id,
                kind=t.kind,
                ceiling_kw=t.ceiling_kw,
                ceiling_amps=t.ceiling_a,
                time_zone=t.time_zone,
                evses=s.evses,
                charging=s.charging,
                load_kw=round(s.load_kw, 3),
                baseline_kw=round(s.baseline_kw, 3),
                target_kw=round(max(s.baseline_kw - s.wanted_kw, 0.0), 3),
                shed_kw=round(s.shed_kw, 3),
                available_kw=round(s.available_kw, 3),
            )
            for t in sorted(state.territories.values(), key=lambda t: t.territory_id)
            for s in (self.sums.get(t.territory_id) or Sums(),)
        ]


def _word_of(row: Row, evse: Evse, *, opted_out: bool) -> str | None:
    """The one word for an EVSE; None where its meter says which."""
    if not evse.powered:
        return "off"
    if not evse.online:
        return "offline"
    if row.session is None:
        return "free"
    if row.limited:
        return "limited"
    return "opted out" if opted_out else None


def filtered(
    rows: Iterable[Row], *, inside: set[str] | None, state: str | None, text: str | None, evse_id: str | None
) -> list[Row]:
    """The rows that a list asks for; all given conditions hold."""
    words = text.casefold() if text else None
    found: list[Row] = []
    for row in rows:
        evse = row.evse
        if evse is None or (inside is not None and evse.territory_id not in inside):
            continue
        if (state is not None and row.state != state) or (evse_id is not None and evse.evse_id != evse_id):
            continue
        if words is not None and not any(
            words in part.casefold()
            for part in (evse.evse_id, evse.model, evse.site or "", evse.territory_id)
        ):
            continue
        found.append(row)
    return found
