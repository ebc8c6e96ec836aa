"""The live view: every record dispatch may need. The tables are its rows, the log its history.

The log leads: `fold(evolve, log) == tables == live view`. `State.put` puts a new record in and returns what stood
there before, so that a commit that failed can be taken back to the letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from emw.domain.hand import HandLimit, Priority, TerritoryStop, Wiring
from emw.domain.model import (
    RECORDS,
    Enrolment,
    Evse,
    Halt,
    Iso,
    Limit,
    Record,
    ReductionRequest,
    Report,
    RequestInterval,
    Session,
    Station,
    StationTraits,
    Territory,
    Transaction,
)
from emw.domain.people import ApiKey, Operator
from emw.domain.signals import GridCeiling, GridLink, GridReport, GridSignal, LoadInterval
from emw.domain.vtn import VtnClient, VtnObject, VtnToken

_ROW_KEYS: Final = {kind: attrgetter(*kind.key_fields) for kind in RECORDS}
Undo = tuple[dict[Any, Any], Any, Record | None]


class State:
    """Records by key. What has ended (sessions, enrolments, delivered reports) stays in the tables only."""

    __slots__ = (
        "_by_type",
        "_of_station",
        "_paths",
        "api_keys",
        "enrolments",
        "evses",
        "grid_ceilings",
        "grid_links",
        "grid_reports",
        "halt",
        "hand_limits",
        "intervals",
        "isos",
        "limits",
        "load_intervals",
        "operators",
        "priorities",
        "reports",
        "requests",
        "sessions",
        "signals",
        "stations",
        "stops",
        "territories",
        "traits",
        "transactions",
        "vtn_clients",
        "vtn_objects",
        "vtn_tokens",
        "wirings",
    )

    def __init__(self) -> None:
        self.territories: dict[str, Territory] = {}
        self.stations: dict[str, Station] = {}
        self.evses: dict[str, Evse] = {}
        self.sessions: dict[str, Session] = {}
        self.limits: dict[str, Limit] = {}
        self.traits: dict[str, StationTraits] = {}
        self.transactions: dict[tuple[str, str], Transaction] = {}
        self.isos: dict[str, Iso] = {}
        self.requests: dict[str, ReductionRequest] = {}
        self.enrolments: dict[tuple[str, str], Enrolment] = {}
        self.intervals: dict[tuple[str, Any], RequestInterval] = {}
        self.reports: dict[str, Report] = {}
        self.operators: dict[str, Operator] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self.halt: dict[str, Halt] = {"all": Halt()}
        self.signals: dict[tuple[str, str], GridSignal] = {}
        self.grid_links: dict[str, GridLink] = {}
        self.grid_ceilings: dict[str, GridCeiling] = {}
        self.grid_reports: dict[tuple[str, str, str], GridReport] = {}
        self.load_intervals: dict[tuple[str, Any], LoadInterval] = {}
        self.hand_limits: dict[str, HandLimit] = {}
        self.priorities: dict[str, Priority] = {}
        self.wirings: dict[str, Wiring] = {}
        self.stops: dict[str, TerritoryStop] = {}
        self.vtn_clients: dict[str, VtnClient] = {}
        self.vtn_tokens: dict[tuple[str, int], VtnToken] = {}
        self.vtn_objects: dict[str, VtnObject] = {}
        self._of_station: dict[str, list[str]] = {}
        self._paths: dict[str, tuple[str, ...]] = {}
        kept: dict[type[Any], tuple[dict[Any, Any], Callable[[Any], bool]]] = {
            Territory: (self.territories, _always),
            Station: (self.stations, _always),
            Evse: (self.evses, _always),
            Session: (self.sessions, lambda r: r.ended_at is None),
            Limit: (self.limits, _always),
            StationTraits: (self.traits, _always),
            Transaction: (self.transactions, lambda r: r.ended_at is None),
            Iso: (self.isos, _always),
            ReductionRequest: (self.requests, _always),
            Enrolment: (self.enrolments, lambda r: r.left_at is None),
            RequestInterval: (self.intervals, _never),
            Report: (self.reports, lambda r: not (r.delivered_at or r.dropped_at)),
            Operator: (self.operators, _always),
            ApiKey: (self.api_keys, _always),
            Halt: (self.halt, _always),
            GridSignal: (self.signals, lambda r: r.ended_at is None),
            GridLink: (self.grid_links, _always),
            GridCeiling: (self.grid_ceilings, lambda r: r.kw is not None),
            GridReport: (self.grid_reports, lambda r: r.closed_at is None),
            LoadInterval: (self.load_intervals, _never),
            HandLimit: (self.hand_limits, lambda r: r.max_a is not None),
            Priority: (self.priorities, lambda r: r.priority != 1.0),
            Wiring: (self.wirings, lambda r: r.wiring is not None),
            TerritoryStop: (self.stops, lambda r: r.stopped),
            VtnClient: (self.vtn_clients, _always),
            VtnToken: (self.vtn_tokens, _always),
            VtnObject: (self.vtn_objects, lambda r: r.deleted_at is None),
        }
        self._by_type = {
            kind: (table, attrgetter(*getattr(kind, "found_by", kind.key_fields)), stays)
            for kind, (table, stays) in kept.items()
        }

    def put(self, record: Record) -> Undo:
        """Put one record in, or drop it where it has ended; returns what undoes that."""
        table, name_of, stays = self._by_type[type(record)]
        key = name_of(record)
        before = table.get(key)
        if stays(record):
            table[key] = record
            if before is None and isinstance(record, Evse):
                self._of_station.setdefault(record.station_id, []).append(record.evse_id)
            elif isinstance(record, Territory):
                self._paths.clear()
        elif before is not None:
            del table[key]
        return table, key, before

    def fill(self, kind: type[Record], records: Iterable[Any]) -> None:
        """Put all records of one kind in at once, as a start does with hundreds of thousands."""
        table, name_of, stays = self._by_type[kind]
        if kind in {Evse, Territory}:
            for record in records:
                self.put(record)
        elif stays is _always:
            kept = list(records)
            table.update(zip(map(name_of, kept), kept, strict=True))
        else:
            table.update((name_of(record), record) for record in records if stays(record))

    def session_of(self, evse: Evse) -> Session | None:
        """The stay of the vehicle that is plugged in; None: there is none."""
        return None if evse.session_id is None else self.sessions.get(evse.session_id)

    def held(self, evse_id: str, now: datetime) -> Limit | None:
        """The limit that an EVSE's station may be holding now; None: there is none."""
        limit = self.limits.get(evse_id)
        return limit if limit is not None and limit.in_force(now) else None

    def evses_of(self, station_id: str) -> list[Evse]:
        """A station's EVSEs, in the order they were found."""
        found = (self.evses.get(key) for key in self._of_station.get(station_id, ()))
        return [evse for evse in found if evse is not None and evse.station_id == station_id]

    def undo(self, steps: Iterable[Undo]) -> None:
        """Take back what `put` did. `steps` in the order they were made."""
        self._paths.clear()
        for table, key, before in reversed(list(steps)):
            if before is None:
                taken = table.pop(key, None)
                if isinstance(taken, Evse):
                    self._forget(taken)
            else:
                table[key] = before

    def _forget(self, evse: Evse) -> None:
        """An EVSE that was found is not there after all."""
        found = self._of_station[evse.station_id]
        found.remove(evse.evse_id)
        if not found:
            del self._of_station[evse.station_id]

    @property
    def halted(self) -> bool:
        """Whether all dispatch is stopped."""
        return self.halt["all"].halted

    def ceiling_kw(self, territory_id: str) -> float | None:
        """The ceiling that holds at a node now: its own or the one signals set, whichever is lower; kW."""
        by_grid = self.grid_ceilings.get(territory_id)
        both = (self.territories[territory_id].ceiling_kw, None if by_grid is None else by_grid.kw)
        return min((kw for kw in both if kw is not None), default=None)

    def ruled(self, territory_id: str) -> bool:
        """Whether any ceiling holds at a node now."""
        return (
            self.ceiling_kw(territory_id) is not None or self.territories[territory_id].ceiling_a is not None
        )

    def path(self, territory_id: str) -> tuple[str, ...]:
        """The nodes from `territory_id` up to its root, nearest first. Unknown nodes end the path."""
        path = self._paths.get(territory_id, ())
        if path or territory_id not in self.territories:
            return path
        nodes: list[str] = []
        node_id: str | None = territory_id
        while node_id is not None and node_id in self.territories and node_id not in nodes:
            nodes.append(node_id)
            node_id = self.territories[node_id].parent_id
        path = self._paths[territory_id] = tuple(nodes)
        return path

    def root(self, territory_id: str) -> str:
        """The root of the tree that a node hangs in."""
        return (self.path(territory_id) or (territory_id,))[-1]

    @property
    def roots(self) -> list[str]:
        """The roots of all trees, in order."""
        return sorted({self.root(territory_id) for territory_id in self.territories})


def key_of(record: Record) -> Any:
    """The key of a record's row: the value, or a tuple of them where there are several."""
    return _ROW_KEYS[type(record)](record)


def _always(_: object) -> bool:
    return True


def _never(_: object) -> bool:
    return False
