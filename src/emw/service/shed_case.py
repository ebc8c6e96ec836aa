"""The rows that a request's shed is measured by, read once: its stays, its means, its intervals, its neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from emw.domain.units import kw_per_a
from emw.engine import measured as m
from emw.engine.baseline import TEN_OF_TEN
from emw.service.errors import NotFound
from emw.service.ports import Store

Row = dict[str, Any]
MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """One request with the rows it is measured by."""

    request: Row
    zone: ZoneInfo
    territory_ids: tuple[str, ...]
    intervals: tuple[datetime, ...]
    """Five-minute intervals wholly inside, as far as they have their means."""
    until: datetime
    """Means go this far: the time of belief of what is made from them."""
    stays: tuple[m.Stay, ...]
    metered: Mapping[tuple[datetime, str], float]
    """The event's means and those of the interval before it."""
    twin: tuple[Row, ...]
    others: tuple[Row, ...]
    """Other requests that touched the same EVSEs."""
    first_at: datetime | None
    """The first mean there is."""


async def read_case(store: Store, request_key: str) -> Case:
    """Raises NotFound for a request that is not there."""
    found = await store.query("request", request_key=request_key)
    if not found:
        raise NotFound(f"there is no request {request_key!r}: write ISO:requestID", field="requestKey")
    request = found[0]
    nodes = {r["territory_id"]: r for r in await store.query("territories")}
    under = _under(nodes, request["territory_id"])
    marks = (await store.query("means_until"))[0]
    until = marks["until"] or m.EPOCH
    begun, ended = request["started_at"], request["ended_at"] or request["end_at"]
    intervals = () if begun is None else tuple(m.whole_intervals(begun, min(ended or until, until)))
    near = (intervals[0] if intervals else begun or until) - TEN_OF_TEN.lookback_days * timedelta(days=1)
    last = (intervals[-1] if intervals else begun or until) + m.STEP
    stays = await store.query("stays", territory_ids=under, since=near, until=last)
    metered = {}
    if begun is not None:
        since = m.grid_floor(begun) - m.STEP
        means = await store.query("evse_means", territory_ids=under, since=since, until=last)
        metered = {(r["interval_start"], r["evse_id"]): r["mean_kw"] for r in means}
    twin = sorted(
        await store.query("intervals", request_key=request_key), key=lambda r: (r["start_at"], r["end_at"])
    )
    related = set(under) | set(_path(nodes, request["territory_id"]))
    others = await store.query("requests", limit=MOST)
    return Case(
        request,
        ZoneInfo(nodes[request["territory_id"]]["time_zone"]) if request["territory_id"] in nodes else _UTC,
        under,
        intervals,
        until,
        tuple(_stay(r) for r in stays),
        metered,
        tuple(twin),
        tuple(r for r in others if r["territory_id"] in related and r["started_at"] is not None),
        marks["first"],
    )


_UTC = ZoneInfo("UTC")


def _path(nodes: Mapping[str, Row], territory_id: str | None) -> list[str]:
    path: list[str] = []
    while territory_id is not None and territory_id not in path:
        path.append(territory_id)
        territory_id = nodes[territory_id]["parent_id"] if territory_id in nodes else None
    return path


def _under(nodes: Mapping[str, Row], territory_id: str) -> tuple[str, ...]:
    return tuple(sorted(n for n in {*nodes, territory_id} if territory_id in _path(nodes, n)))


def _stay(row: Row) -> m.Stay:
    most_a = min(row["car_max_a"], row["max_a"])
    most_kw = kw_per_a(row["line_voltage_v"], row["phases"]) * most_a
    return m.Stay(row["evse_id"], row["started_at"], row["ended_at"], most_kw)
