"""Charge points made of the `ocpp` package, which checks every message both ways against the official schemas.

They draw what they are offered, as their profiles say; their clock is the head-end's, as a real one's would be.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ocpp import routing
from ocpp.v16 import ChargePoint as Base16
from ocpp.v16 import call as c16
from ocpp.v16 import call_result as r16
from ocpp.v16 import enums as e16
from ocpp.v21 import call as c21
from ocpp.v21 import call_result as r21
from ocpp.v201 import ChargePoint as Base201
from ocpp.v201 import call as c201
from ocpp.v201 import call_result as r201

from tests.stations.ocpp.house import House

F = TypeVar("F", bound=Callable[..., Any])


def on(action: str) -> Callable[[F], F]:
    """`ocpp.routing.on`, with the type it has."""
    taken: Callable[[F], F] = routing.on(action)
    return taken


KNOB_A = 16.0
VOLTS = 230.0


def stamp(at: datetime) -> str:
    """To the microsecond, or two messages of a quick machine share their moment; that has tests of its own."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Profiles:
    """Charging profiles of one EVSE, the last of a purpose's id counting."""

    def __init__(self) -> None:
        self.held: dict[int, dict[str, Any]] = {}
        self.sets = 0
        self.clears = 0

    def limit_a(self, now: datetime, *, in_transaction: bool) -> float:
        amps = KNOB_A
        for profile in self.held.values():
            if profile["charging_profile_purpose"] == "TxProfile" and not in_transaction:
                continue
            schedule = profile["charging_schedule"]
            schedule = schedule[0] if isinstance(schedule, list) else schedule
            dynamic = (
                profile["charging_profile_kind"] == "Dynamic"
            )  # counts from its last update (2.1, K28.FR.13)
            start = datetime.fromisoformat(
                profile["dyn_update_time"] if dynamic else schedule["start_schedule"]
            )
            valid_to = profile.get("valid_to")
            if valid_to is not None and now >= datetime.fromisoformat(valid_to):
                continue
            if not start <= now < start + timedelta(seconds=schedule["duration"]):
                continue
            limit = float(schedule["charging_schedule_period"][0]["limit"])
            amps = min(amps, limit if schedule["charging_rate_unit"] == "A" else limit / VOLTS / 3)
        return amps


class Shared:
    """What both generations have in common."""

    house: House
    profiles: Profiles
    transaction: Any
    energy_wh: float
    refuse_units: tuple[str, ...] = ()
    refuse_purposes: tuple[str, ...] = ()
    configuration: dict[str, str]
    deaf: bool = False

    def prepare(self, house: House) -> None:
        self.house = house
        self.profiles = Profiles()
        self.transaction = None
        self.energy_wh = 1_000.0
        self.configuration = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def now(self) -> datetime:
        return self.house.parts.clock.now()

    def amps(self) -> float:
        if self.transaction is None:
            return 0.0
        return KNOB_A if self.deaf else self.profiles.limit_a(self.now(), in_transaction=True)

    def takes(self, profile: dict[str, Any]) -> bool:
        schedule = profile["charging_schedule"]
        schedule = schedule[0] if isinstance(schedule, list) else schedule
        self.profiles.sets += 1
        if schedule["charging_rate_unit"] in self.refuse_units:
            return False
        if profile["charging_profile_purpose"] in self.refuse_purposes:
            return False
        self.profiles.held[int(profile.get("charging_profile_id") or profile["id"])] = profile
        return True

    def clear(self, number: int | None) -> bool:
        self.profiles.clears += 1
        return self.profiles.held.pop(number or 0, None) is not None


