"""Who may ask emw's own VTN for a token: a registry apart from operators, stations and ISOs."""

from __future__ import annotations

from typing import Final

from emw.domain import facts as f
from emw.domain import vtn_facts as v
from emw.domain.vtn import VtnRole
from emw.service.admin import plain_name
from emw.service.errors import BadInput, Conflict, NotFound
from emw.service.gate import hash_of
from emw.service.ledger import Ledger
from emw.service.ports import Clock, Ids

OURSELVES: Final = "emw"
"""The client id of emw as VEN of its own VTN: nobody else may have it."""


class VtnClients:
    """Enrols and revokes clients. A secret is returned exactly once; only its hash is kept."""

    def __init__(self, ledger: Ledger, clock: Clock, ids: Ids) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._clock = clock
        self._ids = ids

    async def add(self, actor: str, client_id: str, role: VtnRole, *, renew: bool = False) -> str:
        """Enrol a client; returns its secret. `renew`: a known one gets a new secret (and role), its tokens die."""
        plain_name("clientID", client_id)
        if client_id.casefold() == OURSELVES:
            raise BadInput("clientID", f"{OURSELVES!r} is emw itself, as VEN of its own VTN")
        known = self._state.vtn_clients.get(client_id)
        if known is not None and not known.revoked and not renew:
            raise Conflict(
                f"client {client_id!r} is there already; ask for a renewal to give it a new secret",
                field="clientID",
            )
        secret = self._ids.new("vs")
        fact: f.Fact = v.VtnClientAdded(
            at=self._clock.now(), actor=actor, client_id=client_id, role=role, secret_hash=hash_of(secret)
        )
        await self._ledger.record(fact)
        return secret

    async def revoke(self, actor: str, client_id: str, reason: str | None = None) -> None:
        """A client's secret and tokens die at once. Its objects stay: an event is not cancelled by this."""
        if client_id not in self._state.vtn_clients:
            raise NotFound(f"there is no client {client_id!r}", field="clientID")
        await self._ledger.record(
            v.VtnClientRevoked(at=self._clock.now(), actor=actor, client_id=client_id, reason=reason)
        )
