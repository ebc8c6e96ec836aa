"""What the console shows of requests, at a cost that does not grow with their number.

A live request's sums are made from what every EVSE does now. One that is over has its last sums in its record, and
they can't change any more: a list of a thousand old requests must not sum up the fleet a thousand times.
"""

from __future__ import annotations

from typing import Any

from emw.domain.model import ReductionRequest
from emw.service.headend import HeadEnd
from emw.service.tally import Part, summed


def told_of(headend: HeadEnd, request: ReductionRequest, whole: Part | None = None) -> dict[str, Any]:
    """A request as the grid sees it (design 3.2), without its intervals: the four parts make the whole, to the watt.

    `whole`: the sums of its territory, where the caller keeps them.
    """
    if request.live:
        return headend.requests.told_briefly(request, None if whole is None else summed(request, whole))
    requested, confirmed = round(request.kw, 3), round(request.confirmed_kw, 3)
    pending, refused = round(request.pending_kw, 3), round(request.refused_kw, 3)
    short = round(requested - confirmed - pending - refused, 3) + 0.0  # never -0.0
    if short < 0:  # three roundings up: the largest part carries the watt
        confirmed, short = round(confirmed + short, 3), 0.0
    return {
        "requestID": request.request_id,
        "territory": request.territory_id,
        "state": str(request.state),
        "requestedKW": requested,
        "availableKW": round(request.available_kw, 3),
        "confirmedKW": confirmed,
        "pendingKW": pending,
        "refusedKW": refused,
        "shortKW": short,
        "excessKW": 0.0,
        "measuredKW": None if request.measured_kw is None else round(request.measured_kw, 3),
        "whyShort": request.why_short if short > 0 else None,
        "start": request.start_at,
        "end": request.end_at,
        "affectedEVSEs": request.affected_evses,
        "commands": request.commands,
        "intervals": [],
    }
