"""The questions to a station after it booted, or came back unknown: what it supports, how often it meters.

Each answer is remembered per station, so that one that is known is not asked again after a mere reconnect. A station
that answers nothing is left as it is: its limits are then tried and learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
import structlog

from emw.service.errors import EmwError
from emw.stations.ocpp import wire16, wire201
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.meters import ask, trigger
from emw.stations.ocpp.traits import RateUnit, Traits
from emw.stations.ocpp.wire import ANSWERS, as_specified, encode, status_of
from emw.stations.ocppj import Answered, Version

log = structlog.get_logger()

MOST_CONNECTORS: Final = 64
REGISTER: Final = "Energy.Active.Import.Register"
WANTED: Final = (
    f"Power.Active.Import,Current.Import,Voltage,{REGISTER}",
    f"Power.Active.Import,{REGISTER}",
    f"Current.Import,Voltage,{REGISTER}",
    REGISTER,
)
"""Lists of measurands, best first: some stations refuse a list that names one they don't know."""
INTERVALS: Final = ("MeterValueSampleInterval", "SampledDataCtrlr.TxUpdatedInterval")
SET: Final = ("Accepted", "RebootRequired")
KEYS_16: Final = (
    "SupportedFeatureProfiles",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargeProfileMaxStackLevel",
    "NumberOfConnectors",
    "MeterValuesSampledData",
    "MeterValueSampleInterval",
    "WebSocketPingInterval",
)
VARIABLES_201: Final = (
    ("SmartChargingCtrlr", "Enabled"),
    ("SmartChargingCtrlr", "RateUnit"),
    ("SmartChargingCtrlr", "ProfileStackLevel"),
    ("SampledDataCtrlr", "TxUpdatedMeasurands"),
    ("SampledDataCtrlr", "TxUpdatedInterval"),
    ("OCPPCommCtrlr", "WebSocketPingInterval"),
)
VARIABLES_21: Final = (
    {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "SupportsDynamicProfiles"}},
    {
        "component": {"name": "SmartChargingCtrlr"},
        "variable": {"name": "SupportsFeature", "instance": "DynamicProfiles"},
    },
)
"""Whether it takes Dynamic profiles, by either edition of 2.1."""
_configuration = msgspec.json.Decoder(wire16.Configuration)
_variables = msgspec.json.Decoder(wire201.Variables)


def questions_for(hub: Hub) -> Callable[[Connection], Coroutine[Any, Any, None]]:
    """How stations of this hub are asked what they can, and told again what they should hold."""
    return lambda connection: Questions(hub, connection).run()


