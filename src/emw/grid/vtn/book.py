"""The objects of emw's VTN: found by those who may, written through the log, gone with what they belong to.

What is here is an index of the live view (`State.vtn_objects`); it is made anew from there for each object that a
fact touched, so that a commit that failed is taken back here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec

from emw.domain import vtn_facts as v
from emw.domain.vtn import VtnKind
from emw.grid.vtn.entry import Entry, ends_at
from emw.grid.vtn.rights import Client, shown_targets
from emw.service.errors import Forbidden, NotFound
from emw.service.faults import fault_point
from emw.service.ledger import Ledger
from emw.service.ports import Clock

MOST_OF_A_VEN: Final = 16 * 1024 * 1024
"""Bytes that one client's reports, vens, resources and subscriptions may hold."""
MOST_OF_ALL: Final = 128 * 1024 * 1024
"""Bytes that all programs and events may hold."""
MOST_GONE: Final = 1_000
EVERY_KIND: Final = tuple(VtnKind)


class Operation(StrEnum):
    """What can happen to an object."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Change:
    """What happened: the object before (None: it was not there) and after (None: it is gone)."""

    operation: Operation
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a search asks for; None: it does not say. All of it must hold."""

    targets: frozenset[str] | None = None
    program_id: str | None = None
    event_id: str | None = None
    client_name: str | None = None
    ven_id: str | None = None
    name: str | None = None
    objects: frozenset[str] | None = None
    active: bool = False


