"""emw between stations and their own CSMS: for which stations."""

from __future__ import annotations

from fnmatch import fnmatchcase

from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.debt_book import DebtBook
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.relayed import Connect, Means, Relayed
from emw.stations.ocpp.settings import ProxySettings
from emw.stations.ocpp.upstream import Address, url_for


class Proxy:
    """Chooses who is relayed."""

    def __init__(
        self, hub: Hub, settings: ProxySettings, connect: Connect, book: DebtBook | None = None
    ) -> None:
        """`book`: None: emw never stands in for a CSMS."""
        self.hub = hub
        self.settings = settings
        self.book = book if settings.stand_in else None
        self._means = Means(hub, settings, connect, self.book)

    def between(self, connection: Connection, password: str | None) -> Relayed | None:
        """The relay for this connection; None: emw is its CSMS."""
        station_id = connection.peer.station_id
        if not self._covers(station_id):
            return None
        s = self.settings
        own = s.passwords.get(station_id, password if s.password is None else s.password)
        return Relayed(self._means, connection, Address(url_for(s.url, station_id), station_id, own))

    def _covers(self, station_id: str) -> bool:
        if not any(fnmatchcase(station_id, pattern) for pattern in self.settings.stations):
            return False
        if not self.settings.territories:
            return True
        state = self.hub.state
        station = state.stations.get(station_id)
        node = None if station is None else station.territory_id
        node = node or self.hub.settings.evses.territory_id
        while node is not None and node in state.territories:
            if node in self.settings.territories:
                return True
            node = state.territories[node].parent_id
        return False
