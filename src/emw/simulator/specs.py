"""What a fleet is made of: its stations, how many of them are faulty in which way, and the cars of its sessions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Self

from emw.simulator.hardware import Car, Faults
from emw.simulator.identity import Identity
from emw.simulator.ocpp.station import Ways
from emw.simulator.sessions import KNOB_A, US_V, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSpec:
    """One station of a fleet. Its identity has no accessURL: the fleet gives it one, or none.

    `ways`: how it speaks OCPP; None: it speaks REST.
    """

    identity: Identity
    knob_a: float = KNOB_A
    voltage_v: float = US_V
    phases: int = 1
    ways: Ways | None = None

    def enrolled(self, secret: str) -> Self:
        """The same station with its secret."""
        return replace(self, identity=replace(self.identity, secret=secret))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultShares:
    """Shares (0-1) of the stations that are wrong in each way; one station may be wrong in several.

    lost: drops off the network for good at some time in the first `lost_within` after the start.
    """

    deaf: float = 0.0
    slow: float = 0.0
    lying: float = 0.0
    lost: float = 0.0
    rejecting: float = 0.0
    silent: float = 0.0
    no_resume: float = 0.0
    skewed: float = 0.0
    lost_within: timedelta = timedelta(hours=1)

    def draw(self, rng: Random) -> Faults:
        """One station's faults. Always as many draws: one share changed must not change who has the other faults."""
        drawn = {name: rng.random() for name in ("deaf", "slow", "lying", "rejecting", "no_resume", "skewed")}
        slow_s, skew_min = rng.uniform(30.0, 120.0), rng.uniform(-10.0, 10.0)
        return Faults(
            deaf=drawn["deaf"] < self.deaf,
            slow_s=slow_s if drawn["slow"] < self.slow else 0.0,
            lying=drawn["lying"] < self.lying,
            rejecting=drawn["rejecting"] < self.rejecting,
            no_resume=drawn["no_resume"] < self.no_resume,
            clock_skew=timedelta(minutes=skew_min if drawn["skewed"] < self.skewed else 0.0),
        )


def specs_for(
    sessions: Iterable[Session],
    secrets: Mapping[str, str],
    *,
    territory: str | None = None,
    ways: Mapping[str, Ways] | None = None,
) -> list[StationSpec]:
    """A station for each EVSE in the sessions that has an enrolment secret; its territory, if not given, is its site.

    `ways`: those that speak OCPP.
    """
    first: dict[str, Session] = {}
    for session in sessions:
        first.setdefault(session.evse_id, session)
    return [
        StationSpec(
            identity=Identity(
                evse_id=evse_id,
                secret=secrets[evse_id],
                territory=territory or session.site,
                site=session.site,
            ),
            voltage_v=session.voltage_v,
            phases=session.phases,
            ways=(ways or {}).get(evse_id),
        )
        for evse_id, session in first.items()
        if evse_id in secrets
    ]


def car_of(session: Session, rng: Random, *, taper: float = 0.15) -> Car:
    """The car of a recorded session: 0-2 A less than offered, and up to a share `taper` of its energy more slowly."""
    return Car(
        max_a=session.max_a,
        need_kwh=session.energy_kwh,
        gap_a=round(rng.uniform(0.0, 2.0), 1),
        taper_kwh=round(session.energy_kwh * rng.uniform(0.0, taper), 3),
        requested_kwh=session.requested_kwh,
        departure=session.departure,
    )
