"""The board: one row per EVSE and the sums of every territory, kept up to date by looking only at what changed.

Records are frozen and replaced when they change, so "is it the same object" is the whole comparison: a look at
10,000 EVSEs costs some milliseconds, and only rows that changed are made anew. Lists, territories, metrics and the
live feed all read this one board.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from emw.domain.model import Evse, Limit, RequestState, Session
from emw.service.headend import HeadEnd
from emw.service.ports import Reading
from emw.service.tally import curtailed_kw
from emw.service.telemetry import Live
from emw.web.wire import EvseOut, TerritoryOut

DRAWS_KW: Final = 0.05
"""Less than this is standby, not charging."""
AGAIN: Final = 64
"""Every so many looks the sums are made anew from all rows."""


class Row:
    """One EVSE as the board knows it. `version`: the look at which it last changed."""

    __slots__ = (
        "available_kw",
        "baseline_kw",
        "evse",
        "heard_at",
        "limit",
        "limited",
        "live",
        "load_kw",
        "measured_kw",
        "out",
        "reading",
        "session",
        "shed_kw",
        "state",
        "turns_at",
        "version",
    )

    def __init__(self) -> None:
        self.evse: Evse | None = None
        self.limit: Limit | None = None
        self.reading: Reading | None = None
        self.session: Session | None = None
        self.live: Live | None = None
        self.heard_at: datetime | None = None
        self.state = ""
        self.limited = False
        self.load_kw = 0.0
        self.measured_kw: float | None = None
        self.baseline_kw = 0.0
        self.shed_kw = 0.0
        self.available_kw = 0.0
        self.turns_at: datetime | None = None
        self.version = 0
        self.out: EvseOut | None = None


class Sums:
    """What lies under one territory."""

    __slots__ = ("available_kw", "baseline_kw", "charging", "evses", "load_kw", "shed_kw", "wanted_kw")

    def __init__(self) -> None:
        self.evses = 0
        self.charging = 0
        self.load_kw = 0.0
        self.baseline_kw = 0.0
        self.shed_kw = 0.0
        self.available_kw = 0.0
        self.wanted_kw = 0.0

    def take(self, row: Row, way: int) -> None:
        """Put a row in (1), or take it out as it stands (-1)."""
        self.evses += way
        self.charging += way * (row.load_kw > DRAWS_KW)
        self.load_kw += way * row.load_kw
        self.baseline_kw += way * row.baseline_kw
        self.shed_kw += way * row.shed_kw
        self.available_kw += way * row.available_kw

    def add(self, other: Sums) -> None:
        """Take in a child's sums."""
        self.evses += other.evses
        self.charging += other.charging
        self.load_kw += other.load_kw
        self.baseline_kw += other.baseline_kw
        self.shed_kw += other.shed_kw
        self.available_kw += other.available_kw


