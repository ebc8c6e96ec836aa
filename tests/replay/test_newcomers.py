"""The whole service sheds half a fleet's load while cars come, as many as a third of those that were there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from emw.replay.requests import Asked
from emw.replay.run import replay
from emw.replay.street import Shares, Street
from emw.service.headend import HeadEnd
from emw.simulator.sessions import Session

START = datetime(2019, 6, 3, 17, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def car(number: int, came_min: float) -> Session:
    """Every other one takes 15.5 A whatever it is offered, the others 30 A; nobody is full for hours."""
    plug = START + came_min * MINUTE
    return Session(
        session_id=f"s{number}",
        site="A",
        evse_id=f"A:{number:03}",
        plug=plug,
        unplug=plug + timedelta(hours=10),
        energy_kwh=55.0,
        requested_kwh=60.0,
        departure=plug + timedelta(hours=10),
        max_a=15.5 if number % 2 else 30.0,
    )


def test_cars_that_come_while_a_shed_runs_are_credited_with_what_they_would_draw() -> None:
    """Half of them draw 15.5 A, which is nearly all that they are offered, and no sign that they want more."""
    here = [car(n, -30.0 - n / 10) for n in range(60)]
    come = [car(n, (n - 60) * 0.7) for n in range(60, 80)]
    asked = Asked(request_id="R1", kw=140.0, start=START, end=START + 20 * MINUTE)
    believed_kw: list[float] = []
    true_kw: list[float] = []

    def watch(now: datetime, headend: HeadEnd, street: Street) -> None:
        if not START < now <= START + 20 * MINUTE:
            return
        late = [(street.bays[s.evse_id], headend.state.evses[s.evse_id]) for s in come if s.plug < now]
        sessions = [headend.state.session_of(evse) for _, evse in late]
        outlooks = [headend.telemetry.expected(e, s) for (_, e), s in zip(late, sessions, strict=True)]
        believed_kw.append(sum(e.kw_per_a * o.baseline_a for (_, e), o in zip(late, outlooks, strict=True)))
        true_kw.append(sum(bay.twin.load_kw for bay, _ in late))

    replay([*here, *come], [asked], shares=Shares(lost=0.02, taper=0.0), watch=watch)
    assert sum(believed_kw) == pytest.approx(sum(true_kw), rel=0.03)
