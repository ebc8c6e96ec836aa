"""A template for driving a real station's hardware: `emw evse --hardware hardware_template:Wallbox`.

It runs as it is, but on a stand-in: `Registers` below keeps numbers in memory where your station has a bus, an SDK or
a local API. Replace it and keep `Wallbox`. The agent does the rest: power-on, plug-in, heartbeats, commands, and ending
a limit at its time when the server is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from emw.simulator.hardware import FLOOR_A, Reading, Refused, Vehicle


@dataclass(slots=True)
class Registers:
    """What a simple station lets us see and set. REPLACE: each field is one read, or one write, on your hardware."""

    voltage_v: float = 230.0  # against neutral, or between two phases where the station is wired so
    current_a: float = 0.0  # per phase, as metered
    energy_kwh: float = 0.0  # of this session
    knob_a: float = 32.0  # what the electrician set: the highest current the station may offer
    offered_a: float = 32.0  # what the pilot signal offers now
    plugged: bool = False


class Wallbox:
    """One EVSE behind the agent's seam: `read`, `set_limit`, `clear_limit`. Made without arguments.

    The agent calls from one event loop, about once a second: answer within milliseconds. If your bus is slow, poll it
    in a thread of your own and answer from what it saw last.
    """

    def __init__(self) -> None:
        """Open the bus here; an exception stops the agent with its message."""
        self._registers = Registers()
        self._since: datetime | None = None
        self._limited = False

    def read(self, now: datetime) -> Reading:
        """Meter, knob, limit and vehicle, as the hardware tells them: never what we wish they were."""
        r = self._registers
        if r.plugged and self._since is None:
            self._since = now  # tells two cars on one cable apart
        if not r.plugged:
            self._since = None
        vehicle = None if self._since is None else Vehicle(since=self._since, max_a=r.knob_a)
        return Reading(
            at=datetime.now(UTC),  # the station's own clock
            voltage_v=r.voltage_v,
            current_a=r.current_a,
            energy_kwh=r.energy_kwh,
            knob_a=r.knob_a,
            limit_a=r.offered_a if self._limited else None,
            vehicle=vehicle,
        )

    def set_limit(self, limit_a: float, until: datetime, now: datetime) -> float | Refused:
        """Offer at most `limit_a` (0, or 6 A and more); answer what the hardware went to.

        If the hardware has a watchdog, set it to `until`: then a dead agent frees the car, too.
        """
        r = self._registers
        if limit_a != 0.0 and limit_a < FLOOR_A:
            return Refused(f"{limit_a:g} A lies between 0 and the floor")
        r.offered_a = min(limit_a, r.knob_a)
        self._limited = True
        return r.offered_a

    def clear_limit(self, now: datetime) -> float | Refused:
        """Offer what the knob allows. Must always work: this is how cars are freed."""
        self._registers.offered_a = self._registers.knob_a
        self._limited = False
        return self._registers.knob_a
