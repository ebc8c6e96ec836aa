"""A made-up ground for demonstrations, as GeoJSON: car parks side by side, a place for each simulated station."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WEST, NORTH = -118.1745, 34.2010
STEP_LON, STEP_LAT = 0.00006, 0.00005
ROWS = 8
GAP = 4


def ground(sites: Iterable[tuple[str, str]], territory: str) -> dict[str, Any]:
    """A FeatureCollection: an outline of the territory and of each site, and a point per station.

    `sites`: (site, station) pairs. The sites lie in a row from west to east, their stations in ranks.
    """
    by_site: dict[str, list[str]] = {}
    for site, station in sorted(set(sites)):
        by_site.setdefault(site, []).append(station)
    features: list[dict[str, Any]] = []
    column = 0
    for site, stations in by_site.items():
        columns = -(-len(stations) // ROWS)
        for n, station in enumerate(stations):
            at = [WEST + (column + n // ROWS) * STEP_LON, NORTH - (n % ROWS) * STEP_LAT]
            features.append(_feature("Point", at, {"station": station}))
        features.append(_box(column - 1, column + columns, -1, ROWS, {"name": site}))
        column += columns + GAP
    features.append(_box(-GAP, column, -GAP, ROWS + GAP - 1, {"territory": territory}))
    return {"type": "FeatureCollection", "features": features[::-1]}


def _feature(kind: str, at: Any, said: dict[str, str]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": at}, "properties": said}


def _box(west: int, east: int, north: int, south: int, said: dict[str, str]) -> dict[str, Any]:
    w, e = round(WEST + west * STEP_LON, 6), round(WEST + east * STEP_LON, 6)
    n, s = round(NORTH - north * STEP_LAT, 6), round(NORTH - south * STEP_LAT, 6)
    return _feature("Polygon", [[[w, n], [e, n], [e, s], [w, s], [w, n]]], said)
