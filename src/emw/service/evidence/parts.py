"""What single EVSEs and the nodes under a request gave: by the live counterfactual as it was kept, and by the meter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import sqrt
from typing import Any, NamedTuple

from emw.engine import measured as m
from emw.service.evidence.case import Case
from emw.service.evidence.rows import BEFORE_AFTER, TWIN, interval, total
from emw.service.evidence.sources import Row

HOUR_S = 3600.0


class _Mean(NamedTuple):
    """A counterfactual over `seconds` of an interval, kW means over them."""

    start_at: datetime
    seconds: float
    baseline_kw: float
    load_kw: float
    doubt_kw: float
    believed_at: datetime
    method: str
    evses: int = 1


def per_evse(case: Case, enrolled: Sequence[Row], beliefs: Sequence[Row]) -> list[Row]:
    """Per EVSE: the live counterfactual per interval and over each of its parts in the request, and before/after."""
    kept: defaultdict[str, list[_Mean]] = defaultdict(list)
    at: dict[str, str] = {}
    for b in beliefs:
        kept[b["evse_id"]].append(_mean(b))
        at[b["evse_id"]] = b["territory_id"]
    rows: list[Row] = []
    told: set[str] = set()
    for part in sorted(enrolled, key=lambda p: (str(p["evse_id"]), p["joined_at"])):
        evse_id, end = part["evse_id"], part["left_at"]
        about = {"evse_id": evse_id, "territory_id": at.get(evse_id)}
        if evse_id not in told:  # an interval may have seen one vehicle go and the next one come
            rows += [_twin_row(case, mean, **about) for mean in kept[evse_id]]
            told.add(evse_id)
        means = [x for x in kept[evse_id] if _within(x, part)]
        whole = _twin_total(case, means, **about)
        whole |= {"start_at": part["joined_at"], "end_at": end or whole["end_at"], "note": part["why_left"]}
        if end is None:
            whole["note"] = "it still takes part" if means else "no figure yet: it still takes part"
        else:
            # The sum is written when an EVSE's part ends.
            whole |= {"shed_kwh": m.down(part["measured_kwh"]), "believed_at": end}
        rows.append(whole)
    return rows + _before_after(case)


def per_node(case: Case, beliefs: Iterable[Row]) -> list[Row]:
    """Per node of the tree from the request's own down: the sum of its EVSEs' counterfactuals while they were held."""
    of: defaultdict[str, defaultdict[datetime, list[_Mean]]] = defaultdict(lambda: defaultdict(list))
    for b in beliefs:
        for node_id in case.paths.get(b["territory_id"], ()):
            of[node_id][b["interval_start"]].append(_mean(b))
    rows: list[Row] = []
    for node_id, intervals in sorted(of.items()):
        sums = [_sum(at, means) for at, means in sorted(intervals.items())]
        rows += [_twin_row(case, s, territory_id=node_id, note=f"{s.evses} EVSEs held") for s in sums]
        rows.append(_twin_total(case, sums, territory_id=node_id))
    return rows


def _within(mean: _Mean, part: Row) -> bool:
    """Whether it tells of this part of its EVSE in the request, and be it at its edge."""
    return bool(
        part["joined_at"] < mean.believed_at and (part["left_at"] is None or mean.start_at < part["left_at"])
    )


def _mean(b: Row) -> _Mean:
    return _Mean(
        b["interval_start"],
        b["seconds"],
        b["baseline_kw"],
        b["load_kw"],
        b["doubt_kw"],
        b["believed_at"],
        b["method"],
    )


def _sum(start: datetime, means: Sequence[_Mean]) -> _Mean:
    """Of many EVSEs, as means over the whole interval; what one will do says nothing of another: doubts in squares."""
    whole_s = m.STEP.total_seconds()
    return _Mean(
        start,
        whole_s,
        sum(x.baseline_kw * x.seconds for x in means) / whole_s,
        sum(x.load_kw * x.seconds for x in means) / whole_s,
        sqrt(sum((x.doubt_kw * x.seconds) ** 2 for x in means)) / whole_s,
        max(x.believed_at for x in means),
        means[0].method,
        len(means),
    )


def _twin_row(case: Case, mean: _Mean, **about: Any) -> Row:
    row = interval(
        case,
        mean.method,
        mean.start_at,
        mean.start_at + m.STEP,
        baseline_kw=mean.baseline_kw,
        load_kw=mean.load_kw,
        shed_kw=mean.baseline_kw - mean.load_kw,
        believed_at=mean.believed_at,
        **about,
    )
    row["doubt_kw"] = round(mean.doubt_kw, 3)
    row["shed_kwh"] = m.down((mean.baseline_kw - mean.load_kw) * mean.seconds / HOUR_S)
    if mean.seconds < m.STEP.total_seconds() - 1 and row["note"] is None:
        row["note"] = f"over {mean.seconds:.0f} s of it"
    return row


def _twin_total(case: Case, means: Sequence[_Mean], **about: Any) -> Row:
    row = total(case, TWIN, []) | about
    seconds = sum(x.seconds for x in means)
    if not seconds:
        return row | {"believed_at": None}
    baseline_kws = sum(x.baseline_kw * x.seconds for x in means)
    load_kws = sum(x.load_kw * x.seconds for x in means)
    return row | {
        "start_at": means[0].start_at,
        "end_at": means[-1].start_at + m.STEP,
        "baseline_kw": round(baseline_kws / seconds, 3),
        "load_kw": round(load_kws / seconds, 3),
        "shed_kw": m.down((baseline_kws - load_kws) / seconds),
        "shed_kwh": m.down((baseline_kws - load_kws) / HOUR_S),
        "believed_at": means[-1].believed_at,
    }


def _before_after(case: Case) -> list[Row]:
    before, loads = case.before_kw, case.loads
    rows: list[Row] = []
    for evse_id in sorted({e for load in loads.values() for e in load} | set(before)):
        if not before:
            break
        base = before.get(evse_id, 0.0)
        own = []
        for at in case.intervals:
            load = loads[at].get(evse_id, 0.0)
            known = {"baseline_kw": base, "load_kw": load, "shed_kw": base - load}
            metered = float((at, evse_id) in case.metered)
            own.append(
                interval(case, BEFORE_AFTER, at, at + m.STEP, evse_id=evse_id, data_share=metered, **known)
            )
        if own:
            rows += [*own, total(case, BEFORE_AFTER, own, evse_id=evse_id)]
    return rows
