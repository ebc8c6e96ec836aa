"""The words of the operator's API about people, logins and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta

from emw.domain.people import Role
from emw.web.wire import In, Name, Out


class LoginIn(In):
    """A person logs in."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    password: Annotated[str, Meta(min_length=1, max_length=256)]


class SetupIn(In):
    """The first administrator, by the one-time link."""

    token: Annotated[str, Meta(min_length=1, max_length=128)]
    name: Name
    password: Annotated[str, Meta(min_length=8, max_length=256)]


class MeOut(Out):
    """Who is speaking. `csrfToken` goes back as X-CSRF-Token on changing calls; None where a key speaks."""

    name: str
    role: Role
    csrf_token: str | None = None


class OperatorIn(In):
    """A person who may log in: new, or with a new password or role."""

    name: Name
    password: Annotated[str, Meta(min_length=8, max_length=256)]
    role: Role = Role.OPERATOR


class OperatorOut(Out):
    """A person who may log in."""

    name: str
    role: Role
    disabled: bool
    added_at: datetime


SCOPES: Final = (
    "activity-log",
    "api-keys",
    "drivers",
    "evses",
    "grid-operators",
    "grid-signals",
    "halt",
    "login",
    "ocpp",
    "operators",
    "reports",
    "requests",
    "stations",
    "territories",
    "vtn",
    "watching",
)
"""The parts of the API: the tags of its description, as one word each."""
Scope = Literal[SCOPES]  # type: ignore[valid-type]  # the same list, for the wire


class TokenIn(In):
    """A machine's key is asked for: for some parts of the API (none named: all), for so many days (none: for ever)."""

    name: Name
    role: Role = Role.VIEWER
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=len(SCOPES))] = ()
    days: Annotated[float, Meta(gt=0, le=3_650)] | None = None


class TokenOut(Out):
    """A machine's key, but not the key itself."""

    key_id: str
    name: str
    role: Role
    revoked: bool
    added_at: datetime
    added_by: str
    scopes: list[str]
    expires_at: datetime | None


class TokenMade(Out):
    """The key, shown this once: `Authorization: Bearer <key>`."""

    key_id: str
    key: str
    name: str
    role: Role
    scopes: list[str]
    expires_at: datetime | None


class LoginOut(Out):
    """Somebody who is logged in to the console. `loginID` ends it and opens nothing. Times are seconds ago."""

    login_id: str
    name: str
    role: Role
    single_sign_on: bool
    address: str
    began_seconds_ago: float
    used_seconds_ago: float
