"""Facts of emw's own VTN: clients, tokens, objects put and deleted, callbacks given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from emw.domain.admin_facts import Stamped
from emw.domain.vtn import VtnKind, VtnRole


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnClientAdded(Stamped):
    """A client of our VTN was enrolled, or given a new secret: its tokens die."""

    client_id: str
    role: VtnRole
    secret_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnClientRevoked(Stamped):
    """A client's secret and tokens are worth nothing any more; what it wrote stays."""

    client_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnTokenIssued(Stamped):
    """A client showed its secret and was given a token; what was in this slot before is dead."""

    client_id: str
    slot: int
    token_hash: str
    scopes: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnObjectPut(Stamped):
    """An object was created, or replaced whole. A subscription's bearer tokens are sealed in `body`."""

    object_id: str
    object_type: VtnKind
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnObjectDeleted(Stamped):
    """An object is gone: deleted by a client, with what it belonged to, or past its keeping."""

    object_id: str
    object_type: VtnKind
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnCallbackMuted(Stamped):
    """A subscription's callbacks failed for too long: they are not called until it is put again."""

    object_id: str
    reason: str


VtnFact = (
    VtnClientAdded | VtnClientRevoked | VtnTokenIssued | VtnObjectPut | VtnObjectDeleted | VtnCallbackMuted
)
