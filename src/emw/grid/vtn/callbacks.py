"""Webhooks of emw's VTN: proved before a subscription is taken, then called out of band, and given up when dead.

A notification is a wake-up: the truth is what the subscriber then reads. So they wait in memory, a bounded line for
each callback, the oldest dropped first; a restart forgets them. No write ever waits for a callback, and no callback
for another one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec
import structlog

from emw.domain.state import State
from emw.domain.vtn import VtnKind
from emw.grid.vtn import wire
from emw.grid.vtn.book import Book, Change, Operation
from emw.grid.vtn.entry import Entry
from emw.grid.vtn.rights import SCOPES, Client
from emw.grid.vtn.seal import Seal
from emw.grid.vtn.settings import ServerSettings
from emw.outgoing import CallFailed, Outgoing, UrlRefused
from emw.service.errors import BadInput, Unavailable
from emw.service.grid_standing import Notified
from emw.service.ports import Clock, Ids

log = structlog.get_logger()
MOST_WAITING: Final = 200
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
GONE: Final = 410


@dataclass(slots=True)
class _Line:
    """What waits for one callback of one subscription."""

    url: str
    waiting: deque[bytes] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    busy: bool = False
    failed: int = 0


class Callbacks:
    """Proves callbacks, and calls them. `run` until cancelled."""

    def __init__(
        self,
        book: Book,
        state: State,
        http: Outgoing,
        clock: Clock,
        ids: Ids,
        chance: Random,
        settings: ServerSettings,
    ) -> None:
        self._book = book
        self._state = state
        self._http = http
        self._clock = clock
        self._ids = ids
        self._chance = chance
        self._deadline_s = settings.callback_deadline_s
        self._tries = settings.callback_tries
        self._seal = Seal(settings.key)
        self._lines: dict[tuple[str, str], _Line] = {}
        self._wake = asyncio.Event()
        self.delivered = 0
        self.dropped = 0
        """Given up: too many waited, or their callback stayed dead."""
        book.listeners.append(self._changed)

    def notified(self) -> Notified:
        """What became of them, for people."""
        muted = sum(s.record.mute is not None for s in self._book.all_of(VtnKind.SUBSCRIPTION))
        return Notified(self.delivered, self.dropped, muted)

    # --- before a subscription is taken

    async def prove(self, said: wire.SubscriptionIn) -> None:
        """Every callback may be called, and echoes a random value (Definition 3.1.0, "Webhooks"). Raises BadInput."""
        asked: dict[str, tuple[str, str | None]] = {}
        for number, operation in enumerate(said.objectOperations):
            where = f"objectOperations[{number}].callbackUrl"
            try:
                self._http.guard.check(operation.callbackUrl)
            except UrlRefused as error:
                raise BadInput(where, f"emw may not call it: {error}") from error
            asked.setdefault(operation.callbackUrl, (where, operation.bearerToken))
        async with asyncio.TaskGroup() as tasks:
            found = {
                where: tasks.create_task(self._echoes(url, token)) for url, (where, token) in asked.items()
            }
        for where, task in found.items():
            why = task.result()
            if why is not None:
                raise BadInput(where, why)

    async def _echoes(self, url: str, token: str | None) -> str | None:
        """Why a callback is not proved; None: it is. How exactly it failed is told to nobody who may be probing."""
        value = self._ids.new("echo")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            reply = await self._http.request(
                "GET", url, query={"echo": value}, headers=headers, deadline_s=self._deadline_s
            )
        except (UrlRefused, CallFailed):
            return "it could not be called: a GET with ?echo=… must be answered with that value"
        if reply.status != 200 or value.encode() not in reply.body:
            return "it did not echo: a GET with ?echo=… must be answered 200 with that value in the body"
        return None

    # --- bearer tokens at rest

    def seal(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body as it is stored: bearer tokens sealed."""
        return _with_tokens(body, self._seal.seal)

    def opened(self, body: dict[str, Any], *, show: bool) -> dict[str, Any]:
        """The body as it is told: bearer tokens in clear for who set them, left out for others."""
        return _with_tokens(body, self._seal.open if show else lambda _: None)

    # --- what to tell whom

    def _changed(self, change: Change) -> None:
        for subscription in self._book.all_of(VtnKind.SUBSCRIPTION):
            if subscription.record.mute is None:
                for url, told in self._told(subscription, change):
                    self._queue(subscription.record.object_id, url, told)

    def _told(self, subscription: Entry, change: Change) -> Iterator[tuple[str, bytes]]:
        """The callbacks of a subscription that hear of a change, and what they hear."""
        seen = self._seen(subscription, change)
        if seen is None:
            return
        operation, entry, shown = seen
        for wanted in subscription.body["objectOperations"]:
            if entry.kind in wanted["objects"] and operation in wanted["operations"]:
                body = entry.as_told(shown)
                if entry.kind is VtnKind.SUBSCRIPTION:
                    body = self.opened(body, show=False)
                told = {"objectType": str(entry.kind), "operation": str(operation), "object": body}
                yield wanted["callbackUrl"], msgspec.json.encode(told)

    def _seen(self, subscription: Entry, change: Change) -> tuple[Operation, Entry, Any] | None:
        """A change as the subscriber may see it: what comes into its sight is new to it, what leaves it is gone."""
        client = self._state.vtn_clients.get(subscription.owner or "")
        if client is None or client.revoked:
            return None
        reader = Client(client.client_id, client.role, frozenset(SCOPES[client.role]))
        program_id = subscription.body.get("programID")
        told = subscription.body.get("targets")
        asked = frozenset(told) if told else None
        shown: list[Any] = []
        for entry in (change.before, change.after):
            there = entry is not None and (program_id is None or entry.program_id == program_id)
            shown.append(self._book.shown(reader, entry, asked) if entry is not None and there else None)
        if change.after is not None and shown[1] is not None:
            new = change.before is None or shown[0] is None
            return (Operation.CREATE if new else Operation.UPDATE), change.after, shown[1]
        if change.before is not None and shown[0] is not None:
            return Operation.DELETE, change.before, shown[0]
        return None

    def _queue(self, subscription_id: str, url: str, told: bytes) -> None:
        line = self._lines.setdefault((subscription_id, url), _Line(url))
        self.dropped += len(line.waiting) == MOST_WAITING
        line.waiting.append(told)
        self._wake.set()

    # --- telling

    async def run(self) -> None:
        """Call callbacks until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for key, line in list(self._lines.items()):
                    if line.waiting and not line.busy:
                        line.busy = True
                        tasks.create_task(self._serve(key, line), name="callback")

    async def _serve(self, key: tuple[str, str], line: _Line) -> None:
        """Everything that waits in a line, in order."""
        while line.waiting:
            subscription = self._book.of(VtnKind.SUBSCRIPTION, key[0])
            if subscription is None or subscription.record.mute is not None:
                break
            told = line.waiting[0]
            status = await self._post(subscription, line.url, told)
            if 200 <= status < 300:
                line.failed = 0
                self.delivered += 1
                if line.waiting and line.waiting[0] is told:
                    line.waiting.popleft()
                continue
            line.failed += 1
            if line.failed >= self._tries or status == GONE:
                await self._give_up(key[0], line, status)
                self.dropped += len(line.waiting)
                break
            pause_s = min(FIRST_PAUSE_S * 2 ** min(line.failed - 1, 20), LONGEST_PAUSE_S)
            await self._clock.sleep(pause_s * self._chance.uniform(0.5, 1.0))
        self._lines.pop(key, None)
        line.busy = False

    async def _post(self, subscription: Entry, url: str, told: bytes) -> int:
        """Call once; the status, 0 where there was none."""
        operations = subscription.body["objectOperations"]
        sealed = next((o.get("bearerToken") for o in operations if o["callbackUrl"] == url), None)
        token = None if sealed is None else self._seal.open(sealed)
        try:
            reply = await self._http.post(url, "", told, token=token, deadline_s=self._deadline_s)
        except (UrlRefused, CallFailed) as error:
            log.info("vtn.callback_failed", subscription=subscription.record.object_id, why=str(error))
            return 0
        return reply.status

    async def _give_up(self, subscription_id: str, line: _Line, status: int) -> None:
        why = f"answered {status}" if status else "could not be reached"
        reason = f"{line.url[:200]} {why} {line.failed} times in a row"
        log.warning("vtn.callback_muted", subscription=subscription_id, why=reason)
        try:
            await self._book.mute(subscription_id, reason)
        except Unavailable as error:
            log.warning("vtn.not_written", why=error.detail)


def _with_tokens(body: dict[str, Any], change: Any) -> dict[str, Any]:
    """A subscription's body with each bearer token changed; None leaves it out."""
    operations = []
    for operation in body["objectOperations"]:
        told = dict(operation)
        token = told.pop("bearerToken", None)
        changed = None if token is None else change(token)
        operations.append(told if changed is None else {**told, "bearerToken": changed})
    return {**body, "objectOperations": operations}
