"""The words of the operator's API: what goes in and comes out, camelCase with units in the names."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from msgspec import Meta, Struct, convert

WORDS: Final = {
    "id": "ID",
    "ids": "IDs",
    "kw": "KW",
    "kwh": "KWh",
    "url": "URL",
    "evse": "EVSE",
    "evses": "EVSEs",
    "iso": "ISO",
    "s": "Seconds",
}


def wire_name(name: str) -> str:
    """A field's name on the wire: `evse_id` is `evseID`, `load_kw` is `loadKW`, `kw` is `kW`."""
    first, *rest = name.split("_")
    return {"kw": "kW", "kwh": "kWh"}.get(first, first) + "".join(WORDS.get(w, w.capitalize()) for w in rest)


class In(Struct, rename=wire_name, forbid_unknown_fields=True, kw_only=True):
    """What comes in: nothing unknown, so that a misspelt field is not silently left out."""


class Out(Struct, rename=wire_name, kw_only=True):
    """What goes out."""


Name = Annotated[str, Meta(min_length=1, max_length=64)]
AnyId = Annotated[str, Meta(min_length=1, max_length=255)]
Reason = Annotated[str, Meta(max_length=500)]
Instant = Annotated[datetime, Meta(tz=True)]
Minutes = Annotated[float, Meta(gt=0, le=525_600)]
Item = TypeVar("Item")


class Page(Struct, Generic[Item], rename=wire_name, kw_only=True):
    """One page of a list. `total`: how many there are in all, where that is known."""

    items: list[Item]
    total: int | None = None
    limit: int
    offset: int = 0


def whole(items: Iterable[Item]) -> Page[Item]:
    """A list that is never cut."""
    every = list(items)
    return Page(items=every, total=len(every), limit=max(len(every), 1))


def told(record: Any, as_: type[Item]) -> Item:
    """A record in the words of the wire: the fields that `as_` has, and no other (no secret)."""
    return convert(record, as_, from_attributes=True)


class Done(Out):
    """Something was done."""

    done: bool = True


# --- what there is


class TerritoryIn(In):
    """A node of the tree as it shall be: fields left out are empty."""

    territory_id: AnyId
    parent_id: AnyId | None = None
    kind: Annotated[str, Meta(min_length=1, max_length=64)] = "zone"
    ceiling_kw: Annotated[float, Meta(ge=0, le=1e7)] | None = None
    ceiling_amps: Annotated[float, Meta(ge=0, le=1e7)] | None = None
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"


class TerritoryOut(Out):
    """A node of the tree and the sums over all EVSEs under it. A ceiling is a law, a target is a wish.

    `ceilingAmps` holds on each of L1, L2 and L3.
    """

    territory_id: str
    parent_id: str | None
    kind: str
    ceiling_kw: float | None
    ceiling_amps: float | None
    time_zone: str
    evses: int
    charging: int
    load_kw: float
    baseline_kw: float
    target_kw: float
    shed_kw: float
    available_kw: float


class StationIn(In):
    """A station to enrol. `renew`: a known one gets a new secret, the old one dies.

    `hexSecret`: the secret is 40 hexadecimal digits, for stations that take nothing else (OCPP 1.6).
    From `territory` on it is for stations that can't say it themselves (OCPP); what is not said is `[ocpp]`'s.
    `current`: with `dc` an EVSE is one phase of `lineVoltage`, and limits go out in W.
    """

    station_id: AnyId
    customer_id: AnyId | None = None
    renew: bool = False
    hex_secret: bool = False
    territory: AnyId | None = None
    max_amps: Annotated[float, Meta(gt=0, le=2000)] | None = None
    line_voltage: Annotated[float, Meta(ge=50, le=1500)] | None = None
    phases: Annotated[int, Meta(ge=1, le=3)] | None = None
    current: Literal["ac", "dc"] | None = None
    may_pause: bool | None = None


class StationMade(Out):
    """The enrolment secret, shown this once."""

    station_id: str
    secret: str


Heard = Literal["online", "silent", "off", "new"]


class StationOut(Out):
    """A station, without its secrets. `state`: of its EVSEs together; new: it has never powered on."""

    station_id: str
    customer_id: str | None
    protocol: str
    revoked: bool
    access_url: str | None
    added_at: datetime
    powered_on_at: datetime | None
    evses: int
    state: Heard
    heard_at: datetime | None


class IsoIn(In):
    """A grid operator and the territories it may name; what lies under them is included."""

    iso_id: Name
    territories: Annotated[list[AnyId], Meta(max_length=1_000)]
    certificate: AnyId | None = None
    renew: bool = False


class IsoMade(Out):
    """The token, shown this once."""

    iso_id: str
    token: str


class IsoOut(Out):
    """A grid operator, without its token."""

    iso_id: str
    territories: list[str]
    access_url: str | None
    revoked: bool
    added_at: datetime
    connected_at: datetime | None
    certificate: str | None


class ReasonIn(In):
    """Why, for the log."""

    reason: Reason | None = None


