"""emw as a VEN of its own VTN, without a socket: what business logic posts here goes the way of any other VTN's events.

The very client and VEN that follow a utility's VTN follow this one; only their HTTP is a call in this process. So there
is one path from an event to a reduction request, and reports come back to where the event was posted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from emw.domain.vtn import VtnRole
from emw.grid.vtn.doors import Ask, VtnDoors
from emw.grid.vtn.rights import SCOPES, Client
from emw.outgoing import Reply
from emw.service.vtn_clients import OURSELVES

OURS: Final = Client(OURSELVES, VtnRole.VEN, frozenset((*SCOPES[VtnRole.VEN], "read_all")), ours=True)


class Inside:
    """The guarded client's `request`, answered by our own doors."""

    def __init__(self, doors: VtnDoors) -> None:
        self._doors = doors

    async def request(
        self,
        method: str,
        base_url: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        most_bytes: int = 0,
    ) -> Reply:
        """Call our own VTN as ourselves. `base_url`, `headers` and bounds are the wire's, and there is none."""
        told = await self._doors.answer(
            Ask(
                method=method,
                path=path,
                query=urlencode(query or {}).encode(),
                body=body or b"",
                client=OURS,
            )
        )
        return Reply(told.status, told.body)
