"""A month as it is settled: a line per request, and what each site and customer gave, each with where its rows are.

Made from the same rows as a request's own report (`shed`), so a line and that report can't differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from emw.engine.measured import STEP, down, grid_floor
from emw.service.errors import BadInput
from emw.service.evidence.case import LOOKBACK, path_of, zone_of
from emw.service.evidence.shared import Given, told_twice_kwh
from emw.service.evidence.shed import BEFORE_AFTER, TEN, TWIN, shed_report
from emw.service.evidence.sources import MOST, Row, Sources
from emw.service.ports import Store

METHODS: Final = (TEN, BEFORE_AFTER, TWIN)
"""What a month may be settled by; the first is the usual one."""
COLUMNS: Final = (
    "part", "request_key", "iso_id", "territory_id", "site", "customer_id", "start_at", "end_at", "method",
    "asked_kw", "available_kw", "confirmed_kw", "baseline_kw", "load_kw", "shed_kw", "asked_kwh", "shed_kwh",
    "delivered_share", "data_share", "evses", "rate", "amount", "believed_at", "note", "rows",
)  # fmt: skip


def month_of(text: str) -> date:
    """`2026-05` as its first day. Raises BadInput."""
    try:
        return datetime.strptime(f"{text}-01", "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise BadInput("month", "write a month like 2026-05") from error


async def month_report(
    store: Store,
    month: date,
    *,
    method: str | None = TEN,
    rate: float | None = None,
    holidays: frozenset[date] = frozenset(),
) -> list[Row]:
    """Rows of `COLUMNS`: per request that began in this month (by its territory's clock) a line; then sites, customers
    and the total. `method`: None: the first of METHODS by which a request has a figure, else the last.
    `rate`: what a kWh that was shed is worth, in any currency; a negative shed is worth nothing.
    """
    if method is not None and method not in METHODS:
        raise BadInput("method", f"is none of {', '.join(METHODS)}")
    nodes = {r["territory_id"]: r for r in await store.query("territories")}
    requests = [
        r
        for r in await store.query("requests", limit=MOST)
        if _month(r["started_at"] or r["start_at"], zone_of(nodes, r["territory_id"])) == month
        and r["started_at"] is not None
    ]
    requests.sort(key=lambda r: (r["started_at"], r["request_key"]))
    places = {r["evse_id"]: r for r in await store.query("places", limit=MOST)}
    sources = await _of_all(store, requests)
    sheds: list[list[Row]] = []
    enrolled: list[Row] = []
    gave = Given()
    for request in requests:
        key = request["request_key"]
        sheds.append(await shed_report(store, key, holidays=holidays, sources=sources))
        enrolled += await store.query("enrolments", request_key=key, limit=MOST)
        gave.believed(await store.query("counterfactuals", request_key=key))
    chosen = _with_figure(sheds) if method is None else method
    lines: list[Row] = []
    intervals: dict[str, list[Row]] = {}
    for request, rows in zip(requests, sheds, strict=True):
        key, node = request["request_key"], request["territory_id"]
        shed = [r for r in rows if r["method"] == chosen]
        lines.append(_line(request, next(r for r in shed if r["part"] == "total"), rate))
        intervals[key] = [{**r, "territory_id": node} for r in shed if r["part"] == "interval"]
    given = [{**e, **places.get(e["evse_id"], {})} for e in enrolled]
    twice_kwh = told_twice_kwh(intervals, {t: path_of(nodes, t) for t in nodes})
    return [*lines, *parts_of(given, gave.once(enrolled)), _total(lines, chosen, rate, twice_kwh)]


async def _of_all(store: Store, requests: Sequence[Row]) -> Sources:
    """Sources that know from the start how far these requests reach, as far as there are means."""
    metered = (await store.query("means_until"))[0]["until"]
    if not requests or metered is None:
        return Sources(store)
    begun = [r["started_at"] for r in requests]
    ends = (min(r["ended_at"] or r["end_at"] or metered, metered) for r in requests)
    return Sources(store, min(begun) - LOOKBACK, max(*begun, *ends) + STEP)


def _with_figure(sheds: Iterable[Iterable[Row]]) -> str:
    """The first method by which anything has a figure."""
    told = {r["method"] for rows in sheds for r in rows if r["part"] == "total" and r["shed_kwh"] is not None}
    return next((m for m in METHODS if m in told), METHODS[-1])


def parts_of(given: Sequence[Row], kwh: Mapping[str, float] | None = None) -> list[Row]:
    """What each site and each customer gave: enrolments with their EVSE's `site` and `customer_id`.

    `kwh`: what each EVSE gave in all; None: these are of one request, and its own sums count.
    """
    if kwh is None:
        kwh = defaultdict(float)
        for e in given:
            kwh[e["evse_id"]] += e["measured_kwh"]
    return [*_part("site", "site", given, kwh), *_part("customer", "customer_id", given, kwh)]


def _month(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date().replace(day=1)


def _hours(row: Row) -> float | None:
    if row["start_at"] is None or row["end_at"] is None:
        return None
    return float((row["end_at"] - row["start_at"]).total_seconds() / 3600)


def _line(request: Row, total: Row, rate: float | None) -> Row:
    row: Row = dict.fromkeys(COLUMNS)
    names = ("asked_kw", "confirmed_kw", "baseline_kw", "load_kw", "shed_kw", "shed_kwh", "data_share")
    row |= {name: total[name] for name in (*names, "believed_at", "note", "method", "start_at", "end_at")}
    row |= {name: request[name] for name in ("request_key", "iso_id", "territory_id", "available_kw")}
    row |= {"part": "request", "evses": request["affected_evses"], "rows": rows_of(request, total)}
    hours = _hours(total)
    if hours is not None and row["asked_kw"] is not None:
        row["asked_kwh"] = round(row["asked_kw"] * hours, 3)
    return _priced(row, rate)


def _priced(row: Row, rate: float | None) -> Row:
    if row["asked_kwh"] and row["shed_kwh"] is not None:
        row["delivered_share"] = round(row["shed_kwh"] / row["asked_kwh"], 4)
    if rate is not None and row["shed_kwh"] is not None:
        row |= {"rate": rate, "amount": round(max(row["shed_kwh"], 0.0) * rate, 2)}
    return row


def _part(part: str, name: str, given: Iterable[Row], kwh: Mapping[str, float]) -> list[Row]:
    """What the EVSEs of one site (or customer) gave by the live counterfactual: the only method fit for one EVSE."""
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in given:
        groups[row.get(name) or ""].append(row)
    found = []
    for key, members in sorted(groups.items()):
        row = dict.fromkeys(COLUMNS)
        evses = sorted({m["evse_id"] for m in members})
        # Of two vehicles after each other at one EVSE the last one's: they were not there at the same time.
        confirmed = {(m["request_key"], m["evse_id"]): m["confirmed_kw"] for m in members}
        row |= {
            "part": part,
            name: key or None,
            "method": TWIN,
            "confirmed_kw": round(sum(confirmed.values()), 3),
            "shed_kwh": down(sum(kwh.get(evse_id, 0.0) for evse_id in evses)),
            "evses": len(evses),
            "note": None if key else f"no {'site' if part == 'site' else 'customer'} is known of these",
        }
        found.append(row)
    return found


def _total(lines: Iterable[Row], method: str, rate: float | None, twice_kwh: float) -> Row:
    """What has a figure, summed up, less what several lines tell; the note says so, and how many have none."""
    known = [x for x in lines if x["shed_kwh"] is not None]
    without = [x["request_key"] for x in lines if x["shed_kwh"] is None]
    row: Row = dict.fromkeys(COLUMNS)
    notes: list[str] = []
    row |= {"part": "total", "method": method}
    if known:
        row["asked_kwh"] = round(sum(x["asked_kwh"] or 0.0 for x in known), 3)
        shared_kwh = round(twice_kwh, 3)
        row["shed_kwh"] = down(sum(x["shed_kwh"] for x in known) - shared_kwh)
        row["data_share"] = min((x["data_share"] for x in known if x["data_share"] is not None), default=None)
        row = _priced(row, None)
        if rate is not None:
            amount = sum(x["amount"] for x in known) - max(shared_kwh, 0.0) * rate
            row |= {"rate": rate, "amount": round(max(amount, 0.0), 2)}
        if shared_kwh:
            row["delivered_share"] = None  # of what was asked several times
            notes.append(f"counted once: {shared_kwh:g} kWh that several requests had in common")
    if without:
        notes.append(f"without a figure: {', '.join(without)}")
    row["note"] = "; ".join(notes) or None
    return row


def rows_of(request: Row, total: Row) -> str:
    """Where the rows are that a line was made from: a path of the operator's API, the same for whoever asks."""
    if total["method"] == TWIN:
        return "/api/v1/activity?" + urlencode(
            {"requestKey": request["request_key"], "kind": "IntervalMeasured", "limit": 10_000}
        )
    if total["start_at"] is None:
        return f"/api/v1/requests/{quote(request['request_key'], safe='')}"
    # From the last whole interval before it began: the baseline of before and after.
    first = grid_floor(request["started_at"]) - STEP
    span = {"since": _stamp(first), "until": _stamp(total["end_at"])}
    return "/api/v1/reports/means?" + urlencode({"territory": request["territory_id"], **span})


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
