"""The rows that a request's shed is measured by, read once: its stays, its means, its intervals, its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from emw.domain.units import kw_per_a
from emw.engine import measured as m
from emw.engine.baseline import BEFORE, LOOKBACK_DAYS, WINDOW
from emw.service.errors import NotFound
from emw.service.evidence.sources import MOST, Row, Sources

LOOKBACK: Final = timedelta(days=LOOKBACK_DAYS) + WINDOW + BEFORE + timedelta(hours=1)
"""So long before a request its baseline looks at: the quiet hours of the first day, clocks put forward since."""
_UTC: Final = ZoneInfo("UTC")
_NAMED: Final = 5
"""Of many requests that overlap, a note names so many."""


@dataclass(frozen=True)
class Case:
    """One request with the rows it is measured by."""

    request: Row
    zone: ZoneInfo
    territory_ids: tuple[str, ...]
    paths: Mapping[str, tuple[str, ...]]
    """Node under the request's to the nodes above it, up to the request's own."""
    intervals: tuple[datetime, ...]
    """Five-minute intervals wholly inside, as far as they have their means."""
    until: datetime
    """Means go this far: the time of belief of what is made from them."""
    stays: tuple[m.Stay, ...]
    """That the event touched."""
    there: m.Presence
    """How many vehicles there were, of the event and of the days that it is compared with."""
    metered: Mapping[tuple[datetime, str], float]
    """The means of every interval that the event touches, and of the one before it."""
    twin: tuple[Row, ...]
    related: tuple[Row, ...]
    """Requests that touched the same EVSEs, this one among them."""
    first_at: datetime | None
    """The first mean there is."""

    @property
    def believed_at(self) -> datetime | None:
        """As of when its means are known; None: there are none yet."""
        return None if self.until == m.EPOCH else self.until

    @cached_property
    def before_kw(self) -> dict[str, float]:
        """Mean kW per EVSE in the last whole interval before the request began."""
        begun = self.request["started_at"]
        if begun is None:
            return {}
        last = m.grid_floor(begun) - m.STEP
        return {evse_id: kw for (at, evse_id), kw in self.metered.items() if at == last}

    @cached_property
    def loads(self) -> dict[datetime, dict[str, float]]:
        """Mean kW per interval and EVSE, a missing reading counting as no shed."""
        return m.filled(self.metered, self.stays, self.intervals, self.before_kw)

    @cached_property
    def _readings(self) -> Counter[datetime]:
        return Counter(at for at, _ in self.metered)

    @cached_property
    def shared(self) -> str | None:
        """Which requests ran over the same EVSEs at the same time, in words: each tells what was shed then."""
        own = self.request["request_key"]
        named = []
        for other in sorted(self.related, key=lambda r: (r["started_at"], r["request_key"])):
            begin = max(other["started_at"], self.request["started_at"] or other["started_at"])
            end = min(_end(other), _end(self.request))
            if other["request_key"] != own and begin < end:
                named.append(f"{other['request_key']} ({begin:%H:%M} to {end:%H:%M}Z)")
        if not named:
            return None
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return f"a part of it stands in {', '.join(named[:_NAMED])}{more} too: a sum counts it twice"

    def data_share(self, start: datetime, end: datetime) -> float | None:
        """Of the cells that touch [start, end), the share that was metered; None where nobody should have been."""
        first = m.grid_floor(start)
        touched = [first + m.STEP * i for i in range(max(1, -((first - end) // m.STEP)))]
        touched = [at for at in touched if at + m.STEP <= self.until]
        expected = self.there.cells(touched)
        if not expected:
            return None
        return round(min(1.0, sum(self._readings[at] for at in touched) / expected), 4)

    def confirmed_kw(self, start: datetime, end: datetime) -> float | None:
        """What stations had agreed to, by the live intervals that overlap; None where there are none."""
        weights = [
            ((min(end, r["end_at"]) - max(start, r["start_at"])).total_seconds(), r["confirmed_kw"])
            for r in self.twin
        ]
        over = [(s, kw) for s, kw in weights if s > 0]
        return sum(s * kw for s, kw in over) / sum(s for s, _ in over) if over else None


def _end(request: Row) -> datetime:
    """When it stopped, or is to stop."""
    end: datetime = request["ended_at"] or request["end_at"] or datetime.max.replace(tzinfo=UTC)
    return end


async def read_case(sources: Sources, request_key: str) -> Case:
    """Raises NotFound for a request that is not there."""
    store = sources.store
    found = await store.query("request", request_key=request_key)
    if not found:
        raise NotFound(f"there is no request {request_key!r}: write ISO:requestID", field="requestKey")
    request = found[0]
    nodes = {r["territory_id"]: r for r in await sources.once("territories")}
    under = _under(nodes, request["territory_id"])
    marks = (await sources.once("means_until"))[0]
    until = marks["until"] or m.EPOCH
    begun, ended = request["started_at"], request["ended_at"] or request["end_at"]
    so_far = min(ended or until, until)
    intervals = () if begun is None else tuple(m.whole_intervals(begun, so_far))
    stays: list[Row] = []
    metered = {}
    there = m.Presence(m.EPOCH, ())
    if begun is not None:
        first = m.grid_floor(begun)
        # The interval that an event ends in is in no figure of the meter's, but live intervals reach into it.
        last = max(m.grid_ceil(so_far), begun + m.STEP)
        there = await sources.there(under, begun - LOOKBACK, last)
        stays = await store.query("stays", territory_ids=under, since=first, until=last)
        means = await store.query("evse_means", territory_ids=under, since=first - m.STEP, until=last)
        metered = {(r["interval_start"], r["evse_id"]): r["mean_kw"] for r in means}
    twin = sorted(
        await store.query("intervals", request_key=request_key), key=lambda r: (r["start_at"], r["end_at"])
    )
    touching = set(under) | set(path_of(nodes, request["territory_id"]))
    requests = await sources.once("requests", limit=MOST)
    return Case(
        request,
        zone_of(nodes, request["territory_id"]),
        under,
        _paths(nodes, request["territory_id"], under),
        intervals,
        until,
        tuple(_stay(r) for r in stays),
        there,
        metered,
        tuple(twin),
        tuple(r for r in requests if r["territory_id"] in touching and r["started_at"] is not None),
        marks["first"],
    )


def path_of(nodes: Mapping[str, Row], territory_id: str | None) -> list[str]:
    """The nodes from `territory_id` up to its root, by the rows of `territories`."""
    path: list[str] = []
    while territory_id is not None and territory_id not in path:
        path.append(territory_id)
        territory_id = nodes[territory_id]["parent_id"] if territory_id in nodes else None
    return path


def zone_of(nodes: Mapping[str, Row], territory_id: str) -> ZoneInfo:
    """A node's time zone; UTC where this machine does not know it."""
    try:
        return ZoneInfo(nodes[territory_id]["time_zone"]) if territory_id in nodes else _UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _UTC


def _under(nodes: Mapping[str, Row], territory_id: str) -> tuple[str, ...]:
    return tuple(sorted(n for n in {*nodes, territory_id} if territory_id in path_of(nodes, n)))


def _paths(nodes: Mapping[str, Row], top: str, under: Sequence[str]) -> dict[str, tuple[str, ...]]:
    paths = {}
    for node in under:
        path = path_of(nodes, node)
        paths[node] = tuple(path[: path.index(top) + 1])
    return paths


def _stay(row: Row) -> m.Stay:
    most_a = min(row["car_max_a"], row["max_a"])
    most_kw = kw_per_a(row["line_voltage_v"], row["phases"]) * most_a
    return m.Stay(row["evse_id"], row["started_at"], row["ended_at"], most_kw)
