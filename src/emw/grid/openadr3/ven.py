"""emw as a VEN of one VTN: polls, understands, and says what is in force.

A notification is only a wake-up; the truth is the next complete listing. An event that is missing from one (and is
not there when asked for by name) is cancelled; a listing that failed half-way cancels nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec
import structlog

from emw.domain.state import State
from emw.grid.link import Link
from emw.grid.openadr3.client import Trouble, VtnClient, VtnFailed
from emw.grid.openadr3.mqtt import MqttWake
from emw.grid.openadr3.notices import Callback, Notice
from emw.grid.openadr3.reporter import Reporter
from emw.grid.openadr3.settings import VtnSettings
from emw.grid.openadr3.subscribe import Subscriber
from emw.grid.openadr3.translate import Translated, translate
from emw.grid.openadr3.wants import implied, plan_of, report_only
from emw.grid.openadr3.wire import Event, Program, Unreadable, canonical, event_of, program_of
from emw.outgoing import Guard
from emw.service.errors import Unavailable
from emw.service.grid_standing import GridSeen
from emw.service.ports import Clock
from emw.service.signals import Heard, Signals
from emw.service.wake import woken

log = structlog.get_logger()
AHEAD: Final = timedelta(days=8)
"""A tariff that loops for ever is worked out so far ahead, from the coming midnight."""
PROGRAMS_S: Final = 600.0
MOST_ID: Final = 128
WOKEN_GAP_S: Final = 0.2
"""So long lies between two polls, however many notifications come."""


class Ven:
    """One VTN's client end. `run` until cancelled."""

    def __init__(
        self,
        settings: VtnSettings,
        client: VtnClient,
        *,
        link: Link,
        reporter: Reporter,
        state: State,
        signals: Signals,
        clock: Clock,
        chance: Random,
        max_kw: float,
    ) -> None:
        """`max_kw`: the most that one request may be."""
        self.settings = settings
        self.client = client
        self.link = link
        self.standing = link.standing
        self.reporter = reporter
        self._guard: Guard | None = None
        self._first = asyncio.Event()
        """The VTN has been heard."""
        self._state = state
        self._signals = signals
        self._clock = clock
        self._chance = chance
        self._max_kw = max_kw
        self._programs: dict[str, Program] = {}
        self._programs_at: datetime | None = None
        self._wake = asyncio.Event()
        self._subscriber: Subscriber | None = None
        if settings.callback_url is not None:
            self._subscriber = Subscriber(
                settings, client, self._clock, chance, self.served, self._subscribed
            )
        self._signals.open_ended_s[settings.source_id] = settings.lost_open_ended_s

    def wake(self, *, programs: bool = False) -> None:
        """Somebody says there is news (of programs, too): look now."""
        if programs:
            self._programs_at = None
        self._wake.set()

    def told(self, notice: Notice) -> None:
        """A notification came."""
        self.standing.told_at = self._clock.now()
        if notice.is_news:
            self.wake()

    def callback(self) -> Callback | None:
        """The door at which this VTN's notifications are let in; None: it is to send none."""
        settings = self.settings
        return None if settings.callback_url is None else Callback(settings.callback_token, self.told)

    def listen(self, guard: Guard) -> None:
        """Listen to the VTN's broker, too, where it lies within what `guard` allows."""
        self._guard = guard

    def seen(self) -> GridSeen:
        """How it stands now."""
        settings = self.settings
        return GridSeen(
            source_id=settings.source_id,
            name=settings.name,
            url=settings.url,
            protocol=f"openadr-{settings.version or '3'}",
            standing=self.standing,
            webhook=settings.callback_url is not None,
            mqtt=settings.mqtt,
        )

    def served(self) -> list[str]:
        """The ids of the programs whose events are served."""
        known = self._programs.values()
        return sorted(p.id for p in known if self.settings.meaning_of(p.id, p.programName) is not None)

    async def run(self) -> None:
        """Poll, and tell what is wanted, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name=f"polls {self.settings.name}")
            tasks.create_task(self.reporter.run(), name=f"reports {self.settings.name}")
            await self._first.wait()
            if self._subscriber is not None:
                tasks.create_task(self._subscriber.run(), name=f"subscription {self.settings.name}")
            if self.settings.mqtt and self._guard is not None:
                tasks.create_task(self._broker(self._guard).run(), name=f"broker {self.settings.name}")

    def _broker(self, guard: Guard) -> MqttWake:
        def said(why: str | None) -> None:
            self.standing.mqtt = why

        return MqttWake(
            self.settings, self.client, guard, self._clock, self._chance, self.served, self.told, said
        )

    async def _follow(self) -> None:
        while True:
            wait_s = await self.turn()
            self.standing.next_at = self._clock.now() + timedelta(seconds=wait_s)
            if await woken(self._wake, self._clock, wait_s):
                await self._clock.sleep(WOKEN_GAP_S)
                self._wake.clear()

    async def turn(self) -> float:
        """One poll; returns how long to wait for the next, s."""
        self.link.polled()
        try:
            await self._poll()
            await self._heard()
        except VtnFailed as error:
            return await self.link.missed(error, self.seen().protocol, self._pause_s())
        except Unavailable as error:
            log.warning("ven.not_written", vtn=self.settings.name, why=error.detail)
            return 1.0
        return self._pause_s()

    def _subscribed(self, why_not: str | None) -> None:
        self.standing.webhook = why_not

    # --- a poll

    async def _poll(self) -> None:
        listed = await self.client.listing("/events")
        events = [event_of(raw) for raw in listed]
        await self._know_programs({e.programID for e in events if isinstance(e, Event)})
        now = self._clock.now()
        unreadable: list[tuple[str | None, str]] = []
        heard: list[Heard] = []
        ended: dict[str, str] = {}
        there: set[str] = set()
        for raw, event in zip(listed, events, strict=True):
            if event.id is not None:
                there.add(event.id)
            why = event.why if isinstance(event, Unreadable) else odd_name(event.id)
            if why is not None or isinstance(event, Unreadable):
                unreadable.append((event.id, why or ""))
                continue
            try:
                said = self._understand(raw, event, now)
            except Exception as error:
                log.exception("ven.not_understood", vtn=self.settings.name, event_id=event.id)
                unreadable.append((event.id, f"emw failed on it: {error!r}"))
                continue
            if isinstance(said, Heard):
                heard.append(said)
            elif said is not None:
                ended[event.id] = said
        for event_id in await self._vanished(there):
            ended[event_id] = "it is gone from the VTN"
        self.standing.listed(self.settings.name, len(listed), unreadable)
        await self._signals.received(heard)
        for event_id in ended:
            await self.reporter.finish(event_id)
        await self._signals.ended(self.settings.source_id, ended)

    def _understand(self, raw: Any, event: Event, now: datetime) -> Heard | str | None:
        """What an event says; or why it is over; or None where it is no news that it is past."""
        settings = self.settings
        known = self._state.signals.get((settings.source_id, event.id))
        first_seen = now if known is None else known.first_seen_at
        draw = self._chance.uniform(-1.0, 1.0) if known is None else known.draw
        program = self._programs.get(event.programID)
        name = program.programName if program else ""
        meaning = settings.meaning_of(event.programID, name)
        event, until = implied(event), _midnight(now) + AHEAD
        told = translate(
            event,
            program,
            meaning,
            first_seen=first_seen,
            until=until,
            draw=draw,
            territories=self._above,
            max_kw=self._max_kw,
        )
        if told.cancelled and not report_only(event):
            return "cancelled: it lasts no time"
        if not told.slots and not told.failed and known is None:
            return None  # over before it was ever seen; one that is known stays until its VTN has it no more
        asks, notes = self._asks(event, program, told, until)
        return Heard(
            source_id=settings.source_id,
            event_id=event.id,
            program_id=event.programID,
            program=name or event.programID,
            first_seen_at=first_seen,
            draw=draw,
            segments=told.segments,
            body=canonical(raw),
            precedence=meaning.precedence if meaning else 100,
            name=event.eventName,
            priority=event.rank,
            notes=(*told.notes, *notes),
            asks=asks,
        )

    def _asks(
        self, event: Event, program: Program | None, told: Translated, until: datetime
    ) -> tuple[str | None, list[str]]:
        """What is to be told about it, and what is not, in words."""
        plan, notes = plan_of(
            event,
            program,
            told.places,
            told.slots,
            told.segments,
            unasked=self.settings.reports,
            until=until,
            piece=timedelta(seconds=self.settings.report_s),
        )
        return None if plan is None else msgspec.json.encode(plan).decode(), notes

    def _above(self, territory_id: str) -> Container[str] | None:
        return self._state.path(territory_id) if territory_id in self._state.territories else None

    async def _vanished(self, there: Container[str]) -> list[str]:
        """Signals that the complete listing does not have; each is asked for by name before it counts as gone.

        Between two pages of a list an object may slip through; and nothing is let go because of a slip.
        """
        missing = [s.event_id for s in self._signals.of(self.settings.source_id) if s.event_id not in there]
        return [e for e in missing if await self.client.one("/events", e) is None]

    async def _know_programs(self, needed: set[str]) -> None:
        now = self._clock.now()
        old = self._programs_at is None or now - self._programs_at > timedelta(seconds=PROGRAMS_S)
        if not old and needed <= self._programs.keys():
            return
        try:
            listed = await self.client.listing("/programs")
        except VtnFailed as error:
            if error.trouble not in {Trouble.FORBIDDEN, Trouble.NOT_FOUND}:
                raise
            listed = []  # events can be understood without their programs, if they say all themselves
        self._programs = {p.id: p for p in map(program_of, listed) if isinstance(p, Program)}
        self._programs_at = now

    # --- how it went

    async def _heard(self) -> None:
        self._first.set()
        version = await self.client.version()
        if self._subscriber is not None and self.link.is_lost:
            self._subscriber.wake()  # a VTN that was away may have forgotten us
        await self.link.heard(f"openadr-{version}")

    def _pause_s(self) -> float:
        """Idle or near an event; always a little less than told, so that VENs don't all come at once."""
        now = self._clock.now()
        soon = now + timedelta(seconds=self.settings.near_ahead_s)
        near = any(
            s.why_not is None and s.start_at <= soon and (s.end_at is None or s.end_at > now)
            for signal in self._signals.of(self.settings.source_id)
            for s in self._signals.segments(signal)
        )
        base_s = min(self.settings.near_poll_s, self.settings.poll_s) if near else self.settings.poll_s
        return base_s * self._chance.uniform(0.8, 1.0)


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def odd_name(name: str) -> str | None:
    """Why an event's id can't be kept as a name; None: it can."""
    if len(name) > MOST_ID or not name.isprintable():
        return f"its id is no name of at most {MOST_ID} characters"
    return None
