"""Which stations of a fleet speak what: shares of protocols, and of what real OCPP stations do otherwise. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from random import Random
from typing import Final

from emw.simulator.ocpp.habits import NAMES, Version, habits_of
from emw.simulator.ocpp.station import Ways


class Protocol(StrEnum):
    """What a fleet speaks."""

    REST = "rest"
    OCPP16 = "ocpp1.6"
    OCPP201 = "ocpp2.0.1"
    MIXED = "mixed"


_SHARES: Final[dict[Protocol, dict[Version, float]]] = {
    Protocol.REST: {},
    Protocol.OCPP16: {Version.V16: 1.0},
    Protocol.OCPP201: {Version.V201: 1.0},
    Protocol.MIXED: {Version.V16: 0.12, Version.V201: 0.08},
}


class BadHabit(ValueError):
    """A habit that no station has, or a share that is none; the message says which."""


def ways_of(
    evse_ids: Iterable[str],
    protocol: Protocol,
    *,
    seed: int = 0,
    habits: Mapping[str, float] | None = None,
    tag: str = "simulated",
) -> dict[str, Ways]:
    """Those of these stations that speak OCPP, and how; the others speak REST.

    Shares are kept to the station (rounded up, so that a small mixed fleet has some of each); who it is, is drawn by
    the seed. `habits`: name to share (0-1) of the OCPP stations; one station may have several.
    """
    order = sorted(evse_ids)
    Random(f"protocol:{seed}").shuffle(order)
    versions: dict[str, Version] = {}
    for version, share in _SHARES[protocol].items():
        begin = len(versions)
        versions |= dict.fromkeys(order[begin : begin + -int(-share * len(order) // 1)], version)
    found = {}
    for evse_id, version in versions.items():
        rng = Random(f"habits:{seed}:{evse_id}")
        drawn = [name for name in NAMES if rng.random() < (habits or {}).get(name, 0.0)]
        found[evse_id] = Ways(version=version, habits=habits_of(*drawn), tag=tag[:20])
    return found


def habits_told(told: Sequence[str]) -> dict[str, float]:
    """Habits and their shares from texts like `w-only=0.2` or `w-only` (all). Raises `BadHabit`."""
    found = {}
    for text in told:
        name, _, share = text.partition("=")
        if name not in NAMES:
            raise BadHabit(f"{name!r} is none of {', '.join(NAMES)}")
        try:
            found[name] = float(share or 1.0)
        except ValueError as error:
            raise BadHabit(f"{share!r} is no share between 0 and 1") from error
        if not 0.0 <= found[name] <= 1.0:
            raise BadHabit(f"{share} is no share between 0 and 1")
    return found
