"""What the stories of OCPP stations share: stations, a fleet, limits set the way a careful central system does."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from emw.simulator.clock import VirtualClock
from emw.simulator.fleet import Fleet
from emw.simulator.hardware import Car
from emw.simulator.identity import Identity
from emw.simulator.ocpp.habits import NORMAL, Habits, Version
from emw.simulator.ocpp.meter import stamp
from emw.simulator.ocpp.station import Ways
from emw.simulator.sessions import Session
from emw.simulator.specs import StationSpec
from tests.simulator.ocpp.central import Central

T0: Final = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
SPEED: Final = 600.0
SECRETS: Final = {f"e{n}": f"secret-number-{n}" for n in range(4)}
VERSIONS: Final = [Version.V16, Version.V201]
CAR: Final = Car(max_a=32.0, need_kwh=60.0)


def specs(version: Version, count: int = 1, habits: Habits = NORMAL, **changes: Any) -> list[StationSpec]:
    return [
        StationSpec(
            identity=Identity(evse_id=f"e{n}", secret=SECRETS[f"e{n}"], territory="East"),
            ways=Ways(version=version, habits=habits),
            **changes,
        )
        for n in range(count)
    ]


def fleet(
    central: Central, stations: list[StationSpec], sessions: Sequence[Session] = (), patience_s: float = 10.0
) -> Fleet:
    return Fleet(
        central.url, stations, sessions, clock=VirtualClock(T0, SPEED), speed=SPEED, patience_s=patience_s
    )


def now_of(running: Fleet) -> datetime:
    return running._clock.now()


class Limits:
    """Sends limits the way a careful central system does, in either version."""

    def __init__(self, central: Central, running: Fleet) -> None:
        self.central = central
        self.running = running

    async def set(
        self,
        limit: float,
        minutes: float = 600,
        *,
        purpose: str = "TxProfile",
        number: int = 7,
        **changes: Any,
    ) -> str:
        now = now_of(self.running) - timedelta(minutes=1)
        end = now + timedelta(minutes=minutes + 1)
        unit = changes.pop("unit", "A")
        ends = changes.pop("ends", ("duration", "validTo"))
        schedule = {
            "startSchedule": stamp(now),
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        }
        if "duration" in ends:
            schedule["duration"] = round((end - now).total_seconds())
        profile: dict[str, Any] = {"stackLevel": 8, "chargingProfileKind": "Absolute"}
        if "validTo" in ends:
            profile["validTo"] = stamp(end)
        old = self.central.version == "ocpp1.6"
        if purpose == "TxProfile":
            running = self.central.transactions[-1]
            profile["transactionId"] = int(running) if old else running
        if purpose == "Station":
            purpose = "ChargePointMaxProfile" if old else "ChargingStationMaxProfile"
        place = 0 if "Max" in purpose else 1
        profile |= {"chargingProfilePurpose": purpose} | changes
        if old:
            profile |= {"chargingProfileId": number, "chargingSchedule": schedule}
            answer = await self.central.ask(
                "SetChargingProfile", connector_id=place, cs_charging_profiles=profile
            )
        else:
            profile |= {"id": number, "chargingSchedule": [{"id": number} | schedule]}
            answer = await self.central.ask("SetChargingProfile", evse_id=place, charging_profile=profile)
        return "CALLERROR" if answer is None else str(answer.status)

    async def clear(self, number: int = 7) -> str:
        name = "id" if self.central.version == "ocpp1.6" else "charging_profile_id"
        answer = await self.central.ask("ClearChargingProfile", **{name: number})
        return "CALLERROR" if answer is None else str(answer.status)


def samples(central: Central, station: str = "e0") -> list[dict[str, Any]]:
    """Every sampled value, in order."""
    if central.version == "ocpp1.6":
        values = [v for said in central.said("MeterValues", station) for v in said["meterValue"]]
    else:
        values = [v for said in central.said("TransactionEvent", station) for v in said.get("meterValue", ())]
    return [sample for value in values for sample in value["sampledValue"]]


async def until(what: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110 - there is nothing to be told by
            await asyncio.sleep(0.005)


async def metered(central: Central, count: int = 1, station: str = "e0") -> list[dict[str, Any]]:
    """Wait for so many further sampled values."""
    before = len(samples(central, station))
    await until(lambda: len(samples(central, station)) >= before + count)
    return samples(central, station)[before:]


async def charging(central: Central, running: Fleet, car: Car = CAR) -> None:
    running.plug("e0", car)
    await until(lambda: central.transactions and running.stats().charging)
    await metered(central)
