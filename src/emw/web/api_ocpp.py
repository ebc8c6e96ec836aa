"""Single stations by hand: how one stands, its last frames, its transactions, and any message to it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from emw.service.errors import NotFound
from emw.service.headend import HeadEnd
from emw.service.ports import StationConsole
from emw.web.auth import operator, viewer
from emw.web.given import Limited, TheCaller, TheHeadEnd, id_of
from emw.web.wire import In, Out, Page, whole


class OcppIn(In):
    """A message to a station, as OCPP names it; the payload goes out as it is here."""

    action: Annotated[str, Meta(pattern="^[A-Za-z0-9]{1,64}$")]
    payload: dict[str, Any] = msgspec.field(default_factory=dict)


class OcppOut(Out):
    """What came of it: `answered`, `refused` (the station's error code) or `unanswered` (it may have been done)."""

    outcome: str
    answer: Any = None
    code: str | None = None
    description: str | None = None


class StandsOut(Out):
    """How a station stands. `traits`: what it supports and takes, as asked and learned.

    `clockBehindS`: by how much its clock is behind ours, where its messages tell. `troubles`: what is odd, by EVSE.
    """

    station_id: str
    connected: bool
    protocol: str | None
    address: str | None
    connected_at: Any
    heard_at: Any
    vendor: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    booted_at: Any
    traits: dict[str, Any]
    statuses: dict[str, str]
    clock_behind_s: float | None
    troubles: dict[str, str]


class FrameOut(Out):
    """One frame, as it went over the wire; long ones are cut."""

    at: Any
    outgoing: bool
    text: str


class TransactionOut(Out):
    """A transaction as the station told it."""

    transaction_id: str
    evse_id: str
    started_at: Any
    ended_at: Any
    meter_start_wh: Annotated[float | None, Meta(description="Register at its begin, Wh.")]
    meter_stop_wh: float | None
    id_token: str | None
    reason: str | None


def _console(headend: HeadEnd) -> StationConsole:
    if headend.console is None:
        raise NotFound("this emw speaks no OCPP", field="stationID")
    return headend.console


def _known(headend: HeadEnd, segment: str) -> str:
    station_id = id_of(segment)
    if station_id not in headend.state.stations:
        raise NotFound(f"there is no station {station_id!r}", field="stationID")
    return station_id


class Ocpp(Controller):
    """OCPP stations one by one."""

    path = "/stations/{station_id:str}"
    tags = ("OCPP",)

    @get("/ocpp", guards=[viewer], summary="How a station stands, and what is known of it")
    async def stands(self, headend: TheHeadEnd, station_id: FromPath[str]) -> StandsOut:
        """Connected or not, by what version, since when; its model, and what it supports."""
        name = _known(headend, station_id)
        seen = _console(headend).seen(name)
        maps: dict[str, Any] = {f: dict(getattr(seen, f)) for f in ("traits", "statuses", "troubles")}
        told = {f: getattr(seen, f) for f in seen.__slots__ if f not in maps}
        return StandsOut(station_id=name, **maps, **told)

    @post("/ocpp", guards=[operator], status_code=200, summary="Send a station any OCPP message")
    async def call(
        self, headend: TheHeadEnd, caller: TheCaller, station_id: FromPath[str], data: JSONBody[OcppIn]
    ) -> OcppOut:
        """Waits for the answer, at most 30 s behind what is on its way already. A line in the activity log."""
        name = _known(headend, station_id)
        seen = await _console(headend).call(name, data.action, data.payload)
        outcome = seen.outcome if seen.code is None else f"{seen.outcome} {seen.code}"
        await headend.book.called(caller.actor, name, data.action, outcome)
        return OcppOut(outcome=seen.outcome, answer=seen.answer, code=seen.code, description=seen.description)

    @get("/frames", guards=[operator], summary="The last frames to and from a station")
    async def frames(self, headend: TheHeadEnd, station_id: FromPath[str]) -> Page[FrameOut]:
        """Newest first, from memory; `ocpp.frames_kept` says how many."""
        name = _known(headend, station_id)
        items = [FrameOut(at=f.at, outgoing=f.outgoing, text=f.text) for f in _console(headend).frames(name)]
        return whole(items)

    @get("/transactions", guards=[operator], summary="A station's transactions, newest first")
    async def transactions(
        self, headend: TheHeadEnd, station_id: FromPath[str], limit: Limited = 100
    ) -> Page[TransactionOut]:
        """As the station told them, running and over."""
        name = _known(headend, station_id)
        rows = await headend.book.transactions(name, limit)
        return Page(items=[_transaction(row) for row in rows], limit=limit)


def _transaction(row: dict[str, Any]) -> TransactionOut:
    """A stored transaction in the words of the wire."""
    return TransactionOut(
        transaction_id=row["transaction_id"],
        evse_id=row["evse_id"],
        started_at=row.get("started_at"),
        ended_at=row.get("ended_at"),
        meter_start_wh=row.get("meter_start_wh"),
        meter_stop_wh=row.get("meter_stop_wh"),
        id_token=row.get("id_token"),
        reason=row.get("reason"),
    )