class Foreign16(Shared, Base16):  # type: ignore[misc]
    """A 1.6J charge point with one connector."""

    async def boot(self) -> Any:
        told = await self.call(c16.BootNotification(charge_point_model="M1", charge_point_vendor="Foreign"))
        await self.status("Available")
        return told

    async def status(self, word: str, connector: int = 1) -> None:
        await self.call(
            c16.StatusNotification(
                connector_id=connector,
                error_code=e16.ChargePointErrorCode.no_error,
                status=e16.ChargePointStatus(word),
                timestamp=stamp(self.now()),
            )
        )

    async def plug_in(self, connector: int = 1) -> Any:
        await self.status("Preparing", connector)
        told = await self.call(
            c16.StartTransaction(
                connector_id=connector,
                id_tag="tag",
                meter_start=round(self.energy_wh),
                timestamp=stamp(self.now()),
            )
        )
        self.transaction = told.transaction_id
        await self.status("Charging", connector)
        return told

    async def meter(self, connector: int = 1) -> None:
        amps = self.amps()
        values = [
            {"value": f"{3 * VOLTS * amps:.1f}", "measurand": "Power.Active.Import", "unit": "W"},
            *(
                {"value": f"{amps:.1f}", "measurand": "Current.Import", "phase": f"L{n}", "unit": "A"}
                for n in (1, 2, 3)
            ),
            {"value": f"{VOLTS:.1f}", "measurand": "Voltage", "phase": "L1-N", "unit": "V"},
            {"value": f"{self.energy_wh:.0f}"},
        ]
        meter_value = [{"timestamp": stamp(self.now()), "sampledValue": values}]
        await self.call(
            c16.MeterValues(connector_id=connector, meter_value=meter_value, transaction_id=self.transaction)
        )

    async def unplug(self, connector: int = 1) -> None:
        await self.call(
            c16.StopTransaction(
                transaction_id=self.transaction,
                meter_stop=round(self.energy_wh),
                timestamp=stamp(self.now()),
                reason=e16.Reason.ev_disconnected,
            )
        )
        self.transaction = None
        await self.status("Available", connector)

    async def call_or_raise_start(self) -> Any:
        """A transaction begins; a CALLERROR is raised."""
        start = c16.StartTransaction(
            connector_id=1, id_tag="tag", meter_start=round(self.energy_wh), timestamp=stamp(self.now())
        )
        return await self.call(start, suppress=False)

    @on("RemoteStopTransaction")
    def on_remote_stop(self, transaction_id: int) -> Any:
        self.stopped = [transaction_id]
        return r16.RemoteStopTransaction(e16.RemoteStartStopStatus.accepted)

    @on("SetChargingProfile")
    def on_set(self, connector_id: int, cs_charging_profiles: dict[str, Any]) -> Any:
        taken = self.takes(cs_charging_profiles)
        return r16.SetChargingProfile(e16.ChargingProfileStatus("Accepted" if taken else "Rejected"))

    @on("ClearChargingProfile")
    def on_clear(self, **told: Any) -> Any:
        found = self.clear(told.get("id"))
        return r16.ClearChargingProfile(e16.ClearChargingProfileStatus("Accepted" if found else "Unknown"))

    @on("GetConfiguration")
    def on_configuration(self, **told: Any) -> Any:
        keys = [{"key": k, "readonly": False, "value": v} for k, v in self.configuration.items()]
        return r16.GetConfiguration(configuration_key=keys)

    @on("ChangeConfiguration")
    def on_change(self, key: str, value: str) -> Any:
        self.configuration[key] = value
        return r16.ChangeConfiguration(e16.ConfigurationStatus.accepted)

    @on("TriggerMessage")
    def on_trigger(self, requested_message: str, **told: Any) -> Any:
        self.calls.append(("TriggerMessage", {"requestedMessage": requested_message, **told}))
        return r16.TriggerMessage(e16.TriggerMessageStatus.accepted)

    @on("GetCompositeSchedule")
    def on_composite(self, connector_id: int, duration: int, **told: Any) -> Any:
        amps = self.profiles.limit_a(self.now(), in_transaction=self.transaction is not None)
        return r16.GetCompositeSchedule(
            status=e16.GetCompositeScheduleStatus.accepted,
            connector_id=connector_id,
            schedule_start=stamp(self.now()),
            charging_schedule={
                "duration": duration,
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amps}],
            },
        )


