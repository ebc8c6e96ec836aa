"""The map's ground over the API: outlines, and where each EVSE stands. What it does there comes by the live feed."""

from __future__ import annotations

from typing import Any

from litestar import Controller, get

from emw.web.auth import viewer
from emw.web.given import TheHeadEnd, ThePlaces, TheSettings
from emw.web.wire import Out


class MapOut(Out):
    """GeoJSON geometries with `territory` and `name`; `[evseID, latitude, longitude]` of those whose place is known."""

    outlines: list[dict[str, Any]]
    places: list[tuple[str, float, float]]
    tiles: str | None


class Map(Controller):
    """The map."""

    tags = ("Territories",)

    @get("/map", guards=[viewer], summary="Outlines and places for a map")
    async def map(self, headend: TheHeadEnd, places: ThePlaces, settings: TheSettings) -> MapOut:
        """Outlines are the operator's own; a place is the EVSE's own word, or the point that the operator gave it."""
        found = ((e.evse_id, places.place_of(e)) for e in headend.state.evses.values())
        return MapOut(
            outlines=places.outlines,
            places=[(name, round(at[0], 6), round(at[1], 6)) for name, at in found if at is not None],
            tiles=settings.map_tiles,
        )
