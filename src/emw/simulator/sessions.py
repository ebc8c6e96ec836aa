"""Charging sessions to simulate: recorded ones, several days laid over one, or drawn from a seed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final, Literal
from zoneinfo import ZoneInfo

KNOB_A: Final = 32.0
US_V: Final = 208.0
"""ACN's stations: one phase of a car between two phases of a 208 V supply."""

_ROOM: Final = 1.15
"""A car must be able to take what it took within its stay, with some room for its taper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One vehicle's stay. Times UTC. `energy_kwh` is what it takes if nobody limits it; told values may be
    None.

    `departure` and `requested_kwh` are what the driver told: evidence, not truth. `tz` is where the wall
    clock was.
    """

    session_id: str
    site: str
    evse_id: str
    plug: datetime
    unplug: datetime
    energy_kwh: float
    departure: datetime | None = None
    requested_kwh: float | None = None
    max_a: float = KNOB_A
    voltage_v: float = US_V
    phases: int = 1
    tz: str = "UTC"

    @property
    def kw_per_a(self) -> float:
        """Power per ampere and phase, kW/A."""
        return self.voltage_v * self.phases / 1000.0

    @property
    def local_day(self) -> date:
        """The local day on which it began."""
        return self.plug.astimezone(ZoneInfo(self.tz)).date()


@dataclass(frozen=True, slots=True, order=True)
class SiteDay:
    """One site on one local day."""

    site: str
    day: date


def car_max_a(session: Session, rng: Random, *, charging_s: float | None = None) -> float:
    """Amps the car takes, for records that don't say: half the cars behind ACN's 32 A knobs draw 15-16 A.

    Never less than the recorded energy needs within the stay; `charging_s`, where recorded, gives the mean
    itself.
    """
    stay_h = max((session.unplug - session.plug).total_seconds() / 3600.0, 1.0 / 60.0)
    needed_a = session.energy_kwh / (stay_h * session.kw_per_a)
    if charging_s is not None and charging_s > 600.0:
        drawn_a = session.energy_kwh / (charging_s / 3600.0 * session.kw_per_a)
    elif rng.random() < 0.5:
        drawn_a = rng.uniform(15.0, 16.0)
    else:
        drawn_a = rng.uniform(24.0, KNOB_A)
    return round(min(max(drawn_a, needed_a * _ROOM, 6.0), KNOB_A), 1)


def site_days(sessions: Iterable[Session], *, weekdays_only: bool = False) -> list[SiteDay]:
    """The site-days in a record, in order of day and site."""
    days = {SiteDay(session.site, session.local_day) for session in sessions}
    kept = (one for one in days if not weekdays_only or one.day.weekday() < 5)
    return sorted(kept, key=lambda one: (one.day, one.site))


def overlay(sessions: Iterable[Session], days: Sequence[SiteDay], onto: date) -> list[Session]:
    """Lay site-days over one another, onto one local day: each becomes a site of its own, with EVSEs of its
    own.

    The local time of plugging in and the length of the stay are kept. The same site-day may be given more
    than once.
    """
    by_day: dict[SiteDay, list[Session]] = {}
    for session in sessions:
        by_day.setdefault(SiteDay(session.site, session.local_day), []).append(session)
    return [
        _moved(session, number, onto)
        for number, one in enumerate(days, start=1)
        for session in by_day.get(one, ())
    ]


def only_evses(sessions: Sequence[Session], count: int) -> list[Session]:
    """The sessions of the first `count` EVSEs, by order of appearance."""
    wanted = dict.fromkeys(session.evse_id for session in sessions)
    kept = set(list(wanted)[:count])
    return [session for session in sessions if session.evse_id in kept]


