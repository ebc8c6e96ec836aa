"""Reports over the API: a request's evidence and a month's lines as JSON, CSV and Parquet, and the rows below them."""

from __future__ import annotations

import io
from collections.abc import Callable, Coroutine
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
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


Rows = list[dict[str, Any]]
Tell = Callable[[Rows], Any]
"""What is made of a report's rows. It is done where they are read: writing ten thousands of them out takes as long."""


def as_json(told: Out) -> bytes:
    """An answer as it goes out."""
    return msgspec.json.encode(told)


def answer(body: bytes) -> Response[Any]:
    """JSON that is written already."""
    return Response(body, media_type="application/json")


def as_file(extras: Extras, columns: tuple[str, ...], form: Form) -> Tell:
    """Rows as the bytes of a file."""
    write_table = extras.write_table
    if write_table is None:
        raise Unavailable("downloads are not there on this socket")

    def tell(rows: Rows) -> bytes:
        out = io.BytesIO()
        write_table(rows, columns, form, out)
        return out.getvalue()

    return tell


def download(body: bytes, form: Form, name: str) -> Response[bytes]:
    """A file under its name."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return Response(
        body,
        media_type=MEDIA[form],
        headers={"Content-Disposition": f'attachment; filename="{plain}.{ENDINGS[form]}"'},
    )


async def _beside(
    headend: HeadEnd, extras: Extras, ask: Callable[[], Coroutine[Any, Any, Rows]], tell: Tell
) -> Any:
    """What `tell` makes of the rows that `ask` finds, and neither in the loop."""
    await settled(headend)

    async def work() -> Any:
        return tell(await ask())

    return await extras.beside(work)


async def month_rows(
    headend: HeadEnd,
    extras: Extras,
    month: str,
    method: Method | None,
    rate: float | None,
    holiday: list[date] | None,
    tell: Tell = list,
) -> Any:
    """A month's lines, as `tell` makes them. `method` None: the first that has a figure."""
    ask = partial(
        settlement.month_report,
        headend.store,
        settlement.month_of(month),
        method=method,
        rate=rate,
        holidays=frozenset(holiday or ()),
    )
    return await _beside(headend, extras, ask, tell)


async def shed_rows(
    headend: HeadEnd,
    extras: Extras,
    key: str,
    holiday: list[date] | None,
    tell: Tell = list,
    *,
    evses: bool = False,
    territories: bool = False,
) -> Any:
    """A request's evidence, as `tell` makes it."""
    holidays = frozenset(holiday or ())
    ask = partial(
        shed.shed_report, headend.store, key, evses=evses, territories=territories, holidays=holidays
    )
    return await _beside(headend, extras, ask, tell)


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
        format: FromQuery[Form] = "csv",  # noqa: A002 - the name that callers use
        evses: FromQuery[bool] = False,
        holiday: Holidays = None,
    ) -> Response[bytes]:
        """The rows of `GET /requests/{request_key}/shed` as CSV, JSON lines or Parquet, named as the columns of
        `emw report shed`.
        """
        request = known(headend, request_key)
        key = request.request_key
        body = await shed_rows(
            headend, extras, key, holiday, as_file(extras, shed.COLUMNS, format), evses=evses
        )
        return download(body, format, f"shed-{key}")

    @get("/months/{month:str}", guards=[viewer], summary="A month: a line per request, per site and customer")
    async def month(
        self,
        headend: TheHeadEnd,
        extras: TheExtras,
        month: FromPath[str],
        method: FromQuery[Method] = "10-of-10-adjusted",
        rate: Rate = None,
        holiday: Holidays = None,
    ) -> Response[MonthOut]:
        """Requests that began in the month, by the clock of their territory; each line says where its rows are."""
        text = id_of(month)

        def tell(rows: Rows) -> bytes:
            return as_json(MonthOut(month=text, method=method, rows=[MonthRowOut(**row) for row in rows]))

        return answer(await month_rows(headend, extras, text, method, rate, holiday, tell))

    @get("/months/{month:str}/table", guards=[viewer], summary="A month as a file")
    async def month_table(
        self,
        headend: TheHeadEnd,
        extras: TheExtras,
        month: FromPath[str],
        format: FromQuery[Form] = "csv",  # noqa: A002 - the name that callers use
        method: FromQuery[Method] = "10-of-10-adjusted",
        rate: Rate = None,
        holiday: Holidays = None,
    ) -> Response[bytes]:
        """The same lines as CSV, JSON lines or Parquet, named as the columns of `emw report month`."""
        text = id_of(month)
        tell = as_file(extras, settlement.COLUMNS, format)
        body = await month_rows(headend, extras, text, method, rate, holiday, tell)
        return download(body, format, f"month-{text}")

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
