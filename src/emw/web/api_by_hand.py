"""What an operator sets by hand, over the API: one EVSE's limit or priority, a station's reset, a territory stopped."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Controller, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from emw.service.errors import BadInput, Conflict, NotFound
from emw.web.auth import operator
from emw.web.given import TheCaller, TheHeadEnd, id_of
from emw.web.wire import In, Out, ReasonIn

Why = Annotated[str, Meta(min_length=1, max_length=500)]
RESETS: Final = {
    "1.6": ("Soft", "Hard"),
    "2.0.1": ("OnIdle", "Immediate"),
    "2.1": ("OnIdle", "Immediate"),
}
"""What the two ways to reset are called per version of OCPP: once idle or in order, and now."""


class HandLimitIn(In):
    """At most so many A per phase for so many minutes; `maxAmps` null lets the EVSE go."""

    max_amps: Annotated[float, Meta(ge=0, le=2_000)] | None
    reason: Why
    minutes: Annotated[float, Meta(gt=0, le=1_440)] = 60.0


class HandLimitOut(Out):
    """The limit as it stands; both None: there is none."""

    max_amps: float | None
    until: datetime | None


class PriorityIn(In):
    """How much a kWh missed here counts against one missed elsewhere: 0.1 to 10; 1: like everybody's."""

    priority: Annotated[float, Meta(ge=0.1, le=10)]
    reason: Why


class PriorityOut(Out):
    """The priority as it stands."""

    priority: float
    by: str


class ResetIn(In):
    """`now`: cut a charge short; otherwise the station waits or ends it in order."""

    reason: Why
    now: bool = False


class ResetOut(Out):
    """What the station said."""

    outcome: str
    status: str | None


class StopOut(Out):
    """Whether sheds are stopped under a node."""

    territory: str
    stopped: bool
    since: datetime | None = None
    by: str | None = None
    reason: str | None = None


class ByHand(Controller):
    """Set by hand."""

    @post(
        "/evses/{evse_id:str}/limit",
        guards=[operator],
        status_code=200,
        summary="Limit one EVSE by hand",
        tags=["EVSEs"],
    )
    async def limit(
        self, headend: TheHeadEnd, caller: TheCaller, evse_id: FromPath[str], data: JSONBody[HandLimitIn]
    ) -> HandLimitOut:
        """A ceiling on this EVSE: it passes the same gates as any other limit, and ends by itself."""
        set_ = await headend.by_hand.limit(
            caller.actor, id_of(evse_id), data.max_amps, data.minutes, data.reason
        )
        return HandLimitOut(
            max_amps=None if set_ is None else set_.max_a, until=None if set_ is None else set_.until
        )

    @post(
        "/evses/{evse_id:str}/priority",
        guards=[operator],
        status_code=200,
        summary="Say how much one EVSE's driver counts",
        tags=["EVSEs"],
    )
    async def priority(
        self, headend: TheHeadEnd, caller: TheCaller, evse_id: FromPath[str], data: JSONBody[PriorityIn]
    ) -> PriorityOut:
        """Until it is said otherwise. Who counts more is asked later and let go earlier; nobody is exempt."""
        told = await headend.by_hand.prefer(caller.actor, id_of(evse_id), data.priority, data.reason)
        return PriorityOut(priority=told.priority, by=told.by)

    @post(
        "/evses/{evse_id:str}/reset",
        guards=[operator],
        status_code=200,
        summary="Reset a station",
        tags=["EVSEs"],
    )
    async def reset(
        self, headend: TheHeadEnd, caller: TheCaller, evse_id: FromPath[str], data: JSONBody[ResetIn]
    ) -> ResetOut:
        """By OCPP, the whole station; the protocol of REST stations has no word for it. A line in the log."""
        evse = headend.state.evses.get(id_of(evse_id))
        if evse is None:
            raise NotFound("there is no such EVSE", field="evseID")
        seen = None if headend.console is None else headend.console.seen(evse.station_id)
        station = headend.state.stations.get(evse.station_id)
        if headend.console is None or seen is None or station is None or station.protocol == "rest":
            raise Conflict("its protocol has no reset: only stations that speak OCPP can be reset from here")
        if not seen.connected:
            raise Conflict("the station is not connected")
        kinds = RESETS.get((seen.protocol or "").removeprefix("ocpp"))
        if kinds is None:
            raise BadInput("evseID", f"how {seen.protocol} resets is not known")
        payload: dict[str, Any] = {"type": kinds[data.now]}
        told = await headend.console.call(evse.station_id, "Reset", payload)
        answer = told.answer if isinstance(told.answer, dict) else {}
        status = answer.get("status")
        said = f"{told.outcome} {told.code or status or ''}".strip()
        await headend.book.called(caller.actor, evse.station_id, "Reset", said, reason=data.reason)
        return ResetOut(outcome=told.outcome, status=None if status is None else str(status))

    @post(
        "/territories/{territory_id:str}/stop",
        guards=[operator],
        status_code=200,
        summary="Stop sheds in a territory, free its cars along the ramp",
        tags=["Halt"],
    )
    async def stop(
        self, headend: TheHeadEnd, caller: TheCaller, territory_id: FromPath[str], data: JSONBody[ReasonIn]
    ) -> StopOut:
        """Requests that need its EVSEs ask others, or run short and say why. Ceilings hold on."""
        told = await headend.by_hand.stop(caller.actor, id_of(territory_id), data.reason)
        return StopOut(
            territory=told.territory_id, stopped=True, since=told.at, by=told.by, reason=told.reason
        )

    @post(
        "/territories/{territory_id:str}/resume",
        guards=[operator],
        status_code=200,
        summary="Let sheds reach a territory again",
        tags=["Halt"],
    )
    async def resume(
        self, headend: TheHeadEnd, caller: TheCaller, territory_id: FromPath[str], data: JSONBody[ReasonIn]
    ) -> StopOut:
        """After a stop."""
        name = id_of(territory_id)
        await headend.by_hand.resume(caller.actor, name, data.reason)
        return StopOut(territory=name, stopped=False)
