"""What real OCPP stations do otherwise than the specification says. Each one was seen in the field."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Version(StrEnum):
    """The versions a simulated station speaks, by their subprotocol."""

    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"


class Smart(StrEnum):
    """What a station makes of charging profiles: it obeys, says yes and forgets them, or knows nothing of them."""

    OBEYS = "obeys"
    IGNORES = "ignores"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """A station's ways. As they are here: everything the specification asks for.

    units: in which limits are taken. heeds_duration, heeds_valid_to: which end of a profile counts.
    silent_after_outage: no meter values once the connection was lost. power_per_phase: never a total. boots_again: says
    BootNotification on each connection and not after a restart only.
    """

    units: frozenset[str] = frozenset({"A", "W"})
    heeds_duration: bool = True
    heeds_valid_to: bool = True
    smart: Smart = Smart.OBEYS
    silent_after_outage: bool = False
    power_per_phase: bool = False
    boots_again: bool = True


NORMAL: Final = Habits()

_CHANGES: Final[dict[str, dict[str, object]]] = {
    "w-only": {"units": frozenset({"W"})},
    "a-only": {"units": frozenset({"A"})},
    "duration-only": {"heeds_valid_to": False},
    "valid-to-only": {"heeds_duration": False},
    "ignores": {"smart": Smart.IGNORES},
    "no-smart-charging": {"smart": Smart.NONE},
    "silent-meter": {"silent_after_outage": True},
    "phase-power": {"power_per_phase": True},
    "no-boot": {"boots_again": False},
}
NAMES: Final = tuple(_CHANGES)


def habits_of(*names: str) -> Habits:
    """The habits with these names, all at once. Raises KeyError for a name that is not in `NAMES`."""
    changes: dict[str, object] = {}
    for name in names:
        changes |= _CHANGES[name]
    return replace(NORMAL, **changes)  # type: ignore[arg-type]
