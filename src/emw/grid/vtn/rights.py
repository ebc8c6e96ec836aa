"""Who may do what, and what of an object a reader is shown. Pure: Definition 3.1.0, "Object Privacy".

Business logic reads everything. A VEN reads the reports, vens, resources and subscriptions that carry its own client
id; of programs and events those without targets, and those that share one with the targets that business logic has
granted to its vens and resources. Of an object's targets it is shown the shared ones only. What it may not read is
not there for it: 404, never 403.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emw.domain.vtn import VtnKind, VtnRole

SCOPES: Final[dict[VtnRole, tuple[str, ...]]] = {
    VtnRole.BL: ("read_all", "write_programs", "write_events", "write_subscriptions", "write_vens"),
    VtnRole.VEN: (
        "read_targets",
        "read_ven_objects",
        "write_reports",
        "write_subscriptions",
        "write_vens",
    ),
}
TARGETED: Final = frozenset({VtnKind.PROGRAM, VtnKind.EVENT})
"""Kinds that are read by targets; all others are read by their owner."""
_WRITE: Final = {
    VtnKind.PROGRAM: "write_programs",
    VtnKind.EVENT: "write_events",
    VtnKind.REPORT: "write_reports",
    VtnKind.SUBSCRIPTION: "write_subscriptions",
    VtnKind.VEN: "write_vens",
    VtnKind.RESOURCE: "write_vens",
}


@dataclass(frozen=True, slots=True)
class Client:
    """Who speaks: by its token, or (`ours`) emw itself, which sees all that its operator's VTN has."""

    client_id: str
    role: VtnRole
    scopes: frozenset[str]
    ours: bool = False

    @property
    def actor(self) -> str:
        """The name in the activity log."""
        return self.client_id if self.ours else f"vtn-client:{self.client_id}"

    @property
    def sees_all(self) -> bool:
        """Whether no object is hidden from it."""
        return self.ours or self.role is VtnRole.BL

    def may_read(self, kind: VtnKind) -> bool:
        """Whether its scopes open this kind at all."""
        needed = "read_targets" if kind in TARGETED else "read_ven_objects"
        return self.ours or "read_all" in self.scopes or needed in self.scopes

    def may_write(self, kind: VtnKind) -> bool:
        """Whether its scopes let it write this kind."""
        return _WRITE[kind] in self.scopes


def needed_to_read(kind: VtnKind) -> str:
    """The scopes that open a kind, in words."""
    return "read_all or " + ("read_targets" if kind in TARGETED else "read_ven_objects")


def needed_to_write(kind: VtnKind) -> str:
    """The scope that writes a kind."""
    return _WRITE[kind]


def shown_targets(
    kind: VtnKind,
    body: Mapping[str, Any],
    client: Client,
    granted: frozenset[str],
    asked: frozenset[str] | None = None,
) -> Sequence[str] | None:
    """The targets of an object that a client is shown; None: the object is not there for it.

    `granted`: the targets of the client's vens and resources. `asked`: those its query named (None: it named none);
    an object that has none of them is filtered out.
    """
    targets: list[str] = body.get("targets") or []
    if not client.sees_all:
        if kind in TARGETED:
            if targets:
                targets = [t for t in targets if t in granted]
                if not targets:
                    return None
        elif body.get("clientID") != client.client_id:
            return None
    if asked is not None:
        named = [t for t in targets if t in asked]
        if not named:
            return None
        if kind in TARGETED and not client.sees_all:
            return named
    return targets
