"""What both versions share in answering a central system: decoding, refusing, the arithmetic of schedules."""

from datetime import datetime, timedelta
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from emw.simulator.ocpp.framing import Refuse
from emw.simulator.ocpp.habits import Version
from emw.simulator.ocpp.meter import stamp
from emw.simulator.ocpp.profiles import Period
from emw.simulator.ocpp.station import OcppStation

Answer = dict[str, Any]
Wire = TypeVar("Wire")

LONGEST: Final = timedelta(days=2)
"""No composite schedule looks further ahead."""

_BAD: Final = {  # 1.6-J table 7 spells two of them so
    Version.V16: ("FormationViolation", "OccurenceConstraintViolation"),
    Version.V201: ("FormatViolation", "OccurrenceConstraintViolation"),
}


def decode(payload: bytes, kind: type[Wire], version: Version) -> Wire:
    """A payload as it should be. Raises `Refuse` with the fault's name."""
    malformed, missing = _BAD[version]
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError as error:
        why = str(error)
        if "missing required field" in why:
            raise Refuse(missing, why) from error
        word = "TypeConstraintViolation" if "got `" in why else "PropertyConstraintViolation"
        raise Refuse(word, why) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refuse(malformed, str(error)) from error


def unknown(action: str, known: frozenset[str]) -> NoReturn:
    """Refuse what this station doesn't do, or doesn't know at all."""
    if action in known:
        raise Refuse("NotSupported", f"{action} is not for this station")
    raise Refuse("NotImplemented", f"{action} is not known here")


def schedule(
    station: OcppStation, duration_s: int, unit: str, now: datetime
) -> tuple[str, int, list[dict[str, Any]]]:
    """What a composite schedule says: its start, its length in seconds, its periods in the unit."""
    span = min(timedelta(seconds=max(duration_s, 0)), LONGEST)
    reading = station.bay.read(now)
    supply = station.bay.supply(reading)
    steps = [_step(step, supply.limit(step.limit_a, unit)) for step in station.bay.composite(span, now)]
    return stamp(reading.at), int(span.total_seconds()), steps


def _step(step: Period, limit: float) -> dict[str, Any]:
    return {"startPeriod": int(step.start.total_seconds()), "limit": limit}


def words_of(payload: bytes) -> dict[str, Any]:
    """A payload as it stands, read before with its type."""
    words: dict[str, Any] = msgspec.json.decode(payload)
    return words
