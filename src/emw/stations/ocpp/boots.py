"""A station boots: it is known, let in, or told to wait; and when it is to come back."""

from __future__ import annotations

from random import Random

import structlog

from emw.service.errors import Refused
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.wire import BootOut, encode, stamp

log = structlog.get_logger()


class Boots:
    """Answers BootNotification, of whatever version."""

    def __init__(self, hub: Hub, chance: Random) -> None:
        self._hub = hub
        self._state = hub.state
        self._chance = chance

    async def take(
        self, c: Connection, *, vendor: str, model: str, serial: str | None, firmware: str | None
    ) -> bytes:
        """A station (re)booted: it is known, or told to wait."""
        station_id = c.peer.station_id
        status = await self._admit(station_id, c.password)
        interval_s = self._hub.settings.heartbeat_s
        if status == "Accepted":
            station = self._state.stations[station_id]
            before = self._state.traits.get(station_id)
            await self._hub.headend.book.booted(
                station,
                version=c.version.number,
                vendor=vendor[:255],
                model=model[:255],
                serial=None if serial is None else serial[:255],
                firmware=None if firmware is None else firmware[:255],
            )
            after = self._state.traits[station_id]
            if before is None or before.traits != after.traits:
                was = c.peer.traits
                c.peer.traits = now = self._hub.models.start(after)
                now.theirs, now.security, now.security_of = was.theirs, was.security, was.security_of
            c.peer.pin = self._hub.models.pinned(after)
            c.peer.traits.asked = False
            c.peer.rebooted()
            c.after(self._after_boot(c))
        elif status == "Pending":
            c.after(self._may_be_asked(c))
        # After a power cut all boot at once: spread their heartbeats, and their next tries.
        interval_s = max(10, round(interval_s * self._chance.uniform(0.9, 1.0)))
        return encode(BootOut(stamp(self._hub.clock.now()), interval_s, status))

    async def _after_boot(self, c: Connection) -> None:
        await self._hub.charging.turn_knobs(c.peer)  # who limits it still will say so again
        self._hub.greet(c)

    async def _may_be_asked(self, c: Connection) -> None:
        self._hub.greet(c)  # by hand: of itself emw has nothing to say to it yet

    async def _admit(self, station_id: str, password: str | None) -> str:
        station = self._state.stations.get(station_id)
        if station is None and self._hub.settings.unknown == "accept":
            try:  # what it came with is its secret from now on
                await self._hub.headend.admin.add_station(
                    "emw", station_id, evses=self._hub.settings.evses, secret=password
                )
            except Refused as error:
                log.warning("ocpp.not_enrolled", station_id=station_id, why=error.detail)
                return "Rejected"
            station = self._state.stations.get(station_id)
        if station is None:
            return "Pending" if self._hub.settings.unknown == "pending" else "Rejected"
        if station.revoked:
            return "Rejected"
        territory = station.territory_id or self._hub.settings.evses.territory_id
        if territory is None or territory not in self._state.territories:
            log.warning("ocpp.no_territory", station_id=station_id, do="emw station add --renew --territory")
            return "Pending"
        return "Accepted"
