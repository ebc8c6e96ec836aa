"""The truth of a replay: what a driver missed is told at the end of the stay, wherever the replay ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from emw.replay.requests import Asked
from emw.replay.run import replay
from emw.replay.street import Shares, Street
from emw.simulator.sessions import Session

START = datetime(2019, 6, 3, 17, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stay(hours: float, number: int = 0) -> Session:
    return Session(
        session_id=f"s{number}",
        site="A",
        evse_id=f"A:{number}",
        plug=START,
        unplug=START + hours * HOUR,
        energy_kwh=20.0,
        max_a=32.0,
    )


@pytest.mark.parametrize(("hours", "missed_kwh"), [(12, 0.0), (3, 8.1)])
def test_who_stays_on_after_the_replay_makes_up_for_what_was_shed(hours: float, missed_kwh: float) -> None:
    """Held at 6 A for an hour and a half, of the three hours that it needs: a long stay has time for that."""
    street = Street([stay(hours)], START, 1, Shares(taper=0.0))
    bay = street.bays["A:0"]
    bay.plug(stay(hours), 1, 0.0, START)
    bay.hardware.set_limit(6.0, START + 1.5 * HOUR, START)
    bay.stay_on(START + 2 * HOUR)
    assert bay.unserved_kwh == pytest.approx(missed_kwh, abs=0.2)
    assert bay.hurt == (missed_kwh > 0)


@pytest.mark.parametrize("pausable", [0.0, 1.0])
def test_only_who_allows_it_is_paused(pausable: float) -> None:
    asked = Asked(
        request_id="R", kw=13.0, start=START + timedelta(minutes=5), end=START + timedelta(minutes=15)
    )
    played = replay([stay(8, n) for n in range(2)], [asked], shares=Shares(taper=0.0, pausable=pausable))
    shed_kw = played.intervals[-1].shed_kw
    assert (shed_kw > 11.5) is (pausable == 1.0), "two cars of 32 A come down to 6 A, or to nothing"
