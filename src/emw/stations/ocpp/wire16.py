"""The messages of OCPP 1.6 that emw reads and writes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from emw.stations.ocpp.wire import MeasuredValue, MeterValue

Connector = Annotated[int, Meta(ge=0, le=1_000)]


class BootNotification(Struct, gc=False):
    """A station (re)booted."""

    chargePointVendor: str
    chargePointModel: str
    chargePointSerialNumber: str | None = None
    firmwareVersion: str | None = None


class StatusNotification(Struct, gc=False):
    """A connector's state; connector 0 is the station."""

    connectorId: Connector
    status: str
    timestamp: str | None = None


class Authorize(Struct, gc=False):
    """May this tag charge?"""

    idTag: str


class StartTransaction(Struct, gc=False):
    """Charging begins; we give the number."""

    connectorId: Connector
    idTag: str = ""
    meterStart: float = 0.0
    timestamp: str = ""


class StopTransaction(Struct, gc=False):
    """Charging is over. Without a number, or a register: taken all the same, or it is said for ever."""

    transactionId: int = 0
    meterStop: float | None = None
    timestamp: str = ""
    reason: str | None = None
    transactionData: list[MeterValue] = []


class MeterValues(Struct, gc=False):
    """Readings of a connector."""

    connectorId: Connector
    meterValue: list[MeterValue] = []
    transactionId: int | None = None


class MeasuredValues(Struct, gc=False):
    """Readings of a connector as they usually are."""

    connectorId: Connector
    meterValue: list[MeasuredValue] = []
    transactionId: int | None = None


class TagInfo(Struct):
    """What we say of a tag."""

    status: str


class TagOut(Struct):
    """Authorize's and StopTransaction's answer."""

    idTagInfo: TagInfo


class StartOut(Struct):
    """StartTransaction's answer."""

    idTagInfo: TagInfo
    transactionId: int


class ConfigurationKey(Struct, gc=False):
    """One key of a station's configuration."""

    key: str
    readonly: bool = False
    value: str | None = None


class Configuration(Struct, gc=False):
    """GetConfiguration's answer."""

    configurationKey: list[ConfigurationKey] = []
    unknownKey: list[str] = []
