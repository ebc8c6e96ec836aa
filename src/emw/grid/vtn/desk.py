"""What a client may do with objects: its scopes, its own objects, names that are taken, references to nothing.

One rule per kind; what is refused names the field. The order is always the same: may it at all (403), is it there for
this client (404), is it right (400, 409), then it is written.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, assert_never

import msgspec

from emw.domain.vtn import VtnKind, VtnRole
from emw.grid.vtn import wire
from emw.grid.vtn.book import Book
from emw.grid.vtn.entry import PRIVATE, Entry
from emw.grid.vtn.rights import Client, needed_to_read, needed_to_write
from emw.service.errors import Conflict, Forbidden, NotFound
from emw.service.ports import Ids

PREFIX: Final = {
    VtnKind.PROGRAM: "pr",
    VtnKind.EVENT: "ev",
    VtnKind.REPORT: "rp",
    VtnKind.SUBSCRIPTION: "sb",
    VtnKind.VEN: "vn",
    VtnKind.RESOURCE: "rs",
}


class Callbacks(Protocol):
    """What is asked of subscriptions before they are written."""

    async def prove(self, said: wire.SubscriptionIn) -> None:
        """Raises BadInput for a callback that may not be called, or does not echo."""
        ...

    def seal(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body as it is stored: bearer tokens sealed."""
        ...

    def opened(self, body: dict[str, Any], *, show: bool) -> dict[str, Any]:
        """The body as it is told: bearer tokens in clear for who set them, left out for others."""
        ...


