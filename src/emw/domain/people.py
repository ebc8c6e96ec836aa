"""Who may look at emw's operator plane and act there: people, and machines with a key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class Role(StrEnum):
    """What a person or an API key may do: look, act on load, or also change who may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    def may(self, needed: Role) -> bool:
        """Whether this role includes `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A person who may log in."""

    table: ClassVar = "operators"
    key_fields: ClassVar = ("name",)
    name: str
    password_hash: str
    role: Role
    added_at: datetime
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A machine's key to the operator's API, hashed at rest."""

    table: ClassVar = "api_keys"
    key_fields: ClassVar = ("key_id",)
    key_id: str
    name: str
    key_hash: str
    role: Role
    added_at: datetime
    added_by: str
    revoked: bool = False
    scopes: tuple[str, ...] = ()  # the parts of the API it opens; empty: every part that its role may
    expires_at: datetime | None = None


PeopleRecord = Operator | ApiKey
