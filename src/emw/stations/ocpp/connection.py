"""One connection of one station: frames to handlers, answers and our own CALLs to frames. Knows no socket library.

A handler either answers at once (bytes) or is a coroutine; while one runs, later CALLs of the same station wait in
line, so that what a station says takes effect in its order. Answers to CALLs of ours never wait: a handler may be
waiting for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import msgspec
import structlog

from emw.service.errors import EmwError
from emw.stations.ocpp.home import Handler, Home, Said
from emw.stations.ocpp.peer import Peer, went_out
from emw.stations.ocpp.rates import REFUSED, Rates
from emw.stations.ocpp.seams import Between, Heard, Owed, Refusal, Watched, Wire, fault_for
from emw.stations.ocpp.wire import Whole
from emw.stations.ocppj import (
    Answered,
    Aside,
    Ask,
    Broken,
    Call,
    Conversation,
    Failed,
    Fault,
    Unknown,
    Version,
    fault_of,
)

log = structlog.get_logger()

MOST_WAITING: Final = 32
BOOT: Final = "BootNotification"
_BOOTS: Final = b'"%b"' % BOOT.encode()
_HEAD: Final = 160
"""Within so many bytes of a frame its action stands."""


class Connection:
    """One station's connection."""

    __slots__ = (
        "_after",
        "_busy",
        "_handlers",
        "_hot",
        "_hub",
        "_in_line",
        "_rates",
        "_time",
        "_watched",
        "address",
        "closed",
        "conversation",
        "greeted",
        "heard_s",
        "learning",
        "on_trial",
        "opened_at",
        "password",
        "peer",
        "pinged_s",
        "ponged_s",
        "relay",
        "silent",
        "version",
        "wire",
    )

    def __init__(self, hub: Home, peer: Peer, version: Version, wire: Wire, address: str) -> None:
        self._hub = hub
        self._time = hub.time
        self._handlers = hub.handlers(version)
        self._hot = hub.usual(version)
        self._watched: dict[str, Handler] = {}
        self._rates = Rates()
        self._busy = False
        self._after: Coroutine[Any, Any, None] | None = None
        self._in_line: list[Call] | None = None
        self.peer = peer
        self.version = version
        self.wire = wire
        self.address = address
        self.password: str | None = None  # of one that is not enrolled
        self.conversation = Conversation(version)
        self.relay: Between | None = None  # where the station has a CSMS of its own
        self.closed = False
        self.on_trial = False  # it waits until it is known whether its older twin is alive
        self.silent = True  # it has not said a word yet
        self.greeted = False  # whether it is spoken to; until then our CALLs wait
        self.opened_at = hub.clock.now()
        self.heard_s = self.ponged_s = self._time()
        self.pinged_s = 0.0
        self.learning: asyncio.Task[None] | None = None

    # --- in

    def frame(self, frame: bytes) -> None:
        """A text frame came. Whatever it is, nothing is raised."""
        peer = self.peer
        now_s = self.heard_s = peer.heard_s = self._time()
        peer.keep(now_s, frame)
        if not self.greeted and not self.on_trial:
            self._first_words(boots=_BOOTS in frame[:_HEAD])
        if self.relay is not None:
            self.relay.station_says(frame)
            return
        if not self._busy and not self.on_trial and frame.startswith(b"[2"):
            usual = self._hot.read(frame)
            if usual is not None:
                self._take(usual, self._hot.take, usual.payload, now_s)
                return
        got = self.conversation.receive(frame)
        if type(got) is Call:
            self._call(got, now_s)
        elif type(got) is Answered:
            self._hear(got.ask, got)
        elif type(got) is Broken:
            log.info("ocpp.unreadable", station_id=peer.station_id, why=got.why)
            self._send(got.reply)
            self._count_refused()
        elif type(got) is Unknown:
            self._count_refused()
        elif type(got) is Aside:
            self._aside(got, now_s)
        else:
            self._hear(got.ask, got)  # type: ignore[union-attr, arg-type]

    def _first_words(self, *, boots: bool) -> None:
        """One that boots is spoken to once that is answered (1.6 4.2, B01): there are stacks that lose a CALL that
        reaches them before, and fall silent over it. One that says anything else has booted long ago.
        """
        self.silent = False
        if not boots:
            self._hub.greet(self)

    def taken(self) -> None:
        """It is the station's one connection: what it said while that was not known is taken."""
        self.on_trial = False
        for call in self._in_line or ():
            self._first_words(boots=call.action == BOOT)
        self.go_on()

    def _aside(self, got: Aside, now_s: float) -> None:
        """Noted; answered by nothing."""
        if not self._rates.admits("MeterValues", now_s):
            self._count_refused()
        elif got.of_ours:
            log.warning(
                "ocpp.answer_not_understood", station_id=self.peer.station_id, code=got.word, why=got.more
            )
        else:
            log.info("ocpp.noted", station_id=self.peer.station_id, what=got.word[:64])

    def relayed(self, relay: Between) -> None:
        """From here on what the station says goes to its own CSMS, and is only watched."""
        self.relay = relay
        self.conversation = relay.conversation
        self._watched = self._hub.watched(self.version)

    def watch(self, call: Call) -> None:
        """A CALL that somebody else answers: taken in turn, without an answer of ours."""
        if call.action in self._watched:
            self._call(Watched(call.id, call.action, call.payload), self._time())

    def stand_in(self, call: Call) -> None:
        """A CALL that we answer in the place of the station's CSMS."""
        self._call(call, self._time())

    @property
    def idle(self) -> bool:
        """Whether no CALL of the station's is in hand."""
        return not self._busy and not self._in_line

    def hear(self, got: Answered | Failed) -> None:
        """What came of a CALL of ours."""
        self._hear(got.ask, got)

    def send(self, frame: bytes) -> None:
        """Send a frame that is not ours."""
        self._send(frame)

    def _call(self, call: Call, now_s: float) -> None:
        if self._busy or self.on_trial:
            if self._in_line is None:
                self._in_line = []
            if len(self._in_line) >= MOST_WAITING:
                if type(call) is Watched:
                    log.warning("ocpp.not_watched", station_id=self.peer.station_id, action=call.action)
                    return
                self.close(1008, "too many calls at once")
                return
            self._in_line.append(call)
            return
        handler = (self._watched if type(call) is Watched else self._handlers).get(call.action)
        try:
            if handler is None:
                raise Refusal(Fault.NOT_IMPLEMENTED, f"there is no {call.action[:64]!r} here")
            said = handler.decoder.decode(call.payload)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this CALL's alone
            self._refuse_for(call, error)
        else:
            self._take(call, handler.take, said, now_s)

    def _take(self, call: Call | Whole[Any], take: Said, said: Any, now_s: float) -> None:
        """Take what a CALL says. Hot."""
        try:
            if not self._rates.admits(call.action, now_s):
                raise Refusal(Fault.GENERIC, f"too many {call.action} in a short time; slow down")
            answer = take(self, said)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this CALL's alone
            self._refuse_for(call, error)
            return
        if type(answer) is bytes and type(call) is not Owed:
            if type(call) is not Watched:
                self._send(call.result(answer), now_s)
        else:
            self._busy = True
            self._hub.spawn(self._finish(call, answer))

    async def _finish(self, call: Call | Whole[Any], answer: bytes | Coroutine[Any, Any, bytes]) -> None:
        try:
            told = answer if isinstance(answer, bytes) else await answer
            if type(call) is Owed and self.relay is not None:
                await self.relay.owe(call, told)
            self._reply(call, call.result(told))
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse_for(call, error)
        try:
            while self._after is not None:
                work, self._after = self._after, None
                await work
        except EmwError as error:
            log.info("ocpp.not_done", station_id=self.peer.station_id, action=call.action, why=error.detail)
        except Exception:  # a bug: the log gets the trace, the connection lives on
            log.exception("ocpp.bug", station_id=self.peer.station_id, action=call.action)
        finally:
            self._busy = False
            self.go_on()

    def after(self, work: Coroutine[Any, Any, None]) -> None:
        """What is to be done once the CALL in hand is answered, and before the next one is taken."""
        if self._after is not None:
            self._after.close()
        self._after = work

    def go_on(self) -> None:
        """Take what waits in line, one by one, until one takes its time."""
        while self._in_line and not self._busy and not self.on_trial and not self.closed:
            self._call(self._in_line.pop(0), self._time())

    def _refuse_for(self, call: Call | Whole[Any], error: Exception) -> None:
        if isinstance(error, Refusal):
            self._refuse(call, error.fault, str(error))
        elif isinstance(error, msgspec.DecodeError | UnicodeDecodeError | RecursionError):
            self._refuse(call, *fault_of(error))
        elif isinstance(error, EmwError):
            self._refuse(call, fault_for(error), error.detail)
        else:  # a bug: the station hears so, the log gets the trace, the connection lives on
            log.error("ocpp.bug", station_id=self.peer.station_id, action=call.action, exc_info=error)
            self._refuse(call, Fault.INTERNAL, "this is a fault of emw; it is in its log")

    def _refuse(self, call: Call | Whole[Any], fault: Fault, why: str) -> None:
        log.info("ocpp.refused", station_id=self.peer.station_id, action=call.action[:64], why=why)
        self._reply(call, self.conversation.error(call.id, fault, why))
        if type(call) is not Watched:
            self._count_refused()

    def _reply(self, call: Call | Whole[Any], frame: bytes) -> None:
        if type(call) is not Watched:
            self._send(frame)

    def _count_refused(self) -> None:
        if not self._rates.admits(REFUSED, self._time()):
            self.close(1008, "too many frames that can't be taken")

    def pong(self) -> None:
        """The station answered a ping."""
        self.heard_s = self.ponged_s = self._time()

    def lost(self) -> None:
        """The socket is closed. Every CALL without answer stays unknown."""
        if self.closed and self.learning is None:
            return
        self.closed = True
        if self.learning is not None:
            self.learning.cancel()
            self.learning = None
        if self.relay is not None:
            self.relay.close()
        for ask in self.conversation.close():
            self._hear(ask, None)
        self._hub.closed(self)

    # --- out

    def ask(self, action: str, payload: bytes, heard: Heard, *, key: object = None) -> bool:
        """Put a CALL in line; False: it can't be (closed, or too many wait)."""
        if self.closed or self.on_trial:
            return False
        ask, now_s = Ask(action, payload, key, heard), self._time()
        frame = self.conversation.at_once(ask, now_s) if self.greeted else None
        if frame is not None:
            self._go_out(frame, now_s)
            return True
        takes_place = self.conversation.ask(ask) is not ask
        if self.greeted:
            self.send_next()  # one that lost its place to this one hears nothing: it was never said
        return takes_place

    async def call(self, action: str, payload: bytes) -> Answered | Failed | None:
        """Send a CALL and wait for what comes of it. Not for handlers of CALLs: they would wait for each other."""
        done: asyncio.Future[Answered | Failed | None] = asyncio.get_running_loop().create_future()

        def heard(got: Answered | Failed | None) -> None:
            if not done.done():
                done.set_result(got)

        return await done if self.ask(action, payload, heard) else None

    def send_next(self) -> None:
        """Let the next CALL out, if none is on its way."""
        now_s = self._time()
        frame = self.conversation.next(now_s)
        if frame is not None:
            self._go_out(frame, now_s)

    def _go_out(self, frame: bytes, now_s: float) -> None:
        self._hub.asking.append(self)
        self.peer.keep(went_out(now_s), frame)
        self.wire.send(frame)

    def overdue(self, now_s: float) -> None:
        """Give a CALL up whose time is over."""
        ask = self.conversation.expired(now_s)
        if ask is not None:
            log.info("ocpp.unanswered", station_id=self.peer.station_id, action=ask.action)
            self._hear(ask, None)
            self.send_next()

    def close(self, code: int, reason: str) -> None:
        """Close, and forget what waits."""
        if not self.closed:
            self.wire.close(code, reason)
            self.lost()

    def _hear(self, ask: Ask, got: Answered | Failed | None) -> None:
        try:
            if ask.tag is not None:  # none: a CALL of the station's CSMS
                ask.tag(got)
        except Exception:  # a bug in whoever asked: others must not suffer
            log.exception("ocpp.bug", station_id=self.peer.station_id, action=ask.action)
        if got is not None and self.conversation.waiting:
            self.send_next()

    def _send(self, frame: bytes, now_s: float | None = None) -> None:
        if not self.closed:
            self.peer.keep(went_out(self._time() if now_s is None else now_s), frame)
            self.wire.send(frame)