def fill(sessions: Sequence[Session], stations: int, onto: date, seed: int = 0) -> list[Session]:
    """A day for so many EVSEs from recorded weekdays, busiest first; recycled with shaken times if they run
    out.

    Shaken by up to half an hour: two site-days that step together would be one site twice as large.
    """
    rng = Random(f"fill:{seed}")
    counts = Counter(SiteDay(session.site, session.local_day) for session in sessions)
    weekdays = [one for one in counts if one.day.weekday() < 5] or list(counts)
    order = sorted(weekdays, key=lambda one: (-counts[one], one))
    if not order:
        return []
    found: list[Session] = []
    evses: set[str] = set()
    number = 0
    while len(evses) < stations:
        day = order[number % len(order)]
        laid = [_moved(session, number + 1, onto) for session in _of(sessions, day)]
        if number >= len(order):
            laid = _shaken(laid, rng)
        found += laid
        evses.update(session.evse_id for session in laid)
        number += 1
    return only_evses(found, stations)


def draw(
    evse_ids: Sequence[str],
    day: date,
    *,
    tz: str = "UTC",
    seed: int = 0,
    kind: Literal["workplace", "home"] = "workplace",
    share: float = 0.8,
    site: str = "drawn",
    voltage_v: float = US_V,
    phases: int = 1,
) -> list[Session]:
    """One day of arrivals by chance: workplaces fill at 8-9 h for most of a day, homes at 17-20 h for the
    night.

    `share` of the EVSEs get a car. About as in ACN's records: half take less than 8 kWh, a tenth more than
    25.
    """
    rng = Random(f"draw:{seed}:{day.isoformat()}:{kind}")
    mean_h, spread_h, stay_h = (8.5, 1.2, 8.0) if kind == "workplace" else (18.5, 1.3, 12.0)
    midnight = datetime.combine(day, time(), ZoneInfo(tz))
    sessions = []
    for evse_id in evse_ids:
        if rng.random() >= share:
            continue
        local = midnight + timedelta(hours=min(max(rng.gauss(mean_h, spread_h), 0.0), 23.5))
        plug = local.astimezone(UTC)
        stay = timedelta(hours=min(max(rng.gauss(stay_h, 2.0), 0.75), 23.0))
        most_kwh = stay.total_seconds() / 3600.0 * voltage_v * phases / 1000.0 * KNOB_A / _ROOM
        energy_kwh = round(min(rng.lognormvariate(2.08, 0.9), most_kwh), 3)
        session = Session(
            session_id=f"{site}-{day.isoformat()}-{evse_id}",
            site=site,
            evse_id=evse_id,
            plug=plug,
            unplug=plug + stay,
            energy_kwh=energy_kwh,
            departure=plug + stay + timedelta(minutes=rng.gauss(0.0, 45.0)),
            requested_kwh=round(energy_kwh * rng.uniform(1.0, 2.4), 1),
            voltage_v=voltage_v,
            phases=phases,
            tz=tz,
        )
        sessions.append(replace(session, max_a=car_max_a(session, rng)))
    return sessions


def _of(sessions: Iterable[Session], day: SiteDay) -> list[Session]:
    return [session for session in sessions if SiteDay(session.site, session.local_day) == day]


def _moved(session: Session, number: int, onto: date) -> Session:
    """The same stay at the same local time of another day, at site `number`."""
    zone = ZoneInfo(session.tz)
    local = session.plug.astimezone(zone)
    plug = datetime.combine(onto, local.timetz().replace(tzinfo=None), zone).astimezone(UTC)
    shift = plug - session.plug
    site = f"{session.site}-{number:02d}"
    return replace(
        session,
        session_id=f"{number:02d}-{session.session_id}",
        site=site,
        evse_id=f"{site}-{session.evse_id.rpartition(':')[2]}",
        plug=plug,
        unplug=session.unplug + shift,
        departure=None if session.departure is None else session.departure + shift,
    )


def _shaken(sessions: Sequence[Session], rng: Random) -> list[Session]:
    """Other times and other cars; one shift for each EVSE, so that its cars still come one after another."""
    shifts = {session.evse_id: timedelta(minutes=rng.uniform(-30.0, 30.0)) for session in sessions}
    return [
        replace(
            session,
            plug=session.plug + shifts[session.evse_id],
            unplug=session.unplug + shifts[session.evse_id],
            departure=None if session.departure is None else session.departure + shifts[session.evse_id],
            max_a=car_max_a(session, rng),
        )
        for session in sessions
    ]
