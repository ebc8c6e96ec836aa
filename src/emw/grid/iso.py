"""The grid protocol over REST (docs/reference/grid-protocol): the ISO's doors, and how reports reach it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from emw.domain.model import Iso, Report
from emw.outgoing import CallFailed, Outgoing, UrlRefused, our_token
from emw.plane import Caller, Door, Told, utc
from emw.service.admin import any_text
from emw.service.errors import BadInput
from emw.service.headend import HeadEnd
from emw.service.requests import Decrease

Name = Annotated[str, Meta(min_length=1, max_length=255)]
RequestId = Annotated[str, Meta(min_length=1, max_length=128)]
Instant = Annotated[datetime, Meta(tz=True)]


class ConnectedIn(Struct, forbid_unknown_fields=True):
    """`POST /iso/connected`."""

    accessURL: Annotated[str, Meta(max_length=1024)] | None = None


class DecreaseIn(Struct, forbid_unknown_fields=True):
    """`POST /iso/decrease`."""

    requestID: RequestId
    territory: Name
    kW: Annotated[float, Meta(gt=0, le=1e9)]
    start: Instant | None = None
    end: Instant | None = None
    durationMinutes: Annotated[float, Meta(gt=0, le=1e6)] | None = None


class ReturnIn(Struct, forbid_unknown_fields=True):
    """`POST /iso/returnToNormal`."""

    requestID: RequestId


class IsoDoors:
    """The doors of the grid operators."""

    def __init__(self, headend: HeadEnd, outgoing: Outgoing, key: bytes) -> None:
        self._key = key
        self._headend = headend
        self._gate = headend.gate
        self._requests = headend.requests
        self._guard = outgoing.guard

    def doors(self) -> dict[str, Door]:
        """Path to door."""
        return {
            "/iso/connected": Door("POST", ConnectedIn, self.connected, bare=True),
            "/iso/decrease": Door("POST", DecreaseIn, self.decrease, bare=True),
            "/iso/returnToNormal": Door("POST", ReturnIn, self.return_to_normal, bare=True),
            "/iso/requests": Door("GET", None, self.list_all, bare=True),
            "/iso/requests/": Door("GET", None, self.one, bare=True),
        }

    async def connected(self, caller: Caller, said: ConnectedIn) -> dict[str, Any]:
        """An ISO says hello and where its reports go."""
        iso = self._gate.iso(caller.token, caller.address, caller.names)
        if said.accessURL is not None:
            try:
                self._guard.check(said.accessURL)
            except UrlRefused as error:
                raise BadInput("accessURL", str(error)) from error
        now, territories = await self._requests.connected(iso, said.accessURL)
        told = {"serverTime": now, "territories": territories}
        return told if said.accessURL is None else told | {"reportToken": report_token(self._key, iso)}

    async def decrease(self, caller: Caller, said: DecreaseIn) -> Told:
        """Shed `kW` in a territory."""
        iso = self._gate.iso(caller.token, caller.address, caller.names)
        any_text("requestID", said.requestID)
        request = await self._requests.decrease(
            iso.iso_id,
            Decrease(
                request_id=said.requestID,
                territory_id=said.territory,
                kw=said.kW,
                start_at=None if said.start is None else utc("start", said.start),
                end_at=None if said.end is None else utc("end", said.end),
                minutes=said.durationMinutes,
            ),
            actor=f"iso:{iso.iso_id}",
            iso=iso,
        )
        at_once = "respond-async" in caller.prefer
        if not at_once:
            await self._requests.wait_answered(request.request_key)
        return Told(await self._requests.told(request), 202 if at_once else 200)

    async def return_to_normal(self, caller: Caller, said: ReturnIn) -> dict[str, Any]:
        """End a request now."""
        iso = self._gate.iso(caller.token, caller.address, caller.names)
        request = await self._requests.return_to_normal(iso.iso_id, said.requestID, actor=f"iso:{iso.iso_id}")
        return await self._requests.told(request)

    async def list_all(self, caller: Caller, _: str) -> dict[str, Any]:
        """This ISO's requests, newest first."""
        iso = self._gate.iso(caller.token, caller.address, caller.names)
        await self._headend.ledger.settled()
        return {"requests": [self._requests.told_briefly(r) for r in self._requests.of(iso.iso_id)[:1000]]}

    async def one(self, caller: Caller, request_id: str) -> dict[str, Any]:
        """One request with its intervals."""
        iso = self._gate.iso(caller.token, caller.address, caller.names)
        return await self._requests.told(self._requests.own(iso.iso_id, request_id))


def report_token(key: bytes, iso: Iso) -> str:
    """The token that our reports to this ISO carry: its own, and a new one with each new token of its own."""
    return our_token(key, "rt_", "report", iso.iso_id, iso.token_hash)


class IsoLink:
    """How reports reach an ISO: `POST {accessURL}/reductionReport`."""

    def __init__(self, outgoing: Outgoing, key: bytes, *, deadline_s: float = 5.0) -> None:
        self._outgoing = outgoing
        self._key = key
        self._deadline_s = deadline_s

    async def deliver(self, iso: Iso, report: Report) -> bool:
        """Post one report; anything but a 2xx is tried again later."""
        if iso.access_url is None:
            return False
        try:
            reply = await self._outgoing.post(
                iso.access_url,
                "/reductionReport",
                report.body.encode(),
                token=report_token(self._key, iso),
                deadline_s=self._deadline_s,
            )
        except (UrlRefused, CallFailed):
            return False
        return 200 <= reply.status < 300
