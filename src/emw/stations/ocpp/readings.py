"""What meters tell, in one tongue for all versions: meter values become the service's readings.

A reading may also be the first that is heard of a vehicle: then its session begins by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from emw.domain.model import Evse
from emw.service.headend import HeadEnd
from emw.stations.ocpp.charging import Charging
from emw.stations.ocpp.meter import ALIVE_W, Metered, normalise
from emw.stations.ocpp.peer import Peer, Plug
from emw.stations.ocpp.profiles import to_neutral_v
from emw.stations.ocpp.said import said_by, supply_of
from emw.stations.ocpp.settings import OcppSettings
from emw.stations.ocpp.wire import Values

log = structlog.get_logger()

STEADY: Final = 2
"""So often in a row must a meter show a number of phases until it is believed."""


class Readings:
    """From meter values to readings."""

    def __init__(self, headend: HeadEnd, charging: Charging, settings: OcppSettings) -> None:
        self._charging = charging
        self._state = headend.state
        self._book = headend.book
        self._intake = headend.intake
        self._clock = headend.clock
        self._fresh = timedelta(seconds=2 * settings.sample_s)
        self._loop = asyncio.get_running_loop()
        self._turn_s, self._turn_at = -1.0, self._clock.now()

    def take(self, peer: Peer, number: int, values: Values) -> Coroutine[Any, Any, None] | None:
        """Meter values of an EVSE. The hot path: a coroutine only where something changes by them."""
        plug = peer.plugs.get(number)
        if plug is None or number == 0:
            return None  # the station's own meter, or an EVSE that has not shown itself
        evse = self._state.evses.get(plug.evse_id)
        if evse is None:
            return None
        supply = plug.supply
        if supply is None or supply.evse is not evse:
            supply = plug.supply = supply_of(evse, self._charging.own_a(peer))
        _, neutral_v, kw_per_a, knob_w, most_w = supply
        now = self._turn()
        metered, plug.memory = normalise(values, plug.memory, now, neutral_v, evse.phases, knob_w)
        if metered is None or not metered.live or (power_w := metered.power_w) is None:
            if plug.memory.too_fast_w:
                self._odd(peer, plug, plug.memory.too_fast_w)
            return None
        if power_w > most_w:
            self._odd(peer, plug, power_w)
            return None
        if evse.session_id is None:
            return (
                self._found_charging(peer, evse, plug, metered)
                if self._is_new(peer, plug, metered, now)
                else None
            )
        held_a = None if plug.installed is None else plug.held_a(now)
        said = said_by(evse, metered, held_a, neutral_v, kw_per_a)
        plug.trouble = ""
        closer = self._intake.take(evse, said, now)
        phases, uses = metered.phases, metered.uses
        other = phases is not None and (phases != evse.phases or uses != evse.uses) and not evse.dc
        if other and phases is not None and plug.sees(phases, uses) >= STEADY:
            return self._book.changed(evse, phases=phases, uses=uses)
        if not closer:
            return None
        facts = self._intake.shown.facts(self._charging.station(peer), evse, said, now)
        return self._intake.note(evse, facts) if facts else None

    def _is_new(self, peer: Peer, plug: Plug, metered: Metered, now: datetime) -> bool:
        """Whether power of now flows, and was not kept while the station was away: of a session that is over."""
        if metered.power_w is None or metered.power_w < ALIVE_W:
            return False
        if not peer.is_fresh(metered.at, now, self._fresh):
            peer.says_time("reading", metered.at, now)
        left = plug.left_at is not None and peer.by_our_clock(metered.at) <= plug.left_at
        return not left and peer.is_fresh(metered.at, now, self._fresh)

    def _turn(self) -> datetime:
        """The time, asked once in a turn of the loop: readings that came together are of one moment."""
        turn_s = self._loop.time()
        if turn_s != self._turn_s:
            self._turn_s, self._turn_at = turn_s, self._clock.now()
        return self._turn_at

    @staticmethod
    def _odd(peer: Peer, plug: Plug, power_w: float) -> None:
        trouble = f"its meter shows {power_w / 1000:.0f} kW, which can't be"
        if not plug.trouble:
            log.warning("ocpp.odd_meter", station_id=peer.station_id, evse_id=plug.evse_id, why=trouble)
        plug.trouble = trouble

    async def _found_charging(self, peer: Peer, evse: Evse, plug: Plug, metered: Metered) -> None:
        """Power flows and no session is known: its beginning was lost, or told as history."""
        await self._charging.arrived(peer, evse, plug)
        evse = self._state.evses[plug.evse_id]
        now = self._clock.now()
        if evse.session_id is not None:
            neutral_v = to_neutral_v(evse.line_voltage_v, evse.phases)
            said = said_by(evse, metered, plug.held_a(now), neutral_v, evse.kw_per_a)
            self._intake.take(evse, said, now)
