"""What all versions of OCPP say alike, and the handlers of what has one answer or is only noted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog

from emw.service.ports import Clock
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.home import Handler
from emw.stations.ocpp.wire import EMPTY, Anything, DataTransferIn, HeartbeatOut, encode, stamp

log = structlog.get_logger()
UNKNOWN_VENDOR: Final = b'{"status":"UnknownVendorId"}'
REFUSED: Final = b'{"status":"Rejected"}'
NOTED: Final = ("FirmwareStatusNotification", "LogStatusNotification", "SecurityEventNotification")


def handlers_of(
    clock: Clock, kinds: Mapping[str, tuple[type[Any], Any]], noted: Iterable[str]
) -> dict[str, Handler]:
    """Action to handler: a version's own `kinds`, what it says and is only `noted`, and what all versions say."""

    def heartbeat(_: Connection, __: Anything) -> bytes:
        return encode(HeartbeatOut(stamp(clock.now())))

    all_kinds: dict[str, tuple[type[Any], Any]] = {
        "Heartbeat": (Anything, heartbeat),
        "DataTransfer": (DataTransferIn, always(UNKNOWN_VENDOR)),
        "SignCertificate": (Anything, always(REFUSED)),
        **{name: (Anything, _note(name)) for name in (*NOTED, *noted)},
        **kinds,
    }
    return {
        name: Handler(msgspec.json.Decoder(kind, strict=False), take)
        for name, (kind, take) in all_kinds.items()
    }


def always(answer: bytes) -> Callable[[Connection, Anything], bytes]:
    """A handler that has one answer."""
    return lambda _, __: answer


def then(work: Coroutine[Any, Any, None] | None) -> bytes | Coroutine[Any, Any, bytes]:
    """An empty answer, after `work` where there is some."""
    return EMPTY if work is None else _empty_after(work)


async def _empty_after(work: Coroutine[Any, Any, None]) -> bytes:
    await work
    return EMPTY


def _note(name: str) -> Callable[[Connection, Anything], bytes]:
    def take(connection: Connection, _: Anything) -> bytes:
        log.info("ocpp.noted", station_id=connection.peer.station_id, what=name)
        return EMPTY

    return take
