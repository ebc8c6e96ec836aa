"""What is known of one station's smart charging: asked at boot, learned from answers, remembered per station.

Kept as JSON in the station's record, so that it outlives sockets and restarts; a reboot with other firmware forgets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

import msgspec
from msgspec import Struct


class Purpose(StrEnum):
    """What a charging profile limits, in the words of 1.6; 2.x calls the last one otherwise."""

    TX = "TxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    STATION_MAX = "ChargePointMaxProfile"


class RateUnit(StrEnum):
    """In what a limit is told."""

    AMPS = "A"
    WATTS = "W"


AMPS_FIRST: Final = (RateUnit.AMPS, RateUnit.WATTS)
WATTS_FIRST: Final = (RateUnit.WATTS, RateUnit.AMPS)


class Their(Struct, omit_defaults=True):
    """A charging profile that the station's own CSMS has set.

    `place`: connector or EVSE, 0 the station. Of each unit the lowest limit of all periods: A per phase, W in all.
    """

    number: int
    place: int
    purpose: str
    level: int
    limit_a: float | None = None
    limit_w: float | None = None
    valid_to: str | None = None
    transaction: str | None = None


class Pin(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the operator says of a make, whatever its stations say or show. Patterns of vendor, model and firmware."""

    vendor: str = "*"
    model: str = "*"
    firmware: str = "*"
    unit: RateUnit | None = None
    purposes: tuple[Purpose, ...] = ()
    valid_to: bool | None = None
    smart_charging: bool | None = None
    dynamic: bool | None = None

    def fits(self, vendor: str, model: str, firmware: str | None) -> bool:
        """Whether it is said of these stations."""
        told = ((vendor, self.vendor), (model, self.model), (firmware or "", self.firmware))
        return all(fnmatchcase(word.casefold(), pattern.casefold()) for word, pattern in told)


class Traits(Struct, omit_defaults=True):
    """A station's ways. `None`: not known yet. `theirs`: profiles of its CSMS, where emw stands between the two.

    `refused`: pairs of purpose and unit, as "TxProfile/A", that it rejected while another was accepted.
    `used`: purposes under which a profile of ours may lie in it.
    `dynamic`: whether a 2.1 station's profiles can be changed in place, as it says, until it shows otherwise.
    `reboot_for`: settings that it has taken, and keeps to only from its next boot on.
    `trigger_event`: whether a 2.x station tells of a transaction when asked to; else its meter alone is asked.
    `security`: the highest security profile by which it has proved itself, with the secret of `security_of`.
    """

    asked: bool = False
    smart: bool | None = None
    units: tuple[str, ...] = ()
    max_stack: int | None = None
    connectors: int | None = None
    refused: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    valid_to: bool = True
    composite: str | None = None
    dynamic: bool = False
    measurands: str | None = None
    sample_s: int | None = None
    reboot_for: list[str] = []
    trigger: bool | None = None
    trigger_event: bool | None = None
    security: int = 0
    security_of: str = ""
    theirs: tuple[Their, ...] = ()

    def next_way(
        self,
        purposes: list[Purpose],
        tried: Sequence[tuple[Purpose, RateUnit]],
        *,
        watts_first: bool = False,
        pin: Pin | None = None,
    ) -> tuple[Purpose, RateUnit] | None:
        """The best purpose and unit not tried yet; what was refused before comes last and is not left out.

        `watts_first`: what a station says that it takes only amps of still gets amps. `pin`: what the operator says.
        """
        watts = self.units[0] == "W" or (watts_first and "W" in self.units) if self.units else watts_first
        units: tuple[RateUnit, ...] = WATTS_FIRST if watts else AMPS_FIRST
        if pin is not None:
            units = units if pin.unit is None else (pin.unit,)
            purposes = [p for p in pin.purposes if p in purposes] if pin.purposes else purposes
        last: tuple[Purpose, RateUnit] | None = None
        for purpose in purposes:
            for unit in units:
                way = (purpose, unit)
                if way in tried:
                    continue
                if not self.refused or not self.refuses(purpose, unit):
                    return way
                last = last or way
        return last

    def secured(self, secret_hash: str) -> int:
        """Below which security profile it may not come: it goes up, never down, until its secret is renewed."""
        return self.security if self.security_of == secret_hash[:12] else 0

    def secure(self, profile: int, secret_hash: str) -> bool:
        """It has proved itself by this profile; whether that is news."""
        if profile <= self.secured(secret_hash):
            return False
        self.security, self.security_of = profile, secret_hash[:12]
        return True

    def refuses(self, purpose: Purpose, unit: RateUnit) -> bool:
        """Whether it has rejected this and taken something else instead."""
        return f"{purpose.value}/{unit.value}" in self.refused

    def first_way(self, purpose: Purpose, *, watts_first: bool) -> tuple[Purpose, RateUnit]:
        """`next_way` where nothing was refused or tried and the operator has said nothing. Hot."""
        units = self.units
        watts = units[0] == "W" or (watts_first and "W" in units) if units else watts_first
        return purpose, RateUnit.WATTS if watts else RateUnit.AMPS


def read(text: str) -> Traits:
    """Traits as they were written; what can't be read is asked again."""
    if not text:
        return Traits()
    try:
        return msgspec.json.decode(text, type=Traits)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Traits()


def write(traits: Traits) -> str:
    """Traits as JSON text."""
    return msgspec.json.encode(traits).decode()
