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


class NotifyChargingLimit(Struct, gc=False):
    """Somebody else limits, too."""

    evseId: int | None = None


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
