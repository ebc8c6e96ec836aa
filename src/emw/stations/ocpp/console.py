"""The operator's way to a single OCPP station: how it stands, its last frames, any message to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from emw.service.errors import Conflict, NotFound
from emw.service.ports import CallSeen, FrameSeen, StationSeen
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.peer import Peer
from emw.stations.ocpp.wire import encode
from emw.stations.ocppj import Answered

LONGEST_ACTION: Final = 64
LONGEST_PAYLOAD: Final = 60_000


class Console:
    """The port StationConsole over the hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def _known(self, station_id: str) -> Peer:
        if station_id not in self._hub.state.stations:
            raise NotFound(f"there is no station {station_id!r}", field="stationID")
        return self._hub.peer(station_id)

    def seen(self, station_id: str) -> StationSeen:
        """How a station stands."""
        peer = self._known(station_id)
        connection, known = peer.connection, self._hub.state.traits.get(station_id)
        return StationSeen(
            connected=connection is not None,
            protocol=None if connection is None else connection.version.value,
            address=None if connection is None else connection.address,
            connected_at=None if connection is None else connection.opened_at,
            heard_at=None if peer.heard_s is None else self._hub.at(peer.heard_s),
            vendor=None if known is None else known.vendor,
            model=None if known is None else known.model,
            serial=None if known is None else known.serial,
            firmware=None if known is None else known.firmware,
            booted_at=None if known is None else known.booted_at,
            traits=msgspec.to_builtins(peer.traits),
            statuses={plug.evse_id: plug.status for plug in peer.plugs.values()},
            troubles={
                plug.evse_id: "; ".join(filter(None, (plug.trouble, plug.doubt)))
                for plug in peer.plugs.values()
                if plug.trouble or plug.doubt
            },
            clock_behind_s=None if peer.skew is None else round(peer.skew.total_seconds(), 1),
        )

    def frames(self, station_id: str) -> Sequence[FrameSeen]:
        """The last frames, newest first."""
        peer = self._known(station_id)
        return [
            FrameSeen(self._hub.at(at_s), outgoing, frame.decode("utf-8", "replace"))
            for at_s, outgoing, frame in reversed(peer.kept())
        ]

    async def call(self, station_id: str, action: str, payload: Any) -> CallSeen:
        """Send one message by hand."""
        self._known(station_id)
        connection = self._hub.connected(station_id)
        if connection is None:
            raise Conflict(f"station {station_id!r} is not connected")
        body = encode(payload)
        if len(body) > LONGEST_PAYLOAD:
            raise Conflict("the message is too long")
        got = await connection.call(action[:LONGEST_ACTION], body)
        if got is None:
            return CallSeen("unanswered")
        if isinstance(got, Answered):
            try:
                return CallSeen("answered", msgspec.json.decode(got.payload))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return CallSeen("answered", got.payload.decode("utf-8", "replace"))
        return CallSeen("refused", None, got.code, got.description)