class Book:
    """Every object there is, by id and by what it belongs to."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._clock = clock
        self._entries: dict[VtnKind, dict[str, Entry]] = {kind: {} for kind in EVERY_KIND}
        self._keyed: dict[tuple[str, ...], dict[str, None]] = {}
        self._held: dict[str, int] = {}
        self._granted: dict[str, frozenset[str]] = {}
        self._ends: dict[str, tuple[Entry, datetime | None]] = {}
        self._gone: dict[str, Entry] = {}
        self._writing = 0
        self.listeners: list[Callable[[Change], None]] = []
        """Called once a change is durable. They may not raise."""
        for record in sorted(self._state.vtn_objects.values(), key=lambda r: (r.created_at, r.object_id)):
            self._index(record.kind, record.object_id)

    # --- reading

    async def durable(self) -> None:
        """Return once what was written here is durable: only that may be told."""
        if self._writing:
            await self._ledger.settled()

    def of(self, kind: VtnKind, object_id: str) -> Entry | None:
        """An object, whoever may see it."""
        return self._entries[kind].get(object_id)

    def gone_event(self, object_id: str) -> Entry | None:
        """An event that was deleted not long ago: reports on what it asked may still be on their way."""
        return self._gone.get(object_id)

    def all_of(self, kind: VtnKind) -> Iterable[Entry]:
        """All objects of a kind, oldest first."""
        return self._entries[kind].values()

    def named(self, kind: VtnKind, name: str, ven_id: str = "") -> str | None:
        """The id of what has this name: of a program, a ven, or a resource of a ven."""
        return next(iter(self._keyed.get(("name", kind, ven_id, name), ())), None)

    def granted(self, client_id: str) -> frozenset[str]:
        """The targets that business logic has given to a client's vens and resources."""
        known = self._granted.get(client_id)
        if known is None:
            known = self._granted[client_id] = frozenset(
                target
                for kind in (VtnKind.VEN, VtnKind.RESOURCE)
                for entry in self._of(("owner", kind, client_id), kind)
                for target in entry.body.get("targets") or ()
            )
        return known

    def shown(self, client: Client, entry: Entry, asked: frozenset[str] | None = None) -> Any:
        """The targets of an object that this client is shown; None: it is not there for it."""
        granted = frozenset() if client.sees_all else self.granted(client.client_id)
        return shown_targets(entry.kind, entry.body, client, granted, asked)

    def seen(self, client: Client, kind: VtnKind, object_id: str) -> Entry:
        """An object that this client may see. Raises NotFound, also for another's."""
        entry = self._entries[kind].get(object_id)
        if entry is None or self.shown(client, entry) is None:
            raise NotFound(f"there is no {kind.lower()} {object_id[:128]!r}")
        return entry

    def search(
        self, client: Client, kind: VtnKind, wanted: Filter, skip: int, limit: int
    ) -> list[tuple[Entry, Any]]:
        """A page of what this client may see, oldest first, each with the targets it is shown."""
        found: list[tuple[Entry, Any]] = []
        now = self._clock.now()
        granted = frozenset[str]() if client.sees_all else self.granted(client.client_id)
        for entry in self._candidates(client, kind, wanted):
            if len(found) >= limit:
                break
            shown = shown_targets(kind, entry.body, client, granted, wanted.targets)
            if shown is None or not self._fits(entry, wanted, now):
                continue
            if skip:
                skip -= 1
                continue
            found.append((entry, shown))
        return found

    def _candidates(self, client: Client, kind: VtnKind, wanted: Filter) -> Iterator[Entry]:
        if wanted.event_id is not None:
            return self._of(("event", kind, wanted.event_id), kind)
        if client.sees_all or kind in {VtnKind.PROGRAM, VtnKind.EVENT}:
            return iter(self._entries[kind].values())
        return self._of(("owner", kind, client.client_id), kind)

    def _of(self, key: tuple[str, ...], kind: VtnKind) -> Iterator[Entry]:
        there = self._entries[kind]
        return (there[i] for i in self._keyed.get(key, ()))

    def _fits(self, entry: Entry, wanted: Filter, now: datetime) -> bool:
        body = entry.body
        name = body.get("venName") or body.get("resourceName")
        if wanted.program_id is not None and entry.program_id != wanted.program_id:
            return False
        if wanted.client_name is not None and body.get("clientName") != wanted.client_name:
            return False
        if wanted.ven_id is not None and body.get("venID") != wanted.ven_id:
            return False
        if wanted.name is not None and name != wanted.name:
            return False
        if wanted.objects is not None:
            told_of = {o for operation in body["objectOperations"] for o in operation["objects"]}
            if not told_of & wanted.objects:
                return False
        return not wanted.active or not self._over(entry, now)

    def _over(self, entry: Entry, now: datetime) -> bool:
        """Whether an event is over; worked out once for each version."""
        if entry.kind is not VtnKind.EVENT:
            return False
        object_id = entry.record.object_id
        program = self.of(VtnKind.PROGRAM, entry.body["programID"])
        known = self._ends.get(object_id)
        if known is None or known[0] is not entry:
            known = self._ends[object_id] = entry, ends_at(entry, program)
        return known[1] is not None and known[1] <= now

    # --- writing

    async def put(self, client: Client, kind: VtnKind, object_id: str, body: dict[str, Any]) -> Entry:
        """Create an object or replace it whole; returns it once it is durable."""
        text = msgspec.json.encode(body).decode()
        before = self._entries[kind].get(object_id)
        owner = body.get("clientID") or ""
        more = len(text) - (len(before.record.body) if before else 0)
        most = MOST_OF_A_VEN if owner else MOST_OF_ALL
        if more > 0 and self._held.get(owner, 0) + more > most:
            raise Forbidden(f"there are {most // 2**20} MB of objects already; delete some first")
        fact = v.VtnObjectPut(
            at=self._clock.now(), actor=client.actor, object_id=object_id, object_type=kind, body=text
        )
        await self._write(fact)
        return self._entries[kind][object_id]

    async def delete(self, actor: str, kind: VtnKind, object_id: str, reason: str | None = None) -> None:
        """An object goes, and with a program its events, with a ven its resources. Reports stay: they are the proof."""
        at = self._clock.now()
        gone = [(kind, object_id, reason)]
        belongs = {
            VtnKind.PROGRAM: (VtnKind.EVENT, "its program was deleted"),
            VtnKind.VEN: (VtnKind.RESOURCE, "its ven was deleted"),
        }.get(kind)
        if belongs is not None:
            other, why = belongs
            gone += [(other, i, why) for i in self._keyed.get(("of", other, object_id), ())]
        await self._write(
            *(
                v.VtnObjectDeleted(at=at, actor=actor, object_id=i, object_type=k, reason=why)
                for k, i, why in reversed(gone)
            )
        )

    async def mute(self, object_id: str, why: str) -> None:
        """A subscription's callbacks are no longer called."""
        if object_id in self._state.vtn_objects:
            fact = v.VtnCallbackMuted(at=self._clock.now(), actor="emw", object_id=object_id, reason=why)
            await self._write(fact)

    async def forget(self, older_than: timedelta) -> None:
        """Reports that were kept long enough go."""
        before = self._clock.now() - older_than
        old = [e for e in self.all_of(VtnKind.REPORT) if e.record.modified_at < before]
        for entry in old[:1_000]:
            await self.delete("emw", VtnKind.REPORT, entry.record.object_id, "kept long enough")

    async def _write(self, *facts: v.VtnObjectPut | v.VtnObjectDeleted | v.VtnCallbackMuted) -> None:
        touched = [self._kind_of(fact) for fact in facts]
        before = [self._entries[kind].get(i) for kind, i in touched]
        done = self._ledger.put(*facts)
        self._writing += 1
        try:
            for kind, i in touched:
                self._index(kind, i)
            await done
            fault_point("answer.before")
        except BaseException:
            for kind, i in touched:
                self._index(kind, i)
            raise
        finally:
            self._writing -= 1
        for fact, was, (kind, i) in zip(facts, before, touched, strict=True):
            if isinstance(fact, v.VtnCallbackMuted):
                continue
            now = self._entries[kind].get(i)
            if now is None and was is not None and kind is VtnKind.EVENT:
                self._gone[i] = was
                if len(self._gone) > MOST_GONE:
                    del self._gone[next(iter(self._gone))]
            what = Operation.DELETE if now is None else Operation.UPDATE if was else Operation.CREATE
            for listener in self.listeners:
                listener(Change(what, was, now))

    def _kind_of(self, fact: v.VtnObjectPut | v.VtnObjectDeleted | v.VtnCallbackMuted) -> tuple[VtnKind, str]:
        if isinstance(fact, v.VtnCallbackMuted):
            return VtnKind.SUBSCRIPTION, fact.object_id
        return fact.object_type, fact.object_id

    # --- the index

    def _index(self, kind: VtnKind, object_id: str) -> None:
        """Make what is known of one object equal to the live view."""
        old = self._entries[kind].get(object_id)
        record = self._state.vtn_objects.get(object_id)
        if old is not None and old.record is record:
            return
        if old is not None:
            self._held[old.owner or ""] -= len(old.record.body)
            for key in _keys(old):
                self._keyed[key].pop(object_id, None)
                if not self._keyed[key]:
                    del self._keyed[key]
        if record is None:
            self._entries[kind].pop(object_id, None)
            self._ends.pop(object_id, None)
        else:
            entry = self._entries[kind][object_id] = Entry(record)
            self._held[entry.owner or ""] = self._held.get(entry.owner or "", 0) + len(record.body)
            for key in _keys(entry):
                self._keyed.setdefault(key, {})[object_id] = None
        if kind in {VtnKind.VEN, VtnKind.RESOURCE}:
            self._granted.clear()
        elif kind is VtnKind.PROGRAM:
            self._ends.clear()  # an event may take its times from its program


def _keys(entry: Entry) -> list[tuple[str, ...]]:
    """Under which keys an object is found."""
    body, kind = entry.body, entry.kind
    keys: list[tuple[str, ...]] = []
    if entry.owner is not None:
        keys.append(("owner", kind, entry.owner))
    match kind:
        case VtnKind.PROGRAM:
            keys.append(("name", kind, "", body["programName"]))
        case VtnKind.EVENT:
            keys.append(("of", kind, body["programID"]))
        case VtnKind.REPORT:
            keys.append(("event", kind, body["eventID"]))
        case VtnKind.VEN:
            keys.append(("name", kind, "", body["venName"]))
        case VtnKind.RESOURCE:
            keys += [("name", kind, body["venID"], body["resourceName"]), ("of", kind, body["venID"])]
        case VtnKind.SUBSCRIPTION:
            pass
    return keys
