"""Reduction requests over the API: how they stand, who takes part, and an operator's own."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Controller, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from emw.domain.model import ReductionRequest, RequestState
from emw.plane import utc
from emw.service.admin import any_text
from emw.service.errors import Forbidden, NotFound
from emw.service.headend import HeadEnd
from emw.service.ports import Ids
from emw.service.requests import OPERATOR, Decrease
from emw.web.auth import LOCAL, operator, viewer
from emw.web.given import Limited, Offset, TheCaller, TheHeadEnd, TheIds, id_of, settled
from emw.web.taking_part import enrolments
from emw.web.wire import EnrolmentOut, Page, ReasonIn, RequestChangeIn, RequestIn, RequestOut


def _name(headend: HeadEnd, ids: Ids) -> str:
    """An id for who gives none: the time, because people will say it to each other, and enough to be the only one."""
    return f"{headend.clock.now():%Y%m%d-%H%M%S}-{ids.new('')[-6:]}"


def request_out(request: ReductionRequest, told: dict[str, Any]) -> RequestOut:
    """What the grid is told, and what an operator wants to know beyond it."""
    return msgspec.convert(
        {
            **told,
            "requestKey": request.request_key,
            "isoID": request.iso_id,
            "receivedAt": request.received_at,
            "startedAt": request.started_at,
            "endedAt": request.ended_at,
            "closedAt": request.closed_at,
            "cancelledBy": request.cancelled_by,
            "askedBy": request.asked_by,
            "held": request.held,
            "confirmedBy": request.confirmed_by,
        },
        RequestOut,
    )


def _short(value: Any) -> Any:
    """A number without what counting in binary adds to it."""
    return round(value, 6) if isinstance(value, float) else value


def known(headend: HeadEnd, segment: str) -> ReductionRequest:
    """The request of a key in a path: `<isoID>:<requestID>`."""
    key = id_of(segment)
    request = headend.state.requests.get(key)
    if request is None:
        raise NotFound(f"there is no request {key!r}", field="requestKey")
    return request


class Requests(Controller):
    """Reduction requests."""

    path = "/requests"
    tags = ("Requests",)

    @get(guards=[viewer], summary="Requests, newest first")
    async def list_requests(
        self,
        headend: TheHeadEnd,
        only_state: Annotated[RequestState | None, QueryParameter(name="state")] = None,
        iso_id: Annotated[str | None, QueryParameter(name="isoID", max_length=64)] = None,
        held: Annotated[bool | None, QueryParameter(name="held")] = None,
        limit: Limited = 100,
        offset: Offset = 0,
    ) -> Page[RequestOut]:
        """Without intervals; `state`, `isoID` and `held` (who wait for a second person) filter."""
        await settled(headend)
        found = [
            r
            for r in headend.requests.of(iso_id)
            if only_state in {None, r.state} and held in {None, r.held is not None}
        ]
        items = [request_out(r, headend.requests.told_briefly(r)) for r in found[offset : offset + limit]]
        return Page(items=items, total=len(found), limit=limit, offset=offset)

    @post(guards=[operator], summary="Ask for a decrease, as the operator")
    async def create(
        self, headend: TheHeadEnd, caller: TheCaller, ids: TheIds, data: JSONBody[RequestIn]
    ) -> RequestOut:
        """Durable when this answers; dispatch is on its way. The same requestID with other contents is 409."""
        request_id = data.request_id or _name(headend, ids)
        any_text("requestID", request_id, 128)
        request = await headend.requests.decrease(
            OPERATOR,
            Decrease(
                request_id=request_id,
                territory_id=data.territory,
                kw=data.kw,
                start_at=None if data.start is None else utc("start", data.start),
                end_at=None if data.end is None else utc("end", data.end),
                minutes=data.duration_minutes,
            ),
            actor=caller.actor,
        )
        return request_out(request, headend.requests.told_briefly(request))

    @get("/{request_key:str}", guards=[viewer], summary="One request with its intervals")
    async def one(self, headend: TheHeadEnd, request_key: FromPath[str]) -> RequestOut:
        """How one request stands now, and what was measured in each report interval."""
        request = known(headend, request_key)
        told = await headend.requests.told(request)
        return request_out(headend.state.requests[request.request_key], told)

    @patch(
        "/{request_key:str}", guards=[operator], summary="Change an operator's own request: kW, start, end"
    )
    async def change(
        self,
        headend: TheHeadEnd,
        caller: TheCaller,
        request_key: FromPath[str],
        data: JSONBody[RequestChangeIn],
    ) -> RequestOut:
        """What is left out stays. A grid's request is the grid's to change; it can be ended here."""
        changed = await headend.by_hand.change(
            caller.actor,
            known(headend, request_key),
            kw=data.kw,
            start_at=None if data.start is None else utc("start", data.start),
            end_at=None if data.end is None else utc("end", data.end),
            reason=data.reason,
        )
        return request_out(changed, headend.requests.told_briefly(changed))

    @get("/{request_key:str}/enrolments", guards=[viewer], summary="Who takes part in a request")
    async def enrolments(
        self, headend: TheHeadEnd, request_key: FromPath[str], limit: Limited = 1_000, offset: Offset = 0
    ) -> Page[EnrolmentOut]:
        """Every EVSE's part: asked, confirmed, measured (so far, while it goes on), joined, left, why."""
        request = known(headend, request_key)
        await settled(headend)
        rows = await enrolments(headend, request.request_key, limit, offset)
        names = EnrolmentOut.__struct_fields__
        items = [EnrolmentOut(**{n: _short(r[n]) for n in names}) for r in rows]
        return Page(items=items, limit=limit, offset=offset)

    @post(
        "/{request_key:str}/confirm",
        guards=[operator],
        status_code=200,
        summary="Agree to a request that waits for a second person",
    )
    async def confirm(
        self, headend: TheHeadEnd, caller: TheCaller, request_key: FromPath[str], data: JSONBody[ReasonIn]
    ) -> RequestOut:
        """By a person who is logged in, and did not ask for it. A key can't: it may be in the same stolen bag."""
        request = known(headend, request_key)
        if caller.login is None and caller.actor != LOCAL.actor:
            raise Forbidden("a second person must be a person: log in, or use `emw request confirm`")
        confirmed = await headend.requests.confirm(request, actor=caller.actor, reason=data.reason)
        return request_out(confirmed, headend.requests.told_briefly(confirmed))

    @post(
        "/{request_key:str}/returnToNormal",
        guards=[operator],
        status_code=200,
        summary="End a request: return to normal",
    )
    async def return_to_normal(
        self, headend: TheHeadEnd, caller: TheCaller, request_key: FromPath[str], data: JSONBody[ReasonIn]
    ) -> RequestOut:
        """Its cars are freed along the ramp. Said twice, it is true once."""
        request = known(headend, request_key)
        ended = await headend.requests.return_to_normal(
            request.iso_id, request.request_id, actor=caller.actor, reason=data.reason
        )
        return request_out(ended, headend.requests.told_briefly(ended))