class OptOutIn(In):
    """A driver refuses to be limited for so many minutes; None takes the refusal back."""

    minutes: Minutes | None = None
    reason: Annotated[str, Meta(min_length=1, max_length=500)] = "asked the operator"


class HaltOut(Out):
    """Whether all dispatch is stopped. `written` False: it acts, but the log could not take it yet."""

    halted: bool
    since: datetime | None = None
    by: str | None = None
    reason: str | None = None
    written: bool = True


class EvseOut(Out):
    """One EVSE in a line. kW are real power, drawn from the grid; A are per phase."""

    evse_id: str
    territory: str
    state: str
    load_kw: float | None
    baseline_kw: float
    current_amps: float | None
    limit_amps: float | None
    limit_until: datetime | None
    limit_cause: str | None
    evse_max_amps: float
    online: bool
    heard_at: datetime | None
    evse_model: str
    site: str | None
    session_id: str | None
    opted_out_until: datetime | None


class SessionOut(Out):
    """One vehicle's stay."""

    session_id: str
    evse_id: str
    started_at: datetime
    ended_at: datetime | None = None
    end_reason: str | None = None
    vehicle: str | None = None
    evse_max_amps: float | None = None
    car_max_amps: float | None = None
    car_min_amps: float | None = None
    energy_requested_kwh: float | None = None
    energy_kwh: float | None = None
    departure_time: datetime | None = None


class LimitOut(Out):
    """The last command. `limitAmps` None: back to normal. Issued, then confirmed; what is measured stands apart."""

    command_id: str
    limit_amps: float | None
    until: datetime
    in_force: bool
    cause: str
    request_key: str | None
    territory: str | None
    line: str | None
    issued_at: datetime
    outcome: str
    answered_amps: float | None
    answered_at: datetime | None
    reason: str | None


class EvseDetail(Out):
    """One EVSE, its session, its limit, and why in words. `lines`: those of the grid that it may load now."""

    evse: EvseOut
    station_id: str
    customer_id: str | None
    line_voltage: float
    phases: int
    wiring: str | None
    lines: list[str]
    path: list[str]
    latitude: float | None
    longitude: float | None
    offline_since: datetime | None
    doubted_at: datetime | None
    protocol: str
    hand_limit_amps: float | None
    hand_limit_until: datetime | None
    priority: float
    session: SessionOut | None
    limit: LimitOut | None
    explanation: str


class TelemetryOut(Out):
    """One reading. `limitKW`: what its limit allowed, at the EVSE's own voltage and phases."""

    timestamp: datetime
    received_at: datetime | None = None
    line_voltage: float | None = None
    current_amps: float | None = None
    load_kw: float | None = None
    limit_amps: float | None = None
    limit_kw: float | None = None
    energy_kwh: float | None = None
    late: bool = False


class WiringIn(In):
    """Which line of the grid lies on each of an EVSE's terminals, in order: `L2`, or turned, `L2L3L1`."""

    wiring: Annotated[str, Meta(min_length=2, max_length=6)] | None


class WiringOut(Out):
    """The wiring as it stands."""

    evse_id: str
    wiring: str | None


# --- what is asked


class RequestIn(In):
    """A decrease, as the operator: `kW` below baseline in a territory, from `start` (now) on."""

    territory: AnyId
    kw: Annotated[float, Meta(gt=0, le=1e9)]
    request_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    start: Instant | None = None
    end: Instant | None = None
    duration_minutes: Annotated[float, Meta(gt=0, le=1e6)] | None = None


class RequestChangeIn(In):
    """What becomes of an operator's own request; what is left out stays."""

    kw: Annotated[float, Meta(gt=0, le=1e9)] | None = None
    start: Instant | None = None
    end: Instant | None = None
    reason: Reason | None = None


class RequestOut(Out):
    """A request: requested = confirmed + pending + refused + short, always; measured stands apart."""

    request_key: str
    iso_id: str
    request_id: str
    territory: str
    state: str
    requested_kw: float
    available_kw: float
    confirmed_kw: float
    pending_kw: float
    refused_kw: float
    short_kw: float
    excess_kw: float
    measured_kw: float | None
    why_short: str | None
    start: datetime
    end: datetime | None
    affected_evses: int
    commands: int
    received_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    closed_at: datetime | None
    cancelled_by: str | None
    asked_by: str | None
    held: str | None
    confirmed_by: str | None
    intervals: list[dict[str, Any]] = []


class EnrolmentOut(Out):
    """One EVSE's part in a request. `part`: how often it took part before, with other vehicles."""

    evse_id: str
    part: int
    joined_at: datetime
    asked_kw: float
    confirmed_kw: float
    measured_kwh: float
    commands: int
    left_at: datetime | None = None
    why_left: str | None = None


class ActivityOut(Out):
    """One row of the log: when, who, what kind, what it means in words, and its fields."""

    seq: int
    at: datetime
    actor: str
    kind: str
    text: str
    details: dict[str, Any]
