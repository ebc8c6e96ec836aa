"""Reports as pages: made on the server, so that they print and can be kept as they were seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import partial
from typing import Annotated, Any, Final, get_args
from urllib.parse import quote, urlencode

from litestar import Request, Response, get
from litestar.params import FromPath, FromQuery, QueryParameter
from markupsafe import Markup

from emw.domain.model import ReductionRequest
from emw.service.errors import Forbidden
from emw.service.evidence import month as settlement
from emw.service.evidence.sources import MOST
from emw.service.headend import HeadEnd
from emw.web.api_reports import Holidays, Method, Rate, month_rows, shed_rows
from emw.web.api_requests import known
from emw.web.auth import Auth
from emw.web.figures import Figures
from emw.web.frame import framed
from emw.web.given import TheAuth, TheBoard, TheExtras, TheHeadEnd, id_of, settled
from emw.web.svg import Series, Step, plot
from emw.web.taking_part import FROM_BELOW, By, TakesPart, enrolments, page_of, taking_part
from emw.web.tongue import tongue_of
from emw.web.words import zone_of

AnyRequest = Request[Any, Any, Any]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
MOST_LISTED: Final = 200


def _may(request: AnyRequest, auth: Auth) -> bool:
    """Whether the caller may see reports; nobody known is led to the way in by the frame."""
    caller = auth.who(request)
    if caller is not None and caller.scopes and "reports" not in caller.scopes:
        raise Forbidden(f"this key is for {', '.join(sorted(caller.scopes))} only")
    return caller is not None


@get("/reports", include_in_schema=False)
async def reports_page(request: AnyRequest, headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Months and requests there are reports of."""
    if not _may(request, auth):
        return framed(request, headend, auth, "reports.html", place="reports")
    await settled(headend)
    begun = [r for r in headend.requests.of(None) if r.started_at is not None]
    months = {
        f"{r.started_at.astimezone(zone_of(headend.state, r.territory_id)):%Y-%m}"
        for r in begun
        if r.started_at is not None
    }
    return framed(
        request,
        headend,
        auth,
        "reports.html",
        place="reports",
        months=sorted(months, reverse=True),
        requests=[
            {
                "key": r.request_key,
                "path": f"/reports/requests/{quote(r.request_key, safe='')}",
                "territory": r.territory_id,
                "kw": (r.kw, r.confirmed_kw, r.measured_kw),
                "started_at": r.started_at,
                "state": str(r.state),
                "figures": Figures(tongue_of(request), zone_of(headend.state, r.territory_id)),
            }
            for r in begun[:MOST_LISTED]
        ],
        n=Figures(tongue_of(request), UTC),
    )


