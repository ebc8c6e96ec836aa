"""What stations with a protocol of their own tell beside sessions and readings: boots, EVSEs, traits, transactions.

The adapters decode and bound; here it becomes facts, and the dispatch is woken. A station has one identity and any
number of EVSEs: `evse_id_of` names them. Its id can't hold a ':', where it proves itself by HTTP Basic.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from emw.domain import facts as f
from emw.domain.model import Evse, Station, Transaction
from emw.service.admin import EvseDefaults
from emw.service.dispatch import Dispatch
from emw.service.errors import BadInput, Conflict
from emw.service.ledger import Ledger
from emw.service.ports import Answer, Clock, Store
from emw.service.telemetry import Telemetry


def evse_id_of(station_id: str, number: int) -> str:
    """The name of a station's EVSE."""
    return f"{station_id}:{number}"


class StationBook:
    """Keeps what stations are and what they did."""

    def __init__(
        self, ledger: Ledger, telemetry: Telemetry, dispatch: Dispatch, store: Store, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._telemetry = telemetry
        self._dispatch = dispatch
        self._store = store
        self._clock = clock

    async def booted(
        self,
        station: Station,
        *,
        version: str,
        vendor: str,
        model: str,
        serial: str | None,
        firmware: str | None,
    ) -> None:
        """A station (re)booted: profiles that live with a transaction are gone, its EVSEs start afresh."""
        now = self._clock.now()
        booted = f.StationBooted(
            at=now,
            actor=f"station:{station.station_id}",
            station_id=station.station_id,
            version=version,
            vendor=vendor,
            model=model,
            serial=serial,
            firmware=firmware,
        )
        done = self._ledger.put(booted)
        evse_ids = [evse.evse_id for evse in self._state.evses_of(station.station_id)]
        for evse_id in evse_ids:
            self._telemetry.heard(evse_id, now)
            self._dispatch.afresh(evse_id)
        await done
        for evse_id in evse_ids:
            self._dispatch.powered_on(evse_id)

    async def found(self, station: Station, number: int, otherwise: EvseDefaults, model: str) -> Evse:
        """A station showed an EVSE: it is made, or brought to the operator's newest word. Raises Refused."""
        evse_id = evse_id_of(station.station_id, number)
        known = self._state.evses.get(evse_id)
        if evse_id in self._state.stations or (known is not None and known.station_id != station.station_id):
            raise Conflict(f"{evse_id!r} is the name of another station's EVSE")
        territory_id = station.territory_id or otherwise.territory_id
        if territory_id is None or territory_id not in self._state.territories:
            raise BadInput("territory", f"no territory is known for station {station.station_id!r}")
        dc = bool(otherwise.dc if station.dc is None else station.dc)
        said = 1 if dc else station.phases
        phases = said or otherwise.phases or 3
        fact = f.EvseFound(
            at=self._clock.now(),
            actor=f"station:{station.station_id}",
            evse_id=evse_id,
            station_id=station.station_id,
            territory_id=territory_id,
            model=model,
            line_voltage_v=station.line_voltage_v or otherwise.line_voltage_v or 230.0,
            phases=phases if known is None or said is not None else known.phases,
            max_a=station.max_a or otherwise.max_a or 32.0,
            dc=dc,
            may_pause=bool(otherwise.may_pause if station.may_pause is None else station.may_pause),
        )
        if known is not None and _same(known, fact):
            return known
        await self._ledger.record(fact)
        self._dispatch.wake(territory_id)
        return self._state.evses[evse_id]

    async def learned(self, station_id: str, traits: str) -> None:
        """Something new is known of a station's ways."""
        known = self._state.traits.get(station_id)
        if known is None or known.traits == traits:
            return
        await self._ledger.record(
            f.StationLearned(
                at=self._clock.now(), actor=f"station:{station_id}", station_id=station_id, traits=traits
            )
        )

    async def changed(
        self,
        evse: Evse,
        *,
        status: str | None = None,
        phases: int | None = None,
        uses: str | None = None,
        can_limit: bool | None = None,
    ) -> None:
        """Something new is known of an EVSE; what is the same is left out. `uses` goes with `phases`."""
        status = None if status == evse.status else status
        phases = None if (phases, uses) == (evse.phases, evse.uses) else phases
        can_limit = None if can_limit == evse.can_limit else can_limit
        if status is None and phases is None and can_limit is None:
            return
        await self._ledger.record(
            f.EvseChanged(
                at=self._clock.now(),
                actor=f"station:{evse.station_id}",
                evse_id=evse.evse_id,
                status=status,
                phases=phases,
                uses=uses,
                can_limit=can_limit,
            )
        )
        if phases is not None or can_limit is not None:
            self._dispatch.wake(evse.territory_id)

    async def heard(self, station_id: str) -> None:
        """A station is there again: its EVSEs that were offline come back, and what could not be said may be due."""
        now = self._clock.now()
        here = self._state.evses_of(station_id)
        back = [e for e in here if e.powered and not e.online]
        for evse in back:
            self._telemetry.heard(evse.evse_id, now)
        await self._ledger.record(
            *(f.CameBack(at=now, actor=f"station:{station_id}", evse_id=e.evse_id) for e in back)
        )
        limits = self._state.limits
        held = [e for e in here if (limit := limits.get(e.evse_id)) is not None and limit.in_force(now)]
        for territory_id in sorted({e.territory_id for e in (*back, *held)}):
            self._dispatch.wake(territory_id)

    async def silent(self, station_id: str, last_heard_at: datetime) -> None:
        """A station has been gone too long: what its EVSEs shed counts as nothing."""
        gone = [e for e in self._state.evses_of(station_id) if e.powered and e.online]
        await self._ledger.record(
            *(
                f.WentOffline(
                    at=self._clock.now(), actor="emw", evse_id=e.evse_id, last_heard_at=last_heard_at
                )
                for e in gone
            )
        )
        for territory_id in sorted({e.territory_id for e in gone}):
            self._dispatch.wake(territory_id)

    # --- transactions

    async def transaction(self, station_id: str, transaction_id: str) -> Transaction | None:
        """A transaction, running or long over."""
        running = self._state.transactions.get((station_id, transaction_id))
        if running is not None:
            return running
        rows = await self._store.query(
            "transactions", station_id=station_id, transaction_id=transaction_id, limit=1
        )
        return Transaction(**rows[0]) if rows else None

    async def transactions(self, station_id: str, limit: int) -> list[dict[str, Any]]:
        """A station's transactions, newest first."""
        await self._ledger.settled()
        return await self._store.query("transactions", station_id=station_id, limit=limit)

    async def started(
        self,
        station_id: str,
        transaction_id: str,
        evse_id: str,
        *,
        at: datetime,
        meter_start_wh: float | None,
        id_token: str | None,
    ) -> None:
        """A transaction began. Durable when this returns: its number may then be told."""
        await self._ledger.record(
            f.TransactionStarted(
                at=self._clock.now(),
                actor=f"station:{station_id}",
                station_id=station_id,
                transaction_id=transaction_id,
                evse_id=evse_id,
                started_at=at,
                meter_start_wh=meter_start_wh,
                id_token=id_token,
            )
        )

    async def ended(
        self,
        station_id: str,
        transaction_id: str,
        evse_id: str,
        *,
        at: datetime,
        meter_stop_wh: float | None,
        reason: str | None,
    ) -> None:
        """A transaction is over."""
        await self._ledger.record(
            f.TransactionEnded(
                at=self._clock.now(),
                actor=f"station:{station_id}",
                station_id=station_id,
                transaction_id=transaction_id,
                evse_id=evse_id,
                ended_at=at,
                meter_stop_wh=meter_stop_wh,
                reason=reason,
            )
        )

    async def needs(self, evse: Evse, energy_kwh: float | None, departure_at: datetime | None) -> None:
        """The vehicle said what it needs. What its driver said himself stands above that."""
        session = self._state.session_of(evse)
        told = (energy_kwh, departure_at)
        if session is None or session.told_by_driver or told == (None, None):
            return
        if told == (session.energy_requested_kwh, session.departure_at):
            return
        await self._ledger.record(
            f.NeedTold(
                at=self._clock.now(),
                actor=f"station:{evse.station_id}",
                session_id=session.session_id,
                evse_id=evse.evse_id,
                energy_requested_kwh=energy_kwh,
                departure_at=departure_at,
                by_driver=False,
            )
        )
        self._dispatch.wake(evse.territory_id)

    async def vehicle(self, evse: Evse, car_min_a: float | None, car_max_a: float) -> None:
        """The vehicle said what it can take, A per phase: dispatch asks for nothing that it can't do."""
        session = self._state.session_of(evse)
        if session is None or (car_min_a, car_max_a) == (session.car_min_a, session.car_max_a):
            return
        await self._ledger.record(
            f.VehicleTold(
                at=self._clock.now(),
                actor=f"station:{evse.station_id}",
                session_id=session.session_id,
                evse_id=evse.evse_id,
                car_max_a=car_max_a,
                car_min_a=car_min_a,
            )
        )
        self._dispatch.wake(evse.territory_id)

    # --- commands

    async def answered(self, station_id: str, evse_id: str, command_id: str, answer: Answer) -> None:
        """What became of a command that was on its way."""
        await self._dispatch.commands.told(evse_id, command_id, answer, f"station:{station_id}")

    def say_again(self, evses: Sequence[Evse]) -> None:
        """Limits in force are said again, the station may have lost them; and that it is free, if it missed that."""
        now = self._clock.now()
        for evse in evses:
            limit = self._state.limits.get(evse.evse_id)
            if limit is not None and self._dispatch.commands.owes(limit, now):
                self._dispatch.commands.resend(evse.evse_id)

    async def called(
        self, actor: str, station_id: str, action: str, outcome: str, *, reason: str | None = None
    ) -> None:
        """An operator sent a message by hand."""
        await self._ledger.record(
            f.StationCalled(
                at=self._clock.now(),
                actor=actor,
                station_id=station_id,
                action=action,
                outcome=outcome,
                reason=reason,
            )
        )


def _same(evse: Evse, fact: f.EvseFound) -> bool:
    """Whether a fact would change nothing."""
    return (
        evse.territory_id,
        evse.model,
        evse.line_voltage_v,
        evse.phases,
        evse.max_a,
        evse.dc,
        evse.may_pause,
    ) == (
        fact.territory_id,
        fact.model,
        fact.line_voltage_v,
        fact.phases,
        fact.max_a,
        fact.dc,
        fact.may_pause,
    ) and evse.powered
