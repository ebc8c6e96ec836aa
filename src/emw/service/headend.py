"""The service as a whole: its parts plugged together over the ports, and one task group that runs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from random import Random

import structlog

from emw.domain import facts as f
from emw.service.accounts import Accounts
from emw.service.admin import DRIVER, Admin
from emw.service.by_hand import ByHand
from emw.service.coming import HISTORY, SESSIONS
from emw.service.dispatch import Dispatch
from emw.service.errors import Unavailable
from emw.service.gate import Gate
from emw.service.grid_outbox import GridOutbox
from emw.service.grid_standing import GridSource
from emw.service.intake import Intake
from emw.service.ledger import Ledger
from emw.service.meter import Meter
from emw.service.outbox import Outbox
from emw.service.ports import Clock, Ids, Invitation, Loaded, ReportLink, StationConsole, StationLink, Store
from emw.service.recall import recall
from emw.service.requests import Requests
from emw.service.settings import ServiceSettings
from emw.service.signals import Signals
from emw.service.station_book import StationBook
from emw.service.telemetry import Telemetry
from emw.service.twins import Twins
from emw.service.vtn_clients import VtnClients
from emw.service.watch import Watch
from emw.service.what_if import Oracle

log = structlog.get_logger()


class HeadEnd:
    """Everything between the doors and the store. Doors call `intake`, `requests`, `admin`; `run` does the rest."""

    def __init__(
        self,
        *,
        store: Store,
        loaded: Loaded,
        clock: Clock,
        ids: Ids,
        chance: Random,
        stations: StationLink,
        reports: ReportLink,
        settings: ServiceSettings,
        version: str,
        host: str | None = None,
        key_id: str | None = None,
    ) -> None:
        """`host`, `key_id`: the machine it runs on and the server's key it has, for the log."""
        self.store = store
        self.clock = clock
        self.clock_off_s: Callable[[], float] = lambda: 0.0
        """How far the machine's clock has leapt away from ours, s (fault F9)."""
        self.certificates: Mapping[str, datetime] = {}
        """When the certificates end that emw shows or trusts, by the setting that names them (fault F20)."""
        self.settings = settings
        self.version = version
        self._host, self._key_id = host, key_id
        self.state = loaded.state
        self.ledger = Ledger(store, loaded.state)
        self.telemetry = Telemetry(store, settings)
        self.gate = Gate(loaded.state, clock, settings)
        self.twins = Twins(store, settings)
        self.accounts = Accounts(self.ledger, self.telemetry, ids, settings, self.twins)
        self.dispatch = Dispatch(self.ledger, self.telemetry, stations, clock, ids, settings, self.accounts)
        self.intake = Intake(self.ledger, self.telemetry, self.dispatch, clock, ids, settings, chance)
        self.book = StationBook(self.ledger, self.telemetry, self.dispatch, store, clock)
        self.invite: Callable[[str], Invitation | None] = lambda _: None
        """A stay's link and code for its driver; None where there is no page for drivers."""
        self.console: StationConsole | None = None
        """The operator's way to single stations; None where no protocol of this head-end has one."""
        self.requests = Requests(self.ledger, self.accounts, self.dispatch, store, clock, settings)
        self.signals = Signals(self.ledger, self.requests, self.accounts, self.dispatch, clock, settings)
        self.oracle = Oracle(self.state, self.dispatch, clock, settings)
        self.admin = Admin(self.ledger, self.dispatch, clock, ids)
        self.by_hand = ByHand(self.ledger, self.dispatch, self.accounts, self.requests, clock, settings)
        self.vtn_clients = VtnClients(self.ledger, clock, ids)
        self.outbox = Outbox(self.ledger, reports, clock, chance, settings)
        self.meter = Meter(self.ledger, self.telemetry, store, clock)
        self.grid_reports = GridOutbox(self.ledger, clock, chance, settings)
        self.grids: Sequence[GridSource] = ()
        """The adapters of grid systems, to be asked how they stand."""
        self.watch = Watch(self.ledger, self.telemetry, self.twins, self.dispatch, store, clock, settings)
        self.ready = asyncio.Event()
        self._recall(loaded)
        self.ledger.listen(self._noted)

    def _recall(self, loaded: Loaded) -> None:
        """Start from what the meters said last and from what limited EVSEs drew before their limit."""
        now = self.clock.now()
        for evse_id, reading in loaded.readings.items():
            self.telemetry.recall(reading, self.state.limits.get(evse_id), now)
        for evse in self.state.evses.values():
            if evse.session_id is not None:
                self.telemetry.heard(evse.evse_id, now)
            limit, session = self.state.limits.get(evse.evse_id), self.state.session_of(evse)
            live = self.telemetry.live.get(evse.evse_id)
            if limit is None or session is None or live is None or live.free_a is not None:
                continue
            if limit.max_a is not None and (limit.in_force(now) or session.started_at <= limit.issued_at):
                live.free_a = limit.would_draw_a
        recall(loaded.recent, self.state, self.dispatch.picture, self.dispatch.governor, now)
        self.dispatch.picture.learning.recall(loaded.memories, now)

    def _noted(self, _: int, facts: Sequence[f.Fact]) -> None:
        asking = self.dispatch.picture.asking
        for fact in facts:
            if isinstance(fact, f.EnrolmentEnded):
                asking.turns.ended(fact.evse_id, fact.request_key, fact.at, fact.measured_kwh)
            elif isinstance(fact, f.OptedOut):
                asking.note_opt_out(fact.evse_id, by_driver=fact.actor.startswith(DRIVER))

    async def _recall_parts(self) -> None:
        """Who took part lately: whose turn it was, and who would come back to a request that still runs."""
        turns = self.dispatch.picture.asking.turns
        running = [r.received_at for r in self.accounts.live_requests()]
        since = min([self.clock.now() - self.settings.season.length, *running])
        for row in await self.store.query("parts", since=since):
            turns.ended(row["evse_id"], row["request_key"], row["left_at"], row["measured_kwh"])
            self.accounts.took_part(row["request_key"], row["evse_id"], row["part"])

    async def _recall_visits(self) -> None:
        """Who came before, where no earlier process wrote it down: it takes a while and nothing waits for it."""
        learning, now = self.dispatch.picture.learning, self.clock.now()
        if not learning.strangers(now):
            return
        try:
            rows = await self.store.query("visits", since=now - HISTORY, limit=SESSIONS)
        except Unavailable as error:
            log.warning("learning.no_history", why=error.detail)
        else:
            learning.recall_visits(rows, now)

    async def _recall_measured(self, keys: Sequence[str]) -> None:
        """What an earlier process metered of requests that still run, as far as it was written."""
        for key in keys:
            rows = await self.store.query("counterfactual_sums", request_key=key)
            self.accounts.recall(key, {row["evse_id"]: row["kwh"] for row in rows})

    async def run(self) -> None:
        """Run until cancelled. A part that fails takes all down: a dead server frees cars, a zombie doesn't."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ledger.run(), name="ledger")
            earlier = [r.request_key for r in self.accounts.live_requests()]
            await self.ledger.record(
                f.ServerStarted(
                    at=self.clock.now(),
                    actor="emw",
                    version=self.version,
                    resumed_requests=len(earlier),
                    host=self._host,
                    key_id=self._key_id,
                )
            )
            await self._recall_parts()
            tasks.create_task(self.dispatch.run(), name="dispatch")
            tasks.create_task(self._recall_measured(earlier), name="recall")
            tasks.create_task(self._recall_visits(), name="visits")
            tasks.create_task(self.outbox.run(), name="outbox")
            tasks.create_task(self.signals.run(), name="signals")
            tasks.create_task(self.meter.run(), name="meter")
            tasks.create_task(self.watch.run(), name="watch")
            tasks.create_task(self.watch.flush(), name="telemetry")
            self.ready.set()

    async def close(self) -> None:
        """Write what still waits (a clean stop)."""
        await self.ledger.drain()
        await self.telemetry.flush()
        await self.twins.flush()
        await self.watch.remember(self.clock.now())
        await self.store.close()
