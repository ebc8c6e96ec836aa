"""The EVSEs of a replay: simulated hardware behind the service's own port, and beside each car its unmanaged twin.

The twin is the same car on the same EVSE with no limit ever: the truth that shed, harm and rebound are measured by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.ports import Answer
from emw.simulator.hardware import FLOOR_A, Faults, Refused, SimulatedHardware
from emw.simulator.sessions import Session
from emw.simulator.specs import car_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many stations have which fault, and how many commands are lost. Assumed: nobody has measured them."""

    deaf: float = 0.0
    lying: float = 0.0
    lost: float = 0.0
    taper: float = 0.15
    """Up to this share of its energy a car takes more slowly, towards the end."""
    pausable: float = 0.0
    """Stations that allow a pause to 0 A: not every car wakes from one."""


@dataclass(slots=True)
class Bay:
    """One EVSE, and what became of its cars so far."""

    evse_id: str
    site: str
    hardware: SimulatedHardware
    twin: SimulatedHardware
    faults: Faults
    may_pause: bool = False
    unplug: datetime | None = None
    """When the car that is here will go."""
    commands: int = 0
    delivered_kwh: float = 0.0
    """By cars that have left."""
    twin_kwh: float = 0.0
    unserved_kwh: float = 0.0
    hurt: int = 0
    sessions: int = 0

    def plug(self, session: Session, seed: int, taper: float, now: datetime) -> None:
        """A car comes; its twin with it."""
        car = car_of(session, Random(f"{seed}:car:{session.session_id}"), taper=taper)
        for hardware in (self.hardware, self.twin):
            hardware.advance(now)
        self.leave(now)
        self.hardware.plug(car, now)
        self.twin.plug(replace(car), now)
        self.unplug = session.unplug
        self.sessions += 1

    def stay_on(self, now: datetime) -> None:
        """The replay is over, the stay is not: it goes on to its end under what was told last, and then counts."""
        if self.unplug is not None:
            self.leave(max(now, self.unplug))

    def leave(self, now: datetime) -> None:
        """The car goes; what it misses against its twin is the harm done."""
        if not self.hardware.plugged:
            return
        self.hardware.advance(now)
        self.twin.advance(now)
        missed_kwh = max(self.twin.energy_kwh - self.hardware.energy_kwh, 0.0)
        self.unserved_kwh += missed_kwh
        self.hurt += missed_kwh > HURT_KWH
        self.delivered_kwh += self.hardware.energy_kwh
        self.twin_kwh += self.twin.energy_kwh
        self.hardware.unplug(now)
        self.twin.unplug(now)
        self.hardware.energy_kwh = self.twin.energy_kwh = 0.0

    @property
    def sheddable_kw(self) -> float:
        """What a perfect controller could have shed here now, kW."""
        if self.faults.deaf or self.faults.lying:
            return 0.0
        lowest_a = 0.0 if self.may_pause else FLOOR_A
        return max(self.twin.draw_a - lowest_a, 0.0) * self.twin.kw_per_a


HURT_KWH = 0.5
"""A driver who misses more than this has been hurt."""


class Street:
    """All EVSEs; the service's `StationLink`."""

    def __init__(self, sessions: Sequence[Session], start: datetime, seed: int, shares: Shares) -> None:
        self.bays: dict[str, Bay] = {}
        self._shares = shares
        self._chance = Random(f"{seed}:lost")
        for session in sessions:
            if session.evse_id in self.bays:
                continue
            rng = Random(f"{seed}:{session.evse_id}")
            faults = Faults(deaf=rng.random() < shares.deaf, lying=rng.random() < shares.lying)

            def made(noise: float, faults: Faults, session: Session = session) -> SimulatedHardware:
                return SimulatedHardware(
                    knob_a=32.0,
                    voltage_v=session.voltage_v,
                    phases=session.phases,
                    now=start,
                    rng=Random(f"{seed}:meter:{session.evse_id}"),
                    faults=faults,
                    noise=noise,
                )

            self.bays[session.evse_id] = Bay(
                session.evse_id,
                session.site,
                made(0.005, faults),
                made(0.0, Faults()),
                faults,
                may_pause=Random(f"{seed}:pause:{session.evse_id}").random() < shares.pausable,
            )

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        """A command reaches its EVSE, or is lost."""
        bay = self.bays[evse.evse_id]
        bay.commands += not limit.renewal
        if self._chance.random() < self._shares.lost:
            return Answer(Outcome.TIMED_OUT, reason="lost")
        if limit.max_a is None:
            said = bay.hardware.clear_limit(now)
        else:
            said = bay.hardware.set_limit(limit.max_a, limit.until, now)
        if isinstance(said, Refused):
            return Answer(Outcome.REJECTED, reason=said.reason)
        return Answer(Outcome.APPLIED, said)

    async def greet(self, station: Station) -> None:
        """Nothing to greet here."""

    def energies_kwh(self, now: datetime) -> tuple[float, float]:
        """Energy delivered by all EVSEs, and by all twins, since the beginning."""
        real = twin = 0.0
        for bay in self.bays.values():
            if bay.hardware.plugged:
                bay.hardware.advance(now)
                bay.twin.advance(now)
                real += bay.hardware.energy_kwh
                twin += bay.twin.energy_kwh
            real += bay.delivered_kwh
            twin += bay.twin_kwh
        return real, twin

    def sheddable_kw(self) -> dict[str, float]:
        """What could be shed now at each site, kW."""
        found: dict[str, float] = {}
        for b in self.bays.values():
            found[b.site] = found.get(b.site, 0.0) + b.sheddable_kw
        return found


def overlapping(sessions: Sequence[Session], start: datetime, end: datetime) -> list[Session]:
    """The sessions that a window touches, in order of plug-in."""
    near = [s for s in sessions if s.plug < end and s.unplug > start]
    return sorted(near, key=lambda s: (s.plug, s.session_id))


def earliest(sessions: Sequence[Session], start: datetime) -> datetime:
    """When the replay begins: a little before the first of its cars comes, so that each is metered from the start."""
    return min([start, *(s.plug for s in sessions)]) - timedelta(minutes=2)
