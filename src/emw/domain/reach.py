"""What an EVSE and the vehicle at it can do together. Pure."""

from __future__ import annotations

import math

from emw.domain.model import Evse, Session


def floor_a(evse: Evse, session: Session | None) -> float:
    """The lowest limit under which this vehicle goes on charging, A per phase, on the EVSE's steps.

    The EVSE's own floor, or what the vehicle says that it needs at least. More than both could come to is no floor.
    """
    if session is None or session.car_min_a is None or session.car_min_a <= evse.floor_a:
        return evse.floor_a
    steps = math.ceil((session.car_min_a - evse.floor_a) / evse.step_a - 1e-9)
    lowest_a = evse.floor_a + steps * evse.step_a
    return lowest_a if lowest_a <= min(evse.max_a, session.car_max_a) else evse.floor_a


def lowest_a(evse: Evse, session: Session | None) -> float:
    """The lowest limit that this vehicle may be given, A per phase: a pause, or where it must not pause the floor."""
    return 0.0 if evse.may_pause else floor_a(evse, session)
