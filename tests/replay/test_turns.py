"""A second event on the same day, played through the whole service: who has done its part is spared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from emw.engine.turns import Season
from emw.replay.requests import Asked
from emw.replay.run import replay
from emw.service.settings import ServiceSettings
from emw.simulator.sessions import Session

START = datetime(2019, 6, 3, 17, 0, tzinfo=UTC)


def cars(count: int) -> list[Session]:
    return [
        Session(
            session_id=f"s{n}",
            site="A",
            evse_id=f"A:{n:02}",
            plug=START - timedelta(hours=1, minutes=n),
            unplug=START + timedelta(hours=9),
            energy_kwh=40.0,
            requested_kwh=60.0,
            departure=START + timedelta(hours=9),
            tz="UTC",
        )
        for n in range(count)
    ]


def two_events(season: Season) -> list[float]:
    """The mean shed of each of two half hours, two hours apart, kW."""
    asked = [
        Asked(request_id=f"R{i}", kw=28.0, start=at, end=at + timedelta(minutes=30))
        for i, at in enumerate((START, START + timedelta(hours=2)))
    ]
    found = replay(cars(8), asked, settings=ServiceSettings(season=season)).intervals
    first = [i.shed_kw for i in found if i.start < START + timedelta(hours=1)]
    second = [i.shed_kw for i in found if i.start > START + timedelta(hours=1)]
    return [sum(x[1:]) / len(x[1:]) for x in (first, second)]


def test_who_has_done_its_part_is_not_asked_again() -> None:
    """Six of eight cars are needed each time; those of the first event are spared in the second, so two are left."""
    first, second = two_events(Season(events_most=1))
    assert first > 18
    assert second < 13