class Foreign201(Shared, Base201):  # type: ignore[misc]
    """A 2.0.1 charging station with one EVSE."""

    words: Any = c201
    answers: Any = r201
    seq = 0

    async def boot(self) -> Any:
        told = await self.call(
            self.words.BootNotification(
                charging_station={"model": "M2", "vendor_name": "Foreign"}, reason="PowerUp"
            )
        )
        await self.status("Available")
        return told

    async def status(self, word: str) -> None:
        await self.call(
            self.words.StatusNotification(
                timestamp=stamp(self.now()), connector_status=word, evse_id=1, connector_id=1
            )
        )

    async def event(self, kind: str, trigger: str, *, state: str | None = None, values: bool = True) -> Any:
        self.seq += 1
        amps = self.amps()
        sampled = [
            {"value": 3 * VOLTS * amps, "measurand": "Power.Active.Import"},
            *({"value": amps, "measurand": "Current.Import", "phase": f"L{n}"} for n in (1, 2, 3)),
            {"value": self.energy_wh},
        ]
        return await self.call(
            self.words.TransactionEvent(
                event_type=kind,
                timestamp=stamp(self.now()),
                trigger_reason=trigger,
                seq_no=self.seq,
                transaction_info={
                    "transaction_id": self.transaction,
                    **({"charging_state": state} if state else {}),
                },
                evse={"id": 1, "connector_id": 1},
                meter_value=[{"timestamp": stamp(self.now()), "sampled_value": sampled}] if values else None,
                id_token={"id_token": "tag", "type": "Central"} if kind == "Started" else None,
            )
        )

    async def plug_in(self) -> Any:
        await self.status("Occupied")
        self.transaction = f"tx-{self.now().timestamp()}"
        told = await self.event("Started", "CablePluggedIn", state="EVConnected")
        await self.event("Updated", "ChargingStateChanged", state="Charging")
        return told

    async def meter(self) -> None:
        await self.event("Updated", "MeterValuePeriodic")

    async def unplug(self) -> None:
        await self.event("Ended", "EVDeparted")
        self.transaction = None
        await self.status("Available")

    @on("SetChargingProfile")
    def on_set(self, evse_id: int, charging_profile: dict[str, Any]) -> Any:
        taken = self.takes(charging_profile)
        return self.answers.SetChargingProfile(status="Accepted" if taken else "Rejected")

    @on("ClearChargingProfile")
    def on_clear(self, **told: Any) -> Any:
        found = self.clear(told.get("charging_profile_id"))
        return self.answers.ClearChargingProfile(status="Accepted" if found else "Unknown")

    @on("GetVariables")
    def on_variables(self, get_variable_data: list[dict[str, Any]]) -> Any:
        results = []
        for asked in get_variable_data:
            name = f"{asked['component']['name']}.{asked['variable']['name']}"
            known = self.configuration.get(name)
            results.append(
                {
                    "attributeStatus": "Accepted" if known is not None else "UnknownVariable",
                    "component": asked["component"],
                    "variable": asked["variable"],
                    **({"attributeValue": known} if known is not None else {}),
                }
            )
        return self.answers.GetVariables(get_variable_result=results)

    @on("SetVariables")
    def on_set_variables(self, set_variable_data: list[dict[str, Any]]) -> Any:
        results = []
        for told in set_variable_data:
            name = f"{told['component']['name']}.{told['variable']['name']}"
            self.configuration[name] = told["attribute_value"]
            results.append(
                {
                    "attributeStatus": "Accepted",
                    "component": told["component"],
                    "variable": told["variable"],
                }
            )
        return self.answers.SetVariables(set_variable_result=results)

    @on("TriggerMessage")
    def on_trigger(self, requested_message: str, **told: Any) -> Any:
        self.calls.append(("TriggerMessage", {"requestedMessage": requested_message, **told}))
        return self.answers.TriggerMessage(status="Accepted")

    @on("GetCompositeSchedule")
    def on_composite(self, **told: Any) -> Any:
        return self.answers.GetCompositeSchedule(status="Rejected")


class Foreign21(Foreign201):
    """The same in 2.1: what both say alike, checked against the schemas of 2.1; and Dynamic profiles."""

    words = c21
    answers = r21
    _call = c21
    _call_result = r21
    _ocpp_version = "2.1"
    updates = 0

    @on("UpdateDynamicSchedule")
    def on_update(self, charging_profile_id: int, schedule_update: dict[str, Any]) -> Any:
        held = self.profiles.held.get(charging_profile_id)
        if held is None or held["charging_profile_kind"] != "Dynamic":
            return self.answers.UpdateDynamicSchedule(status="Rejected")
        self.updates += 1
        held["dyn_update_time"] = stamp(self.now())
        held["charging_schedule"][0]["charging_schedule_period"][0]["limit"] = schedule_update["limit"]
        return self.answers.UpdateDynamicSchedule(status="Accepted")


@contextlib.asynccontextmanager
async def station(
    kind: type[Any], house: House, station_id: str, secret: str | None, *versions: str, **ways: Any
) -> AsyncGenerator[Any, None]:
    """A connected foreign station, which listens beside the test."""
    default = {Foreign16: "ocpp1.6", Foreign201: "ocpp2.0.1", Foreign21: "ocpp2.1"}[kind]
    socket = await house.socket(station_id, secret, *(versions or (default,)))
    it = kind(station_id, socket, response_timeout=60)
    it.prepare(house)
    for name, value in ways.items():
        setattr(it, name, value)
    listening = asyncio.create_task(it.start())
    try:
        yield it
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await socket.close()
