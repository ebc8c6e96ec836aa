"""emw's own VTN as a whole: its parts plugged together, and what runs beside its doors."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from random import Random
from typing import Final

import structlog

from emw.domain.vtn import VtnKind
from emw.grid.openadr3.build import ven_of
from emw.grid.openadr3.client import VtnClient
from emw.grid.vtn.book import Book, Change
from emw.grid.vtn.callbacks import Callbacks
from emw.grid.vtn.desk import Desk
from emw.grid.vtn.doors import VtnDoors
from emw.grid.vtn.inside import Inside
from emw.grid.vtn.settings import ServerSettings
from emw.grid.vtn.tokens import Tokens
from emw.outgoing import Outgoing
from emw.service.errors import Unavailable
from emw.service.headend import HeadEnd
from emw.service.ports import Ids

log = structlog.get_logger()
TIDY_S: Final = 3_600.0


class VtnServer:
    """The doors (an ASGI app), emw as a VEN behind them, and callbacks. `run` and `ven.run` until cancelled."""

    def __init__(
        self, headend: HeadEnd, http: Outgoing, ids: Ids, chance: Random, settings: ServerSettings
    ) -> None:
        self.settings = settings
        self._clock = headend.clock
        self.book = Book(headend.ledger, headend.clock)
        self.tokens = Tokens(headend.ledger, headend.clock, ids, settings.token_life_s)
        self.callbacks = Callbacks(self.book, headend.state, http, headend.clock, ids, chance, settings)
        self.doors = VtnDoors(Desk(self.book, ids, self.callbacks), self.tokens, settings)
        client = VtnClient(settings.ours, Inside(self.doors), headend.clock)
        self.ven = ven_of(settings.ours, client, headend, chance)
        self.ven.standing.notified = self.callbacks.notified
        self.book.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        entry = change.after or change.before
        if entry is not None and entry.kind in {VtnKind.PROGRAM, VtnKind.EVENT}:
            self.ven.wake(programs=entry.kind is VtnKind.PROGRAM)

    async def run(self) -> None:
        """Call callbacks, and let go of reports that were kept long enough."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.callbacks.run(), name="callbacks")
            while True:
                try:
                    await self.book.forget(timedelta(seconds=self.settings.keep_reports_s))
                except Unavailable as error:
                    log.warning("vtn.not_written", why=error.detail)
                await self._clock.sleep(TIDY_S)
