"""The messages of OCPP 2.0.1 that emw reads and writes; 2.1 has them too."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from emw.stations.ocpp.wire import MeasuredValue, MeterValue

EvseNumber = Annotated[int, Meta(ge=0, le=1_000)]


class ChargingStation(Struct, gc=False):
    """Who boots."""

    model: str
    vendorName: str
    serialNumber: str | None = None
    firmwareVersion: str | None = None


class BootNotification(Struct, gc=False):
    """A station (re)booted."""

    chargingStation: ChargingStation
    reason: str = "Unknown"


class StatusNotification(Struct, gc=False):
    """A connector's state."""

    evseId: EvseNumber
    connectorStatus: str
    connectorId: int = 1
    timestamp: str | None = None


class IdToken(Struct, gc=False):
    """Who wants to charge."""

    idToken: str
    type: str = "Central"


class Authorize(Struct, gc=False):
    """May this token charge?"""

    idToken: IdToken


class TransactionInfo(Struct, gc=False):
    """Which transaction, and how it stands. The station gives the id."""

    transactionId: Annotated[str, Meta(max_length=255)]
    chargingState: str | None = None
    stoppedReason: str | None = None


class EvseRef(Struct, gc=False):
    """An EVSE of the station."""

    id: EvseNumber
    connectorId: int | None = None


class TransactionEvent(Struct, gc=False):
    """A transaction began, went on or ended."""

    eventType: str
    transactionInfo: TransactionInfo
    timestamp: str = ""
    triggerReason: str = ""
    offline: bool = False
    evse: EvseRef | None = None
    idToken: IdToken | None = None
    meterValue: list[MeterValue] = []


class UsualEvent(TransactionEvent, gc=False):
    """A transaction event whose readings are as usual."""

    meterValue: list[MeasuredValue] = []  # type: ignore[assignment]  # read alike


class MeterValues(Struct, gc=False):
    """Readings of an EVSE outside of a transaction."""

    evseId: EvseNumber
    meterValue: list[MeterValue] = []


class TokenInfo(Struct):
    """What we say of a token."""

    status: str


class TokenOut(Struct):
    """Authorize's answer, and TransactionEvent's where a token came with it."""

    idTokenInfo: TokenInfo


class AcNeeds(Struct, gc=False):
    """What a vehicle on alternating current wants, Wh, and what it can take, A per phase."""

    energyAmount: float | None = None
    evMinCurrent: float | None = None
    evMaxCurrent: float | None = None


class DcNeeds(Struct, gc=False):
    """What a vehicle on direct current wants: Wh, or per cent of its battery; and what it can take: A, V, W."""

    energyAmount: float | None = None
    stateOfCharge: float | None = None
    evEnergyCapacity: float | None = None
    fullSoC: float | None = None
    evMaxCurrent: float | None = None
    evMaxVoltage: float | None = None
    evMaxPower: float | None = None


class V2xNeeds(Struct, gc=False):
    """2.1, ISO 15118-20: Wh, and W: of all phases, or where L2 and L3 are told of L1 alone."""

    evTargetEnergyRequest: float | None = None
    minChargePower: float | None = None
    minChargePower_L2: float | None = None
    minChargePower_L3: float | None = None
    maxChargePower: float | None = None
    maxChargePower_L2: float | None = None
    maxChargePower_L3: float | None = None


class ChargingNeeds(Struct, gc=False):
    """What a vehicle wants, and until when."""

    departureTime: str | None = None
    acChargingParameters: AcNeeds | None = None
    dcChargingParameters: DcNeeds | None = None
    v2xChargingParameters: V2xNeeds | None = None


class NotifyEVChargingNeeds(Struct, gc=False):
    """A vehicle said by ISO 15118 what it needs."""

    evseId: Annotated[int, Meta(ge=1, le=1_000)]
    chargingNeeds: ChargingNeeds


class LimitPeriod(Struct, gc=False):
    """A step of a schedule."""

    limit: float | None = None


class LimitSchedule(Struct, gc=False):
    """A schedule of somebody else's."""

    chargingRateUnit: str
    chargingSchedulePeriod: list[LimitPeriod] = []


class LimitSource(Struct, frozen=True, gc=False):
    """Whose limit it is."""

    chargingLimitSource: str = ""


class NotifyChargingLimit(Struct, gc=False):
    """Somebody else limits, too: an EVSE, or the whole station."""

    evseId: EvseNumber | None = None
    chargingLimit: LimitSource = LimitSource()
    chargingSchedule: list[LimitSchedule] = []


class ClearedChargingLimit(Struct, gc=False):
    """Somebody else limits no more."""

    chargingLimitSource: str = ""
    evseId: EvseNumber | None = None


class NotifyPriorityCharging(Struct, gc=False):
    """2.1: a driver wants to charge without limits, or no more."""

    transactionId: str
    activated: bool


class PullDynamicScheduleUpdate(Struct, gc=False):
    """2.1: what holds of a Dynamic profile?"""

    chargingProfileId: int


class Named(Struct, gc=False):
    """A component or a variable."""

    name: str
    instance: str | None = None
    evse: EvseRef | None = None


class VariableResult(Struct, gc=False):
    """One variable's value."""

    attributeStatus: str
    component: Named
    variable: Named
    attributeValue: str | None = None


class Variables(Struct, gc=False):
    """GetVariables' answer."""

    getVariableResult: list[VariableResult] = []
