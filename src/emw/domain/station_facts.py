"""Facts of stations: what they are, who is plugged in, whether they are heard, what was learned of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from emw.domain.admin_facts import Stamped


@dataclass(frozen=True, slots=True, kw_only=True)
class PoweredOn(Stamped):
    """A station powered on and proved who it is; earlier tokens of it are dead."""

    evse_id: str
    station_id: str
    territory_id: str
    model: str
    line_voltage_v: float
    phases: int
    max_a: float
    status: str
    token_hash: str
    customer_id: str | None = None
    access_url: str | None = None
    may_pause: bool = False
    site: str | None = None
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoweredOff(Stamped):
    """A station said goodbye; its token is dead."""

    evse_id: str
    station_id: str
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Stamped):
    """A vehicle was plugged in."""

    session_id: str
    evse_id: str
    line_voltage_v: float
    evse_max_a: float
    car_max_a: float
    vehicle: str | None = None
    energy_requested_kwh: float | None = None
    departure_at: datetime | None = None
    car_min_a: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Stamped):
    """A vehicle left, or the station lost it."""

    session_id: str
    evse_id: str
    reason: str
    energy_kwh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobTurned(Stamped):
    """The station's own maximum changed."""

    evse_id: str
    max_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WentOffline(Stamped):
    """Nothing was heard for three heartbeat intervals: its shed counts as nothing."""

    evse_id: str
    last_heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CameBack(Stamped):
    """A silent station was heard again."""

    evse_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OptedOut(Stamped):
    """A driver or station refuses to be limited until a time; None takes the refusal back."""

    evse_id: str
    until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StationBooted(Stamped):
    """A station (re)booted and said what it is. Other firmware: what was learned of it is forgotten."""

    station_id: str
    version: str
    vendor: str
    model: str
    serial: str | None = None
    firmware: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationLearned(Stamped):
    """Something was learned of a station's ways: what it supports, takes and refuses (`traits`, JSON)."""

    station_id: str
    traits: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseFound(Stamped):
    """A station showed an EVSE that it has, or the operator's word on it changed."""

    evse_id: str
    station_id: str
    territory_id: str
    model: str
    line_voltage_v: float
    phases: int
    max_a: float
    dc: bool = False
    may_pause: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseChanged(Stamped):
    """What was learned of an EVSE: its status, the phases that its vehicle uses, whether it can be told a limit."""

    evse_id: str
    status: str | None = None
    phases: int | None = None
    uses: str | None = None
    """With `phases`: the terminals in use, where they are not the first ones."""
    can_limit: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStarted(Stamped):
    """A station began a transaction at `started_at` (its own time); told late, it is history."""

    station_id: str
    transaction_id: str
    evse_id: str
    started_at: datetime
    meter_start_wh: float | None = None
    id_token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionEnded(Stamped):
    """A station ended a transaction at `ended_at` (its own time)."""

    station_id: str
    transaction_id: str
    evse_id: str
    ended_at: datetime
    meter_stop_wh: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedTold(Stamped):
    """A driver said what is needed and until when, instead of what the station said; None: not known.

    `by_driver` False: the vehicle said so, by way of its station.
    """

    session_id: str
    evse_id: str
    energy_requested_kwh: float | None
    departure_at: datetime | None
    by_driver: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleTold(Stamped):
    """A vehicle said what it can take, by way of its station: A per phase. `car_min_a` None: it does not say."""

    session_id: str
    evse_id: str
    car_max_a: float
    car_min_a: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationCalled(Stamped):
    """An operator sent a message to a station by hand; `outcome` is what came back, in a word."""

    station_id: str
    action: str
    outcome: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDoubted(Stamped):
    """A meter's register gained what the power it showed does not allow: what it shows is no shed."""

    evse_id: str
    since: datetime
    register_kwh: float
    least_kwh: float
    most_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterTrusted(Stamped):
    """Register and power of a meter that was doubted agreed in four looks one after another."""

    evse_id: str
