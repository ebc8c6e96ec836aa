"""A station's settings: configuration keys in 1.6, variables of components in 2.0.1, one value behind both."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from emw.simulator.ocpp import meter
from emw.simulator.ocpp.habits import Habits, Smart
from emw.simulator.ocpp.orders import MAX_STACK, MOST_PERIODS
from emw.simulator.ocpp.shelf import MOST_PROFILES

Variable = tuple[str, str]
"""Component and variable."""

_MOST_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting. `key`: its name in 1.6; `variable`: in 2.0.1; None where that version has no such thing.

    `kind`: text, whole, flag, measurands or secret (can be written and not read).
    """

    value: str
    key: str | None = None
    variable: Variable | None = None
    kind: str = "text"
    fixed: bool = True


HEARTBEAT: Final = "HeartbeatInterval"
SAMPLE: Final = "MeterValueSampleInterval"
SAMPLED: Final = "MeterValuesSampledData"
SECRET: Final = "AuthorizationKey"  # noqa: S105 - the name of a setting, not a secret


def _whole(value: int, key: str | None, variable: Variable | None, *, fixed: bool = False) -> Setting:
    return Setting(value=str(value), key=key, variable=variable, kind="whole", fixed=fixed)


def _flag(value: bool, key: str | None, variable: Variable | None, *, fixed: bool = True) -> Setting:
    return Setting(value=str(value).lower(), key=key, variable=variable, kind="flag", fixed=fixed)


def _text(value: str, key: str | None, variable: Variable | None) -> Setting:
    return Setting(value=value, key=key, variable=variable)


@lru_cache(maxsize=256)
def _all(habits: Habits, phases: int, most_w: float) -> tuple[Setting, ...]:
    """What stations of one kind have in common: thousands of them share it."""
    smart = habits.smart is not Smart.NONE
    profiles = "Core,RemoteTrigger" + (",SmartCharging" if smart else "")
    old_units = ",".join(name for unit, name in (("A", "Current"), ("W", "Power")) if unit in habits.units)
    sampled = f"{meter.ENERGY},{meter.POWER},{meter.CURRENT},{meter.VOLTAGE}"
    found = [
        _text(profiles, "SupportedFeatureProfiles", None),
        _whole(1, "NumberOfConnectors", None, fixed=True),
        _whole(50, "GetConfigurationMaxKeys", ("DeviceDataCtrlr", "ItemsPerMessage"), fixed=True),
        _whole(300, HEARTBEAT, ("OCPPCommCtrlr", "HeartbeatInterval")),
        _whole(0, "WebSocketPingInterval", ("OCPPCommCtrlr", "WebSocketPingInterval")),
        _whole(60, SAMPLE, ("SampledDataCtrlr", "TxUpdatedInterval")),
        Setting(
            value=sampled,
            key=SAMPLED,
            variable=("SampledDataCtrlr", "TxUpdatedMeasurands"),
            kind="measurands",
            fixed=False,
        ),
        _whole(0, "ClockAlignedDataInterval", ("AlignedDataCtrlr", "Interval"), fixed=True),
        _text("", "MeterValuesAlignedData", ("AlignedDataCtrlr", "Measurands")),
        _text("", "StopTxnAlignedData", None),
        _text("", "StopTxnSampledData", ("SampledDataCtrlr", "TxEndedMeasurands")),
        _whole(60, "ConnectionTimeOut", ("TxCtrlr", "EVConnectionTimeOut")),
        _whole(3, "TransactionMessageAttempts", ("OCPPCommCtrlr", "MessageAttempts"), fixed=True),
        _whole(
            10, "TransactionMessageRetryInterval", ("OCPPCommCtrlr", "MessageAttemptInterval"), fixed=True
        ),
        _whole(1, "ResetRetries", ("OCPPCommCtrlr", "ResetRetries")),
        _text("NotApplicable", "ConnectorPhaseRotation", None),
        _flag(True, "AuthorizeRemoteTxRequests", ("AuthCtrlr", "AuthorizeRemoteStart")),
        _flag(True, "LocalAuthorizeOffline", ("AuthCtrlr", "LocalAuthorizeOffline")),
        _flag(False, "LocalPreAuthorize", ("AuthCtrlr", "LocalPreAuthorize")),
        _flag(True, "StopTransactionOnInvalidId", ("TxCtrlr", "StopTxOnInvalidId")),
        _flag(True, "StopTransactionOnEVSideDisconnect", ("TxCtrlr", "StopTxOnEVSideDisconnect")),
        _flag(True, "UnlockConnectorOnEVSideDisconnect", None),
        _text("EVConnected", None, ("TxCtrlr", "TxStartPoint")),
        _text("EVConnected", None, ("TxCtrlr", "TxStopPoint")),
        _flag(True, None, ("EVSE", "Available")),
        _whole(round(most_w), None, ("EVSE", "Power"), fixed=True),
        _whole(phases, None, ("EVSE", "SupplyPhases"), fixed=True),
        Setting(
            value="",
            key=SECRET,
            variable=("SecurityCtrlr", "BasicAuthPassword"),
            kind="secret",
            fixed=False,
        ),
    ]
    smart_settings = [
        _text(old_units, "ChargingScheduleAllowedChargingRateUnit", None),
        _whole(
            MAX_STACK, "ChargeProfileMaxStackLevel", ("SmartChargingCtrlr", "ProfileStackLevel"), fixed=True
        ),
        _whole(
            MOST_PERIODS,
            "ChargingScheduleMaxPeriods",
            ("SmartChargingCtrlr", "PeriodsPerSchedule"),
            fixed=True,
        ),
        _whole(MOST_PROFILES, "MaxChargingProfilesInstalled", None, fixed=True),
        _flag(True, None, ("SmartChargingCtrlr", "Enabled")),
        _flag(True, None, ("SmartChargingCtrlr", "Available")),
        _text(",".join(sorted(habits.units)), None, ("SmartChargingCtrlr", "RateUnit")),
    ]
    return (*found, *(smart_settings if smart else [_flag(False, None, ("SmartChargingCtrlr", "Enabled"))]))


