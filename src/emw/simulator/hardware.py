"""The seam to a charging station's hardware, and a simulated EVSE with a car that behaves like cars do.

Pure: no I/O, no clock, no dice of its own. Time is an argument, chance comes from an injected `Random`.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final, Protocol, runtime_checkable

FLOOR_A: Final = 6.0
"""IEC 61851-1: a pilot says 6 A or more, or nothing. 1-5 A does not exist."""

_STEP: Final = timedelta(seconds=60)
_FULL_KWH: Final = 1e-6
_TRICKLE: Final = 0.15
"""Share of its maximum that a tapering car still takes just before it is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A vehicle as its station sees it. `since` tells two cars on one cable apart; told values may be wrong."""

    since: datetime
    max_a: float
    model: str | None = None
    requested_kwh: float | None = None
    departure: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One look at the hardware.

    `at` is by the station's own clock, right or wrong. `current_a` per phase, as metered. `energy_kwh` is of
    this session, and stays readable after the car left. `limit_a` is what the hardware says its limit is;
    None: no limit.
    """

    at: datetime
    voltage_v: float
    current_a: float
    energy_kwh: float
    knob_a: float
    limit_a: float | None
    vehicle: Vehicle | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The hardware would not take the limit."""

    reason: str


@runtime_checkable
class Hardware(Protocol):
    """What a station's agent needs of the hardware; a real station implements these three methods.

    Both setters answer with the amps the hardware says it went to. `until` is by the station's own clock. The
    agent ends a limit itself; hardware that can should end it too, so that a dead agent frees the car.
    """

    def read(self, now: datetime) -> Reading:
        """Meter, knob, limit and vehicle, now."""
        ...

    def set_limit(self, limit_a: float, until: datetime, now: datetime) -> float | Refused:
        """Offer at most `limit_a` (0, or 6 A and more) until `until`."""
        ...

    def clear_limit(self, now: datetime) -> float | Refused:
        """Offer what the knob allows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """A car to plug in: what it would do, and what its driver says.

    `gap_a`: it takes that much less than offered (0-2 A). `taper_kwh`: over the last so many kWh it takes
    less and less. `need_kwh`: then it is full and takes nothing.
    """

    max_a: float
    need_kwh: float
    gap_a: float = 0.0
    taper_kwh: float = 0.0
    model: str | None = None
    requested_kwh: float | None = None
    departure: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What is wrong with a station or its car. All off by default.

    slow_s: a limit is confirmed at once and applied that much later. deaf: says yes, does nothing, and its
    own reading shows no limit. lying: says and reports 6 A, draws 16. rejecting: refuses limits. no_resume:
    once paused, the car sleeps until it is unplugged. clock_skew: the station's clock is ahead by this.
    """

    slow_s: float = 0.0
    deaf: bool = False
    lying: bool = False
    rejecting: bool = False
    no_resume: bool = False
    clock_skew: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class _Limit:
    amps: float
    until: datetime


class SimulatedHardware:
    """One simulated EVSE. `advance(now)` moves it on; everything else looks at it or touches it at a moment.

    Power drawn is positive. A limit ends at its `until` on this station's own, perhaps skewed, clock: nobody
    has to be alive for that.
    """

    def __init__(
        self,
        *,
        knob_a: float,
        voltage_v: float,
        now: datetime,
        rng: Random,
        phases: int = 1,
        faults: Faults | None = None,
        noise: float = 0.005,
    ) -> None:
        """`voltage_v` is per the power rule kW = V x A x phases / 1000; `noise` is the meter's relative error."""
        self.knob_a = knob_a
        self.kw_per_a = voltage_v * phases / 1000.0
        self.faults = faults or Faults()
        self.car: Car | None = None
        self.energy_kwh = 0.0
        self._voltage_v = voltage_v
        self._noise = noise
        self._rng = rng
        self._now = now
        self._vehicle: Vehicle | None = None
        self._limit: _Limit | None = None
        self._said: _Limit | None = None
        self._waiting: tuple[datetime, _Limit | None] | None = None
        self._asleep = False

    # --- what happens to it ---------------------------------------------------------------------------------

    def plug(self, car: Car, now: datetime) -> None:
        """A car is plugged in. Its meter reading starts at 0."""
        self.unplug(now)
        self.car = car
        self.energy_kwh = 0.0
        self._vehicle = Vehicle(
            since=now,
            max_a=car.max_a,
            model=car.model,
            requested_kwh=car.requested_kwh,
            departure=car.departure,
        )

    def unplug(self, now: datetime) -> None:
        """The car leaves, full or not, whoever is surprised. The limit stays: it is the EVSE's, not the car's."""
        self.advance(now)
        self.car = self._vehicle = None
        self._asleep = False

    def reboot(self, now: datetime, *, meter_restarts: bool = False) -> None:
        """Power lost and back: the limit is forgotten, the car still plugged; some meters start again at zero."""
        self.advance(now)
        self._limit = self._said = self._waiting = None
        if meter_restarts and self.car is not None:
            self.car = replace(self.car, need_kwh=self.missing_kwh)
            self.energy_kwh = 0.0

    def turn_knob(self, knob_a: float, now: datetime) -> None:
        """An electrician sets the station's own maximum; it holds at once, whatever limit there is."""
        self.advance(now)
        self.knob_a = knob_a

    # --- the Hardware seam ----------------------------------------------------------------------------------

    def read(self, now: datetime) -> Reading:
        """Meter, knob, limit and vehicle, now; with the meter's noise."""
        self.advance(now)
        wobble = self._rng.gauss
        return Reading(
            at=now + self.faults.clock_skew,
            voltage_v=round(self._voltage_v * (1.0 + wobble(0.0, self._noise / 2)), 1),
            current_a=round(max(0.0, self.draw_a * (1.0 + wobble(0.0, self._noise))), 2),
            energy_kwh=round(self.energy_kwh, 3),
            knob_a=self.knob_a,
            limit_a=None if self._said is None else self._said.amps,
            vehicle=self._vehicle,
        )

    def set_limit(self, limit_a: float, until: datetime, now: datetime) -> float | Refused:
        """Offer at most `limit_a` until `until`; answers what it *says* it went to."""
        self.advance(now)
        if self.faults.rejecting:
            return Refused("this station takes no limits")
        limit = _Limit(min(limit_a, self.knob_a), until)
        if not self.faults.deaf:
            self._said = limit
            self._apply(limit)
        return limit.amps

    def clear_limit(self, now: datetime) -> float | Refused:
        """Offer what the knob allows again. Even a rejecting station lets go."""
        self.advance(now)
        self._said = None
        self._apply(None)
        return self.knob_a

    # --- the model ------------------------------------------------------------------------------------------

    @property
    def limit_a(self) -> float | None:
        """The limit truly in force, A; None: no limit."""
        return None if self._limit is None else self._limit.amps

    @property
    def plugged(self) -> bool:
        """Whether a vehicle is plugged in."""
        return self.car is not None

    @property
    def draw_a(self) -> float:
        """True current per phase, A, at the time of the last `advance`."""
        offered_a = self.knob_a if self._limit is None else min(self._limit.amps, self.knob_a)
        if self.car is None or self._asleep or offered_a < FLOOR_A:
            return 0.0
        return min(max(offered_a - self.car.gap_a, 0.0), self._wanted_a(self.car))

    @property
    def load_kw(self) -> float:
        """True power drawn, kW."""
        return self.draw_a * self.kw_per_a

    @property
    def free_kw(self) -> float:
        """Power the car would draw now without a limit, kW: what limits cost is this minus `load_kw`."""
        if self.car is None or self._asleep:
            return 0.0
        return min(max(self.knob_a - self.car.gap_a, 0.0), self._wanted_a(self.car)) * self.kw_per_a

    @property
    def missing_kwh(self) -> float:
        """Energy the plugged car still needs, kWh."""
        return 0.0 if self.car is None else max(self.car.need_kwh - self.energy_kwh, 0.0)

    def advance(self, now: datetime) -> None:
        """Let time pass up to `now`, in steps no longer than a minute; exact at the ends of limits and charging."""
        while self._now < now:
            self._settle()
            end = self._next_change(now)
            draw_kw = self.load_kw
            if draw_kw > 0.0:
                hours = (end - self._now).total_seconds() / 3600.0
                self.energy_kwh += min(draw_kw * hours, self.missing_kwh)
            self._now = end
        self._settle()

    def _next_change(self, now: datetime) -> datetime:
        """The next time, at most `now`, when the draw may change: a step's end, a limit's end, a late one's start."""
        left = now - self._now
        if self.draw_a > 0.0:
            left = min(left, _STEP)
        if self._limit is not None:
            left = min(left, self._limit.until - self._now - self.faults.clock_skew)
        if self._waiting is not None:
            left = min(left, self._waiting[0] - self._now)
        return self._now + left

    def _settle(self) -> None:
        """Do what is due at the time reached: late limits start, ended limits end, a paused car may fall asleep."""
        if self._waiting is not None and self._waiting[0] <= self._now:
            self._limit, self._waiting = self._waiting[1], None
        own = self._now + self.faults.clock_skew
        if self._limit is not None and self._limit.until <= own:
            self._limit = None
        if self._said is not None and self._said.until <= own:
            self._said = None
        paused = self._limit is not None and self._limit.amps < FLOOR_A
        if paused and self.faults.no_resume and self.car is not None:
            self._asleep = True

    def _apply(self, limit: _Limit | None) -> None:
        if self.faults.lying:
            return
        if self.faults.slow_s > 0.0:
            self._waiting = (self._now + timedelta(seconds=self.faults.slow_s), limit)
            return
        self._limit = limit
        self._settle()

    def _wanted_a(self, car: Car) -> float:
        """What the car would take of any offer: its maximum, less near full, nothing when full."""
        missing = self.missing_kwh
        if missing <= _FULL_KWH:
            return 0.0
        if missing < car.taper_kwh:
            return car.max_a * max(missing / car.taper_kwh, _TRICKLE)
        return car.max_a
