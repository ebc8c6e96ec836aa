"""OCPP 2.0.1 and 2.1: what stations say, to the tongue of `charging`. Letters and numbers are use cases of part 2."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

import structlog

from emw.domain.model import Evse
from emw.stations.ocpp import wire201 as w
from emw.stations.ocpp.alike import REFUSED, always, handlers_of, then
from emw.stations.ocpp.boots import Boots
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.dynamic import update
from emw.stations.ocpp.home import Handler, Hot
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.meter import PHASES, REGISTER
from emw.stations.ocpp.meter import number as in_wh
from emw.stations.ocpp.peer import number_of
from emw.stations.ocpp.profiles import limit_in
from emw.stations.ocpp.wire import (
    EMPTY,
    STATUSES,
    Anything,
    Usual,
    Values,
    as_specified,
    by_small_letters,
    encode,
    parse_time,
)
from emw.stations.ocppj import Version

log = structlog.get_logger()

ACCEPTED: Final = b'{"status":"Accepted"}'
NO_PROFILE: Final = b'{"status":"NoChargingProfile"}'
NO_CERTIFICATE: Final = b'{"status":"Failed"}'
EVENTS: Final = by_small_letters("Started", "Updated", "Ended")
NO_EXI: Final = b'{"status":"Failed","exiResponse":""}'


class V201:
    """Takes the messages of 2.0.1, and of 2.1 where it says the same."""

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
            "TransactionEvent": (w.TransactionEvent, self.transaction),
            "MeterValues": (w.MeterValues, self.meter),
            "NotifyChargingLimit": (w.NotifyChargingLimit, self.limited),
            "ClearedChargingLimit": (w.ClearedChargingLimit, self.free_again),
            "NotifyEVChargingNeeds": (w.NotifyEVChargingNeeds, self.needs),
            "NotifyPriorityCharging": (w.NotifyPriorityCharging, self.priority),
            "PullDynamicScheduleUpdate": (w.PullDynamicScheduleUpdate, self.pull),
            "NotifyEVChargingSchedule": (Anything, always(ACCEPTED)),
            "OpenPeriodicEventStream": (Anything, always(REFUSED)),
            "ClosePeriodicEventStream": (Anything, always(EMPTY)),
            "GetCertificateStatus": (Anything, always(NO_CERTIFICATE)),
            "Get15118EVCertificate": (Anything, always(NO_EXI)),
        }
        noted = (
            "NotifyCustomerInformation",
            "NotifyDERAlarm",
            "NotifyDERStartStop",
            "NotifyDisplayMessages",
            "NotifyEvent",
            "NotifyMonitoringReport",
            "NotifyReport",
            "NotifySettlement",
            "PublishFirmwareStatusNotification",
            "ReportChargingProfiles",
            "ReportDERControl",
            "ReservationStatusUpdate",
        )
        return handlers_of(self._clock, kinds, noted)

    def usual(self) -> Hot:
        """What is said most."""
        return Hot(Usual("TransactionEvent", w.UsualEvent).read, self.transaction)

    def boot(self, c: Connection, said: w.BootNotification) -> Coroutine[Any, Any, bytes]:
        """B01."""
        station = said.chargingStation
        return self._boots.take(
            c,
            vendor=station.vendorName,
            model=station.model,
            serial=station.serialNumber,
            firmware=station.firmwareVersion,
        )

    def status(self, c: Connection, said: w.StatusNotification) -> bytes | Coroutine[Any, Any, bytes]:
        """G01. An EVSE with several connectors is one EVSE: only what is plugged in counts."""
        at = None if said.timestamp is None else parse_time(said.timestamp, self._clock.now())
        status = as_specified(said.connectorStatus, STATUSES)
        if said.connectorId > 1 and status == "Available":
            return EMPTY
        return then(self._charging.status(c.peer, said.evseId, status, at))

    def authorize(self, c: Connection, said: w.Authorize) -> bytes:
        """C01."""
        return encode(w.TokenOut(w.TokenInfo(self._token(said.idToken))))

    def _token(self, token: w.IdToken) -> str:
        if token.type == "NoAuthorization":
            return "Accepted"
        return self._hub.token_status(token.idToken)

    def transaction(self, c: Connection, said: w.TransactionEvent) -> bytes | Coroutine[Any, Any, bytes]:
        """E01 to E08. Hot where it only carries readings of a transaction that is known."""
        peer = c.peer
        info = said.transactionInfo
        if said.eventType == "Updated" and said.idToken is None:
            known = self._hub.state.transactions.get((peer.station_id, info.transactionId))
            if known is not None and known.started_at is not None:
                number = number_of(known.evse_id)
                plug = peer.plugs.get(number)
                evse = self._hub.state.evses.get(known.evse_id)
                if plug is not None and evse is not None and evse.session_id is not None and not said.offline:
                    if plug.transaction_id != info.transactionId:
                        plug.transaction_id = info.transactionId
                    return then(self._readings.take(peer, number, said.meterValue))
        return self._transaction(c, said)

    async def _transaction(self, c: Connection, said: w.TransactionEvent) -> bytes:
        peer, info = c.peer, said.transactionInfo
        now = self._clock.now()
        at = parse_time(said.timestamp, now)
        if not said.offline:
            peer.says_time("event", at, now)
        # Before a CSMS of its own, whether it may charge is that one's word, and the meter shows it.
        token = None if said.idToken is None or c.relay is not None else self._token(said.idToken)
        answer = EMPTY if token is None else encode(w.TokenOut(w.TokenInfo(token)))
        known = await self._hub.headend.book.transaction(peer.station_id, info.transactionId)
        told = said.evse.id if said.evse is not None else 0
        number = number_of(known.evse_id) if known is not None else told
        if number == 0:
            number = told or (next(iter(peer.plugs)) if len(peer.plugs) == 1 else 0)
        event = as_specified(said.eventType, EVENTS)
        if event == "Ended":
            await self._charging.end(
                peer,
                number,
                info.transactionId,
                at=at,
                meter_stop_wh=register_wh(said.meterValue),
                reason=info.stoppedReason or said.triggerReason or None,
            )
            return answer
        if number == 0:
            # An EVSE may be told once in a transaction only, and that message is still to come, or lost.
            log.info("ocpp.transaction_nowhere", station_id=peer.station_id, transaction=info.transactionId)
            return answer
        started = event == "Started"
        fresh = await self._charging.start(
            peer,
            number,
            info.transactionId,
            at=at,
            meter_start_wh=register_wh(said.meterValue) if started else None,
            id_token=None if said.idToken is None else said.idToken.idToken[:255],
            offline=said.offline,
        )
        if fresh and token in {None, "Accepted"}:
            c.after(self._go_on(c, number, said))
        return answer

    async def _go_on(self, c: Connection, number: int, said: w.TransactionEvent) -> None:
        await self._charging.arrive(c.peer, number)
        todo = self._readings.take(c.peer, number, said.meterValue)
        if todo is not None:
            await todo

    def meter(self, c: Connection, said: w.MeterValues) -> bytes | Coroutine[Any, Any, bytes]:
        """J01."""
        return then(self._readings.take(c.peer, said.evseId, said.meterValue))

    async def limited(self, c: Connection, said: w.NotifyChargingLimit) -> bytes:
        """K12. Somebody else limits, too: the lowest wins, and there is less to shed."""
        source = said.chargingLimit.chargingLimitSource
        log.info("ocpp.limited_by_others", station_id=c.peer.station_id, evse=said.evseId, source=source)
        await self._charging.others(c.peer, said.evseId, source, said.chargingSchedule)
        return EMPTY

    async def free_again(self, c: Connection, said: w.ClearedChargingLimit) -> bytes:
        """K13. Somebody else limits no more."""
        await self._charging.others(c.peer, said.evseId, said.chargingLimitSource, None)
        return EMPTY

    async def priority(self, c: Connection, said: w.NotifyPriorityCharging) -> bytes:
        """K22. Its driver has paid for it, or has a reason: no shed asks of this stay, until that is over."""
        log.info("ocpp.priority", station_id=c.peer.station_id, activated=said.activated)
        await self._charging.priority(c.peer, said.transactionId, on=said.activated)
        return EMPTY

    def pull(self, c: Connection, said: w.PullDynamicScheduleUpdate) -> bytes:
        """K28. It asks what holds. An answer renews it: none, where that would be longer than the command allows."""
        now = self._clock.now()
        for plug in c.peer.plugs.values():
            installed = plug.installed
            profile = None if installed is None else installed.dynamic
            if installed is None or profile is None or profile.number != said.chargingProfileId:
                continue
            evse, limit = self._hub.state.evses[plug.evse_id], self._hub.state.limits.get(plug.evse_id)
            if (
                limit is not None
                and limit.max_a == installed.limit_a
                and profile.carries(profile, limit.until, now)
            ):
                told = update(profile, limit_in(profile.unit, installed.limit_a, evse.kw_per_a))
                return encode({"status": "Accepted", "scheduleUpdate": told})
        return REFUSED

    async def needs(self, c: Connection, said: w.NotifyEVChargingNeeds) -> bytes:
        """K15. The needs are taken in any case; the answer says whether a profile of ours follows."""
        evse = await self._charging.needs(c.peer, said.evseId, said.chargingNeeds)
        if self._hub.state.held(evse.evse_id, self._clock.now()) is None:
            return REFUSED if c.version is Version.V201 else NO_PROFILE  # it goes on by its own, at once
        c.after(self._say_again(evse))
        return ACCEPTED

    async def _say_again(self, evse: Evse) -> None:
        self._hub.headend.book.say_again([evse])


def register_wh(values: Values) -> float | None:
    """The energy register among the values of a transaction's begin or end, Wh."""
    found: float | None = None
    for value in values:
        for sample in value.sampledValue:
            if (sample.measurand or REGISTER) == REGISTER and sample.phase not in PHASES:
                found = in_wh(sample)
    return found
