"""What stations say, in the service's own words: changes of state become facts, readings become telemetry.

Every protocol adapter calls these methods with values it has decoded and bounded; each returns once what it
acknowledges is durable. A station speaks for itself only: the gate has bound its credential to the id in the message.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from emw.domain import facts as f
from emw.domain.model import Evse, Limit, Outcome, Session, Station
from emw.service.dispatch import Dispatch
from emw.service.errors import BadInput, NotFound
from emw.service.gate import hash_of
from emw.service.ledger import Ledger
from emw.service.ports import Answer, Clock, HeartBeat, Ids
from emw.service.settings import ServiceSettings
from emw.service.shown import Shown
from emw.service.telemetry import Telemetry

SPREAD = 0.1
"""Heartbeats are asked for up to this part sooner, each station its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerOn:
    """A station's introduction."""

    evse_id: str
    model: str
    customer_id: str | None
    line_voltage_v: float
    phases: int
    status: str
    territory_id: str
    site: str | None
    latitude: float | None
    longitude: float | None
    access_url: str | None
    max_a: float
    may_pause: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugIn:
    """A vehicle's arrival."""

    line_voltage_v: float
    evse_max_a: float
    car_max_a: float
    vehicle: str | None = None
    energy_requested_kwh: float | None = None
    departure_at: datetime | None = None
    car_min_a: float | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to a power-on."""

    token: str
    heartbeat_s: int
    now: datetime
    limit: Limit | None


class Intake:
    """Turns what stations say into facts and readings."""

    def __init__(
        self,
        ledger: Ledger,
        telemetry: Telemetry,
        dispatch: Dispatch,
        clock: Clock,
        ids: Ids,
        settings: ServiceSettings,
        chance: Random,
    ) -> None:
        self._chance = chance
        self._ledger = ledger
        self._state = ledger.state
        self._telemetry = telemetry
        self._dispatch = dispatch
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._started_at = clock.now()
        self.shown = Shown(ledger.state, telemetry, dispatch.commands)
        self._repeated_at: dict[str, datetime] = {}  # when a plug-in was last said again

    async def power_on(self, station: Station, said: PowerOn) -> Welcome:
        """A proven station powers on: earlier tokens die, a limit it should hold is given back to it."""
        if said.territory_id not in self._state.territories:
            raise BadInput(
                "location.territory", f"no territory {said.territory_id!r} is known here; ask the operator"
            )
        node_id = self._node_of(said)
        now = self._clock.now()
        token = self._ids.new("st")
        fact = f.PoweredOn(
            at=now,
            actor=f"station:{station.station_id}",
            evse_id=said.evse_id,
            station_id=station.station_id,
            territory_id=node_id,
            model=said.model,
            line_voltage_v=said.line_voltage_v,
            phases=said.phases,
            max_a=said.max_a,
            status=said.status,
            token_hash=hash_of(token),
            customer_id=said.customer_id,
            access_url=said.access_url,
            may_pause=said.may_pause,
            site=said.site,
            latitude=said.latitude,
            longitude=said.longitude,
        )
        self._telemetry.heard(said.evse_id, now)
        done = self._ledger.put(fact)
        self._dispatch.afresh(said.evse_id)
        await done
        self._dispatch.powered_on(said.evse_id)
        return Welcome(
            token,
            self._heartbeat_s(),
            now,
            self._dispatch.commands.limit_to_tell(said.evse_id, rebooted=True),
        )

    def _heartbeat_s(self) -> int:
        """Up to a tenth sooner, at random: what came in one second does not go on in one second (fault F18)."""
        return max(round(self._settings.heartbeat_s * (1 - SPREAD * self._chance.random())), 1)

    async def power_off(self, station: Station, evse_id: str, status: str | None) -> None:
        """A station says goodbye: its token dies, its session is over."""
        evse = self._evse(evse_id)
        now = self._clock.now()
        actor = f"station:{station.station_id}"
        facts: list[f.Fact] = self._end_session(evse, now, actor, "powered off", None)
        facts.append(
            f.PoweredOff(at=now, actor=actor, evse_id=evse_id, station_id=station.station_id, status=status)
        )
        await self._ledger.record(*facts)
        self._dispatch.wake(evse.territory_id)

    async def plugged_in(self, station: Station, evse_id: str, said: PlugIn) -> tuple[str, Limit | None]:
        """A vehicle came: a session starts, and joins what runs in its territory."""
        evse = self._evse(evse_id)
        now = self._clock.now()
        open_session = self._state.session_of(evse)
        same = open_session is not None and self._same_stay(evse, open_session, said, now)
        if said.departure_at is not None and said.departure_at <= now:
            said = replace(said, departure_at=None)
        if open_session is not None and same:
            self._repeated_at[evse_id] = now
            await self._ledger.settled()
            return open_session.session_id, self._dispatch.commands.limit_to_tell(evse_id)
        actor = f"station:{station.station_id}"
        facts = self._end_session(evse, now, actor, "replugged", None)
        session_id = self._ids.new("se")
        facts.append(
            f.SessionStarted(
                at=now,
                actor=actor,
                session_id=session_id,
                evse_id=evse_id,
                line_voltage_v=said.line_voltage_v,
                evse_max_a=said.evse_max_a,
                car_max_a=said.car_max_a,
                vehicle=said.vehicle,
                energy_requested_kwh=said.energy_requested_kwh,
                departure_at=said.departure_at,
                car_min_a=said.car_min_a,
            )
        )
        facts += self._dispatch.inherits(evse_id, now)
        if not evse.online:
            facts.append(f.CameBack(at=now, actor=actor, evse_id=evse_id))
        done = self._ledger.put(*facts)
        self._telemetry.plugged_in(evse_id, now, self._dispatch.others_a(evse.territory_id))
        await done
        await self._dispatch.joined(evse_id)
        return session_id, self._dispatch.commands.limit_to_tell(evse_id)

    async def heartbeat(self, station: Station, evse_id: str, said: HeartBeat) -> Limit | None:
        """A reading; returns the limit that its station should hear of."""
        waits = self.heard(station, evse_id, said)
        if waits is not None:
            await waits
        return self._dispatch.commands.limit_to_tell(evse_id)

    def heard(self, station: Station, evse_id: str, said: HeartBeat) -> Coroutine[Any, Any, None] | None:
        """A reading. The hot path: it is taken here and now; what has to be waited for, if anything, is returned."""
        evse = self._evse(evse_id)
        now = self._clock.now()
        if evse.session_id is None:
            return self._without_session(station, evse, said, now)
        if self.take(evse, said, now):
            return self.look_closer(station, evse, said, now)
        return None

    async def _without_session(self, station: Station, evse: Evse, said: HeartBeat, now: datetime) -> None:
        await self._found_plugged_in(station, evse, said, now)
        evse = self._evse(evse.evse_id)
        if self.take(evse, said, now):
            await self.look_closer(station, evse, said, now)

    def take(self, evse: Evse, said: HeartBeat, now: datetime) -> bool:
        """Take a reading at once; returns whether `look_closer` has to see it."""
        limit = self._state.limits.get(evse.evse_id)
        current = self._telemetry.take(evse, limit, now, said)
        return self.shown.may_show(evse, said, limit, current=current)

    async def _found_plugged_in(self, station: Station, evse: Evse, said: HeartBeat, now: datetime) -> None:
        """A heartbeat without a session: its plug-in was lost (a restored backup). The vehicle is there."""
        # A reading from before this process may be older than the end of its session, of which only the log knows.
        if said.at <= self._started_at or not evse.powered:
            return
        if not self._telemetry.proves_presence(evse.evse_id, said.at, now):
            return
        await self.plugged_in(
            station,
            evse.evse_id,
            PlugIn(
                line_voltage_v=evse.line_voltage_v,
                evse_max_a=said.evse_max_a,
                car_max_a=said.evse_max_a if said.car_max_a is None else said.car_max_a,
            ),
        )

    async def look_closer(self, station: Station, evse: Evse, said: HeartBeat, now: datetime) -> None:
        """Record what a reading shows beside itself."""
        await self.note(evse, self.shown.facts(station, evse, said, now))

    async def note(self, evse: Evse, facts: Sequence[f.Fact]) -> None:
        """Record what a reading showed, and let the dispatch look at it."""
        if facts:
            await self._ledger.record(*facts)
            self._dispatch.wake(evse.territory_id)

    async def adjusted(
        self, station: Station, evse_id: str, new_max_a: float, command_id: str | None
    ) -> None:
        """A station confirms a command (`command_id`), or its owner turned the knob."""
        evse = self._evse(evse_id)
        now = self._clock.now()
        actor = f"station:{station.station_id}"
        self._telemetry.heard(evse_id, now)
        if command_id is None:
            if new_max_a != evse.max_a:
                await self._ledger.record(f.KnobTurned(at=now, actor=actor, evse_id=evse_id, max_a=new_max_a))
                self._dispatch.wake(evse.territory_id)
            return
        await self._dispatch.commands.told(evse_id, command_id, Answer(Outcome.APPLIED, new_max_a), actor)

    async def unplugged(self, station: Station, evse_id: str, energy_kwh: float | None) -> None:
        """The vehicle left: its session and its part in requests end. Said twice, it is true once."""
        evse = self._evse(evse_id)
        now = self._clock.now()
        self._telemetry.heard(evse_id, now)
        facts = self._end_session(evse, now, f"station:{station.station_id}", "unplugged", energy_kwh)
        if not facts:
            await self._ledger.settled()
            return
        await self._ledger.record(*facts)
        self._dispatch.wake(evse.territory_id)

    def _end_session(
        self, evse: Evse, now: datetime, actor: str, why: str, energy_kwh: float | None
    ) -> list[f.Fact]:
        if evse.session_id is None or evse.session_id not in self._state.sessions:
            return []
        live = self._telemetry.live.get(evse.evse_id)
        measured = live.reading.energy_kwh if live and live.reading else None
        facts: list[f.Fact] = [
            f.SessionEnded(
                at=now,
                actor=actor,
                session_id=evse.session_id,
                evse_id=evse.evse_id,
                reason=why,
                energy_kwh=energy_kwh if energy_kwh is not None else measured,
            )
        ]
        facts += self._dispatch.leaves(evse.evse_id, why, now)
        self._telemetry.left(evse.evse_id, now)
        return facts

    def _evse(self, evse_id: str) -> Evse:
        evse = self._state.evses.get(evse_id)
        if evse is None:
            raise NotFound("this station has not powered on yet", field="evseID")
        return evse

    def _same_stay(self, evse: Evse, session: Session, said: PlugIn, now: datetime) -> bool:
        """A plug-in said again is the same stay: the first answer was lost on the way, perhaps long ago.

        Its departure may have been ahead then and be over now.
        """
        over = said.departure_at is not None and said.departure_at <= now
        live = self._telemetry.live.get(evse.evse_id)
        last_said = max(session.started_at, self._repeated_at.get(evse.evse_id, session.started_at))
        reading = live.reading if live is not None else None
        # A station that has had its answer sends heartbeats, and its vehicle may say there that it takes less by now.
        unheard = reading is None or reading.received_at < session.started_at
        return (
            (session.car_max_a == said.car_max_a if unheard else now - last_said < timedelta(seconds=60))
            and session.evse_max_a == said.evse_max_a
            and session.vehicle == said.vehicle
            and (
                session.told_by_driver  # then the station's word is not what is kept
                or (
                    session.energy_requested_kwh == said.energy_requested_kwh
                    and (session.departure_at == said.departure_at or (over and session.departure_at is None))
                )
            )
            and evse.line_voltage_v == said.line_voltage_v
        )

    def _node_of(self, said: PowerOn) -> str:
        """The tree node an EVSE hangs on: its site where the operator knows it under that territory."""
        if said.site is not None and said.territory_id in self._state.path(said.site):
            return said.site
        return said.territory_id
