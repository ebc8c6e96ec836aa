"""Reports over the API: a request's evidence and a month's lines as JSON, CSV and Parquet, and the rows below them."""

from __future__ import annotations

import io
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from emw.service.errors import BadInput, NotFound, Unavailable
from emw.service.evidence import month as settlement
from emw.service.evidence import shed
from emw.service.headend import HeadEnd
from emw.web.api_requests import known
from emw.web.auth import viewer
from emw.web.extras import Extras
from emw.web.given import Limited, Since, TheExtras, TheHeadEnd, Until, aware, id_of, settled
from emw.web.wire import Out, Page

Form = Literal["csv", "json", "parquet"]
Method = Literal["10-of-10-adjusted", "before-after", "virtual-twin"]
Holidays = Annotated[
    list[date] | None,
    QueryParameter(name="holiday", max_items=100, description="A day that is matched with holidays only."),
]
Rate = Annotated[float | None, QueryParameter(ge=0, le=1e6, description="What a kWh that was shed is worth.")]
MEDIA: Final = {
    "csv": "text/csv",
    "json": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
ENDINGS: Final = {"csv": "csv", "json": "jsonl", "parquet": "parquet"}


class MonthRowOut(Out):
    """A line of a month: of a request, a site, a customer, or the total. `rows`: the path of what it was made from."""

    part: str
    request_key: str | None
    iso_id: str | None
    territory_id: str | None
    site: str | None
    customer_id: str | None
    start_at: datetime | None
    end_at: datetime | None
    method: str | None
    asked_kw: float | None
    available_kw: float | None
    confirmed_kw: float | None
    baseline_kw: float | None
    load_kw: float | None
    shed_kw: float | None
    asked_kwh: float | None
    shed_kwh: float | None
    delivered_share: float | None
    data_share: float | None
    evses: int | None
    rate: float | None
    amount: float | None
    believed_at: datetime | None
    note: str | None
    rows: str | None


class MonthOut(Out):
    """A month as it is settled."""

    month: str
    method: str
    rows: list[MonthRowOut]


class MeanOut(Out):
    """An EVSE's mean load in five minutes, kW: what every metered figure is made from."""

    interval_start: datetime
    evse_id: str
    mean_kw: float | None


def table(extras: Extras, rows: list[dict[str, Any]], columns: tuple[str, ...], form: Form, name: str) -> Any:
    """Rows as a download."""
    if extras.write_table is None:
        raise Unavailable("downloads are not there on this socket")
    out = io.BytesIO()
    extras.write_table(rows, columns, form, out)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return Response(
        out.getvalue(),
        media_type=MEDIA[form],
        headers={"Content-Disposition": f'attachment; filename="{plain}.{ENDINGS[form]}"'},
    )


async def month_rows(
    headend: HeadEnd,
    extras: Extras,
    month: str,
    method: Method,
    rate: float | None,
    holiday: list[date] | None,
) -> list[dict[str, Any]]:
    """A month's lines."""
    await settled(headend)
    rows: list[dict[str, Any]] = await extras.beside(
        partial(
            settlement.month_report,
            headend.store,
            settlement.month_of(month),
            method=method,
            rate=rate,
            holidays=frozenset(holiday or ()),
        )
    )
    return rows


async def shed_rows(
    headend: HeadEnd, extras: Extras, key: str, holiday: list[date] | None, **more: bool
) -> list[dict[str, Any]]:
    """A request's evidence. `more`: `evses`, `territories`."""
    await settled(headend)
    rows: list[dict[str, Any]] = await extras.beside(
        partial(shed.shed_report, headend.store, key, holidays=frozenset(holiday or ()), **more)
    )
    return rows


class Reports(Controller):
    """What is handed in and settled."""

    path = "/reports"
    tags = ("Reports",)

    @get("/requests/{request_key:str}/table", guards=[viewer], summary="A request's evidence as a file")
    async def request_table(
        self,
        headend: TheHeadEnd,
        extras: TheExtras,
        request_key: FromPath[str],
        form: Annotated[Form, QueryParameter(name="format")] = "csv",
        evses: FromQuery[bool] = False,
        holiday: Holidays = None,
    ) -> Response[bytes]:
        """The rows of `GET /requests/{request_key}/shed`: CSV, JSON lines or Parquet."""
        request = known(headend, request_key)
        rows = await shed_rows(headend, extras, request.request_key, holiday, evses=evses)
        told: Response[bytes] = table(extras, rows, shed.COLUMNS, form, f"shed-{request.request_key}")
        return told

    @get("/months/{month:str}", guards=[viewer], summary="A month: a line per request, per site and customer")
    async def month(
        self,
        headend: TheHeadEnd,
        extras: TheExtras,
        month: FromPath[str],
        method: FromQuery[Method] = "10-of-10-adjusted",
        rate: Rate = None,
        holiday: Holidays = None,
    ) -> MonthOut:
        """Requests that began in the month, by the clock of their territory; each line says where its rows are."""
        text = id_of(month)
        rows = await month_rows(headend, extras, text, method, rate, holiday)
        return MonthOut(month=text, method=method, rows=[MonthRowOut(**row) for row in rows])

    @get("/months/{month:str}/table", guards=[viewer], summary="A month as a file")
    async def month_table(
        self,
        headend: TheHeadEnd,
        extras: TheExtras,
        month: FromPath[str],
        form: Annotated[Form, QueryParameter(name="format")] = "csv",
        method: FromQuery[Method] = "10-of-10-adjusted",
        rate: Rate = None,
        holiday: Holidays = None,
    ) -> Response[bytes]:
        """The same lines as CSV, JSON lines or Parquet."""
        text = id_of(month)
        rows = await month_rows(headend, extras, text, method, rate, holiday)
        told: Response[bytes] = table(extras, rows, settlement.COLUMNS, form, f"month-{text}")
        return told

    @get("/means", guards=[viewer], summary="Five-minute means of a territory's EVSEs, oldest first")
    async def means(
        self,
        headend: TheHeadEnd,
        territory: Annotated[str, QueryParameter(max_length=255)],
        since: Since,
        until: Until,
        limit: Limited = 10_000,
    ) -> Page[MeanOut]:
        """The rows that baselines and loads of reports are made from; EVSEs under the territory are included."""
        if territory not in headend.state.territories:
            raise NotFound(f"there is no territory {territory!r}", field="territory")
        first, last = aware(since, "since"), aware(until, "until")
        if first is None or last is None:
            raise BadInput("since" if first is None else "until", "is missing")
        under = [t for t in headend.state.territories if territory in headend.state.path(t)]
        rows = await headend.store.query("evse_means", territory_ids=under, since=first, until=last)
        items = [
            MeanOut(interval_start=r["interval_start"], evse_id=r["evse_id"], mean_kw=r["mean_kw"])
            for r in rows[:limit]
        ]
        return Page(items=items, total=len(rows), limit=limit)
