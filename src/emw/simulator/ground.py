"""A made-up ground for demonstrations, as GeoJSON: car parks side by side, a place for each simulated station."""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt
from typing import Any

WEST, NORTH = -118.1745, 34.2010
STEP_LON, STEP_LAT = 0.00006, 0.00005
ROWS = 8
GAP = 4
ROOM = 2 * (ROWS + GAP)
"""Columns beside each other for each line of sites: about twice as wide as high."""


def ground(sites: Iterable[tuple[str, str]], territory: str) -> dict[str, Any]:
    """A FeatureCollection: an outline of the territory and of each site, and a point per station.

    `sites`: (site, station) pairs. The sites lie in lines from west to east, their stations in ranks.
    """
    by_site: dict[str, list[str]] = {}
    for site, station in sorted(set(sites)):
        by_site.setdefault(site, []).append(station)
    columns = {site: -(-len(stations) // ROWS) for site, stations in by_site.items()}
    across = max([*columns.values(), isqrt(ROOM * sum(n + GAP for n in columns.values()))], default=0)
    features: list[dict[str, Any]] = []
    column = row = 0
    for site, stations in by_site.items():
        if column > 0 and column + columns[site] > across:
            column, row = 0, row + ROWS + GAP
        for n, station in enumerate(stations):
            at = [WEST + (column + n // ROWS) * STEP_LON, NORTH - (row + n % ROWS) * STEP_LAT]
            features.append(_feature("Point", at, {"station": station}))
        features.append(_box(column - 1, column + columns[site], row - 1, row + ROWS, {"name": site}))
        column += columns[site] + GAP
    features.append(_box(-GAP, across + GAP, -GAP, row + ROWS + GAP - 1, {"territory": territory}))
    return {"type": "FeatureCollection", "features": features[::-1]}


def _feature(kind: str, at: Any, said: dict[str, str]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": at}, "properties": said}


def _box(west: int, east: int, north: int, south: int, said: dict[str, str]) -> dict[str, Any]:
    w, e = round(WEST + west * STEP_LON, 6), round(WEST + east * STEP_LON, 6)
    n, s = round(NORTH - north * STEP_LAT, 6), round(NORTH - south * STEP_LAT, 6)
    return _feature("Polygon", [[[w, n], [e, n], [e, s], [w, s], [w, n]]], said)
