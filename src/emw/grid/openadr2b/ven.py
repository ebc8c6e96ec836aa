"""emw as a VEN of one VTN of 2.0b: registers, polls, answers events, reports, and says what is in force.

The VTN tells all its events at once: one that is missing has been cancelled. Everything but the registration rides on
the answers to polls. Registration and the reports that were asked for live as long as the process; after a start emw
registers again, and the signals that it kept hold until the VTN has said what is in force now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Final

import structlog

from emw.domain.state import State
from emw.grid.link import Link
from emw.grid.openadr2b import messages as say
from emw.grid.openadr2b.client import Client2b, NotRegistered
from emw.grid.openadr2b.events import Told, Unreadable, events_in, version_in
from emw.grid.openadr2b.hearing import Hearing
from emw.grid.openadr2b.messages import EventAnswer
from emw.grid.openadr2b.opting import Choice
from emw.grid.openadr2b.reporting import Reporting
from emw.grid.openadr2b.xml import Node, name_of, text
from emw.grid.openadr3.client import Trouble, VtnFailed
from emw.grid.openadr3.settings import VtnSettings
from emw.grid.openadr3.times import BadTime, span_of
from emw.grid.openadr3.ven import odd_name
from emw.service.errors import Unavailable
from emw.service.grid_standing import GridSeen
from emw.service.ports import Clock
from emw.service.signals import Heard, Signals
from emw.service.wake import woken

log = structlog.get_logger()
PROTOCOL: Final = "openadr-2.0b"
AHEAD: Final = timedelta(days=8)
RESYNC: Final = timedelta(minutes=5)
"""So often all events are asked for, whatever the polls say."""
MOST_PER_TURN: Final = 20


class Ven2b:
    """One VTN's client end. `run` until cancelled."""

    def __init__(
        self,
        settings: VtnSettings,
        client: Client2b,
        *,
        link: Link,
        hearing: Hearing,
        reporting: Reporting,
        state: State,
        signals: Signals,
        clock: Clock,
        chance: Random,
        new_id: Callable[[], str],
    ) -> None:
        self.settings = settings
        self.client = client
        self.link = link
        self.standing = link.standing
        self.hearing = hearing
        self.reporting = reporting
        self._state = state
        self._signals = signals
        self._clock = clock
        self._chance = chance
        self._id = new_id
        self._wake = asyncio.Event()
        self._ven_id: str | None = settings.ven_id
        self._registration_id: str | None = None
        self._poll_s = settings.poll_s
        self._synced_at: datetime | None = None
        self._answered: dict[str, tuple[int, bool]] = {}
        self._told: dict[str, Told] = {}
        self._takes_opts = True
        self._signals.open_ended_s[settings.source_id] = settings.lost_open_ended_s

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def seen(self) -> GridSeen:
        """How it stands now."""
        s = self.settings
        return GridSeen(
            source_id=s.source_id, name=s.name, url=s.url, protocol=PROTOCOL, standing=self.standing
        )

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            wait_s = await self.turn()
            self.standing.next_at = self._clock.now() + timedelta(seconds=wait_s)
            await woken(self._wake, self._clock, wait_s)

    async def turn(self) -> float:
        """One look at the VTN; returns how long to wait for the next, s."""
        self.link.polled()
        self.reporting.sample()
        try:
            if self._registration_id is None:
                await self._register()
            await self._poll()
            await self._review()
            await self.reporting.send_ready()
            await self.link.heard(PROTOCOL)
        except NotRegistered as error:
            self._registration_id = None
            if self.link.failed == 0:
                self.link.failed = 1
                return 0.0  # to register again is the cure, and is tried once at once
            return await self.link.missed(error, PROTOCOL, self._poll_s)
        except VtnFailed as error:
            return await self.link.missed(error, PROTOCOL, self._poll_s)
        except Unavailable as error:
            log.warning("ven.not_written", vtn=self.settings.name, why=error.detail)
            return 1.0
        return self._pause_s()

    # --- registration

    async def _register(self) -> None:
        """Say who we are, what can be reported, and ask for all events."""
        answer = await self.client.call(
            "EiRegisterParty",
            say.create_party_registration(
                self._id(),
                self.settings.ven_name,
                ven_id=self._ven_id,
                registration_id=self._registration_id,
                signs=self.settings.sign_messages,
            ),
        )
        registration_id = text(answer, "registrationID") if answer is not None else None
        ven_id = text(answer, "venID") or self._ven_id
        if registration_id is None or ven_id is None:
            raise VtnFailed(
                Trouble.CREDENTIALS,
                f"the VTN refuses to register {self.settings.ven_name!r}: is it known there?",
            )
        self._ven_id, self._registration_id = ven_id, registration_id
        self._poll_s = _seconds(text(answer, "oadrRequestedOadrPollFreq", "duration")) or self.settings.poll_s
        log.info("ven.registered", vtn=self.settings.name, ven=ven_id, poll_s=self._poll_s)
        self._answered.clear()
        self._takes_opts = True
        await self.reporting.register(ven_id)
        await self._sync()

    # --- polls

    async def _poll(self) -> None:
        now = self._clock.now()
        if self._synced_at is None or now - self._synced_at >= RESYNC:
            await self._sync()
        for _ in range(MOST_PER_TURN):
            answer = await self.client.call("OadrPoll", say.poll(self._ven_id or ""))
            if answer is None or name_of(answer) == "oadrResponse":
                return
            await self._take(answer)

    async def _take(self, message: Node) -> None:
        """One message of the VTN's that rode on a poll."""
        request_id = text(message, "requestID") or "0"
        match name_of(message):
            case "oadrDistributeEvent":
                await self._events(message, answer_all=True)
            case "oadrCreateReport":
                await self.reporting.take(message)
            case "oadrRegisterReport":
                await self.client.call("EiReport", say.registered_report(request_id, self._ven_id or ""))
            case "oadrCancelReport":
                await self.reporting.cancel(message, request_id)
            case "oadrRequestReregistration":
                await self.client.call("EiRegisterParty", say.response(request_id, self._ven_id))
                raise NotRegistered(Trouble.CREDENTIALS, "the VTN asks to register again")
            case "oadrCancelPartyRegistration":
                registration = text(message, "registrationID")
                await self.client.call(
                    "EiRegisterParty", say.canceled_party_registration(request_id, registration, self._ven_id)
                )
                raise NotRegistered(Trouble.CREDENTIALS, "the VTN has ended our registration")
            case other:
                log.warning("ven.unknown_message", vtn=self.settings.name, message=other[:60])

    async def _sync(self) -> None:
        """All events that there are. A plain "OK" stands for none."""
        answer = await self.client.call("EiEvent", say.request_event(self._id(), self._ven_id or ""))
        if answer is not None and name_of(answer) in {"oadrDistributeEvent", "oadrResponse"}:
            await self._events(answer, answer_all=False)
            self._synced_at = self._clock.now()

    # --- events

    async def _events(self, message: Node, *, answer_all: bool) -> None:
        now = self._clock.now()
        request_id = text(message, "requestID") or self._id()
        heard: list[Heard] = []
        ended: dict[str, str] = {}
        there: set[str] = set()
        unreadable: list[tuple[str | None, str]] = []
        answers: list[EventAnswer] = []
        told_now: dict[str, Told] = {}
        for told in events_in(message):
            if told.event_id is not None:
                there.add(told.event_id)
            why = told.why if isinstance(told, Unreadable) else odd_name(told.event_id)
            if why is not None or isinstance(told, Unreadable):
                unreadable.append((told.event_id, why or ""))
                continue
            known = self._state.signals.get((self.settings.source_id, told.event_id))
            if known is not None and told.modification_number < version_in(known.body):
                continue  # an old version that was late on its way
            told_now[told.event_id] = told
            if told.cancelled or told.completed:
                ended[told.event_id] = "cancelled by the VTN" if told.cancelled else "completed, says the VTN"
                answers.append(_answer(told, request_id, Choice(opt_in=True)))
                continue
            try:
                said, choice = self.hearing.understand(told, now, self._ven_id)
            except Exception as error:
                log.exception("ven.not_understood", vtn=self.settings.name, event_id=told.event_id)
                unreadable.append((told.event_id, f"emw failed on it: {error!r}"))
                continue
            if said is None:
                ended[told.event_id] = "it is over"
                continue
            heard.append(said)
            answers.append(_answer(told, request_id, choice))
        for signal in self._signals.of(self.settings.source_id):
            if signal.event_id not in there and not any(e is None for e, _ in unreadable):
                ended[signal.event_id] = "it is gone from the VTN"
        self.standing.listed(self.settings.name, len(there), unreadable)
        self._told = {k: t for k, t in told_now.items() if k not in ended}
        await self._signals.received(heard)
        await self._signals.ended(self.settings.source_id, ended)
        await self._answer(request_id, answers, told_now, answer_all=answer_all)

    async def _answer(
        self, request_id: str, answers: Iterable[EventAnswer], told: dict[str, Told], *, answer_all: bool
    ) -> None:
        """Tell the VTN what emw does, where it wants to hear and has not heard it yet."""
        due = [
            a
            for a in answers
            if told[a.event_id].answer
            and not told[a.event_id].completed
            and (answer_all or self._answered.get(a.event_id) != (a.modification_number, a.opt_in))
        ]
        if not due:
            return
        await self.client.call("EiEvent", say.created_event(self._ven_id or "", request_id, due))
        self._answered.update({a.event_id: (a.modification_number, a.opt_in) for a in due})

    # --- another mind about an event

    async def _review(self) -> None:
        """Events that are near or run are weighed again; the VTN hears of a change of mind (EiOpt)."""
        now = self._clock.now()
        for event_id, told in list(self._told.items()):
            if (self.settings.source_id, event_id) not in self._state.signals:
                self._told.pop(event_id, None)
                continue
            said, choice = self.hearing.understand(told, now, self._ven_id)
            if said is None:
                continue
            await self._signals.received([said])
            answered = self._answered.get(event_id)
            if answered is None or answered == (told.modification_number, choice.opt_in) or not told.answer:
                continue
            await self._change_mind(told, choice, now)
            self._answered[event_id] = (told.modification_number, choice.opt_in)
            log.info(
                "ven.opt", vtn=self.settings.name, event_id=event_id, opt_in=choice.opt_in, why=choice.why
            )

    async def _change_mind(self, told: Told, choice: Choice, now: datetime) -> None:
        """By EiOpt; a VTN without that service (openleadr) hears it as another answer to the event."""
        opt = say.create_opt(
            self._ven_id or "",
            self._id(),
            self._id(),
            opt_in=choice.opt_in,
            event_id=told.event_id,
            modification_number=told.modification_number,
            now=now,
        )
        try:
            if self._takes_opts:
                await self.client.call("EiOpt", opt)
                return
        except VtnFailed as error:
            if error.trouble not in {Trouble.NOT_FOUND, Trouble.BAD_REQUEST}:
                raise
            log.warning("ven.no_opts", vtn=self.settings.name, why=error.why)
            self._takes_opts = False
        request_id = self._id()
        answer = _answer(told, request_id, choice)
        await self.client.call("EiEvent", say.created_event(self._ven_id or "", request_id, [answer]))

    def _pause_s(self) -> float:
        """To the next poll, or to the next report if that comes first."""
        pause_s = self._poll_s * self._chance.uniform(0.8, 1.0)
        due = self.reporting.next_at
        if due is not None:
            pause_s = min(pause_s, max((due - self._clock.now()).total_seconds(), 0.0))
        return pause_s


def _answer(told: Told, request_id: str, choice: Choice) -> EventAnswer:
    return EventAnswer(
        event_id=told.event_id,
        modification_number=told.modification_number,
        request_id=request_id,
        opt_in=choice.opt_in,
        code=choice.code,
        why=choice.why or "OK",
    )


def _seconds(said: str | None) -> float | None:
    """A poll frequency, s, within an hour and a second."""
    if said is None:
        return None
    try:
        span = span_of(said)
    except BadTime:
        return None
    seconds = span.days * 86_400 + span.seconds
    return None if span.endless or span.months or seconds <= 0 else min(max(seconds, 1.0), 3_600.0)
