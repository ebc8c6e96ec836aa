"""What emw takes from messages that only pass by, between a station and its CSMS: the same facts, but no answer.

What the CSMS decides (whether a station is accepted, a transaction's number, who may charge) is taken from its answer.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final

import msgspec
from msgspec import Struct

from emw.stations.ocpp import wire16, wire201
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.home import Handler
from emw.stations.ocpp.v16 import V16
from emw.stations.ocpp.v201 import V201
from emw.stations.ocpp.wire import EMPTY, Status

KEPT: Final = (
    "StatusNotification",
    "StopTransaction",
    "MeterValues",
    "TransactionEvent",
    "NotifyChargingLimit",
    "ClearedChargingLimit",
    "NotifyEVChargingNeeds",
    "NotifyPriorityCharging",
)


class Booted16(Struct):
    """BootNotification and its answer."""

    said: wire16.BootNotification
    told: Status


class Booted201(Struct):
    """The same in 2.x."""

    said: wire201.BootNotification
    told: Status


class Started16(Struct):
    """StartTransaction and its answer: the number is the CSMS's."""

    said: wire16.StartTransaction
    told: wire16.StartOut


def watched_16(old: V16) -> dict[str, Handler]:
    """What is taken of 1.6 where a CSMS of the station's own answers."""

    def boot(c: Connection, seen: Booted16) -> bytes | Coroutine[Any, Any, bytes]:
        return old.boot(c, seen.said) if seen.told.status == "Accepted" else EMPTY

    def start(c: Connection, seen: Started16) -> Coroutine[Any, Any, bytes]:
        return old.began(c, seen.said, seen.told.transactionId, seen.told.idTagInfo.status)

    return _kept(old.handlers()) | {
        "BootNotification": Handler(msgspec.json.Decoder(Booted16), boot),
        "StartTransaction": Handler(msgspec.json.Decoder(Started16), start),
    }


def watched_201(new: V201) -> dict[str, Handler]:
    """The same of 2.x."""

    def boot(c: Connection, seen: Booted201) -> bytes | Coroutine[Any, Any, bytes]:
        return new.boot(c, seen.said) if seen.told.status == "Accepted" else EMPTY

    return _kept(new.handlers()) | {"BootNotification": Handler(msgspec.json.Decoder(Booted201), boot)}


def _kept(handlers: dict[str, Handler]) -> dict[str, Handler]:
    return {name: handler for name, handler in handlers.items() if name in KEPT}
