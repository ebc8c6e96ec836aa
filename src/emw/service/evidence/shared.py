"""What requests that overlapped have in common: energy that was shed once, and is told in the lines of several.

An EVSE gives the same kWh to every request that holds it then; a territory sheds the same kWh for a request on it
and for one on what lies above it. A line tells what its request got; a sum of lines must not tell it twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from emw.service.evidence.sources import Row

END: Final = datetime.max.replace(tzinfo=UTC)


class Given:
    """What each EVSE gave, kWh, counted once, by the live counterfactual as it was stored.

    Told request by request: of a month's rows no more than one request's are ever in memory.
    """

    def __init__(self) -> None:
        self._kwh: defaultdict[str, float] = defaultdict(float)
        self._known: defaultdict[str, set[tuple[datetime, datetime]]] = defaultdict(set)

    def believed(self, beliefs: Iterable[Row]) -> None:
        """Rows of `counterfactuals`, in any number of copies."""
        for b in beliefs:
            known, row = self._known[b["evse_id"]], (b["interval_start"], b["believed_at"])
            if row not in known:
                known.add(row)
                self._kwh[b["evse_id"]] += (b["baseline_kw"] - b["load_kw"]) * b["seconds"] / 3600

    def once(self, enrolled: Iterable[Row]) -> dict[str, float]:
        """The sums. `enrolled`: parts that EVSEs took, of all requests.

        Parts without rows (older than they are) count by their own sum; of those that overlapped the largest.
        """
        kwh = self._kwh.copy()
        until: dict[str, datetime] = {}
        largest: dict[str, float] = {}
        for part in sorted(enrolled, key=lambda r: (r["evse_id"], r["joined_at"], r["request_key"])):
            evse_id, left_at = part["evse_id"], part["left_at"] or END
            if any(part["joined_at"] < at <= left_at for _, at in self._known.get(evse_id, ())):
                continue
            if evse_id in until and part["joined_at"] < until[evse_id]:
                kwh[evse_id] += max(part["measured_kwh"] - largest[evse_id], 0.0)
                largest[evse_id] = max(part["measured_kwh"], largest[evse_id])
                until[evse_id] = max(until[evse_id], left_at)
            else:
                kwh[evse_id] += part["measured_kwh"]
                until[evse_id], largest[evse_id] = left_at, part["measured_kwh"]
        return dict(kwh)


def told_twice_kwh(intervals: Mapping[str, Sequence[Row]], above: Mapping[str, Sequence[str]]) -> float:
    """What intervals of requests tell, kWh, that those of another one, on the same node or above, tell already.

    `intervals`: per request rows with `start_at`, `end_at`, `shed_kwh` and `territory_id`, earliest request first;
    `above`: node to itself and the nodes above it. Where intervals overlap in part, the common part counts.
    """
    spans = {
        key: (rows[0]["territory_id"], min(r["start_at"] for r in rows), max(r["end_at"] for r in rows))
        for key, rows in intervals.items()
        if rows
    }
    twice = 0.0
    order = list(spans)
    for n, key in enumerate(order):
        node, first, last = spans[key]
        covering = [
            o
            for m, other in enumerate(order)
            if other != key
            and spans[other][0] in above.get(node, (node,))
            and (spans[other][0] != node or m < n)
            and spans[other][1] < last
            and first < spans[other][2]
            for o in intervals[other]
        ]
        for row in intervals[key]:
            begin, end = row["start_at"], row["end_at"]
            told = ((max(begin, o["start_at"]), min(end, o["end_at"])) for o in covering)
            twice += row["shed_kwh"] * _seconds(told) / (end - begin).total_seconds()
    return twice


def _seconds(spans: Iterable[tuple[datetime, datetime]]) -> float:
    """How long at least one of them lasts, s."""
    seconds, last = 0.0, datetime.min.replace(tzinfo=UTC)
    for begin, end in sorted(spans):
        seconds += max((end - max(begin, last)).total_seconds(), 0.0)
        last = max(last, end)
    return seconds
