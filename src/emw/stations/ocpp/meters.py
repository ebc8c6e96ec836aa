"""Meters that fall silent while a vehicle charges: asked, and where they stay silent, a limit counts as not kept.

A silent meter shows neither a shed nor its absence. What is not measured is not promised to anybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from emw.domain.model import Evse, Outcome
from emw.service.ports import Answer
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.peer import Plug
from emw.stations.ocpp.wire import encode, status_of
from emw.stations.ocppj import Answered, Version

SAMPLES: Final = 2
"""So many sample periods without a reading, and a meter is silent."""
UNKNOWN_S: Final = 900.0
"""The sample period of a station that took none from us: a quarter of an hour is the longest in use."""
NOT_IMPLEMENTED: Final = "NotImplemented"
SILENT: Final = "its meter is silent"


class Meters:
    """Looks after the meters of all stations."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._state = hub.state
        self._clock = hub.clock

    def look(self, connection: Connection) -> None:
        """Ask the silent meters of one station. Comes by every two sample periods at least."""
        if connection.on_trial:
            return
        for plug in connection.peer.plugs.values():
            evse = self._state.evses.get(plug.evse_id)
            if evse is None or evse.session_id is None or not self._is_silent(connection, plug, evse):
                if plug.asked_in_vain:
                    plug.asked_in_vain, plug.trouble = 0, ""
                continue
            if plug.trouble != SILENT:
                plug.asked_in_vain = 0  # it told when it was asked: silent by itself is not silent
            plug.asked_in_vain += 1
            plug.trouble = SILENT
            if plug.asked_in_vain > 1:
                self._unproven(plug, evse)
            if connection.peer.traits.trigger is not False and not connection.conversation.busy:
                self._hub.spawn(ask(connection, plug))

    def meters_still(self, evse: Evse) -> bool:
        """Whether a station is connected, and its meter tells as often as it was told to: a quarter of an hour may
        lie between two readings of an EVSE that has not gone anywhere.
        """
        connection = self._hub.connected(evse.station_id)
        plug = self._hub.plugs.get(evse.evse_id)
        live = self._hub.headend.telemetry.live.get(evse.evse_id)
        if connection is None or plug is None or live is None or live.reading is None:
            return False
        return not self._is_silent(connection, plug, evse)

    def _is_silent(self, connection: Connection, plug: Plug, evse: Evse) -> bool:
        live = self._hub.headend.telemetry.live.get(plug.evse_id)
        session = self._state.session_of(evse)
        since = connection.opened_at
        if session is not None:
            since = max(since, session.started_at)
        if live is not None and live.reading is not None:
            since = max(since, live.reading.received_at)
        sample_s = connection.peer.traits.sample_s or UNKNOWN_S
        return self._loop_s(self._clock.now(), since) > SAMPLES * sample_s

    def _loop_s(self, now: datetime, since: datetime) -> float:
        return self._clock.loop_seconds((now - since).total_seconds())

    def _unproven(self, plug: Plug, evse: Evse) -> None:
        """It was asked and is silent still: what it holds can't be counted."""
        limit = self._state.limits.get(evse.evse_id)
        if limit is not None and limit.agreed(self._clock.now()):
            self._hub.answered(evse, limit, Answer(Outcome.REJECTED, limit.answered_a, reason=SILENT))


async def ask(connection: Connection, plug: Plug) -> None:
    """Let a station tell what the meter of one EVSE shows: as of its transaction, or by its meter alone."""
    if connection.version is Version.V16:
        await trigger(connection, {"requestedMessage": "MeterValues", "connectorId": plug.number})
        return
    traits, evse = connection.peer.traits, {"id": plug.number}
    if plug.transaction_id is not None and traits.trigger_event is not False:
        word = await trigger(connection, {"requestedMessage": "TransactionEvent", "evse": evse})
        if word == NOT_IMPLEMENTED:
            traits.trigger_event = False
        if word in {"", "Accepted"}:
            return
    await trigger(connection, {"requestedMessage": "MeterValues", "evse": evse})


async def trigger(connection: Connection, body: dict[str, Any]) -> str:
    """Let a station send a message now: its word, empty where it has none. Whether it can is remembered."""
    traits = connection.peer.traits
    got = await connection.call("TriggerMessage", encode(body))
    if isinstance(got, Answered):
        traits.trigger = True
        return status_of(got.payload)
    if got is not None and traits.trigger is None:
        traits.trigger = False
    return ""