class Unsettable(Exception):
    """A setting was not changed; `word` says why as 1.6 and 2.0.1 both call it: Rejected, or what is unknown."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Settings:
    """All settings of one station."""

    def __init__(self, habits: Habits, *, phases: int, most_w: float) -> None:
        """As from the factory."""
        self._settings = _all(habits, phases, most_w)
        self._changed: dict[int, str] = {}

    def of(self, version_16: bool) -> list[tuple[Setting, str]]:
        """Every setting that this version knows, and what it is set to."""
        return [
            (one, self._changed.get(place, one.value))
            for place, one in enumerate(self._settings)
            if (one.key if version_16 else one.variable) is not None
        ]

    def find(self, name: str | Variable) -> tuple[Setting, str] | None:
        """A setting by either of its names, and what it is set to."""
        place = self._place(name)
        if place is None:
            return None
        return self._settings[place], self._changed.get(place, self._settings[place].value)

    def text(self, key: str) -> str:
        """A setting of ours."""
        found = self.find(key)
        if found is None:
            raise KeyError(key)
        return found[1]

    def seconds(self, key: str) -> float:
        """A time span of ours."""
        return float(self.text(key))

    def change(self, name: str | Variable, value: str) -> Setting:
        """Set it. Raises `Unsettable`, and then nothing has changed."""
        place = self._place(name)
        if place is None:
            raise Unsettable("unknown")
        setting = self._settings[place]
        if setting.fixed or not _fits(setting.kind, value):
            raise Unsettable("Rejected")
        self._changed[place] = value
        return setting

    def measurands(self) -> tuple[str, ...]:
        """What meter values are to hold."""
        return tuple(word.strip() for word in self.text(SAMPLED).split(",") if word.strip())

    def _place(self, name: str | Variable) -> int | None:
        for place, one in enumerate(self._settings):
            if name in {one.key, one.variable}:
                return place
        return None


def _fits(kind: str, value: str) -> bool:
    match kind:
        case "whole":
            return value.isascii() and value.isdecimal() and len(value) < 8 and int(value) <= _MOST_S
        case "flag":
            return value in {"true", "false"}
        case "measurands":  # one that is not known, and the whole list is refused: so do many stations
            return all(word.strip() in meter.MEASURANDS for word in value.split(",")) if value else True
        case "secret":
            return 16 <= len(value) <= 40
    return len(value) <= 500
