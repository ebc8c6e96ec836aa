"""What the estimator remembers of each vehicle while it stays, as columns. No behaviour but keeping in step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine.columns import Bools, Floats, Ints
from emw.engine.told import Told


@dataclass(slots=True, kw_only=True)
class Vehicles:
    """What is remembered of each vehicle; columns in step with the last `Columns`."""

    would_a: Floats
    """Unlimited draw, last seen while free, A."""
    deficit_kwh: Floats
    """How far the twin is ahead."""
    fade: Floats
    """exp(-fade) is the chance that the twin still charges."""
    due: Floats
    """Finishes that were due on the twin's way since the vehicle was held."""
    gap_a: Floats
    """What the car takes less than its limit, A; NaN: not seen yet."""
    done: Bools
    ended_min: Floats
    """When it finished, while that is news; NaN: it is none."""
    still: Ints
    """Rounds in a row without drawing though allowed to."""
    awake: Bools
    """Has drawn since it was last paused."""
    stuck: Bools
    """Paused, freed and not drawing: it does not resume."""
    lies: Ints
    """Rounds in a row drawing more than the limit it confirmed."""
    fails: Ints
    """Commands in a row that were not confirmed."""
    deaf: Bools
    """Does not do what it is told: counted as free, drawing what it draws."""
    limit_a: Floats
    """Confirmed a round ago."""
    asked_a: Floats
    """Commanded last; NaN: never."""
    asked_min: Floats
    """When; -inf: never."""
    waits: Bools
    """Whether its last command was confirmed has still to be looked at."""
    plug_min: Floats
    depart_min: Floats
    learned: Bools
    """Its unlimited draw was seen over a whole minute."""
    req_kwh: Floats
    scale: Floats
    size: Ints
    came: Ints
    """What its driver told, as in `Told`."""
    got_kwh: Floats
    """Delivered by a round ago."""
    dips: Ints
    """Rounds in a row drawing much less than before, though free: it has finished within the minute, or will soon."""
    drew_a: Floats
    """Most it was seen to draw, A."""
    kind: Ints
    """What that makes it: slow or fast."""
    full_min: Floats
    """When it finished; -inf: before it was seen, or not."""
    more_a: Floats
    """Wants more than this: the highest limit that it was seen to use up, A."""

    @classmethod
    def empty(cls, n: int) -> Vehicles:
        """Nothing known of `n` sessions."""

        def zeros() -> Floats:
            return np.zeros(n)

        def no() -> Bools:
            return np.zeros(n, dtype=np.bool_)

        def none() -> Ints:
            return np.zeros(n, dtype=np.int64)

        return cls(
            would_a=zeros(), deficit_kwh=zeros(), fade=zeros(), due=zeros(), gap_a=np.full(n, np.nan), done=no(),
            ended_min=np.full(n, np.nan), still=none(),
            awake=np.ones(n, dtype=np.bool_), stuck=no(), lies=none(), fails=none(), deaf=no(), limit_a=zeros(),
            asked_a=np.full(n, np.nan), asked_min=np.full(n, -np.inf), waits=no(), plug_min=zeros(), depart_min=zeros(),
            learned=no(), req_kwh=zeros(), scale=zeros(), size=none(), came=none(), got_kwh=zeros(), dips=none(),
            more_a=zeros(), drew_a=zeros(), kind=none(), full_min=np.full(n, -np.inf),
        )  # fmt: skip

    def aligned(self, was: Ints) -> Vehicles:
        """The same sessions in a new order; rows of sessions not seen before are empty."""
        n = len(was)
        if n == len(self.fade) and bool((was == np.arange(n)).all()):
            return self
        fresh = Vehicles.empty(n)
        known = was >= 0
        for name in Vehicles.__slots__:
            getattr(fresh, name)[known] = getattr(self, name)[was[known]]
        return fresh

    @property
    def told(self) -> Told:
        """What the drivers said, as the need model takes it."""
        return Told(
            req_kwh=self.req_kwh,
            scale=self.scale,
            size=self.size,
            came=self.came,
            kind=self.kind,
            plug_h=self.plug_min / 60,
            depart_h=self.depart_min / 60,
        )
