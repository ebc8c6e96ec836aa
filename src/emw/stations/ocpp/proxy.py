"""emw between stations and their own CSMS: for which stations, and the shell around each one's relay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
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
FIRST_PAUSE_S: Final = 0.5
MOST_PAUSE_S: Final = 5.0
STEADY_S: Final = 60.0
"""A CSMS that stayed so long is called again soon."""


class Csms(Protocol):
    """A connection to a CSMS."""

    @property
    def is_open(self) -> bool:
        """Whether frames can go out."""
        ...

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
    """One station's connection and the one to its CSMS. The station gone, the other goes; the CSMS gone, it is held."""

    __slots__ = (
        "_address",
        "_connection",
        "_csms",
        "_early",
        "_pause_s",
        "_proxy",
        "_since_s",
        "_started",
        "relay",
    )

    def __init__(self, proxy: Proxy, connection: Connection, address: Address) -> None:
        self._proxy = proxy
        self._connection = connection
        self._address = address
        self._csms: Csms | None = None
        self._early: list[bytes] = []
        self._started = False
        self._pause_s = FIRST_PAUSE_S
        self._since_s = 0.0
        self.relay = Relay(connection.version)

    def start(self) -> None:
        """The station is who it says: connect to its CSMS."""
        if not self._started:
            self._started = True
            self._proxy.hub.spawn(self._connect())

    async def _connect(self) -> None:
        """Connect, again and again while the station may be held; then let it go."""
        c, hub = self._connection, self._proxy.hub
        until_s = hub.loop.time() + self._proxy.settings.hold_s
        while not c.closed:
            try:
                csms = await self._proxy.connect(self._address, c.version, self.csms_says, self._gone)
            except NoCsms as error:
                why = str(error)
            else:
                if csms.is_open:
                    self._connected(csms)
                    return
                why = "it closed at once"
            log.warning("ocpp.no_csms", station_id=c.peer.station_id, why=why)
            if hub.loop.time() + self._pause_s > until_s:
                c.close(1001, "its central system is not reached")
                return
            await self._pause()

    async def _pause(self) -> None:
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, MOST_PAUSE_S)
        await asyncio.sleep(pause_s)

    def _connected(self, csms: Csms) -> None:
        c = self._connection
        if c.closed:
            csms.close()
            return
        log.info("ocpp.csms_connected", station_id=c.peer.station_id)
        self._csms = csms
        self._since_s = self._proxy.hub.loop.time()
        early, self._early = self._early, []
        for frame in early:
            csms.send(frame)

    def _gone(self) -> None:
        """The CSMS is gone: what the station says is held until it is back."""
        if self._connection.closed or self._csms is None:
            return
        hub = self._proxy.hub
        log.warning("ocpp.csms_lost", station_id=self._connection.peer.station_id)
        self._csms = None
        self.relay.csms_lost()
        if hub.loop.time() - self._since_s > STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        hub.spawn(self._again())

    async def _again(self) -> None:
        if self._proxy.settings.hold_s > 0:
            await self._pause()  # one that takes connections and drops them is not called in a tight loop
            await self._connect()
        else:
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
            payload = news.call.payload
            if told is not None:
                payload = msgspec.Raw(b'{"said":%b,"told":%b}' % (payload, told))
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
            traits.theirs = theirs.after_set(before, bytes(news.call.payload))
        else:
            traits.theirs, maybe_ours = theirs.after_clear(before, bytes(news.call.payload))
            again = maybe_ours or traits.theirs != before
        if traits.theirs != before:
            hub.spawn(hub.keep_traits(peer))
        if again:
            hub.headend.book.say_again(hub.state.evses_of(peer.station_id))