def _largest(parts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the sites and of the customers those that gave most, and the rest of each kind as one: `others`."""
    shown: list[Mapping[str, Any]] = []
    for kind in ("site", "customer"):
        of_kind = [p for p in parts if p["part"] == kind]
        of_kind.sort(key=lambda p: p["shed_kwh"], reverse=True)
        shown += of_kind[:MOST_LISTED]
        if rest := of_kind[MOST_LISTED:]:
            sums = {name: sum(p[name] for p in rest) for name in ("evses", "shed_kwh")}
            shown.append({"part": kind, "others": len(rest), **sums})
    return shown


def _chosen(rows: Sequence[Mapping[str, Any]], wanted: str | None) -> str:
    """The method shown first: the wanted one, else the best that has a figure."""
    if wanted is not None:
        return wanted
    totals = {r["method"]: r for r in rows if r["part"] == "total" and r["evse_id"] is None}
    with_figure = [m for m in settlement.METHODS if m in totals and totals[m]["shed_kwh"] is not None]
    return with_figure[0] if with_figure else settlement.METHODS[-1]


def _steps(rows: Sequence[Mapping[str, Any]], name: str) -> list[Step]:
    return [Step(r["start_at"], r["end_at"], r[name]) for r in rows]


def _load_plot(intervals: Sequence[Mapping[str, Any]], n: Figures) -> Markup:
    lines = [
        Series("s-base", _steps(intervals, "baseline_kw")),
        Series("s-load", _steps(intervals, "load_kw")),
    ]
    return plot(n.tongue.t("report.load_plot"), lines, n.zone, n.axis)


def _shed_plot(intervals: Sequence[Mapping[str, Any]], n: Figures) -> Markup:
    bars = [
        Series("s-shed", _steps(intervals, "shed_kw"), filled=True),
        Series("s-target", _steps(intervals, "asked_kw")),
    ]
    return plot(n.tongue.t("report.shed_plot"), bars, n.zone, n.axis)


async def _parts(headend: HeadEnd, enrolled: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sites and customers of one request, as a month has them."""
    places = {r["evse_id"]: r for r in await headend.store.query("places", limit=MOST)}
    given = [{**e, **places.get(e["evse_id"], {})} for e in enrolled]
    return settlement.parts_of(given)


def _measured(
    asked: ReductionRequest, rows: Sequence[dict[str, Any]], method: Method | None, n: Figures
) -> dict[str, Any]:
    """What was shed, by each method; by the one shown also per interval, as a table and drawn."""
    shown = _chosen(rows, method)
    intervals = [r for r in rows if r["method"] == shown and r["part"] == "interval"]
    totals = sorted(
        (r for r in rows if r["part"] == "total"), key=lambda r: settlement.METHODS.index(r["method"])
    )
    record = {
        "request_key": asked.request_key,
        "territory_id": asked.territory_id,
        "started_at": asked.started_at,
    }
    return {
        "shown": shown,
        "methods": settlement.METHODS,
        "totals": [(x, settlement.rows_of(record, x)) for x in totals],
        "intervals": intervals,
        "load_plot": _load_plot(intervals, n),
        "shed_plot": _shed_plot(intervals, n),
    }


def _asked(**said: Any) -> str:
    """What a link asks for, as a query: what is None is not said, a list is said item by item."""
    return urlencode(
        {k: str(v).lower() if isinstance(v, bool) else v for k, v in said.items() if v is not None}, True
    )


def _listed(
    parts: Sequence[TakesPart], path: str, kept: Mapping[str, Any], at: tuple[By, bool, int]
) -> dict[str, Any]:
    """Who took part: one page of them, in an order, and how to list them otherwise.

    `kept`: what else this page was asked for, and stays as it is. `at`: by what, whether upwards, and which page.
    """
    by, up, number = at

    def link(by: By, page: int, up: bool | None) -> str:
        return f"{path}?{_asked(**kept, by=by, up=up, page=page)}#h-taking-part"

    return {"by": by, "up": up, "page": page_of(parts, by, number, up=up), "link": link}


def _rows_below(segment: str) -> dict[str, str]:
    """Where the rows are that the figures of a request are made from, by its key as a path has it."""
    chain = f"requestKey={segment}"
    return {
        "table": f"/api/v1/reports/requests/{segment}/table",
        "rows_asked": f"/api/v1/activity?{chain}&kind=RequestReceived",
        "rows_confirmed": f"/api/v1/activity?{chain}&kind=RequestTallied&limit=10000",
        "rows_parts": f"/api/v1/activity?{chain}&kind=EnrolmentEnded&limit=10000",
        "log": f"/log?{chain}",
    }


@get("/reports/requests/{request_key:str}", include_in_schema=False)
async def request_report_page(
    request: AnyRequest,
    headend: TheHeadEnd,
    auth: TheAuth,
    board: TheBoard,
    extras: TheExtras,
    request_key: FromPath[str],
    method: FromQuery[Method | None] = None,
    holiday: Holidays = None,
    by: FromQuery[By | None] = None,
    up: FromQuery[bool | None] = None,
    page: Annotated[int, QueryParameter(ge=1, le=1_000_000)] = 1,
) -> Response[Any]:
    """One request: asked, confirmed, measured, by each method, per interval, site, customer and EVSE.

    `by`, `up`, `page`: the order in which its EVSEs are listed, and which of them.
    """
    if not _may(request, auth):
        return framed(request, headend, auth, "report_request.html", place="reports")
    asked = known(headend, request_key)
    key, segment = asked.request_key, quote(asked.request_key, safe="")
    this = f"/reports/requests/{segment}"
    n = Figures(tongue_of(request), zone_of(headend.state, asked.territory_id))
    rows = await shed_rows(headend, extras, key, holiday)
    enrolled = await enrolments(headend, key, MOST)
    by = by or ("now" if asked.live else "gave")
    order = (by, by in FROM_BELOW if up is None else up, page)
    return framed(
        request,
        headend,
        auth,
        "report_request.html",
        place="reports",
        r=asked,
        now=headend.clock.now(),
        n=n,
        this=this,
        quoted=lambda text: quote(text, safe=""),
        asked=partial(_asked, holiday=holiday),
        parts=_largest(await extras.beside(lambda: _parts(headend, enrolled))),
        **_measured(asked, rows, method, n),
        **_listed(taking_part(board, enrolled), this, {"method": method, "holiday": holiday}, order),
        **_rows_below(segment),
    )


@get("/reports/months/{month:str}", include_in_schema=False)
async def month_report_page(
    request: AnyRequest,
    headend: TheHeadEnd,
    auth: TheAuth,
    extras: TheExtras,
    month: FromPath[str],
    method: FromQuery[Method | None] = None,
    rate: Rate = None,
    holiday: Holidays = None,
) -> Response[Any]:
    """A month: a line per request, sites, customers, and the sum; by one method, else the first that has a figure."""
    if not _may(request, auth):
        return framed(request, headend, auth, "report_month.html", place="reports")
    text = id_of(month)
    rows = await month_rows(headend, extras, text, method, rate, holiday)
    shown = rows[-1]["method"]
    zones = {r["request_key"]: zone_of(headend.state, r["territory_id"]) for r in rows if r["request_key"]}
    tongue = tongue_of(request)
    return framed(
        request,
        headend,
        auth,
        "report_month.html",
        place="reports",
        month=text,
        method=shown,
        clocks=", ".join(sorted({str(z) for z in zones.values()})),
        methods=settlement.METHODS,
        rate=rate,
        lines=[(r, Figures(tongue, zones[r["request_key"]])) for r in rows if r["part"] == "request"],
        parts=_largest([r for r in rows if r["part"] in {"site", "customer"}]),
        total=rows[-1],
        n=Figures(tongue, UTC),
        path=lambda key: f"/reports/requests/{quote(key, safe='')}",
        holidays=holiday or (),
        asked=partial(_asked, method=shown, holiday=holiday),
        table=f"/api/v1/reports/months/{quote(text, safe='')}/table",
    )


PAGES: Final = [reports_page, request_report_page, month_report_page]
"""Every route of this file, for the app."""
