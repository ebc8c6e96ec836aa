"""What a row of a shed's report is: one interval by one method, or the total of some."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from emw.engine import measured as m
from emw.service.evidence.case import Case
from emw.service.evidence.sources import Row
from emw.service.twins import METHOD

TWIN = METHOD
BEFORE_AFTER = "before-after"
TEN = "10-of-10-adjusted"
COLUMNS = (
    "part", "method", "evse_id", "start_at", "end_at", "asked_kw", "confirmed_kw", "baseline_kw", "load_kw",
    "shed_kw", "shed_kwh", "error_pct", "data_share", "days", "believed_at", "note", "territory_id", "doubt_kw",
)  # fmt: skip


def interval(case: Case, method: str, start: datetime, end: datetime, **more: Any) -> Row:
    """A row over [start, end); kW unrounded, `more` by the names of `COLUMNS`."""
    row: Row = dict.fromkeys(COLUMNS)
    row |= {
        "part": "interval",
        "method": method,
        "start_at": start,
        "end_at": end,
        "believed_at": case.believed_at,
    }
    row |= more
    if row["shed_kw"] is not None:
        hours = (end - start).total_seconds() / 3600
        row["shed_kwh"] = m.down(row["shed_kw"] * hours)
        if row["asked_kw"]:
            row["error_pct"] = round(abs(row["shed_kw"] - row["asked_kw"]) / row["asked_kw"] * 100, 2)
        row["shed_kw"] = m.down(row["shed_kw"])
    for name in ("baseline_kw", "load_kw", "confirmed_kw"):
        row[name] = None if row[name] is None else round(row[name], 3)
    return row


def total(
    case: Case, method: str, rows: Sequence[Row], note: str | None = None, evse_id: str | None = None
) -> Row:
    """Time-weighted means, energy summed up, and the mean of the intervals' errors."""
    found: Row = dict.fromkeys(COLUMNS)
    found |= {
        "part": "total",
        "method": method,
        "evse_id": evse_id,
        "note": note,
        "believed_at": case.believed_at,
    }
    if not rows:
        return found
    seconds = [(r["end_at"] - r["start_at"]).total_seconds() for r in rows]
    found |= {"start_at": rows[0]["start_at"], "end_at": rows[-1]["end_at"]}
    for name in ("asked_kw", "confirmed_kw", "baseline_kw", "load_kw", "shed_kw", "data_share"):
        if all(r[name] is not None for r in rows):
            mean = sum(r[name] * s for r, s in zip(rows, seconds, strict=True)) / sum(seconds)
            found[name] = m.down(mean) if name == "shed_kw" else round(mean, 3)
    if all(r["shed_kwh"] is not None for r in rows):
        found["shed_kwh"] = m.down(sum(r["shed_kwh"] for r in rows))
    errors = [r["error_pct"] for r in rows if r["error_pct"] is not None]
    found["error_pct"] = round(sum(errors) / len(errors), 2) if errors else None
    found["days"] = rows[0]["days"]
    found["believed_at"] = rows[-1]["believed_at"]
    return found
