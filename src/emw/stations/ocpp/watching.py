"""What emw takes from messages that only pass by, between a station and its CSMS: the same facts, but no answer.

What the CSMS decides (whether a station is accepted, a transaction's number, who may charge) is taken from its answer.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from emw.stations.ocpp import wire16, wire201
from emw.stations.ocpp.connection import Connection, Handler
from emw.stations.ocpp.wire import EMPTY, Status
from emw.stations.ocppj import Version

if TYPE_CHECKING:
    from emw.stations.ocpp.hub import Hub
    from emw.stations.ocpp.v16 import V16
    from emw.stations.ocpp.v201 import V201

KEPT: Final = (
    "StatusNotification",
    "StopTransaction",
    "MeterValues",
    "TransactionEvent",
    "NotifyChargingLimit",
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


class Watching:
    """Takes what passes by, in all versions."""

    def __init__(self, hub: Hub, old: V16, new: V201) -> None:
        self._old, self._new = old, new
        newer = self._table(hub, Version.V201, {"BootNotification": (Booted201, self._boot_201)})
        older: dict[str, tuple[type[Any], Any]] = {
            "BootNotification": (Booted16, self._boot_16),
            "StartTransaction": (Started16, self._start_16),
        }
        self.handlers = {
            Version.V16: self._table(hub, Version.V16, older),
            Version.V201: newer,
            Version.V21: newer,
        }

    @staticmethod
    def _table(hub: Hub, version: Version, awaited: dict[str, tuple[type[Any], Any]]) -> dict[str, Handler]:
        table = {name: h for name, h in hub.handlers(version).items() if name in KEPT}
        return table | {
            name: Handler(msgspec.json.Decoder(kind), take) for name, (kind, take) in awaited.items()
        }

    def _boot_16(self, c: Connection, seen: Booted16) -> bytes | Coroutine[Any, Any, bytes]:
        return self._old.boot(c, seen.said) if seen.told.status == "Accepted" else EMPTY

    def _boot_201(self, c: Connection, seen: Booted201) -> bytes | Coroutine[Any, Any, bytes]:
        return self._new.boot(c, seen.said) if seen.told.status == "Accepted" else EMPTY

    def _start_16(self, c: Connection, seen: Started16) -> Coroutine[Any, Any, bytes]:
        return self._old.began(c, seen.said, seen.told.transactionId, seen.told.idTagInfo.status)
