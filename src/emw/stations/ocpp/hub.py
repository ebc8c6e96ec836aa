"""All OCPP stations of this process: who is connected, what is known of each, and what time does to them.

Sockets come and go below, the service stands above; nothing here knows a socket library.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from emw.domain.facts import Fact, StationRevoked
from emw.domain.model import Evse, Limit, Transaction
from emw.service.errors import Refused, Unavailable
from emw.service.headend import HeadEnd
from emw.service.ports import Answer, StationConsole
from emw.stations.ocpp.charging import Charging
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.due import Due
from emw.stations.ocpp.home import Handler, Hot
from emw.stations.ocpp.models import Models
from emw.stations.ocpp.peer import Peer, Plug, number_of
from emw.stations.ocpp.readings import Readings
from emw.stations.ocpp.seams import Between, Wire
from emw.stations.ocpp.settings import OcppSettings
from emw.stations.ocpp.traits import read, write
from emw.stations.ocppj import CALL_DEADLINE_S, Version

log = structlog.get_logger()
LOOK_S: Final = 1.0
IDLE_TIMES: Final = 3
"""A connection that says nothing for so many times the longer of ping and heartbeat is dead."""


class Dialect(Protocol):
    """How the messages of a version are taken."""

    def handlers(self) -> dict[str, Handler]:
        """Action to handler."""
        ...

    def usual(self) -> Hot:
        """What is said most."""
        ...


class Looks(Protocol):
    """Looks after what time does to meters."""

    def look(self, connection: Connection) -> None:
        """Look after the meters of one station."""
        ...


class Relays(Protocol):
    """Chooses who is relayed to a CSMS of its own."""

    def between(self, connection: Connection, password: str | None) -> Between | None:
        """The relay for this connection; None: emw is its CSMS."""
        ...


Asks = Callable[[Connection], Coroutine[Any, Any, None]]


class Hub:
    """Every station that speaks OCPP. What is said to them and by them is put in from above (`central`)."""

    console: StationConsole
    meters: Looks

    def __init__(self, headend: HeadEnd, settings: OcppSettings, learn: Callable[[Hub], Asks]) -> None:
        """`learn`: how stations are asked what they can."""
        self.headend = headend
        self.state = headend.state
        self.clock = headend.clock
        self.settings = settings
        tokens = settings.tokens
        self._tokens = None if tokens is None else {token.strip().casefold() for token in tokens}
        self.loop = asyncio.get_running_loop()
        self.time = self.loop.time
        self.charging = Charging(headend, settings)
        self.readings = Readings(headend, self.charging, settings)
        self._peers: dict[str, Peer] = {}
        self.plugs: dict[str, Plug] = {}
        self._connections: dict[str, Connection] = {}
        self._trials: dict[str, Connection] = {}
        self.asking: list[Connection] = []
        self._asked: deque[tuple[float, list[Connection]]] = deque()
        self._watched: Due[Connection] = Due()
        self._gone: Due[Peer] = Due()
        self._tasks: asyncio.TaskGroup | None = None
        self._open: defaultdict[str, list[Transaction]] = defaultdict(list)
        for transaction in headend.state.transactions.values():
            self._open[transaction.station_id].append(transaction)
        self.models = Models(settings.pins)
        for record in sorted(headend.state.traits.values(), key=lambda x: x.booted_at):
            self.models.recall(record)
        self._learn = learn(self)
        self._handlers: dict[Version, dict[str, Handler]] = {}
        self._usual: dict[Version, Hot] = {}
        self._watches: dict[Version, dict[str, Handler]] = {}
        self.proxy: Relays | None = None
        headend.ledger.listen(self._happened)

    def speak(self, version: Version, dialect: Dialect, watched: dict[str, Handler]) -> None:
        """Take what stations say in a version. `watched`: what is taken where a CSMS of their own answers."""
        self._handlers[version], self._usual[version] = dialect.handlers(), dialect.usual()
        self._watches[version] = watched

    async def run(self) -> None:
        """Look after the stations until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while True:
                await asyncio.sleep(LOOK_S)
                self.look(self.time())

    def _happened(self, _: int, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, StationRevoked):
                connection = self._connections.get(fact.station_id)
                if connection is not None:
                    connection.close(1008, "this station is revoked")

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Do this beside; what the service refuses meanwhile is logged."""
        if self._tasks is None:
            work.close()
            return None
        task = self._tasks.create_task(_logged(work))
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before it began
        return task

    # --- connections

    def peer(self, station_id: str) -> Peer:
        """What is known of a station."""
        peer = self._peers.get(station_id)
        if peer is None:
            known = self.state.traits.get(station_id)
            peer = Peer(
                station_id,
                read(known.traits if known is not None else ""),
                self.settings.frames_kept,
                self.plugs,
            )
            peer.pin = self.models.pinned(known)
            for evse in self.state.evses_of(station_id):
                _, _, number = evse.evse_id.rpartition(":")
                if number.isascii() and number.isdigit() and evse.evse_id != station_id:
                    peer.plug(int(number), evse.evse_id)
            peer.remember(self._open.pop(station_id, ()))
            self._peers[station_id] = peer
        return peer

    def open(
        self,
        station_id: str,
        version: Version,
        wire: Wire,
        address: str,
        *,
        proven: bool,
        password: str | None = None,
        profile: int = 0,
    ) -> Connection:
        """A station is connected. One that proved who it is replaces its older self; another has to wait for proof."""
        peer = self.peer(station_id)
        connection = Connection(self, peer, version, wire, address)
        connection.password = password if station_id not in self.state.stations else None
        relay = None if self.proxy is None else self.proxy.between(connection, password)
        if relay is not None:
            connection.relayed(relay)
        known = self.state.stations.get(station_id)
        if proven and known is not None and peer.traits.secure(profile, known.secret_hash):
            self.spawn(self.keep_traits(peer))
        older = self._connections.get(station_id)
        if older is not None and not proven:
            waiting = self._trials.get(station_id)
            if waiting is not None:
                waiting.close(1008, "another connection tries the same")
            connection.on_trial = True
            self._trials[station_id] = connection
            older.pinged_s = self.time()
            older.wire.ping()
            return connection
        if older is not None:
            older.close(1000, "replaced by a newer connection")
        self._take(connection)
        return connection

    def _take(self, connection: Connection) -> None:
        peer = connection.peer
        self._connections[peer.station_id] = connection
        peer.connection = connection
        peer.connected()
        log.info("ocpp.connected", station_id=peer.station_id, version=connection.version.number)
        if connection.relay is not None:
            connection.relay.start()
        connection.taken()
        self._pulse(connection, self.time())
        if peer.station_id in self.state.traits:
            self.spawn(self.headend.book.heard(peer.station_id))

    def greet(self, connection: Connection) -> None:
        """A station has said who it is, or nothing for a while: from now on it is spoken to."""
        connection.greeted, connection.silent = True, False
        if connection.peer.station_id in self.state.traits:
            self.learn(connection)  # many come back without a boot message; one that boots is learned anew
        connection.send_next()

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        peer = connection.peer
        if self._trials.get(peer.station_id) is connection:
            del self._trials[peer.station_id]
        if self._connections.get(peer.station_id) is connection:
            del self._connections[peer.station_id]
            peer.connection = None
            peer.gone_at = self.time()
            self._gone.at(peer.gone_at + self.settings.offline_s, peer)
            log.info("ocpp.disconnected", station_id=peer.station_id)

    def connected(self, station_id: str) -> Connection | None:
        """The station's connection, if there is one."""
        return self._connections.get(station_id)

    @property
    def count(self) -> int:
        """How many are connected."""
        return len(self._connections)

    def close(self) -> None:
        """Say goodbye to all (a clean stop)."""
        for connection in list(self._connections.values()):
            connection.close(1001, "emw stops")

    # --- time

    def look(self, now_s: float) -> None:
        """What time does: unanswered CALLs, pings, dead connections, stations gone too long."""
        # All CALLs wait equally long, so those of one look come due at one look, and never a rounding too soon.
        self._asked.append((now_s + CALL_DEADLINE_S + 0.001, self.asking))
        self.asking = []
        while self._asked and self._asked[0][0] <= now_s:
            for connection in self._asked.popleft()[1]:
                connection.overdue(now_s)
        for connection in self._watched.take(now_s):
            self._pulse(connection, now_s)
        for station_id, trial in list(self._trials.items()):
            self._judge(station_id, trial, now_s)
        for peer in self._gone.take(now_s):
            gone = peer.gone_at is not None and now_s - peer.gone_at >= self.settings.offline_s
            if gone and not peer.silent:
                peer.silent = True
                self.spawn(self.headend.book.silent(peer.station_id, self.at(peer.heard_s or now_s)))

    def _pulse(self, connection: Connection, now_s: float) -> None:
        """Ping who is silent, close who is dead, look again when either may be due."""
        if connection.closed:
            return
        ping_s = self.settings.ping_s
        dead_s = connection.heard_s + IDLE_TIMES * max(ping_s, float(self.settings.heartbeat_s))
        if now_s >= dead_s:
            connection.close(1001, "nothing was heard for too long")
            return
        again_s = dead_s
        if self.pings(connection.peer.station_id):
            if now_s >= max(connection.pinged_s, connection.heard_s) + ping_s:
                connection.pinged_s = now_s
                connection.wire.ping()
            again_s = min(again_s, max(connection.pinged_s, connection.heard_s) + ping_s)
        if connection.silent:
            speak_s = connection.heard_s + self.settings.quiet_s
            if now_s >= speak_s:
                self.greet(connection)
            else:
                again_s = min(again_s, speak_s)
        self.meters.look(connection)
        self._watched.at(min(again_s, now_s + 2 * self.settings.sample_s), connection)

    def _judge(self, station_id: str, trial: Connection, now_s: float) -> None:
        """A connection without proof takes over only where the older one is dead."""
        older = self._connections.get(station_id)
        if older is not None and older.ponged_s >= older.pinged_s:
            trial.close(1008, "this station is connected already")
        elif older is None or now_s - older.pinged_s > self.settings.ping_deadline_s:
            del self._trials[station_id]
            if older is not None:
                older.close(1001, "no answer to a ping")
            self._take(trial)

    def at(self, loop_s: float) -> datetime:
        """A moment of the loop's time by the clock."""
        now_s = self.time()
        per_s = self.clock.loop_seconds(1.0) or 1.0
        return self.clock.now() - timedelta(seconds=(now_s - loop_s) / per_s)

    def pings(self, station_id: str) -> bool:
        """Whether this station is pinged."""
        return self.settings.ping_s > 0 and station_id not in self.settings.no_ping

    async def quiet(self, connection: Connection) -> None:
        """Return when the station has said nothing for a moment: what it kept while it was away is told."""
        ends_s = self.time() + 2 * self.settings.quiet_s
        while (now_s := self.time()) < ends_s:
            still_s = connection.heard_s + self.settings.quiet_s - now_s
            if still_s <= 0:
                return
            await asyncio.sleep(min(still_s, ends_s - now_s))

    # --- what handlers need

    def handlers(self, version: Version) -> dict[str, Handler]:
        """The messages of a version."""
        return self._handlers[version]

    def usual(self, version: Version) -> Hot:
        """The message that is said most."""
        return self._usual[version]

    def watched(self, version: Version) -> dict[str, Handler]:
        """The messages that are taken where somebody else answers."""
        return self._watches[version]

    def token_status(self, token: str) -> str:
        """Whether somebody may charge."""
        known = self._tokens
        return "Accepted" if known is None or token.strip().casefold() in known else "Invalid"

    def learn(self, connection: Connection) -> None:
        """Ask a station what it can, and tell it again what it should hold."""
        if connection.learning is not None:
            connection.learning.cancel()
        connection.learning = self.spawn(self._learn(connection))

    def say_again(self, connection: Connection) -> None:
        """Limits in force are said again to a station that is back; not those it has heard since."""
        lost = []
        for evse in self.state.evses_of(connection.peer.station_id):
            plug = connection.peer.plugs.get(number_of(evse.evse_id))
            limit = self.state.limits.get(evse.evse_id)
            if limit is None or plug is None or not plug.has_heard(limit):
                lost.append(evse)
        self.headend.book.say_again(lost)

    async def keep_traits(self, peer: Peer) -> None:
        """Write what was learned of a station."""
        await self.headend.book.learned(peer.station_id, write(peer.traits))
        record = self.state.traits.get(peer.station_id)
        if record is not None:
            self.models.learn(record, peer.traits)

    async def no_smart_charging(self, peer: Peer) -> None:
        """A station turned out to know no charging profiles: it is never asked again until it boots."""
        peer.traits.smart = False
        await self.keep_traits(peer)
        await self.mark_smart(peer, can_limit=False)

    async def mark_smart(self, peer: Peer, *, can_limit: bool) -> None:
        """Tell the service whether this station's EVSEs can be told a limit."""
        for evse in self.state.evses_of(peer.station_id):
            await self.headend.book.changed(evse, can_limit=can_limit)

    def answered(self, evse: Evse, limit: Limit, answer: Answer) -> None:
        """What became of a command."""
        self.spawn(self.headend.book.answered(evse.station_id, evse.evse_id, limit.command_id, answer))


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (Refused, Unavailable) as error:
        log.warning("ocpp.not_done", why=error.detail)
    except Exception:  # a bug: one station's work must not take all others down
        log.exception("ocpp.bug")
