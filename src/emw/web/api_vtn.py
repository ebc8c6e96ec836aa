"""The clients of emw's own VTN, over the API: who may ask it for tokens."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody

from emw.domain.vtn import VtnRole
from emw.web.auth import administrator, viewer
from emw.web.given import TheCaller, TheHeadEnd, id_of, settled
from emw.web.wire import Done, In, Name, Out, Page, ReasonIn, told, whole


class VtnClientIn(In):
    """A client of our VTN: business logic (`bl`) or a VEN (`ven`)."""

    client_id: Name
    role: VtnRole
    renew: bool = False


class VtnClientMade(Out):
    """The secret, shown this once."""

    client_id: str
    client_secret: str
    role: VtnRole


class VtnClientOut(Out):
    """A client of our VTN, without its secret."""

    client_id: str
    role: VtnRole
    revoked: bool
    added_at: datetime
    secret_at: datetime


class VtnClientsDesk(Controller):
    """Who may speak to our VTN."""

    path = "/vtn/clients"
    tags = ("VTN",)

    @get(guards=[viewer], summary="Clients of our VTN, without their secrets")
    async def list_clients(self, headend: TheHeadEnd) -> Page[VtnClientOut]:
        """All of them, ids in order."""
        await settled(headend)
        known = sorted(headend.state.vtn_clients.values(), key=lambda c: c.client_id)
        return whole(told(c, VtnClientOut) for c in known)

    @post(guards=[administrator], summary="Enrol a client of our VTN; its secret is shown once")
    async def add(self, headend: TheHeadEnd, caller: TheCaller, data: JSONBody[VtnClientIn]) -> VtnClientMade:
        """With `renew` a known client gets a new secret; the old one and its tokens die."""
        secret = await headend.vtn_clients.add(caller.actor, data.client_id, data.role, renew=data.renew)
        return VtnClientMade(client_id=data.client_id, client_secret=secret, role=data.role)

    @post("/{client_id:str}/revoke", guards=[administrator], status_code=200, summary="Revoke a VTN client")
    async def revoke(
        self, headend: TheHeadEnd, caller: TheCaller, client_id: FromPath[str], data: JSONBody[ReasonIn]
    ) -> Done:
        """Its secret and tokens die at once; what it wrote stays."""
        await headend.vtn_clients.revoke(caller.actor, id_of(client_id), data.reason)
        return Done()
