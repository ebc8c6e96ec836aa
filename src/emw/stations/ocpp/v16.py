"""OCPP 1.6J: what stations say, to the tongue of `charging`. Section numbers are the specification's."""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from typing import Any, Final

from emw.stations.ocpp import wire16 as w
from emw.stations.ocpp.alike import handlers_of, then
from emw.stations.ocpp.boots import Boots
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.home import Handler, Hot
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.peer import Plug
from emw.stations.ocpp.wire import (
    EMPTY,
    STATUSES,
    Usual,
    as_specified,
    encode,
    parse_time,
)

MOST_NUMBER: Final = 0x7FFF_FFFF


def transaction_number(station_id: str, connector: int, at: str, meter_start: int, tries: int) -> int:
    """A transaction's number out of what makes it one: the same request again gets the same number (4.8)."""
    text = f"{station_id}\x00{connector}\x00{at}\x00{meter_start}\x00{tries}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:4]) & MOST_NUMBER or 1


class V16:
    """Takes 1.6's messages."""

    def __init__(self, hub: Hub, boots: Boots) -> None:
        self._hub = hub
        self._boots = boots
        self._charging = hub.charging
        self._readings = hub.readings
        self._clock = hub.clock

    def handlers(self) -> dict[str, Handler]:
        """Action to handler."""
        kinds: dict[str, tuple[type[Any], Any]] = {
            "BootNotification": (w.BootNotification, self.boot),
            "StatusNotification": (w.StatusNotification, self.status),
            "Authorize": (w.Authorize, self.authorize),
            "StartTransaction": (w.StartTransaction, self.start),
            "StopTransaction": (w.StopTransaction, self.stop),
            "MeterValues": (w.MeterValues, self.meter),
        }
        return handlers_of(
            self._clock, kinds, ("DiagnosticsStatusNotification", "SignedFirmwareStatusNotification")
        )

    def usual(self) -> Hot:
        """What is said most."""
        return Hot(Usual("MeterValues", w.MeasuredValues).read, self.meter)

    def boot(self, c: Connection, said: w.BootNotification) -> Coroutine[Any, Any, bytes]:
        """4.2."""
        return self._boots.take(
            c,
            vendor=said.chargePointVendor,
            model=said.chargePointModel,
            serial=said.chargePointSerialNumber,
            firmware=said.firmwareVersion,
        )

    def status(self, c: Connection, said: w.StatusNotification) -> bytes | Coroutine[Any, Any, bytes]:
        """4.9."""
        at = None if said.timestamp is None else parse_time(said.timestamp, self._clock.now())
        return then(self._charging.status(c.peer, said.connectorId, as_specified(said.status, STATUSES), at))

    def authorize(self, c: Connection, said: w.Authorize) -> bytes:
        """4.1."""
        return encode(w.TagOut(w.TagInfo(self._hub.token_status(said.idTag))))

    async def start(self, c: Connection, said: w.StartTransaction) -> bytes:
        """4.8. The number is durable before it is told."""
        peer = c.peer
        at = parse_time(said.timestamp, self._clock.now())
        number, tries = 0, 0
        while True:
            number = transaction_number(
                peer.station_id, said.connectorId, said.timestamp, int(said.meterStart), tries
            )
            known = await self._hub.headend.book.transaction(peer.station_id, str(number))
            if known is None or (known.started_at, known.meter_start_wh) == (at, said.meterStart):
                break
            tries += 1
        return await self.began(c, said, number, self._hub.token_status(said.idTag))

    async def began(self, c: Connection, said: w.StartTransaction, number: int, status: str) -> bytes:
        """4.8. A transaction has this number, whoever gave it."""
        fresh = await self._charging.start(
            c.peer,
            said.connectorId,
            str(number),
            at=parse_time(said.timestamp, self._clock.now()),
            meter_start_wh=said.meterStart,
            id_token=said.idTag[:255],
        )
        if fresh and status == "Accepted":
            c.after(self._charging.arrive(c.peer, said.connectorId))
        return encode(w.StartOut(w.TagInfo(status), number))

    async def stop(self, c: Connection, said: w.StopTransaction) -> bytes:
        """4.10. Always answered, or it is repeated for ever."""
        await self._charging.end(
            c.peer,
            0,
            str(said.transactionId),
            at=parse_time(said.timestamp, self._clock.now()),
            meter_stop_wh=said.meterStop,
            reason=said.reason,
        )
        return EMPTY

    def meter(
        self, c: Connection, said: w.MeterValues | w.MeasuredValues
    ) -> bytes | Coroutine[Any, Any, bytes]:
        """4.7. Hot."""
        number = said.transactionId
        if number is not None and number > 0:
            plug = c.peer.plugs.get(said.connectorId)
            if plug is not None and plug.transaction_id is None and plug.over != number:
                return then(self._goes_on(c, plug, number, said))
        return then(self._readings.take(c.peer, said.connectorId, said.meterValue))

    async def _goes_on(
        self, c: Connection, plug: Plug, number: int, said: w.MeterValues | w.MeasuredValues
    ) -> None:
        """Of a transaction that runs somebody else has the begin: it can be limited by its number all the same."""
        if not await self._charging.goes_on(c.peer, plug, str(number), said.meterValue):
            plug.over = number
        todo = self._readings.take(c.peer, plug.number, said.meterValue)
        if todo is not None:
            await todo
