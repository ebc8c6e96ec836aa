"""What a station may hold where nobody knows whether it has heard of its last command. Pure."""

from __future__ import annotations

from datetime import datetime

from emw.domain.model import UNHEARD, Limit, Outcome


def agreed_before(limit: Limit | None, now: datetime) -> tuple[float | None, datetime | None]:
    """What a station holds that is told something else now and does not hear of it: at most so many A, and until when.

    Neither where it was free or said no. Of several commands that it may have heard of, the highest and the first to
    end.
    """
    if limit is None or limit.max_a is None or not limit.in_force(now) or limit.outcome is Outcome.REJECTED:
        return None, None
    if limit.outcome is Outcome.APPLIED:
        return limit.max_a, limit.until
    if limit.agreed_a is None or limit.agreed_until is None or limit.agreed_until <= now:
        return None, None
    return max(limit.agreed_a, limit.max_a), min(limit.agreed_until, limit.until)


def at_most_a(limit: Limit | None, now: datetime) -> float | None:
    """The most that a station may take itself to be allowed now, A; None: without bound, as far as is known.

    A command that is on its way is believed to arrive. One that was not heard leaves what was agreed to before it.
    """
    if limit is None or limit.max_a is None or not limit.in_force(now):
        return None
    if limit.holds(now):
        return limit.max_a
    if limit.outcome not in UNHEARD or limit.agreed_a is None or now >= limit.ends_at:
        return None
    return max(limit.agreed_a, limit.max_a)
