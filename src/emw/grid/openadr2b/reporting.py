"""Telemetry of one VTN of 2.0b: offered at registration, taken when asked for, sent when due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog

from emw.domain.state import State
from emw.grid.openadr2b import messages as say
from emw.grid.openadr2b.client import Client2b
from emw.grid.openadr2b.reports import LONGEST, SHORTEST, Asked, asked_in, points_of, sent, step
from emw.grid.openadr2b.xml import Node, name_of, text
from emw.grid.openadr3.client import Trouble, VtnFailed
from emw.grid.openadr3.settings import VtnSettings
from emw.service.ports import Clock
from emw.service.tally import Part

log = structlog.get_logger()
SPECIFIER: Final = "emw-telemetry"
MOST_SAMPLES: Final = 500
"""So many in one message."""


class Reporting:
    """What a VTN is told of loads."""

    def __init__(
        self,
        settings: VtnSettings,
        client: Client2b,
        state: State,
        sums: Callable[[str], Part],
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        """`sums`: of a territory, now."""
        self._settings = settings
        self._client = client
        self._territories = state.territories
        self._sums = sums
        self._clock = clock
        self._new_id = new_id
        self._ven_id = ""
        self._asked: list[Asked] = []
        self._points = points_of(_places(settings))

    @property
    def next_at(self) -> datetime | None:
        """When something is due; None: never."""
        return min((a.next_at for a in self._asked), default=None)

    async def register(self, ven_id: str) -> None:
        """Offer what can be reported. A VTN that forgot us has forgotten what it asked for, too."""
        self._ven_id, self._asked = ven_id, []
        if not self._points:
            return
        offer = say.register_report(
            self._new_id(),
            ven_id,
            SPECIFIER,
            self._points,
            shortest=SHORTEST,
            longest=LONGEST,
            context=self._settings.market_context,
            now=self._clock.now(),
        )
        try:
            answer = await self._client.call("EiReport", offer)
        except VtnFailed as error:
            if error.trouble not in {Trouble.BAD_REQUEST, Trouble.NOT_FOUND, Trouble.SERVER}:
                raise
            log.warning("ven.reports_refused", vtn=self._settings.name, why=error.why)
            return  # a VTN that takes no reports still has events
        if answer is not None:
            await self.take(answer)

    async def take(self, message: Node) -> None:
        """The VTN asks for reports."""
        found, refused = asked_in(message, self._points, self._clock.now())
        for why in refused:
            log.warning("ven.report_refused", vtn=self._settings.name, why=why)
        if not found and not refused:
            return
        new = {a.request_id for a in found}
        self._asked = [a for a in self._asked if a.request_id not in new] + found
        request_id = text(message, "requestID") or text(message, "eiResponse", "requestID") or "0"
        await self._client.call("EiReport", say.created_report(request_id, self._ven_id, self._pending()))

    async def cancel(self, message: Node, request_id: str) -> None:
        """The VTN wants some of them no longer."""
        gone = {text(n) for n in message if name_of(n) == "reportRequestID"}
        self._asked = [a for a in self._asked if a.request_id not in gone]
        await self._client.call("EiReport", say.canceled_report(request_id, self._ven_id, self._pending()))

    def _pending(self) -> list[str]:
        return [a.request_id for a in self._asked]

    def sample(self) -> None:
        """Take the samples that are due, also while the VTN can't be reached."""
        now = self._clock.now()
        if any(a.next_at <= now for a in self._asked):
            values = self._values()
            for asked in self._asked:
                asked.ready = step(asked, now, values) or asked.ready

    async def send_ready(self) -> None:
        """Send what is ready; what the VTN does not take waits."""
        now = self._clock.now()
        for asked in [a for a in self._asked if a.ready]:
            while asked.waiting:
                part = list(asked.waiting)[:MOST_SAMPLES]
                update = say.update_report(
                    self._new_id(),
                    self._ven_id,
                    report_id=self._new_id(),
                    report_request_id=asked.request_id,
                    specifier_id=SPECIFIER,
                    samples=part,
                    length=asked.every,
                    now=now,
                )
                await self._client.call("EiReport", update)
                sent(asked, len(part))
            asked.ready = False
            if asked.over:
                self._asked.remove(asked)

    def _values(self) -> dict[str, float | None]:
        """KW by the id of the series."""
        found: dict[str, float | None] = {}
        for place in {p.resource_id for p in self._points}:
            if place in self._territories:
                s = self._sums(place)
                found[f"{place}:load"] = s.load_kw
                found[f"{place}:baseline"] = s.baseline_kw
                found[f"{place}:change"] = s.load_kw - s.baseline_kw
        return found


def _places(settings: VtnSettings) -> list[str]:
    """The territories that this VTN may name: what is reported to it."""
    found: list[str] = []
    for meaning in (settings.meaning, *settings.programs.values()):
        found += [meaning.territory_id] if meaning.territory_id else []
        found += [rule.territory_id for rule in meaning.targets]
    return list(dict.fromkeys(found))