class Questions:
    """Asks one station over one connection."""

    def __init__(self, hub: Hub, connection: Connection) -> None:
        self._hub = hub
        self._connection = connection
        self._peer = connection.peer
        self._old = connection.version is Version.V16

    async def run(self) -> None:
        """Ask, configure, let it tell its state, then say again what it should hold."""
        try:
            if not self._peer.traits.asked:
                await self._ask()
            await self._tell_state()
            await self._hub.quiet(self._connection)
            self._hub.say_again(self._connection)
        except EmwError as error:
            log.info("ocpp.not_learned", station_id=self._peer.station_id, why=error.detail)

    async def _ask(self) -> None:
        told = await (self._ask_16() if self._old else self._ask_201())
        if told is None:
            return  # it does not answer, or does not know the question: asked again when it comes back
        read_traits(self._peer.traits, told, old=self._old)
        self._peer.traits.asked = True
        pin = self._peer.pin
        if pin is not None and pin.smart_charging is not None:
            self._peer.traits.smart = pin.smart_charging
        if pin is not None and pin.dynamic is False:
            self._peer.traits.dynamic = False
        if self._connection.relay is None:
            await self._configure(told)
        else:  # its configuration is its CSMS's: how often it meters is only read
            every = _number(told.get(INTERVALS[not self._old]))
            self._peer.traits.sample_s = every or None
        connectors = self._peer.traits.connectors or 0
        for number in range(1, min(connectors, MOST_CONNECTORS) + 1):
            await self._hub.charging.evse(self._peer, number)
        await self._hub.keep_traits(self._peer)
        if self._peer.traits.smart is not None:
            await self._hub.mark_smart(self._peer, can_limit=self._peer.traits.smart)

    async def _ask_16(self) -> dict[str, str] | None:
        got = await self._connection.call("GetConfiguration", encode({"key": KEYS_16}))
        if not isinstance(got, Answered):
            return None
        try:
            told = _configuration.decode(got.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return {key.key: key.value for key in told.configurationKey if key.value is not None}

    async def _ask_201(self) -> dict[str, str] | None:
        data: list[Any] = [{"component": {"name": c}, "variable": {"name": v}} for c, v in VARIABLES_201]
        if self._connection.version is Version.V21:
            data += VARIABLES_21
        got = await self._connection.call("GetVariables", encode({"getVariableData": data}))
        if not isinstance(got, Answered):
            return None
        try:
            told = _variables.decode(got.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return {
            f"{r.component.name}.{r.variable.name}": r.attributeValue
            for r in told.getVariableResult
            if as_specified(r.attributeStatus, ANSWERS) == "Accepted" and r.attributeValue is not None
        }

    async def _configure(self, told: dict[str, str]) -> None:
        """Set what we need for dispatch, where it stands otherwise."""
        self._peer.traits.reboot_for = []
        wanted = str(self._hub.settings.sample_s)
        names = (
            (INTERVALS[0], "MeterValuesSampledData", "WebSocketPingInterval")
            if self._old
            else (
                INTERVALS[1],
                "SampledDataCtrlr.TxUpdatedMeasurands",
                "OCPPCommCtrlr.WebSocketPingInterval",
            )
        )
        if told.get(names[0]) == wanted or await self._set(names[0], wanted):
            self._peer.traits.sample_s = self._hub.settings.sample_s
        has = told.get(names[1], "")
        if not {"Power.Active.Import", REGISTER} <= {m.strip() for m in has.split(",")}:
            for measurands in WANTED:
                if await self._set(names[1], measurands):
                    self._peer.traits.measurands = measurands
                    break
        ping = str(round(self._hub.settings.ping_s))
        if names[2] in told and told[names[2]] != ping and self._hub.pings(self._peer.station_id):
            await self._set(names[2], ping)

    async def _set(self, name: str, value: str) -> bool:
        if self._old:
            got = await self._connection.call("ChangeConfiguration", encode({"key": name, "value": value}))
            word = status_of(got.payload) if isinstance(got, Answered) else ""
            return self._is_set(name, word)
        component, _, variable = name.partition(".")
        data: list[dict[str, Any]] = [
            {"attributeValue": value, "component": {"name": component}, "variable": {"name": variable}}
        ]
        got = await self._connection.call("SetVariables", encode({"setVariableData": data}))
        told = got.payload if isinstance(got, Answered) else b""
        return self._is_set(name, next((w for w in SET if f'"{w}"'.encode() in told), ""))

    def _is_set(self, name: str, word: str) -> bool:
        """Whether a value was taken; from when on, is noted."""
        if word == SET[1]:
            log.info("ocpp.reboot_required", station_id=self._peer.station_id, setting=name)
            self._peer.traits.reboot_for.append(name)
        return word in SET

    async def _tell_state(self) -> None:
        """Let it say how its connectors stand and what its meters show."""
        if self._peer.traits.trigger is False:
            return
        if self._old:
            await trigger(self._connection, {"requestedMessage": "StatusNotification"})
        for plug in list(self._peer.plugs.values()):
            if not self._old:
                evse = {"id": plug.number, "connectorId": 1}
                await trigger(self._connection, {"requestedMessage": "StatusNotification", "evse": evse})
            if plug.transaction_id is not None:
                await ask(self._connection, plug)


def read_traits(traits: Traits, told: dict[str, str], *, old: bool) -> None:
    """What a station's configuration says of its smart charging, put into its traits. Pure but for `traits`."""
    if old:
        features = told.get("SupportedFeatureProfiles")
        if features is not None:
            traits.smart = "smartcharging" in _words(features)
        units = told.get("ChargingScheduleAllowedChargingRateUnit", "").casefold()
        traits.units = tuple(
            unit.value
            for unit, word in ((RateUnit.AMPS, "current"), (RateUnit.WATTS, "power"))
            if word in units or unit.value.casefold() in _words(units)
        )
        traits.max_stack = _number(told.get("ChargeProfileMaxStackLevel"))
        traits.connectors = _number(told.get("NumberOfConnectors"))
        return
    enabled = told.get("SmartChargingCtrlr.Enabled")
    if enabled is not None:
        traits.smart = enabled.strip().lower() == "true"
    names = ("SmartChargingCtrlr.SupportsDynamicProfiles", "SmartChargingCtrlr.SupportsFeature")
    traits.dynamic = any(told.get(name, "").strip().lower() == "true" for name in names)
    said = _words(told.get("SmartChargingCtrlr.RateUnit", ""))
    traits.units = tuple(unit.value for unit in RateUnit if unit.value.casefold() in said)
    traits.max_stack = _number(told.get("SmartChargingCtrlr.ProfileStackLevel"))


def _words(text: str) -> set[str]:
    """The words of a list, in small letters: not every station keeps to the specification's capitals."""
    return {word.strip().casefold() for word in text.split(",")}


def _number(text: str | None) -> int | None:
    if text is None or not text.strip().isascii() or not text.strip().isdigit():
        return None
    return min(int(text.strip()[:6]), 100_000)
