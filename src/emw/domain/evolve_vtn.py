"""How the facts of emw's own VTN change the records. Pure, like the rest of evolve."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emw.domain import vtn_facts as f
from emw.domain.vtn import VtnClient, VtnObject, VtnRecord, VtnToken

if TYPE_CHECKING:
    from dataclasses import replace  # the same, and mypy knows each record's fields by it

    from emw.domain.state import State
else:
    from emw.domain.changed import replace


def _client_added(s: State, x: f.VtnClientAdded) -> tuple[VtnRecord, ...]:
    known = s.vtn_clients.get(x.client_id)
    return (
        VtnClient(
            client_id=x.client_id,
            role=x.role,
            secret_hash=x.secret_hash,
            added_at=known.added_at if known else x.at,
            secret_at=x.at,
        ),
    )


def _client_revoked(s: State, x: f.VtnClientRevoked) -> tuple[VtnRecord, ...]:
    return (replace(s.vtn_clients[x.client_id], revoked=True),)


def _token(_: State, x: f.VtnTokenIssued) -> tuple[VtnRecord, ...]:
    return (
        VtnToken(
            client_id=x.client_id,
            slot=x.slot,
            token_hash=x.token_hash,
            scopes=x.scopes,
            issued_at=x.at,
            expires_at=x.expires_at,
        ),
    )


def _put(s: State, x: f.VtnObjectPut) -> tuple[VtnRecord, ...]:
    known = s.vtn_objects.get(x.object_id)
    return (
        VtnObject(
            object_id=x.object_id,
            kind=x.object_type,
            body=x.body,
            created_at=known.created_at if known else x.at,
            modified_at=x.at,
        ),
    )


def _deleted(s: State, x: f.VtnObjectDeleted) -> tuple[VtnRecord, ...]:
    return (replace(s.vtn_objects[x.object_id], body="{}", deleted_at=x.at),)


def _muted(s: State, x: f.VtnCallbackMuted) -> tuple[VtnRecord, ...]:
    return (replace(s.vtn_objects[x.object_id], mute=x.reason),)


EVOLVE_VTN: Final[dict[type[Any], Callable[[State, Any], tuple[VtnRecord, ...]]]] = {
    f.VtnClientAdded: _client_added,
    f.VtnClientRevoked: _client_revoked,
    f.VtnTokenIssued: _token,
    f.VtnObjectPut: _put,
    f.VtnObjectDeleted: _deleted,
    f.VtnCallbackMuted: _muted,
}
