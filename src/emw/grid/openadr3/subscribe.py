"""The subscriptions behind the webhooks of one VTN: made, renewed, looked after; never relied on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final

import structlog

from emw.grid.openadr3.client import V301, Trouble, VtnClient, VtnFailed
from emw.grid.openadr3.settings import VtnSettings
from emw.service.ports import Clock
from emw.service.wake import woken

log = structlog.get_logger()
RENEW_S: Final = 600.0
FIRST_RETRY_S: Final = 2.0
WORDS: Final = ("CREATE", "UPDATE", "DELETE")
VERBS: Final = ("POST", "PUT", "DELETE")
"""What 3.0.1 said before it was corrected: the Alliance's own server of 3.0.1 takes nothing else."""
Said = Callable[[str | None], None]


class Subscriber:
    """Keeps the VTN's subscription objects as they should be."""

    def __init__(
        self,
        settings: VtnSettings,
        client: VtnClient,
        clock: Clock,
        chance: Random,
        programs: Callable[[], Iterable[str]],
        said: Said,
    ) -> None:
        """`programs`: the ids of those that are served (3.0.1 subscribes to each). `said`: why there is none."""
        self._settings = settings
        self._client = client
        self._clock = clock
        self._chance = chance
        self._programs = programs
        self._said = said
        self._renewed: set[str | None] = set()
        self._words = WORDS
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """The VTN may have forgotten us: look now."""
        self._wake.set()

    async def run(self) -> None:
        """Look after them until cancelled."""
        failed = 0
        while True:
            try:
                await self.look()
            except VtnFailed as error:
                failed += 1
                log.warning("ven.not_subscribed", vtn=self._settings.name, why=error.why)
                self._said(error.why)
                wait_s = min(FIRST_RETRY_S * 2 ** min(failed, 10), RENEW_S)
            else:
                failed, wait_s = 0, RENEW_S
                self._said(None)
            await woken(self._wake, self._clock, wait_s * self._chance.uniform(0.8, 1.0))

    async def look(self) -> None:
        """Make what is missing, renew what an earlier life of ours left, drop what is there twice."""
        wanted: list[str | None] = [None]
        if await self._client.version() == V301:
            wanted = list(self._programs())
        there: dict[str | None, list[Any]] = {}
        for found in await self._client.listing("/subscriptions", {"clientName": self._settings.ven_name}):
            program_id = found.get("programID") if isinstance(found, dict) else None
            if isinstance(found, dict) and self._is_ours(found) and isinstance(program_id, str | None):
                there.setdefault(program_id, []).append(found.get("id"))
        for program_id in wanted:
            first, *more = there.pop(program_id, None) or [None]
            if first is None or program_id not in self._renewed:
                await self._say(first, program_id)
            self._renewed.add(program_id)
            for twice in more:
                await self._client.delete("/subscriptions", str(twice))

    async def _say(self, there: Any, program_id: str | None) -> None:
        """Make or renew one, in the words of the schema or else in those of the server."""
        try:
            await self._put(there, self._body(program_id))
        except VtnFailed as error:
            if error.trouble is not Trouble.BAD_REQUEST or self._words is VERBS:
                raise
            self._words = VERBS
            await self._put(there, self._body(program_id))

    async def _put(self, there: Any, body: dict[str, Any]) -> None:
        if there is None:
            await self._client.create("/subscriptions", body)
        else:
            await self._client.replace("/subscriptions", str(there), body)

    def _is_ours(self, found: dict[str, Any]) -> bool:
        operations = found.get("objectOperations")
        told = operations if isinstance(operations, list) else []
        urls = [o.get("callbackUrl") for o in told if isinstance(o, dict)]
        return found.get("clientName") == self._settings.ven_name and self._settings.callback_url in urls

    def _body(self, program_id: str | None) -> dict[str, Any]:
        operation = {
            "objects": ["EVENT", "PROGRAM"],
            "operations": list(self._words),
            "callbackUrl": self._settings.callback_url,
            "bearerToken": self._settings.callback_token,
        }
        body: dict[str, Any] = {"clientName": self._settings.ven_name, "objectOperations": [operation]}
        return body if program_id is None else {"programID": program_id, **body}
