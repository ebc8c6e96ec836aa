"""What charging stations tell, in one tongue for all versions: EVSEs, transactions and needs become the service's own.

A session is a transaction that is of now. One that is told late is history: it goes into the ledger of transactions and
moves nothing. Everything may come twice and in any order; it is true once.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from emw.domain.model import Evse, Station, Transaction
from emw.service.drivers import WHOLE_STAY
from emw.service.headend import HeadEnd
from emw.service.intake import PlugIn
from emw.service.station_book import evse_id_of
from emw.stations.ocpp.meter import NOTHING
from emw.stations.ocpp.needs import NO_NEED, lowest_a, need_of
from emw.stations.ocpp.peer import NO_PHASES, Peer, Plug, number_of
from emw.stations.ocpp.settings import OcppSettings
from emw.stations.ocpp.traits import Purpose
from emw.stations.ocpp.wire import Values, parse_time
from emw.stations.ocpp.wire201 import ChargingNeeds, LimitSchedule

REPLACED: Final = "another began"
"""Why a transaction ended whose own end was never told."""
ORDER: Final = timedelta(seconds=5)
"""What a station dates by so much before a session began was so before it."""


class Charging:
    """From messages to sessions. Readings: `readings`."""

    def __init__(self, headend: HeadEnd, settings: OcppSettings) -> None:
        self._headend = headend
        self._state = headend.state
        self._book = headend.book
        self._intake = headend.intake
        self._clock = headend.clock
        self._settings = settings
        self._fresh = timedelta(seconds=2 * settings.sample_s)

    def station(self, peer: Peer) -> Station:
        """The station's record."""
        return self._state.stations[peer.station_id]

    async def evse(self, peer: Peer, number: int) -> tuple[Evse, Plug]:
        """The EVSE of this number, made where it is new. Raises Refused."""
        evse_id = evse_id_of(peer.station_id, number)
        evse = self._state.evses.get(evse_id)
        if evse is None or not evse.powered:
            known = self._state.traits.get(peer.station_id)
            model = f"{known.vendor} {known.model}".strip() if known is not None else ""
            evse = await self._book.found(
                self.station(peer), number, self._settings.evses, model or "unknown"
            )
            if peer.traits.smart is False:
                await self._book.changed(evse, can_limit=False)
        return evse, peer.plug(number, evse_id)

    # --- state of a socket

    def status(
        self, peer: Peer, number: int, word: str, at_text: datetime | None
    ) -> Coroutine[Any, Any, None] | None:
        """A connector's state; a coroutine where something changes by it."""
        now = self._clock.now()
        if at_text is not None:
            peer.says_time("state", at_text, now)
        if number == 0:
            return None
        evse = self._state.evses.get(evse_id_of(peer.station_id, number))
        plug = peer.plugs.get(number)
        same = evse is not None and plug is not None and plug.status == word and evse.powered
        # Said again it says nothing, unless it is free and its session's end was lost.
        if same and (word != "Available" or evse is None or evse.session_id is None):
            return None
        return self._status(peer, number, word, at_text)

    async def _status(self, peer: Peer, number: int, word: str, at: datetime | None) -> None:
        evse, plug = await self.evse(peer, number)
        now = self._clock.now()
        plug.status = word
        session = self._state.session_of(evse)
        since = None if session is None or word != "Available" else session.started_at - ORDER
        if since is not None and (at is None or peer.by_our_clock(at) >= since):
            await self._leave(evse, plug, None)  # however long ago that was: who came before is gone since
        if at is not None and not peer.is_fresh(at, now, self._fresh):
            return
        self._headend.telemetry.heard(evse.evse_id, now)
        if word == "Charging" and evse.session_id is None and plug.transaction_id is not None:
            await self.arrived(peer, evse, plug)

    # --- transactions

    async def start(
        self,
        peer: Peer,
        number: int,
        transaction_id: str,
        *,
        at: datetime,
        meter_start_wh: float | None,
        id_token: str | None,
        offline: bool = False,
    ) -> bool:
        """A transaction began. Durable when this returns; True: it is of now and `arrive` is due."""
        evse, plug = await self.evse(peer, number)
        known = await self._book.transaction(peer.station_id, transaction_id)
        now = self._clock.now()
        # What went on may be told before what began: then the beginning mends the record when it comes.
        earlier = (
            known is not None
            and known.started_at is not None
            and known.meter_start_wh is None
            and meter_start_wh is not None
            and at <= known.started_at
        )
        better = known is None or known.started_at is None or earlier
        if better:
            await self._book.started(
                peer.station_id,
                transaction_id,
                evse.evse_id,
                at=at,
                meter_start_wh=meter_start_wh,
                id_token=id_token,
            )
        if known is not None and known.ended_at is not None:
            if better:  # its end came first
                await self._end_again(known)
            return False
        fresh = not offline and peer.is_fresh(at, now, self._fresh)
        if fresh and plug.transaction_id not in {None, transaction_id}:
            await self._replace(peer, plug, at)
        if fresh or plug.transaction_id is None:
            plug.transaction_id = transaction_id
        return fresh

    async def goes_on(self, peer: Peer, plug: Plug, transaction_id: str, values: Values) -> bool:
        """Readings name a transaction whose begin was not told to us. False: it is history, and over."""
        now = self._clock.now()
        at = max((parse_time(value.timestamp, now) for value in values), default=None)
        if at is None or not peer.is_fresh(at, now, self._fresh):
            return True  # told late: whether it runs, the next reading says
        known = await self._book.transaction(peer.station_id, transaction_id)
        if known is not None and known.ended_at is not None:
            return False
        if plug.transaction_id is None and await self.start(
            peer, plug.number, transaction_id, at=at, meter_start_wh=None, id_token=None
        ):
            await self.arrive(peer, plug.number)
        return True

    async def arrive(self, peer: Peer, number: int) -> None:
        """The transaction of an EVSE is of now: its session begins, unless it has."""
        evse, plug = await self.evse(peer, number)
        if evse.session_id is None:
            await self.arrived(peer, evse, plug)

    async def arrived(self, peer: Peer, evse: Evse, plug: Plug) -> None:
        """A vehicle is at an EVSE that had none: a session begins."""
        plug.phases_seen = NO_PHASES
        plug.memory = NOTHING._replace(zeros=plug.memory.zeros)  # before it came, no slope was this vehicle's
        need = plug.need or NO_NEED
        await self._intake.plugged_in(
            self.station(peer),
            evse.evse_id,
            PlugIn(
                line_voltage_v=evse.line_voltage_v,
                evse_max_a=evse.max_a,
                # One that does not say takes all that there is, also once others limit its EVSE no more.
                car_max_a=need.car_max_a or max(evse.max_a, self.own_a(peer)),
                energy_requested_kwh=need.energy_kwh,
                departure_at=need.departure_at,
                car_min_a=need.car_min_a,
            ),
        )
        # He may have come before the one who left was let go: what was set for that transaction is gone with it.
        limit = self._state.limits.get(evse.evse_id)
        if limit is not None and limit.in_force(self._clock.now()) and not plug.has_heard(limit):
            self._book.say_again([evse])

    async def end(
        self,
        peer: Peer,
        number: int,
        transaction_id: str,
        *,
        at: datetime,
        meter_stop_wh: float | None,
        reason: str | None,
    ) -> None:
        """A transaction is over. Said twice, or without ever having begun, it is true once."""
        known = await self._book.transaction(peer.station_id, transaction_id)
        if known is not None and known.ended_at is not None and known.reason != REPLACED:
            return
        if (
            known is not None and known.ended_at is not None
        ):  # closed by us for want of an end, which now comes
            await self._book.started(
                peer.station_id,
                transaction_id,
                known.evse_id,
                at=known.started_at or at,
                meter_start_wh=known.meter_start_wh,
                id_token=known.id_token,
            )
        evse_id = evse_id_of(peer.station_id, number) if known is None else known.evse_id
        await self._book.ended(
            peer.station_id, transaction_id, evse_id, at=at, meter_stop_wh=meter_stop_wh, reason=reason
        )
        plug = peer.plugs.get(number_of(evse_id))
        if plug is None or plug.transaction_id != transaction_id:
            return
        plug.transaction_id = None
        evse = self._state.evses.get(plug.evse_id)
        if evse is not None and evse.session_id is not None:
            begun = known.meter_start_wh if known is not None else None
            told = begun is not None and meter_stop_wh is not None and meter_stop_wh >= begun
            kwh = None
            if told and meter_stop_wh is not None and begun is not None:
                kwh = (meter_stop_wh - begun) / 1000
            await self._leave(evse, plug, kwh)

    async def _leave(self, evse: Evse, plug: Plug, energy_kwh: float | None) -> None:
        station = self._state.stations[evse.station_id]
        if plug.installed is not None and plug.installed.purpose is Purpose.TX:
            plug.installed = None  # it ends with its transaction
        plug.left_at, plug.need, plug.priority = self._clock.now(), None, False
        await self._intake.unplugged(station, evse.evse_id, energy_kwh)
        now = self._state.evses[evse.evse_id]
        if not now.dc:
            await self._book.changed(now, phases=station.phases or self._settings.evses.phases or 3)

    async def _replace(self, peer: Peer, plug: Plug, at: datetime) -> None:
        """Another transaction begins on this EVSE: the one before is over, though its end was never told."""
        before = plug.transaction_id
        plug.transaction_id = None
        if before is None or (peer.station_id, before) not in self._state.transactions:
            return
        await self._book.ended(
            peer.station_id, before, plug.evse_id, at=at, meter_stop_wh=None, reason=REPLACED
        )
        evse = self._state.evses[plug.evse_id]
        if evse.session_id is not None:
            await self._leave(evse, plug, None)

    async def _end_again(self, known: Transaction) -> None:
        if known.ended_at is not None:
            await self._book.ended(
                known.station_id,
                known.transaction_id,
                known.evse_id,
                at=known.ended_at,
                meter_stop_wh=known.meter_stop_wh,
                reason=known.reason,
            )

    # --- what vehicles need, and what others allow

    async def needs(self, peer: Peer, number: int, said: ChargingNeeds) -> Evse:
        """A vehicle said what it needs: its session's, or that of the one to come. Raises Refused."""
        evse, plug = await self.evse(peer, number)
        plug.need = need = need_of(said, self._clock.now(), evse.kw_per_a)
        await self._book.needs(evse, need.energy_kwh, need.departure_at)
        if need.car_max_a is not None:
            await self._book.vehicle(evse, need.car_min_a, need.car_max_a)
        return evse

    async def priority(self, peer: Peer, transaction_id: str, *, on: bool) -> None:
        """A driver wants to charge without limits, or no more: an opt-out from all sheds, for this stay.

        One that the driver has told us himself stands: what the station takes back is only its own.
        """
        plug = next((p for p in peer.plugs.values() if p.transaction_id == transaction_id), None)
        evse = None if plug is None else self._state.evses.get(plug.evse_id)
        if plug is None or evse is None or evse.session_id is None or plug.priority is on:
            return
        told = evse.opted_out(self._clock.now())
        if on and told:
            return
        plug.priority = on
        minutes = WHOLE_STAY.total_seconds() / 60 if on else None
        why = "priority charging" if on else "priority charging is over"
        await self._headend.admin.opt_out(f"station:{peer.station_id}", evse.evse_id, minutes, why)

    async def others(
        self, peer: Peer, number: int | None, source: str, schedules: Sequence[LimitSchedule] | None
    ) -> None:
        """Somebody else limits an EVSE (None or 0: the station), or no more (`schedules` None)."""
        for plug in list(peer.plugs.values()):
            evse = self._state.evses.get(plug.evse_id)
            if evse is None or (number and plug.number != number):
                continue
            limit_a = None if schedules is None else lowest_a(schedules, evse.kw_per_a)
            if limit_a is not None:
                plug.others[source] = limit_a
            elif schedules is None:
                plug.others.pop(source, None)
        await self.turn_knobs(peer)

    async def turn_knobs(self, peer: Peer) -> None:
        """What each EVSE can draw: the operator's word, or the lowest of what others allow."""
        station, own_a = self.station(peer), self.own_a(peer)
        for plug in list(peer.plugs.values()):
            evse = self._state.evses.get(plug.evse_id)
            if evse is not None and evse.powered:
                await self._intake.adjusted(station, evse.evse_id, min([own_a, *plug.others.values()]), None)

    def own_a(self, peer: Peer) -> float:
        """What each EVSE of a station can draw where nobody else limits it: the operator's word."""
        return self.station(peer).max_a or self._settings.evses.max_a or 32.0
