"""Why, in words: what holds an EVSE and until when."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from emw.domain.model import Cause, Evse, Limit, Outcome, RequestState
from emw.domain.state import State
from emw.web.tongue import DEFAULT, TONGUES, Tongue

ENGLISH: Final = TONGUES[DEFAULT]
ANSWERS: Final = {
    Outcome.PENDING: "why.pending",
    Outcome.APPLIED: "why.applied",
    Outcome.REJECTED: "why.rejected",
    Outcome.TIMED_OUT: "why.timed_out",
    Outcome.OFFLINE: "why.offline",
}


def number(value: Any) -> str:
    """A number as people write it: no more digits than they want to read."""
    if value is None:
        return "?"
    return f"{value:,.1f}".removesuffix(".0")


def zone_of(state: State, territory_id: str) -> tzinfo:
    """The time zone of a territory; UTC where it is not known."""
    territory = state.territories.get(territory_id)
    try:
        return ZoneInfo(territory.time_zone) if territory is not None else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def home_zone(state: State) -> str:
    """The zone that times which are no territory's are told in: the territories' own where they share one, else UTC."""
    found = {t.time_zone for t in state.territories.values()}
    return found.pop() if len(found) == 1 else "UTC"


def clock_time(at: datetime, now: datetime, zone: tzinfo) -> str:
    """`19:00 PDT`, with the date where it is not today's."""
    there, today = at.astimezone(zone), now.astimezone(zone)
    form = "%H:%M %Z" if there.date() == today.date() else "%Y-%m-%d %H:%M %Z"
    return there.strftime(form)


def explain(state: State, evse: Evse, limit: Limit | None, now: datetime, tongue: Tongue = ENGLISH) -> str:
    """What holds an EVSE and why: "13 A until 19:00: request R7 in East; ceiling of feeder 17 not binding"."""
    zone, t = zone_of(state, evse.territory_id), tongue.t
    parts: list[str] = []
    held = limit is not None and limit.in_force(now)
    if limit is not None and held:
        until = clock_time(limit.ends_at, now, zone)
        parts.append(
            t("why.limit", a=tongue.number(number(limit.max_a)), at=until, cause=_cause(state, limit, tongue))
        )
        parts.append(t(ANSWERS[limit.outcome]) + (f" ({limit.reason})" if limit.reason else ""))
    elif (
        limit is not None
        and limit.max_a is None
        and limit.outcome is not Outcome.APPLIED
        and now < limit.until
    ):
        parts.append(t("why.back", outcome=t(ANSWERS[limit.outcome])))
    else:
        parts.append(t("why.none"))
    binds = limit is not None and held and limit.cause is Cause.CEILING
    for node_id in state.path(evse.territory_id):
        node = state.territories[node_id]
        here = limit is not None and binds and limit.node_id == node_id
        by_line = limit is not None and limit.line is not None
        if node.ceiling_kw is not None and not (here and not by_line):
            parts.append(t("why.not_binding", node=node_id, kw=tongue.number(number(node.ceiling_kw))))
        if node.ceiling_a is not None and not (here and by_line):
            parts.append(t("why.not_binding_a", node=node_id, a=tongue.number(number(node.ceiling_a))))
    if evse.opted_out_until is not None and evse.opted_out_until > now:
        parts.append(t("why.opted_out", at=clock_time(evse.opted_out_until, now, zone)))
    if not evse.powered:
        parts.append(t("why.off"))
    elif not evse.online:
        parts.append(t("why.silent"))
    if evse.session_id is None:
        parts.append(t("why.no_vehicle"))
    return "; ".join(parts)


def _cause(state: State, limit: Limit, tongue: Tongue) -> str:
    t = tongue.t
    request = state.requests.get(limit.request_key or "")
    said = "" if request is None else t("why.request", id=request.request_id, territory=request.territory_id)
    match limit.cause:
        case Cause.SHED:
            return said or t("why.a_request")
        case Cause.RESTORATION:
            return t("why.way_back_after", said=said) if said else t("why.way_back")
        case Cause.CEILING:
            node = state.territories.get(limit.node_id or "")
            if node is not None and node.ceiling_a is not None and limit.line is not None:
                most = tongue.number(number(node.ceiling_a))
                ceiling = t("why.ceiling_a", line=limit.line, node=node.territory_id, a=most)
            elif node is not None and node.ceiling_kw is not None and limit.line is None:
                most = tongue.number(number(node.ceiling_kw))
                ceiling = t("why.ceiling_kw", node=node.territory_id, kw=most)
            else:
                return t("why.ceiling", node=limit.node_id)
            if request is not None and request.state is RequestState.ACTIVE:
                return t("why.together", said=ceiling, request=said)
            return ceiling
        case Cause.OPERATOR:
            hand = state.hand_limits.get(limit.evse_id)
            return t("why.by_hand") if hand is None else t("why.set_by", who=hand.by, reason=hand.reason)
        case Cause.HALT:
            return t("why.halt")
