"""Facts of the operator's plane: who and what there is, who may do what, and the big red stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from emw.domain.people import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """When it happened (UTC, aware) and who did it."""

    at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TerritoryDefined(Stamped):
    """A node of the tree was added or changed."""

    territory_id: str
    parent_id: str | None
    kind: str
    ceiling_kw: float | None
    time_zone: str
    ceiling_a: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationAdded(Stamped):
    """A station was enrolled, or given a new secret: its session token dies, its id may return."""

    station_id: str
    secret_hash: str
    customer_id: str | None = None
    protocol: str = "rest"
    territory_id: str | None = None
    max_a: float | None = None
    line_voltage_v: float | None = None
    phases: int | None = None
    dc: bool | None = None
    may_pause: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRevoked(Stamped):
    """A station's secret and token are worth nothing any more."""

    station_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoAdded(Stamped):
    """A grid operator was given a token (or a new one) and the territories it may name."""

    iso_id: str
    token_hash: str
    territories: tuple[str, ...]
    certificate: str | None = None
    """The name in the client certificate that it must show beside its token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoRevoked(Stamped):
    """A grid operator may not ask any more; its running requests go on to their end."""

    iso_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAdded(Stamped):
    """A person was given a login, or a new password or role."""

    name: str
    password_hash: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDisabled(Stamped):
    """A person may not log in any more."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn(Stamped):
    """A person logged in to the console."""

    name: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOn(Stamped):
    """A person logged in to the console by single sign-on: whom the provider vouched for, and the role it gave."""

    name: str
    subject: str
    issuer: str
    role: Role
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused(Stamped):
    """Somebody failed to log in (one row per burst, not per try)."""

    name: str
    address: str
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginEnded(Stamped):
    """An administrator ended a person's login."""

    name: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyAdded(Stamped):
    """A machine was given a key."""

    key_id: str
    name: str
    key_hash: str
    role: Role
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRevoked(Stamped):
    """A machine's key is worth nothing any more."""

    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchHalted(Stamped):
    """All dispatch was stopped; cars are freed along the ramp."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchResumed(Stamped):
    """Dispatch may go on."""

    reason: str | None = None
