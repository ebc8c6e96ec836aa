"""What a request shed, by each method, from stored rows alone: the same rows give the same figures.

It reads `requests`, `intervals`, `enrolments`, `sessions`, `evses`, `territories`, `counterfactuals` and the
five-minute means. A store that is asked twice answers the same as long as no late reading has changed a mean;
`believed_at` says as of when.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from emw.engine import measured as m
from emw.engine.baseline import BEFORE, DAYS, WINDOW, Loads, like_days, on_day, ten_of_ten
from emw.service.evidence import parts
from emw.service.evidence.case import Case, read_case
from emw.service.evidence.rows import BEFORE_AFTER, COLUMNS, TEN, TWIN, interval, total
from emw.service.evidence.sources import MOST, Row, Sources
from emw.service.ports import Store

__all__ = ["BEFORE_AFTER", "COLUMNS", "TEN", "TWIN", "shed_report"]


async def shed_report(
    store: Store,
    request_key: str,
    *,
    evses: bool = False,
    territories: bool = False,
    holidays: frozenset[date] = frozenset(),
    sources: Sources | None = None,
) -> list[Row]:
    """Rows of `COLUMNS`: per method its intervals and a total; with `evses` those of each EVSE, too, and with
    `territories` those of each node of the tree under the request's, by the live counterfactual.

    `sources`: what was read for other requests already. Raises NotFound for a request that is not there.
    """
    sources = sources or Sources(store)
    case = await read_case(sources, request_key)
    rows = [*_twin(case), *_before_after(case), *await _ten(case, sources, holidays)]
    for row in rows:
        if row["part"] == "total" and row["shed_kwh"] is not None and case.shared:
            row["note"] = f"{row['note']}; {case.shared}" if row["note"] else case.shared
    if not (evses or territories):
        return rows
    ended = case.request["ended_at"]
    beliefs = await store.query("counterfactuals", request_key=request_key, until=ended)
    if territories:
        rows += parts.per_node(case, beliefs)
    if evses:
        enrolled = await store.query("enrolments", request_key=request_key, limit=MOST)
        rows += parts.per_evse(case, enrolled, beliefs)
    return rows


# --- methods


def _twin(case: Case) -> list[Row]:
    """The live counterfactual as it was believed when each interval ended."""
    rows = [
        interval(
            case,
            r["method"],
            r["start_at"],
            r["end_at"],
            asked_kw=r["requested_kw"],
            confirmed_kw=r["confirmed_kw"],
            baseline_kw=r["baseline_kw"],
            load_kw=r["load_kw"],
            shed_kw=r["measured_kw"],
            data_share=case.data_share(r["start_at"], r["end_at"]),
            believed_at=r["end_at"],
        )
        for r in case.twin
    ]
    return [*rows, total(case, TWIN, rows, None if rows else _why_empty(case))]


def _metered_rows(
    case: Case, method: str, baseline_kw: Sequence[float], intervals: Sequence[datetime], days: int | None
) -> list[Row]:
    rows = []
    for at, base in zip(intervals, baseline_kw, strict=True):
        load, end = sum(case.loads[at].values()), at + m.STEP
        rows.append(
            interval(
                case,
                method,
                at,
                end,
                asked_kw=case.request["kw"],
                confirmed_kw=case.confirmed_kw(at, end),
                baseline_kw=base,
                load_kw=load,
                shed_kw=base - load,
                data_share=case.data_share(at, end),
                days=days,
            )
        )
    return rows


def _before_after(case: Case) -> list[Row]:
    if not case.intervals:
        return [total(case, BEFORE_AFTER, [], _why_empty(case))]
    if not case.before_kw:
        note = "no figure: nothing was metered in the five minutes before the request"
        return [total(case, BEFORE_AFTER, [], note)]
    base = [sum(case.before_kw.values())] * len(case.intervals)
    rows = _metered_rows(case, BEFORE_AFTER, base, case.intervals, None)
    return [*rows, total(case, BEFORE_AFTER, rows)]


def _why_empty(case: Case) -> str:
    if case.request["started_at"] is None:
        return "no figure: the request has not started"
    return "no figure yet: no whole interval has been metered"


async def _ten(case: Case, sources: Sources, holidays: frozenset[date]) -> list[Row]:
    if not case.intervals:
        return [total(case, TEN, [], _why_empty(case))]
    by_day: dict[date, list[datetime]] = {}
    for at in case.intervals:
        by_day.setdefault(at.astimezone(case.zone).date(), []).append(at)
    rows: list[Row] = []
    notes: list[str] = []
    for i, (day, intervals) in enumerate(by_day.items()):
        window = _window(case) if i == 0 else []
        like = await _like(case, sources, day, [*window, *intervals], holidays)
        found = ten_of_ten(like, await _loads(case, sources, window) if window else None)
        notes.append(f"{day}: {found.why}" if len(by_day) > 1 else found.why)
        if like:
            notes[-1] += f" ({', '.join(str(d) for d in like)})"
        if found.kw:
            rows += _metered_rows(case, TEN, found.kw, intervals, len(like))
    return [*rows, total(case, TEN, rows, "; ".join(notes))]


async def _like(
    case: Case, sources: Sources, day: date, intervals: Sequence[datetime], holidays: frozenset[date]
) -> dict[date, Loads]:
    """What was metered at these clock times on like days, newest first; with too little, the next older."""
    if case.first_at is None:
        return {}
    like: dict[date, Loads] = {}
    first = case.first_at.astimezone(case.zone).date()  # a day in part
    for other in like_days(day, first, _event_days(case), holidays):
        there = on_day(intervals, other, case.zone)
        found = await _loads(case, sources, there) if there is not None else None
        if found is not None and found.whole:
            like[other] = found
        if len(like) == DAYS:
            break
    return like


async def _loads(case: Case, sources: Sources, intervals: Sequence[datetime]) -> Loads:
    """What the territory was metered to draw."""
    rows: dict[datetime, Row] = {}
    for since, until in _runs(intervals):
        found = await sources.once(
            "territory_loads", territory_ids=case.territory_ids, since=since, until=until
        )
        rows |= {r["interval_start"]: r for r in found}
    expected = case.there.cells(intervals)
    have = sum(rows[at]["evses"] for at in intervals if at in rows)
    # Where no vehicle was there, no reading is a load of nothing.
    kw = tuple(rows[at]["kw"] if at in rows else 0.0 for at in intervals)
    return Loads(kw, min(1.0, have / expected) if expected else 1.0)


def _window(case: Case) -> list[datetime]:
    """The quiet hours before notice, on the day of the request; none where another request ran in them."""
    begun, noticed = case.request["started_at"], case.request["received_at"]
    day = begun.astimezone(case.zone).date()
    known = min(noticed, begun)
    # Told the day before: the last hours before the start that nobody was limited in are this day's.
    end = (known if known.astimezone(case.zone).date() == day else begun) - BEFORE
    window = m.whole_intervals(end - WINDOW, end)
    if not window or window[0].astimezone(case.zone).date() != day:
        return []
    for other in case.related:
        if other["request_key"] != case.request["request_key"]:
            from_at, to_at = _touched(other)
            if from_at < window[-1] + m.STEP and window[0] < to_at:
                return []
    return window


def _touched(request: Row) -> tuple[datetime, datetime]:
    """From when to when a request changed loads, its restoration included."""
    start = request["started_at"]
    end = request["closed_at"] or request["ended_at"] or request["end_at"] or datetime.max.replace(tzinfo=UTC)
    return start, max(start, end)


def _event_days(case: Case) -> frozenset[date]:
    days: set[date] = set()
    last = case.intervals[-1].astimezone(case.zone).date()
    for other in case.related:
        start, end = _touched(other)
        day = start.astimezone(case.zone).date()
        final = last if end > case.intervals[-1] else end.astimezone(case.zone).date()
        while day <= final:
            days.add(day)
            day += timedelta(days=1)
    return frozenset(days)


def _runs(intervals: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Intervals as few stretches of time."""
    runs: list[tuple[datetime, datetime]] = []
    for at in sorted(intervals):
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + m.STEP)
        else:
            runs.append((at, at + m.STEP))
    return runs
