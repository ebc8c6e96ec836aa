"""What emw's own VTN keeps: its clients, their tokens, and the objects of OpenADR as the documents they are.

The VTN has a client registry of its own: who may post events here can neither log in to the console nor speak for a
station, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class VtnRole(StrEnum):
    """Business logic writes programs and events and reads all; a VEN reads what is meant for it and reports."""

    BL = "bl"
    VEN = "ven"


class VtnKind(StrEnum):
    """The object types of OpenADR 3.1."""

    PROGRAM = "PROGRAM"
    EVENT = "EVENT"
    REPORT = "REPORT"
    SUBSCRIPTION = "SUBSCRIPTION"
    VEN = "VEN"
    RESOURCE = "RESOURCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnClient:
    """Who may ask for tokens. Tokens from before `secret_at` are dead: the secret was renewed."""

    table: ClassVar = "vtn_clients"
    key_fields: ClassVar = ("client_id",)
    client_id: str
    role: VtnRole
    secret_hash: str
    added_at: datetime
    secret_at: datetime
    revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnToken:
    """A bearer token of a client. A client has a few `slot`s and no more: the newest token takes the oldest's place."""

    table: ClassVar = "vtn_tokens"
    key_fields: ClassVar = ("client_id", "slot")
    client_id: str
    slot: int
    token_hash: str
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnObject:
    """One object. `body` (JSON) is all that a client said and, where there is one, the owner as `clientID`.

    `mute`: why a subscription's callbacks are no longer called. A deleted object keeps no body.
    """

    table: ClassVar = "vtn_objects"
    key_fields: ClassVar = ("object_id",)
    object_id: str
    kind: VtnKind
    body: str
    created_at: datetime
    modified_at: datetime
    mute: str | None = None
    deleted_at: datetime | None = None


VtnRecord = VtnClient | VtnToken | VtnObject
