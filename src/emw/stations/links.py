"""One StationLink over all protocols: a command goes out in the tongue its station spoke last."""

from __future__ import annotations

from datetime import datetime

from emw.domain.model import Evse, Limit, Station
from emw.service.ports import Answer
from emw.stations.ocpp.limits import OcppLink
from emw.stations.rest import RestLink


class Links:
    """Chooses by the station's protocol."""

    def __init__(self, rest: RestLink, ocpp: OcppLink) -> None:
        self._rest = rest
        self._ocpp = ocpp

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        """Send one command."""
        if station.protocol == "rest":
            return await self._rest.send(station, evse, limit, now)
        return self._ocpp.send(station, evse, limit, now)

    async def greet(self, station: Station) -> None:
        """Only REST stations are given a token of ours."""
        if station.protocol == "rest":
            await self._rest.greet(station)
