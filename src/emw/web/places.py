"""Where things are: the operator's own GeoJSON, read once, and where each EVSE stands by it or by its own word."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from emw.domain.model import Evse

MOST_BYTES: Final = 20_000_000
DEPTH: Final = {"LineString": 1, "Polygon": 2, "MultiLineString": 2, "MultiPolygon": 3}
"""How deep the positions of each kind of outline lie."""
OUTLINES: Final = frozenset(DEPTH)
BY: Final = ("evse", "station", "site")
"""The properties by which a point says what stands there; the nearest word counts."""
Place = tuple[float, float]
"""Latitude and longitude, degrees."""


class NoMap(Exception):
    """The map's file can't be used."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Outlines to draw, and points by the name of what stands there."""

    outlines: list[dict[str, Any]] = field(default_factory=list)
    points: dict[tuple[str, str], Place] = field(default_factory=dict)

    def place_of(self, evse: Evse) -> Place | None:
        """Where an EVSE stands: by its own word, else by the file's."""
        if evse.latitude is not None and evse.longitude is not None:
            return evse.latitude, evse.longitude
        names = (evse.evse_id, evse.station_id, evse.site)
        for kind, name in zip(BY, names, strict=True):
            place = None if name is None else self.points.get((kind, name))
            if place is not None:
                return place
        return None


def read_ground(path: str | None) -> Ground:
    """The ground of a GeoJSON file (RFC 7946); raises NoMap with the reason in words."""
    if path is None:
        return Ground()
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise NoMap(f"{path}: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise NoMap(f"{path}: a map may have at most {MOST_BYTES // 1_000_000} MB")
    try:
        told = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise NoMap(f"{path}: is not JSON: {error}") from error
    if not isinstance(told, dict) or told.get("type") != "FeatureCollection":
        raise NoMap(f"{path}: is not a GeoJSON FeatureCollection")
    return _ground(told.get("features") or [])


def _ground(features: Any) -> Ground:
    ground = Ground()
    for feature in features if isinstance(features, list) else ():
        shape, said = _record(_record(feature).get("geometry")), _record(_record(feature).get("properties"))
        kind, at = shape.get("type"), shape.get("coordinates")
        if isinstance(kind, str) and kind in OUTLINES and _drawable(at, DEPTH[kind]):
            kept = {k: str(said[k]) for k in ("territory", "name") if said.get(k) is not None}
            ground.outlines.append({"type": kind, "coordinates": at, **kept})
        elif kind == "Point" and isinstance(at, list) and _drawable(at, 0):
            for word in BY:
                if said.get(word) is not None:
                    ground.points[word, str(said[word])] = (float(at[1]), float(at[0]))
    return ground


def _record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _drawable(at: Any, depth: int) -> bool:
    """Whether these are positions, so many lists deep."""
    if not isinstance(at, list) or (depth and not at):
        return False
    if depth == 0:
        return len(at) >= 2 and all(_degrees(x) for x in at[:2])
    return all(_drawable(inner, depth - 1) for inner in at)


def _degrees(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -180 <= value <= 180


def tiles_origin(tiles: str | None) -> str | None:
    """Where a tile template's images come from, for the content security policy; raises NoMap where it is none."""
    if tiles is None:
        return None
    parts = urlsplit(tiles)
    whole = all(x in tiles for x in ("{z}", "{x}", "{y}"))
    plain = parts.netloc and not set(parts.netloc) & set(" ;,'\"{}@")
    if parts.scheme not in {"https", "http"} or not plain or not whole:
        raise NoMap("map_tiles must be an address with {z}, {x} and {y} in its path")
    return f"{parts.scheme}://{parts.netloc}"