class Desk:
    """Creates, replaces, deletes and shows objects for clients."""

    def __init__(self, book: Book, ids: Ids, callbacks: Callbacks) -> None:
        self.book = book
        self._ids = ids
        self._callbacks = callbacks

    # --- reading

    def may_read(self, client: Client, kind: VtnKind) -> None:
        """Raises Forbidden where the scopes do not open this kind."""
        if not client.may_read(kind):
            raise Forbidden(f"this token has not the scope that is needed here: {needed_to_read(kind)}")

    def told(self, client: Client, entry: Entry, targets: Any = None) -> bytes:
        """An object as this client is told it."""
        shown = self.book.shown(client, entry) if targets is None else targets
        if entry.kind is not VtnKind.SUBSCRIPTION:
            return entry.told(shown or ())
        body = entry.as_told(shown or ())
        return msgspec.json.encode(self._callbacks.opened(body, show=entry.owner == client.client_id))

    # --- writing

    async def create(self, client: Client, kind: VtnKind, said: Any) -> Entry:
        """A new object. Raises Refused."""
        self._may_write(client, kind)
        body = self._body(client, kind, said, None)
        if isinstance(said, wire.SubscriptionIn):
            await self._callbacks.prove(said)
            body = self._callbacks.seal(self._body(client, kind, said, None))
        return await self.book.put(client, kind, self._ids.new(PREFIX[kind]), body)

    async def replace(self, client: Client, kind: VtnKind, object_id: str, said: Any) -> Entry:
        """Another version of an object: what is not said is no longer there. Raises Refused."""
        entry = self._to_change(client, kind, object_id)
        body = self._body(client, kind, said, entry)
        if isinstance(said, wire.SubscriptionIn):
            await self._callbacks.prove(said)
            entry = self._to_change(
                client, kind, object_id
            )  # much may have happened while a callback was asked
            body = self._callbacks.seal(self._body(client, kind, said, entry))
        return await self.book.put(client, kind, object_id, body)

    async def delete(self, client: Client, kind: VtnKind, object_id: str) -> bytes:
        """An object goes; returns it as it was told last."""
        entry = self._to_change(client, kind, object_id)
        last = self.told(client, entry)
        await self.book.delete(client.actor, kind, object_id)
        return last

    def _may_write(self, client: Client, kind: VtnKind) -> None:
        if not client.may_write(kind):
            raise Forbidden(f"this token has not the scope that is needed here: {needed_to_write(kind)}")

    def _to_change(self, client: Client, kind: VtnKind, object_id: str) -> Entry:
        self._may_write(client, kind)
        entry = self.book.seen(client, kind, object_id)
        if kind is VtnKind.SUBSCRIPTION and entry.owner != client.client_id:
            raise Forbidden("this subscription is another client's; only that one may change it")
        return entry

    def _body(self, client: Client, kind: VtnKind, said: Any, known: Entry | None) -> dict[str, Any]:
        """What is to be stored, once it holds against what is there."""
        match kind:
            case VtnKind.PROGRAM:
                self._free(kind, "programName", said.programName, known)
                return _plain(said)
            case VtnKind.EVENT:
                return self._event(client, said)
            case VtnKind.REPORT:
                return self._report(client, said, known)
            case VtnKind.SUBSCRIPTION:
                if said.programID is not None:
                    self._refers(client, VtnKind.PROGRAM, said.programID, "programID")
                return {"clientID": client.client_id, **_plain(said)}
            case VtnKind.VEN:
                return self._ven(client, said, known)
            case VtnKind.RESOURCE:
                return self._resource(client, said, known)
        assert_never(kind)

    def _event(self, client: Client, said: wire.EventIn) -> dict[str, Any]:
        self._refers(client, VtnKind.PROGRAM, said.programID, "programID")
        return _plain(said)

    def _report(self, client: Client, said: wire.ReportIn, known: Entry | None) -> dict[str, Any]:
        body = {"clientID": client.client_id, **_plain(said)}
        if known is not None and known.body["eventID"] == said.eventID:
            return {**body, PRIVATE: known.body.get(PRIVATE)}  # corrected, perhaps after the event is gone
        event = self.book.gone_event(said.eventID)
        if event is None or self.book.shown(client, event) is None:
            event = self._refers(client, VtnKind.EVENT, said.eventID, "eventID")
        return {**body, PRIVATE: event.program_id}

    def _ven(self, client: Client, said: wire.BlVenIn | wire.VenVenIn, known: Entry | None) -> dict[str, Any]:
        body = _plain(said)
        _by_role(client, said)
        self._free(VtnKind.VEN, "venName", said.venName, known)
        return self._owned(client, said, body, known)

    def _resource(
        self, client: Client, said: wire.BlResourceIn | wire.VenResourceIn, known: Entry | None
    ) -> dict[str, Any]:
        body = _plain(said)
        _by_role(client, said)
        ven = self.book.of(VtnKind.VEN, said.venID)
        if ven is None or self.book.shown(client, ven) is None:
            raise NotFound(f"there is no ven {said.venID!r}", field="venID")
        if known is not None and known.body["venID"] != said.venID:
            raise Conflict("a resource stays with its ven; make another one there", field="venID")
        if isinstance(said, wire.BlResourceIn) and said.clientID != ven.owner:
            raise Conflict("a resource has the clientID of its ven", field="clientID")
        self._free(VtnKind.RESOURCE, "resourceName", said.resourceName, known, said.venID)
        return self._owned(client, said, body, known)

    def _owned(self, client: Client, said: Any, body: dict[str, Any], known: Entry | None) -> dict[str, Any]:
        """A ven or resource: whose it is, and the targets that only business logic may give."""
        if isinstance(said, wire.BlVenIn | wire.BlResourceIn):
            if known is not None and known.owner != said.clientID:
                raise Conflict("the clientID of an object stays; make another one", field="clientID")
            return body
        body["clientID"] = client.client_id
        if known is not None and known.body.get("targets"):
            body["targets"] = known.body["targets"]
        return body

    def _free(self, kind: VtnKind, field: str, name: str, known: Entry | None, ven_id: str = "") -> None:
        taken = self.book.named(kind, name, ven_id)
        if taken is not None and (known is None or known.record.object_id != taken):
            raise Conflict(f"{field} {name!r} is taken", field=field)

    def _refers(self, client: Client, kind: VtnKind, object_id: str, field: str) -> Entry:
        entry = self.book.of(kind, object_id)
        if entry is None or self.book.shown(client, entry) is None:
            raise Conflict(f"{field}: there is no {kind.lower()} {object_id!r}", field=field)
        return entry


def _plain(said: Any) -> dict[str, Any]:
    """A body as it is stored: what was said, and no more. `objectType` is ours to tell."""
    body: dict[str, Any] = msgspec.to_builtins(said)
    body.pop("objectType", None)
    return body


def _by_role(client: Client, said: Any) -> None:
    """Business logic and VENs each have a form of their own: only the first carries an owner and targets."""
    by_bl = isinstance(said, wire.BlVenIn | wire.BlResourceIn)
    if by_bl is not (client.role is VtnRole.BL):
        forms = ("BL_", "business logic") if by_bl else ("VEN_", "a VEN")
        raise Forbidden(f"objectType: only {forms[1]} sends {forms[0]}… requests", field="objectType")
