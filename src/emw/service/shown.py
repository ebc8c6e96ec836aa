"""What a reading shows beside itself: a station that is back, a knob turned, a vehicle that takes more or less than it
said before, a meter that contradicts itself, a limit lost or not obeyed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from emw.domain import facts as f
from emw.domain.model import Evse, Limit, Outcome, Session, Station
from emw.domain.state import State
from emw.engine.plausible import Judged
from emw.service.commands import Commands
from emw.service.ports import HeartBeat
from emw.service.telemetry import Telemetry

SAME_A = 0.1
"""Amps closer than this are the same, rounded by somebody."""
LOST_AFTER = timedelta(seconds=15)
"""A station that reports another limit than it confirmed this long ago has lost it (it rebooted)."""


class Shown:
    """Compares readings with what is known of their EVSEs."""

    def __init__(self, state: State, telemetry: Telemetry, commands: Commands) -> None:
        self._state = state
        self._telemetry = telemetry
        self._commands = commands
        self._said_again: dict[str, str] = {}  # the command an EVSE had lost and was told again

    def may_show(self, evse: Evse, said: HeartBeat, limit: Limit | None, *, current: bool) -> bool:
        """Whether `facts` has to see this reading. `current`: it was taken as the latest. Hot."""
        if not evse.online or evse.evse_id in self._telemetry.judged:
            return True
        if not current:
            return False
        held = limit is not None and (limit.max_a is not None or said.limit_a is not None)
        return (
            held or evse.max_a != said.evse_max_a or _other_a(self._state.session_of(evse), said) is not None
        )

    def facts(self, station: Station, evse: Evse, said: HeartBeat, now: datetime) -> list[f.Fact]:
        """What a reading shows that telemetry took at `now`. A limit that was lost is said again at once."""
        actor = f"station:{station.station_id}"
        found: list[f.Fact] = []
        if not evse.online:
            found.append(f.CameBack(at=now, actor=actor, evse_id=evse.evse_id))
        judged = self._telemetry.judged.pop(evse.evse_id, None)
        if judged is not None:
            found.append(_verdict(evse.evse_id, judged, now))
        # One that comes late or again says nothing of now (promise P5), but that the station is back.
        if not self._telemetry.says_now(evse.evse_id, now):
            return found
        if evse.max_a != said.evse_max_a:
            found.append(f.KnobTurned(at=now, actor=actor, evse_id=evse.evse_id, max_a=said.evse_max_a))
        session = self._state.session_of(evse)
        car_max_a = _other_a(session, said)
        if session is not None and car_max_a is not None:
            found.append(
                f.VehicleTold(
                    at=now,
                    actor=actor,
                    session_id=session.session_id,
                    evse_id=evse.evse_id,
                    car_max_a=car_max_a,
                    car_min_a=session.car_min_a,
                )
            )
        limit = self._state.limits.get(evse.evse_id)
        why = None if limit is None else self._not_kept(evse, limit, said, now)
        if limit is not None and why is not None:
            found.append(
                f.CommandAnswered(
                    at=now,
                    actor=actor,
                    command_id=limit.command_id,
                    evse_id=evse.evse_id,
                    outcome=Outcome.REJECTED,
                    answered_a=limit.answered_a,
                    reason=why,
                    request_key=limit.request_key,
                )
            )
        return found

    def _not_kept(self, evse: Evse, limit: Limit, said: HeartBeat, now: datetime) -> str | None:
        """Why a confirmed limit counts as refused after all."""
        if _still_held(evse, limit, said, now) and self._said_again.get(evse.evse_id) != limit.command_id:
            # An older command came after the release; or the limit is the station's own, so it is said once.
            self._said_again[evse.evse_id] = limit.command_id
            self._commands.resend(evse.evse_id)
            return None
        if not limit.agreed(now):
            return None
        if self._telemetry.disobeys(evse.evse_id):
            return f"the meter shows {said.current_a:.1f} A under a limit of {limit.max_a:.1f} A"
        if not _lost(limit, said, now):
            return None
        again = self._said_again.get(evse.evse_id) == limit.command_id
        self._said_again[evse.evse_id] = limit.command_id
        self._commands.resend(evse.evse_id)
        if again and said.limit_a is not None:
            # An older command came after this one; only a new one will move the station again.
            return f"the station holds {said.limit_a:.1f} A instead of {limit.max_a:.1f} A"
        return None


def _other_a(session: Session | None, said: HeartBeat) -> float | None:
    """What the vehicle takes at most, A, where that is not what it said before."""
    if session is None or said.car_max_a is None or abs(said.car_max_a - session.car_max_a) <= SAME_A:
        return None
    return said.car_max_a


def _lost(limit: Limit, said: HeartBeat, now: datetime) -> bool:
    if limit.max_a is None or limit.answered_at is None or now - limit.answered_at < LOST_AFTER:
        return False
    return said.limit_a is None or said.limit_a > limit.max_a + SAME_A


def _still_held(evse: Evse, limit: Limit, said: HeartBeat, now: datetime) -> bool:
    """Whether a station that confirmed that it is free says that it holds a limit."""
    if limit.max_a is not None or limit.outcome is not Outcome.APPLIED or said.limit_a is None:
        return False
    answered_at = limit.answered_at or limit.issued_at
    return now - answered_at >= LOST_AFTER and said.limit_a < evse.max_a - SAME_A


def _verdict(evse_id: str, judged: Judged, now: datetime) -> f.Fact:
    if judged.agrees:
        return f.MeterTrusted(at=now, actor="emw", evse_id=evse_id)
    return f.MeterDoubted(
        at=now,
        actor="emw",
        evse_id=evse_id,
        since=judged.since,
        register_kwh=round(judged.register_kwh, 3),
        least_kwh=round(judged.least_kwh, 3),
        most_kwh=round(judged.most_kwh, 3),
    )