class Board:
    """Rows and sums, as of the last `look`."""

    def __init__(self, headend: HeadEnd) -> None:
        self._headend = headend
        self.rows: dict[str, Row] = {}
        self.version = 0
        self._leaves: dict[str, Sums] = {}
        self._anew = False
        """The leaves' sums can't be carried on: they must be made from all rows."""
        self.sums: dict[str, Sums] = {}
        self.total = Sums()
        self.states: Counter[str] = Counter()
        """How many EVSEs are in each state."""

    def look(self) -> list[Row]:
        """Bring the board up to date; returns the rows that changed."""
        headend = self._headend
        now = headend.clock.now()
        self.version += 1
        changed = self._changed(now)
        if self._anew or self.version % AGAIN == 0:  # sums that are carried on drift by their roundings
            self._sum_leaves()
        self._sum_tree()
        return changed

    def _changed(self, now: datetime) -> list[Row]:
        state, live = self._headend.state, self._headend.telemetry.live
        limits, sessions, rows = state.limits, state.sessions, self.rows
        changed: list[Row] = []
        if len(rows) > len(state.evses):  # a commit that failed took EVSEs back
            gone = [evse_id for evse_id in rows if evse_id not in state.evses]
            self._anew = True
            for evse_id in gone:
                del rows[evse_id]
            for row in rows.values():
                row.evse = None
            self.states = Counter(row.state for row in rows.values())
        for evse_id, evse in state.evses.items():
            known = rows.get(evse_id)
            limit = limits.get(evse_id)
            if known is not None and known.evse is evse and known.limit is limit:
                # A session that comes or goes makes a new record of its EVSE.
                seen = known.live
                heard = evse_id in live if seen is None else seen.reading is not known.reading
                if not heard and (known.turns_at is None or now < known.turns_at):
                    continue
            row = known or Row()
            rows[evse_id] = row
            leaf = self._leaves.get(evse.territory_id)
            if leaf is None or (row.evse is not None and row.evse.territory_id != evse.territory_id):
                self._anew = True
            row.evse, row.limit, row.live = evse, limit, live.get(evse_id)
            row.session = None if evse.session_id is None else sessions.get(evse.session_id)
            row.reading = None if row.live is None else row.live.reading
            row.heard_at = None if row.live is None else row.live.heard_at
            if leaf is not None and known is not None:
                leaf.take(row, -1)
            was = row.state
            self._fill(row, evse, now)
            if leaf is not None:
                leaf.take(row, 1)
            if row.state != was:
                self.states[was] -= bool(was)
                self.states[row.state] += 1
            row.version = self.version
            row.out = None
            changed.append(row)
        return changed

    def _fill(self, row: Row, evse: Evse, now: datetime) -> None:
        telemetry = self._headend.telemetry
        limit, session = row.limit, row.session
        opted_out = evse.opted_out_until is not None and evse.opted_out_until > now
        row.limited = limit is not None and limit.in_force(now)
        row.turns_at = min(
            (t for t in (limit.until if limit else None, evse.opted_out_until) if t is not None and t > now),
            default=None,
        )
        row.measured_kw = telemetry.drawn_kw(evse.evse_id) if session is not None else None
        would_a, baseline_a, gap_a, _ = telemetry.outlook(evse, session)
        kw_per_a = evse.kw_per_a
        row.baseline_kw = kw_per_a * baseline_a
        row.load_kw = row.baseline_kw if row.measured_kw is None else row.measured_kw
        measured = row.limited and row.measured_kw is not None and evse.online
        row.shed_kw = row.baseline_kw - row.load_kw if measured else 0.0
        floor_a = 0.0 if evse.may_pause else evse.floor_a
        can = session is not None and evse.online and not opted_out
        fades_kw = kw_per_a * would_a - row.baseline_kw
        row.available_kw = max(curtailed_kw(evse, would_a, floor_a, gap_a) - fades_kw, 0.0) if can else 0.0
        row.state = _state_of(row, evse, opted_out=opted_out)

    def _sum_leaves(self) -> None:
        """Every leaf from its rows."""
        self._anew = False
        self._leaves.clear()
        for row in self.rows.values():
            if row.evse is None:
                continue
            sums = self._leaves.get(row.evse.territory_id)
            if sums is None:
                sums = self._leaves[row.evse.territory_id] = Sums()
            sums.take(row, 1)

    def _sum_tree(self) -> None:
        """From the leaves up. A node's target is its largest request, or what its children's come to."""
        state, path = self._headend.state, self._headend.dispatch.picture.path
        sums = {territory_id: Sums() for territory_id in state.territories}
        self.total = Sums()
        for territory_id, leaf in self._leaves.items():
            self.total.add(leaf)
            for node_id in path(territory_id):
                if node_id in sums:
                    sums[node_id].add(leaf)
        for request in state.requests.values():
            if request.state is RequestState.ACTIVE and request.territory_id in sums:
                node = sums[request.territory_id]
                node.wanted_kw = max(node.wanted_kw, request.kw)
        below: dict[str, float] = {}
        for node_id in sorted(sums, key=lambda n: -len(path(n))):
            parent_id = state.territories[node_id].parent_id
            sums[node_id].wanted_kw = max(sums[node_id].wanted_kw, below.get(node_id, 0.0))
            if parent_id in sums:
                below[str(parent_id)] = below.get(str(parent_id), 0.0) + sums[node_id].wanted_kw
            else:
                self.total.wanted_kw += sums[node_id].wanted_kw
        self.sums = sums

    # --- telling

    def told(self, row: Row) -> EvseOut:
        """A row in the words of the wire."""
        if row.out is not None:
            return row.out
        evse = row.evse
        assert evse is not None  # noqa: S101 - only rows that have been filled are handed out
        limit = row.limit if row.limited else None
        row.out = EvseOut(
            evse_id=evse.evse_id,
            territory=evse.territory_id,
            state=row.state,
            load_kw=_round(row.measured_kw),
            baseline_kw=round(row.baseline_kw, 3),
            current_amps=None
            if row.reading is None or row.session is None
            else _round(row.reading.current_a),
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
        return row.out

    def territories(self) -> list[TerritoryOut]:
        """Every node with its sums, ids in order."""
        state = self._headend.state
        return [
            TerritoryOut(
                territory_id=t.territory_id,
                parent_id=t.parent_id,
                kind=t.kind,
                ceiling_kw=t.ceiling_kw,
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


def _state_of(row: Row, evse: Evse, *, opted_out: bool) -> str:
    """The one word for an EVSE."""
    if not evse.powered:
        return "off"
    if not evse.online:
        return "offline"
    if row.session is None:
        return "free"
    if row.limited:
        return "limited"
    if opted_out:
        return "opted out"
    return "charging" if row.load_kw > DRAWS_KW else "idle"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


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
