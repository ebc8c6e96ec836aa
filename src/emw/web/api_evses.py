"""EVSEs and sessions over the API: lists from memory, one with its limit explained, readings from the store."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Controller, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from emw.domain.lines import loaded
from emw.domain.model import Evse, Limit, Session
from emw.service.errors import NotFound
from emw.service.headend import HeadEnd
from emw.web.auth import administrator, operator, viewer
from emw.web.board import Board, Row, filtered
from emw.web.given import (
    EvseQuery,
    Limited,
    Offset,
    Since,
    Text,
    TheBoard,
    TheCaller,
    TheHeadEnd,
    TheTongue,
    Until,
    aware,
    id_of,
    settled,
)
from emw.web.wire import (
    Done,
    EvseDetail,
    EvseOut,
    LimitOut,
    OptOutIn,
    Page,
    SessionOut,
    TelemetryOut,
    WiringIn,
    WiringOut,
)
from emw.web.words import explain

StateWord = Literal["off", "offline", "free", "limited", "opted out", "charging", "idle"]
Sort = Literal[
    "evseID",
    "-evseID",
    "loadKW",
    "-loadKW",
    "limitAmps",
    "-limitAmps",
    "state",
    "-state",
    "territory",
    "-territory",
]


def session_out(session: Session, energy_kwh: float | None = None) -> SessionOut:
    """A session in the words of the wire."""
    return SessionOut(
        session_id=session.session_id,
        evse_id=session.evse_id,
        started_at=session.started_at,
        ended_at=session.ended_at,
        end_reason=session.end_reason,
        vehicle=session.vehicle,
        evse_max_amps=session.evse_max_a,
        car_max_amps=session.car_max_a,
        car_min_amps=session.car_min_a,
        energy_requested_kwh=session.energy_requested_kwh,
        energy_kwh=session.energy_kwh if energy_kwh is None else energy_kwh,
        departure_time=session.departure_at,
    )


def limit_out(limit: Limit, now: datetime) -> LimitOut:
    """A limit in the words of the wire."""
    return LimitOut(
        command_id=limit.command_id,
        limit_amps=limit.max_a,
        until=limit.until,
        in_force=limit.in_force(now),
        cause=str(limit.cause),
        request_key=limit.request_key,
        territory=limit.node_id,
        line=limit.line,
        issued_at=limit.issued_at,
        outcome=str(limit.outcome),
        answered_amps=limit.answered_a,
        answered_at=limit.answered_at,
        reason=limit.reason,
    )


def _key(sort: Sort, board: Board) -> Any:
    """What rows are sorted by; ids break ties. Who is not limited comes last, whichever way."""
    unlimited_a = float("-inf" if sort.startswith("-") else "inf")

    def key(row: Row) -> tuple[Any, str]:
        evse = row.evse
        assert evse is not None  # noqa: S101 - filtered rows have one
        match sort.removeprefix("-"):
            case "loadKW":
                return board.load_kw(row), evse.evse_id
            case "limitAmps":
                limit_a = row.limit.max_a if row.limited and row.limit is not None else None
                return unlimited_a if limit_a is None else limit_a, evse.evse_id
            case "state":
                return row.state, evse.evse_id
            case "territory":
                return evse.territory_id, evse.evse_id
            case _:
                return evse.evse_id, evse.evse_id

    return key


class Evses(Controller):
    """EVSEs."""

    path = "/evses"
    tags = ("EVSEs",)

    @get(guards=[viewer], summary="The EVSEs, filtered and paged")
    async def list_evses(
        self,
        headend: TheHeadEnd,
        board: TheBoard,
        territory: Annotated[str | None, QueryParameter(max_length=255)] = None,
        only_state: Annotated[StateWord | None, QueryParameter(name="state")] = None,
        text: Text = None,
        evse_id: EvseQuery = None,
        sort: FromQuery[Sort] = "evseID",
        limit: Limited = 100,
        offset: Offset = 0,
    ) -> Page[EvseOut]:
        """Filters are evaluated in memory over the live view; what lies under `territory` is included."""
        await settled(headend)
        board.look()
        inside = None
        if territory is not None:
            inside = {t for t in headend.state.territories if territory in headend.state.path(t)}
        rows = filtered(board.rows.values(), inside=inside, state=only_state, text=text, evse_id=evse_id)
        rows.sort(key=_key(sort, board), reverse=sort.startswith("-"))
        items = [board.told(row) for row in rows[offset : offset + limit]]
        return Page(items=items, total=len(rows), limit=limit, offset=offset)

    @get("/{evse_id:str}", guards=[viewer], summary="One EVSE: session, limit, and why in words")
    async def one(
        self, headend: TheHeadEnd, board: TheBoard, tongue: TheTongue, evse_id: FromPath[str]
    ) -> EvseDetail:
        """One EVSE with everything that is known of it now; why, in the language that Accept-Language asks for."""
        await settled(headend)
        evse = _known(headend, id_of(evse_id))
        board.look()
        row = board.rows[evse.evse_id]
        now = headend.clock.now()
        state = headend.state
        station = state.stations.get(evse.station_id)
        limit = state.limits.get(evse.evse_id)
        said = state.priorities.get(evse.evse_id)
        by_hand = state.hand_limits.get(evse.evse_id)
        by_hand = by_hand if by_hand is not None and by_hand.in_force(now) else None
        wired = state.wirings.get(evse.evse_id)
        wiring = None if wired is None else wired.wiring
        energy_kwh = None if row.reading is None else row.reading.energy_kwh
        return EvseDetail(
            evse=board.told(row),
            station_id=evse.station_id,
            customer_id=None if station is None else station.customer_id,
            line_voltage=evse.line_voltage_v,
            phases=evse.phases,
            wiring=wiring,
            lines=list(loaded(evse, wiring)),
            path=list(state.path(evse.territory_id)),
            latitude=evse.latitude,
            longitude=evse.longitude,
            offline_since=evse.offline_since,
            doubted_at=evse.doubted_at,
            protocol="rest" if station is None else station.protocol,
            hand_limit_amps=None if by_hand is None else by_hand.max_a,
            hand_limit_until=None if by_hand is None else by_hand.until,
            priority=1.0 if said is None else said.priority,
            session=None if row.session is None else session_out(row.session, energy_kwh),
            limit=None if limit is None else limit_out(limit, now),
            explanation=explain(state, evse, limit, now, tongue),
        )

    @get("/{evse_id:str}/telemetry", guards=[viewer], summary="Readings of one EVSE, newest first")
    async def telemetry(
        self,
        headend: TheHeadEnd,
        evse_id: FromPath[str],
        since: Since = None,
        until: Until = None,
        limit: Limited = 500,
    ) -> Page[TelemetryOut]:
        """What its meter said. The last second may still be on its way to the store."""
        evse = _known(headend, id_of(evse_id))
        asked = {"since": aware(since, "since"), "until": aware(until, "until")}
        asked = {k: v for k, v in asked.items() if v is not None}
        rows = await headend.store.query("telemetry", evse_id=evse.evse_id, limit=limit, **asked)
        items = [_reading(evse, row) for row in rows]
        return Page(items=items, limit=limit)

    @post("/{evse_id:str}/optOut", guards=[operator], status_code=200, summary="Opt a driver out, or back in")
    async def opt_out(
        self, headend: TheHeadEnd, caller: TheCaller, evse_id: FromPath[str], data: JSONBody[OptOutIn]
    ) -> Done:
        """For `minutes` the EVSE is not limited for a shed; without `minutes` the refusal is taken back."""
        await headend.admin.opt_out(caller.actor, id_of(evse_id), data.minutes, data.reason)
        return Done()

    @post(
        "/{evse_id:str}/wiring", guards=[administrator], status_code=200, summary="Say which lines lie on it"
    )
    async def wire(
        self, headend: TheHeadEnd, caller: TheCaller, evse_id: FromPath[str], data: JSONBody[WiringIn]
    ) -> WiringOut:
        """For ceilings in A. It may be said as soon as its station is enrolled; null: it is not known any more."""
        name = id_of(evse_id)
        await headend.admin.wire(caller.actor, name, data.wiring)
        return WiringOut(evse_id=name, wiring=data.wiring)


def _reading(evse: Evse, row: Mapping[str, Any]) -> TelemetryOut:
    kw, limit_a = row.get("kw"), row.get("limit_a")
    return TelemetryOut(
        timestamp=row["at"],
        received_at=row.get("received_at"),
        line_voltage=row.get("voltage_v"),
        current_amps=row.get("current_a"),
        load_kw=None if kw is None else round(kw, 3),
        limit_amps=limit_a,
        limit_kw=None if limit_a is None else round(limit_a * evse.kw_per_a, 3),
        energy_kwh=row.get("energy_kwh"),
        late=bool(row.get("late", False)),
    )


class Sessions(Controller):
    """Sessions."""

    path = "/sessions"
    tags = ("EVSEs",)

    @get(guards=[viewer], summary="Sessions, newest first")
    async def list_sessions(
        self,
        headend: TheHeadEnd,
        evse_id: EvseQuery = None,
        since: Since = None,
        until: Until = None,
        limit: Limited = 100,
    ) -> Page[SessionOut]:
        """Running ones and those that ended."""
        await settled(headend)
        asked = {"evse_id": evse_id, "since": aware(since, "since"), "until": aware(until, "until")}
        asked = {k: v for k, v in asked.items() if v is not None}
        rows = await headend.store.query("sessions", limit=limit, **asked)
        return Page(items=[session_out(Session(**r)) for r in rows], limit=limit)


def _known(headend: HeadEnd, evse_id: str) -> Evse:
    evse = headend.state.evses.get(evse_id)
    if evse is None:
        raise NotFound(f"there is no EVSE {evse_id!r}", field="evseID")
    return evse
