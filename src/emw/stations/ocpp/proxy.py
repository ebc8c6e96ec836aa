"""emw between stations and their own CSMS: for which stations, and the shell around each one's relay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from emw.stations.ocpp import theirs
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.limits import status_of
from emw.stations.ocpp.settings import ProxySettings
from emw.stations.ocpp.upstream import Address, NoCsms, url_for
from emw.stations.ocppj import Call, Version
from emw.stations.relay import Ours, Passed, Relay, Seen, Theirs

if TYPE_CHECKING:
    from emw.stations.ocpp.hub import Hub

log = structlog.get_logger()

MOST_EARLY: Final = 64
"""So many frames of a station wait until its CSMS is connected."""


class Csms(Protocol):
    """A connection to a CSMS."""

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        ...

    def close(self) -> None:
        """Close."""
        ...


Connect = Callable[[Address, Version, Callable[[bytes], None], Callable[[], None]], Awaitable[Csms]]


class Proxy:
    """Chooses who is relayed."""

    def __init__(self, hub: Hub, settings: ProxySettings, connect: Connect) -> None:
        self.hub = hub
        self.settings = settings
        self.connect = connect

    def between(self, connection: Connection, password: str | None) -> Relayed | None:
        """The relay for this connection; None: emw is its CSMS."""
        station_id = connection.peer.station_id
        if not self._covers(station_id):
            return None
        s = self.settings
        own = s.passwords.get(station_id, password if s.password is None else s.password)
        return Relayed(self, connection, Address(url_for(s.url, station_id), station_id, own))

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


class Relayed:
    """One station's connection and the one to its CSMS. Where either goes, the other does."""

    __slots__ = ("_address", "_connection", "_csms", "_early", "_proxy", "_started", "relay")

    def __init__(self, proxy: Proxy, connection: Connection, address: Address) -> None:
        self._proxy = proxy
        self._connection = connection
        self._address = address
        self._csms: Csms | None = None
        self._early: list[bytes] = []
        self._started = False
        self.relay = Relay(connection.version)

    def start(self) -> None:
        """The station is who it says: connect to its CSMS."""
        if not self._started:
            self._started = True
            self._proxy.hub.spawn(self._connect())

    async def _connect(self) -> None:
        c = self._connection
        try:
            csms = await self._proxy.connect(self._address, c.version, self.csms_says, self._gone)
        except NoCsms as error:
            log.warning("ocpp.no_csms", station_id=c.peer.station_id, why=str(error))
            c.close(1001, "its central system is not reached")
            return
        if c.closed:
            csms.close()
            return
        log.info("ocpp.csms_connected", station_id=c.peer.station_id)
        self._csms = csms
        early, self._early = self._early, []
        for frame in early:
            csms.send(frame)

    def _gone(self) -> None:
        if not self._connection.closed:
            log.warning("ocpp.csms_lost", station_id=self._connection.peer.station_id)
            self._connection.close(1001, "its central system is gone")

    def close(self) -> None:
        """The station is gone."""
        if self._csms is not None:
            self._csms.close()

    def station_says(self, frame: bytes) -> None:
        """A frame of the station's."""
        self._pass(self.relay.from_station(frame))

    def csms_says(self, frame: bytes) -> None:
        """A frame of the CSMS's."""
        if not self._connection.closed:
            self._pass(self.relay.from_csms(frame))

    def _pass(self, passed: Passed) -> None:
        c = self._connection
        if passed.to_csms is not None:
            self._to_csms(passed.to_csms)
        if passed.to_station is not None:
            c.send(passed.to_station)
        news = passed.news
        if isinstance(news, Ours):
            c.hear(news.got)
        elif isinstance(news, Seen):
            told = news.told
            payload = (
                news.call.payload if told is None else b'{"said":%b,"told":%b}' % (news.call.payload, told)
            )
            c.watch(Call(news.call.id, news.call.action, payload))
        elif isinstance(news, Theirs):
            self._limited(news)
        c.send_next()

    def _to_csms(self, frame: bytes) -> None:
        if self._csms is not None:
            self._csms.send(frame)
        elif len(self._early) < MOST_EARLY:
            self._early.append(frame)
        else:
            self._connection.close(1008, "too many messages before the central system is there")

    def _limited(self, news: Theirs) -> None:
        """The CSMS set or took away profiles: ours are said again, and never allow more than theirs."""
        action = news.call.action
        if action not in {"SetChargingProfile", "ClearChargingProfile"} or status_of(news.told) != "Accepted":
            return
        hub, peer = self._proxy.hub, self._connection.peer
        traits, before = peer.traits, peer.traits.theirs
        again = True
        if action == "SetChargingProfile":
            traits.theirs = theirs.after_set(before, news.call.payload)
        else:
            traits.theirs, maybe_ours = theirs.after_clear(before, news.call.payload)
            again = maybe_ours or traits.theirs != before
        if traits.theirs != before:
            hub.spawn(hub.keep_traits(peer))
        if again:
            hub.headend.book.say_again(hub.state.evses_of(peer.station_id))
