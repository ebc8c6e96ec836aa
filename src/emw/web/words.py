"""Why, in words: what holds an EVSE, and what each row of the activity log says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from emw.domain.facts import Fact
from emw.domain.model import Cause, Evse, Limit, Outcome, RequestState
from emw.domain.state import State
from emw.web.tongue import DEFAULT, TONGUES, Tongue
from emw.web.wire import ActivityOut, wire_name

Row = Mapping[str, Any]

ENGLISH: Final = TONGUES[DEFAULT]
ANSWERS: Final = {
    Outcome.PENDING: "why.pending",
    Outcome.APPLIED: "why.applied",
    Outcome.REJECTED: "why.rejected",
    Outcome.TIMED_OUT: "why.timed_out",
    Outcome.OFFLINE: "why.offline",
}
OUTCOMES: Final = {outcome: ENGLISH.says[key] for outcome, key in ANSWERS.items()}
AMPS: Final = {
    "max_a": "maxAmps",
    "evse_max_a": "evseMaxAmps",
    "car_max_a": "carMaxAmps",
    "answered_a": "answeredAmps",
    "would_draw_a": "wouldDrawAmps",
    "limit_a": "limitAmps",
    "current_a": "currentAmps",
    "line_voltage_v": "lineVoltage",
    "territory_id": "territory",
}

STAMPS: Final = frozenset({"seq", "at", "actor", "kind", "evse_id", "request_key", "iso_id", "territory_id"})


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
        until = clock_time(limit.until, now, zone)
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
    binding = limit.node_id if limit is not None and held and limit.cause is Cause.CEILING else None
    for node_id in state.path(evse.territory_id):
        ceiling_kw = state.territories[node_id].ceiling_kw
        if ceiling_kw is not None and node_id != binding:
            parts.append(t("why.not_binding", node=node_id, kw=tongue.number(number(ceiling_kw))))
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
            if node is None or node.ceiling_kw is None:
                return t("why.ceiling", node=limit.node_id)
            ceiling = t("why.ceiling_kw", node=node.territory_id, kw=tongue.number(number(node.ceiling_kw)))
            if request is not None and request.state is RequestState.ACTIVE:
                return t("why.together", said=ceiling, request=said)
            return ceiling
        case Cause.OPERATOR:
            hand = state.hand_limits.get(limit.evse_id)
            return t("why.by_hand") if hand is None else t("why.set_by", who=hand.by, reason=hand.reason)
        case Cause.HALT:
            return t("why.halt")


# --- the activity log

SAYS: Final[dict[str, Callable[[Row], str]]] = {
    "PoweredOn": lambda r: f"{r['evse_id']} powered on in {r['territory_id']}, up to {number(r['max_a'])} A",
    "PoweredOff": lambda r: f"{r['evse_id']} powered off",
    "SessionStarted": lambda r: (
        f"a vehicle at {r['evse_id']} that takes up to {number(min(r['evse_max_a'], r['car_max_a']))} A"
    ),
    "SessionEnded": lambda r: f"the vehicle at {r['evse_id']} left: {r['reason']}",
    "KnobTurned": lambda r: f"{r['evse_id']} allows {number(r['max_a'])} A now",
    "WentOffline": lambda r: f"{r['evse_id']} fell silent",
    "CameBack": lambda r: f"{r['evse_id']} is heard again",
    "OptedOut": lambda r: (
        f"{r['evse_id']} may be limited again"
        if r["until"] is None
        else f"{r['evse_id']} opted out: {r['reason']}"
    ),
    "CommandIssued": lambda r: (
        f"{r['evse_id']} back to normal ({r['cause']})"
        if r["max_a"] is None
        else f"{r['evse_id']} at most {number(r['max_a'])} A ({r['cause']})"
    ),
    "CommandAnswered": lambda r: (
        f"{r['evse_id']}: {OUTCOMES[Outcome(r['outcome'])]}"
        + (f", {number(r['answered_a'])} A" if r.get("answered_a") is not None else "")
        + (f" ({r['reason']})" if r.get("reason") else "")
    ),
    "IsoConnected": lambda r: f"grid operator {r['iso_id']} connected",
    "RequestReceived": lambda r: (
        f"{r['iso_id']} asks for {number(r['kw'])} kW less in {r['territory_id']} (request {r['request_id']})"
    ),
    "RequestChanged": lambda r: f"request {r['request_key']} asks for {number(r['kw'])} kW now" + _because(r),
    "SignalReceived": lambda r: (
        f"{r['source_id']} published event {r['event_id']} of {r['program'] or r['program_id']}"
        + (f", version {r['version']}" if r["version"] > 1 else "")
    ),
    "SignalEnded": lambda r: f"event {r['event_id']} of {r['source_id']} has ended: {r['reason']}",
    "GridLinkChanged": lambda r: (
        f"{r['source_id']} can be heard" if r["connected"] else f"{r['source_id']} is lost: {r.get('why')}"
    ),
    "LoadMetered": lambda r: f"{r['territory_id']} drew {r['load_kw']:.1f} kW",
    "GridReportQueued": lambda r: f"report {r['name']} on event {r['event_id']} is owed to {r['source_id']}",
    "GridReportDelivered": lambda r: f"{r['source_id']} took report {r['name']} on event {r['event_id']}",
    "GridReportDropped": lambda r: f"report {r['name']} on event {r['event_id']} was given up: {r['reason']}",
    "GridCeilingMoved": lambda r: (
        f"no signal limits {r['territory_id']} any more"
        if r["kw"] is None
        else f"{r['cause']} limits {r['territory_id']} to {number(r['kw'])} kW"
    ),
    "RequestCancelled": lambda r: f"request {r['request_key']}: return to normal",
    "RequestConfirmed": lambda r: f"request {r['request_key']} may go on: a second person agreed",
    "RequestMoved": lambda r: f"request {r['request_key']} is {r['state']}",
    "RequestTallied": lambda r: (
        f"request {r['request_key']}: {number(r['confirmed_kw'])} kW confirmed, {number(r['pending_kw'])} pending, "
        f"{number(r['refused_kw'])} refused, {number(r['short_kw'])} short; measured {number(r['measured_kw'])} kW"
    ),
    "Enrolled": lambda r: f"{r['evse_id']} takes part in {r['request_key']}",
    "EnrolmentEnded": lambda r: f"{r['evse_id']} leaves {r['request_key']}: {r['why']}",
    "IntervalMeasured": lambda r: (
        f"request {r['request_key']}: {number(r['measured_kw'])} kW measured of {number(r['requested_kw'])} asked"
    ),
    "ReportQueued": lambda r: f"a report ({r['kind']}) on {r['request_key']} is owed to {r['iso_id']}",
    "ReportDelivered": lambda _: "a report was delivered",
    "ReportDropped": lambda r: f"a report was given up: {r['reason']}",
    "TerritoryDefined": lambda r: (
        f"territory {r['territory_id']}"
        + (f" under {r['parent_id']}" if r.get("parent_id") else "")
        + (f", ceiling {number(r['ceiling_kw'])} kW" if r.get("ceiling_kw") is not None else "")
    ),
    "StationAdded": lambda r: f"station {r['station_id']} has a new secret",
    "StationBooted": lambda r: (
        f"station {r['station_id']} booted: {r['vendor']} {r['model']}, OCPP {r['version']}"
        + (f", firmware {r['firmware']}" if r.get("firmware") else "")
    ),
    "StationLearned": lambda r: f"something new is known of what station {r['station_id']} supports",
    "StationCalled": lambda r: (
        f"{r['action']} was sent to station {r['station_id']} by hand: {r['outcome']}" + _because(r)
    ),
    "EvseFound": lambda r: (
        f"station {r['station_id']} has EVSE {r['evse_id']} in {r['territory_id']}, "
        f"{number(r['max_a'])} A on {r['phases']} phases"
    ),
    "EvseChanged": lambda r: f"{r['evse_id']}: " + ", ".join(_changes(r)),
    "TransactionStarted": lambda r: f"transaction {r['transaction_id']} began at {r['evse_id']}",
    "TransactionEnded": lambda r: (
        f"transaction {r['transaction_id']} ended at {r['evse_id']}"
        + (f": {r['reason']}" if r.get("reason") else "")
    ),
    "StationRevoked": lambda r: f"station {r['station_id']} is revoked",
    "IsoAdded": lambda r: f"grid operator {r['iso_id']} has a new token for {', '.join(r['territories'])}",
    "IsoRevoked": lambda r: f"grid operator {r['iso_id']} is revoked",
    "OperatorAdded": lambda r: f"{r['name']} may log in as {r['role']}",
    "OperatorDisabled": lambda r: f"{r['name']} may not log in any more",
    "LoginEnded": lambda r: f"{r['name']}'s login was ended",
    "NeedTold": lambda r: (
        f"the driver at {r['evse_id']} needs {number(r['energy_requested_kwh'])} kWh"
        + (f" by {r['departure_at']:%Y-%m-%d %H:%MZ}" if isinstance(r["departure_at"], datetime) else "")
    ),
    "SignedOn": lambda r: f"{r['name']} logged in by single sign-on as {r['role']} from {r['address']}",
    "LoggedIn": lambda r: f"{r['name']} logged in from {r['address']}",
    "LoginRefused": lambda r: f"wrong login for {r['name']} from {r['address']} (try {r['tries']})",
    "ApiKeyAdded": lambda r: f"API key {r['name']} for a {r['role']}",
    "ApiKeyRevoked": lambda r: f"API key {r['key_id']} is revoked",
    "VtnClientAdded": lambda r: f"VTN client {r['client_id']} may connect as {r['role']}",
    "VtnClientRevoked": lambda r: f"VTN client {r['client_id']} is revoked{_because(r)}",
    "VtnTokenIssued": lambda r: f"VTN client {r['client_id']} was given a token",
    "VtnObjectPut": lambda r: f"our VTN holds {r['object_type']} {r['object_id']}",
    "VtnObjectDeleted": lambda r: f"our VTN holds {r['object_type']} {r['object_id']} no more{_because(r)}",
    "VtnCallbackMuted": lambda r: (
        f"callbacks of VTN subscription {r['object_id']} are not made any more{_because(r)}"
    ),
    "PrioritySet": lambda r: f"{r['evse_id']} counts {number(r['priority'])} times{_because(r)}",
    "LimitedByHand": lambda r: (
        f"{r['evse_id']} is let go by hand{_because(r)}"
        if r["max_a"] is None
        else f"{r['evse_id']} at most {number(r['max_a'])} A by hand{_because(r)}"
    ),
    "TerritoryStopped": lambda r: f"SHEDS ARE STOPPED in {r['territory_id']}{_because(r)}",
    "TerritoryResumed": lambda r: f"sheds may reach {r['territory_id']} again{_because(r)}",
    "DispatchHalted": lambda r: "ALL DISPATCH IS STOPPED" + (f": {r['reason']}" if r.get("reason") else ""),
    "DispatchResumed": lambda r: "dispatch goes on" + (f": {r['reason']}" if r.get("reason") else ""),
    "ServerStarted": lambda r: f"emw {r['version']} started; {r['resumed_requests']} requests carried on",
}
"""One sentence per kind of fact; a test holds it against the union."""


def _because(row: Row) -> str:
    """The reason, where one was given."""
    return f": {row['reason']}" if row.get("reason") else ""


def _changes(row: Row) -> list[str]:
    """What is new of an EVSE, in words."""
    found = []
    if row.get("status") is not None:
        found.append(str(row["status"]))
    if row.get("phases") is not None:
        found.append(f"its vehicle uses {row['phases']} phases")
    if row.get("can_limit") is not None:
        found.append("it can be limited" if row["can_limit"] else "it can't be limited")
    return found or ["nothing new"]


def sentence(kind: str, row: Row) -> str:
    """What a row of the log says. A row of a later version, with other fields, is still shown by its kind."""
    say = SAYS.get(kind)
    if say is None:
        return kind
    try:
        return say(row)
    except (KeyError, TypeError, ValueError):
        return kind


def fields_of(fact: Fact) -> dict[str, Any]:
    """A fact's fields without its secrets."""
    return {x.name: getattr(fact, x.name) for x in fields(fact) if not x.name.endswith("_hash")}


def wire_fields(row: Row) -> dict[str, Any]:
    """The fields of a stored row under the names of the wire; secrets, should one slip through, stay here."""
    return {AMPS.get(k) or wire_name(k): v for k, v in row.items() if not k.endswith("_hash")}


def activity_of(row: dict[str, Any]) -> ActivityOut:
    """A stored row in the words of the wire."""
    nested: dict[str, Any] = row.get("payload") or {}
    plain = {k: v for k, v in row.items() if k != "payload" and not (k in STAMPS and v is None)}
    everything = {**plain, **nested}
    details = {k: v for k, v in everything.items() if k not in {"seq", "at", "actor", "kind", "day", "hash"}}
    return ActivityOut(
        seq=row["seq"],
        at=row["at"],
        actor=row["actor"],
        kind=row["kind"],
        text=sentence(row["kind"], everything),
        details=wire_fields(details),
    )
