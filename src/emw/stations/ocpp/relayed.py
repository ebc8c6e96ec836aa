"""The shell around one station's relay: the socket to its CSMS, and standing in for a CSMS that is away.

The station gone, the other connection goes; the CSMS gone, the station is held a while, unanswered, and then emw
answers in its place. What it has answered it owes: that is kept durably, told in order once the CSMS is back, and only
when nothing is owed any more does the station talk to its CSMS itself again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog

from emw.service.errors import Unavailable
from emw.service.ports import KeptFrame
from emw.stations.debts import DECISIONS, Debts, renamed
from emw.stations.ocpp import theirs
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.debt_book import DebtBook
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.seams import Owed
from emw.stations.ocpp.settings import ProxySettings
from emw.stations.ocpp.upstream import Address, NoCsms
from emw.stations.ocpp.wire import status_of
from emw.stations.ocpp.wire16 import StartOut
from emw.stations.ocppj import CALL_DEADLINE_S, Answered, Call, Conversation, Failed, Version
from emw.stations.relay import Asked, Ours, Paid, Passed, Relay, Seen, Theirs

log = structlog.get_logger()

MOST_EARLY: Final = 64
"""So many frames of a station wait until its CSMS is connected."""
FIRST_PAUSE_S: Final = 0.5
MOST_PAUSE_S: Final = 5.0
STANDING_PAUSE_S: Final = 30.0
"""So long at most between two tries to reach a CSMS that emw stands in for."""
STEADY_S: Final = 60.0
"""A CSMS that stayed so long is called again soon."""
TRIES: Final = 3
"""So often is a message told that the CSMS refuses for a fault of its own."""
CHANGES: Final = frozenset({"SetChargingProfile", "ClearChargingProfile", "UpdateDynamicSchedule"})
FOR_GOOD: Final = frozenset({"NotImplemented", "NotSupported"})


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
_began = msgspec.json.Decoder(StartOut)


@dataclass(frozen=True, slots=True)
class Means:
    """With what stations are relayed. `book`: None: emw never stands in for a CSMS."""

    hub: Hub
    settings: ProxySettings
    connect: Connect
    book: DebtBook | None


class Relayed:
    """One station's connection and the one to its CSMS."""

    __slots__ = (
        "_address",
        "_connection",
        "_csms",
        "_debts",
        "_early",
        "_means",
        "_paid",
        "_pause_s",
        "_since_s",
        "_started",
        "relay",
    )

    def __init__(self, means: Means, connection: Connection, address: Address) -> None:
        self._means = means
        self._connection = connection
        self._address = address
        self._csms: Csms | None = None
        self._early: list[bytes] = []
        self._started = False
        self._pause_s = FIRST_PAUSE_S
        self._since_s = 0.0
        self._paid: asyncio.Future[Answered | Failed | None] | None = None
        self._debts = Debts() if means.book is None else means.book.of(connection.peer.station_id)
        self.relay = Relay(connection.version)
        self.relay.standing = bool(self._debts)  # what was owed at a stop of emw comes before all that is new

    @property
    def conversation(self) -> Conversation:
        """Our CALLs and the CSMS's, one at a time."""
        return self.relay.conversation

    def start(self) -> None:
        """The station is who it says: connect to its CSMS."""
        if not self._started:
            self._started = True
            self._means.hub.spawn(self._connect())

    # --- the CSMS comes and goes

    async def _connect(self) -> None:
        """Connect, again and again; a station is held, then stood in for, or let go."""
        c, hub = self._connection, self._means.hub
        until_s = hub.loop.time() + self._means.settings.hold_s
        while not c.closed:
            try:
                csms = await self._means.connect(self._address, c.version, self.csms_says, self._gone)
            except NoCsms as error:
                why, away = str(error), error.away
            else:
                if csms.is_open:
                    self._connected(csms)
                    return
                why, away = "it closed at once", True
            log.warning("ocpp.no_csms", station_id=c.peer.station_id, why=why)
            if hub.loop.time() + self._pause_s > until_s and not (away and self._may_stand_in()):
                c.close(1001, "its central system is not reached")
                return
            if hub.loop.time() + self._pause_s > until_s:
                self._stand_in()
            await self._pause()

    async def _pause(self) -> None:
        most_s = STANDING_PAUSE_S if self.relay.standing else MOST_PAUSE_S
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, most_s)
        await asyncio.sleep(pause_s)

    def _connected(self, csms: Csms) -> None:
        c = self._connection
        if c.closed:
            csms.close()
            return
        log.info("ocpp.csms_connected", station_id=c.peer.station_id)
        self._csms = csms
        self._since_s = self._means.hub.loop.time()
        if self.relay.standing:
            self._means.hub.spawn(self._pay(csms))
            return
        early, self._early = self._early, []
        for frame in early:
            csms.send(frame)

    def _gone(self) -> None:
        """The CSMS is gone: what the station says is held until it is back."""
        if self._connection.closed or self._csms is None:
            return
        hub = self._means.hub
        log.warning("ocpp.csms_lost", station_id=self._connection.peer.station_id)
        self._csms = None
        self.relay.csms_lost()
        self._hear_paid(None)
        if hub.loop.time() - self._since_s > STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        hub.spawn(self._again())

    async def _again(self) -> None:
        if self._means.settings.hold_s > 0 or self._may_stand_in():
            await self._pause()  # one that takes connections and drops them is not called in a tight loop
            await self._connect()
        else:
            self._connection.close(1001, "its central system is gone")

    def close(self) -> None:
        """The station is gone."""
        self._hear_paid(None)
        if self._csms is not None:
            self._csms.close()

    # --- in its place

    def _may_stand_in(self) -> bool:
        """Only for stations that their CSMS has accepted at some time."""
        means = self._means
        return means.book is not None and self._connection.peer.station_id in means.hub.state.traits

    def _stand_in(self) -> None:
        if self.relay.standing:
            return
        log.warning("ocpp.stands_in", station_id=self._connection.peer.station_id)
        self.relay.standing = True
        early, self._early = self._early, []
        for frame in early:
            self.station_says(frame)

    async def owe(self, call: Call, told: bytes) -> None:
        """A message is about to be answered in the CSMS's place. Durable when this returns. Raises Unavailable."""
        book = self._means.book
        if book is None:
            raise Unavailable("its central system is away")
        ours = str(_began.decode(told).transactionId) if call.action == "StartTransaction" else None
        await book.owe(self._connection.peer.station_id, call.action, bytes(call.payload), ours)

    async def _pay(self, csms: Csms) -> None:
        """Tell the CSMS what is owed to it, one by one; then the two talk to each other again."""
        book, c = self._means.book, self._connection
        tries = 0
        while book is not None and csms.is_open and not c.closed:
            if not self._debts:
                if c.idle:
                    log.info("ocpp.stands_back", station_id=c.peer.station_id)
                    self.relay.standing = False
                    self._pause_s = FIRST_PAUSE_S
                    return
                await asyncio.sleep(0.05)
                continue
            frame = self._debts.frames[0]
            got = await self._tell(csms, frame)
            if got is None:
                csms.close()  # it does not answer: once more over the next connection
                return
            tries += 1
            if isinstance(got, Failed):
                log.warning(
                    "ocpp.owed_refused", station_id=c.peer.station_id, action=frame.action, code=got.code
                )
                if got.code not in FOR_GOOD and tries < TRIES:
                    await asyncio.sleep(FIRST_PAUSE_S * tries)
                    continue
            tries = 0
            await self._settle(frame, got)

    async def _tell(self, csms: Csms, frame: KeptFrame) -> Answered | Failed | None:
        payload = renamed(frame.payload, self._debts.names) if self._debts.names else frame.payload
        loop = self._means.hub.loop
        asked = self.relay.pay(frame.action, payload, loop.time())
        if asked is None:
            return None
        self._paid = loop.create_future()
        csms.send(asked)
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                return await self._paid
        except TimeoutError:
            return None
        finally:
            self._paid = None

    def _hear_paid(self, got: Answered | Failed | None) -> None:
        if self._paid is not None and not self._paid.done():
            self._paid.set_result(got)

    async def _settle(self, frame: KeptFrame, got: Answered | Failed) -> None:
        book = self._means.book
        if book is None:
            return
        theirs_is = None
        if isinstance(got, Answered):
            if frame.action == "StartTransaction":
                try:
                    theirs_is = str(_began.decode(got.payload).transactionId)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    log.warning("ocpp.no_number", station_id=frame.station_id, ours=frame.ours)
            elif frame.action == "BootNotification" and status_of(got.payload) != "Accepted":
                self._connection.close(1001, "its central system wants to hear it boot")
        try:
            await book.paid(frame, theirs_is)
        except Unavailable as error:  # told twice then, after a restart
            log.warning("ocpp.not_kept", station_id=frame.station_id, why=error.detail)

    # --- frames

    def station_says(self, frame: bytes) -> None:
        """A frame of the station's."""
        self._pass(self.relay.from_station(frame))

    def csms_says(self, frame: bytes) -> None:
        """A frame of the CSMS's."""
        if not self._connection.closed:
            self._pass(self.relay.from_csms(self._named(frame, ours=True)))

    def _named(self, frame: bytes, *, ours: bool) -> bytes:
        """A frame with the transaction's number for its receiver, where emw gave one in the CSMS's place."""
        names = self._debts.names
        if not names or b'"transactionId"' not in frame or not frame.startswith(b"[2"):
            return frame
        try:
            kind, named, action, payload = msgspec.json.decode(frame, type=tuple[int, str, str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return frame
        other = {theirs: own for own, theirs in names.items()} if ours else names
        new = renamed(bytes(payload), other)
        if new == bytes(payload):
            return frame
        return msgspec.json.encode((kind, named, action, msgspec.Raw(new)))

    def _pass(self, passed: Passed) -> None:
        c = self._connection
        if passed.to_csms is not None:
            self._to_csms(passed.to_csms)
        if passed.to_station is not None:
            c.send(passed.to_station)
        news = passed.news
        if isinstance(news, Ours):
            c.hear(news.got)
        elif isinstance(news, Asked):
            call = news.call
            c.stand_in(call if call.action in DECISIONS else Owed(call.id, call.action, call.payload))
        elif isinstance(news, Paid):
            self._hear_paid(news.got)
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
            self._csms.send(self._named(frame, ours=False))
        elif self.relay.standing:
            return  # an answer to a CALL of a connection that is gone
        elif len(self._early) < MOST_EARLY:
            self._early.append(frame)
        else:
            self._connection.close(1008, "too many messages before the central system is there")

    def _limited(self, news: Theirs) -> None:
        """The CSMS set or took away profiles: ours are said again, and never allow more than theirs."""
        action = news.call.action
        if action not in CHANGES or status_of(news.told) != "Accepted":
            return
        hub, peer = self._means.hub, self._connection.peer
        traits, before = peer.traits, peer.traits.theirs
        again = True
        if action == "SetChargingProfile":
            traits.theirs = theirs.after_set(before, bytes(news.call.payload))
        elif action == "UpdateDynamicSchedule":
            traits.theirs = theirs.after_update(before, bytes(news.call.payload))
            again = traits.theirs != before
        else:
            traits.theirs, maybe_ours = theirs.after_clear(before, bytes(news.call.payload))
            again = maybe_ours or traits.theirs != before
        if traits.theirs != before:
            hub.spawn(hub.keep_traits(peer))
        if again:
            hub.headend.book.say_again(hub.state.evses_of(peer.station_id))
