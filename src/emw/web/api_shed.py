"""What a request shed, by each method, over the API. The same figures as `emw report shed`."""

from __future__ import annotations

from datetime import datetime

from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery

from emw.web.api_reports import Holidays, Rows, answer, as_json, shed_rows
from emw.web.api_requests import known
from emw.web.auth import viewer
from emw.web.given import TheExtras, TheHeadEnd
from emw.web.wire import Out


class ShedRowOut(Out):
    """One interval by one method, or (`part` total) all of them; `evseID` None: the territory."""

    part: str
    method: str
    evse_id: str | None
    start_at: datetime | None
    end_at: datetime | None
    asked_kw: float | None
    confirmed_kw: float | None
    baseline_kw: float | None
    load_kw: float | None
    shed_kw: float | None
    shed_kwh: float | None
    error_pct: float | None
    data_share: float | None
    days: int | None
    believed_at: datetime | None
    note: str | None
    territory_id: str | None
    doubt_kw: float | None


class ShedOut(Out):
    """A request's evidence."""

    request_key: str
    rows: list[ShedRowOut]


class Shed(Controller):
    """What was shed."""

    path = "/requests"
    tags = ("Requests",)

    @get("/{request_key:str}/shed", guards=[viewer], summary="What a request shed, by each method")
    async def shed(
        self,
        headend: TheHeadEnd,
        extras: TheExtras,
        request_key: FromPath[str],
        evses: FromQuery[bool] = False,
        territories: FromQuery[bool] = False,
        holiday: Holidays = None,
    ) -> Response[ShedOut]:
        """Live counterfactual, before/after and 10-of-10 with same-day adjustment; while it runs, as far as it is."""
        request = known(headend, request_key)
        key = request.request_key

        def tell(rows: Rows) -> bytes:
            return as_json(ShedOut(request_key=key, rows=[ShedRowOut(**row) for row in rows]))

        return answer(
            await shed_rows(headend, extras, key, holiday, tell, evses=evses, territories=territories)
        )
