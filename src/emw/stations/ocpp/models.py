"""What was learned of one station is tried first on the others of its vendor, model and firmware.

Nothing of it is code: it is read from the records of stations, and the latest word of a make counts. Shared is only
what costs nothing where it is wrong: which ways were rejected come last and are tried all the same. What the operator
says of a make (a pin) stands above what was learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emw.domain.model import StationTraits
from emw.stations.ocpp.traits import Pin, Traits, read


class Make(NamedTuple):
    """Stations that are alike."""

    vendor: str
    model: str
    firmware: str | None
    version: str


class Models:
    """The ways of makes, by what their stations have shown."""

    def __init__(self, pins: Sequence[Pin] = ()) -> None:
        self._pins = pins
        self._shown: dict[Make, Traits] = {}

    def recall(self, record: StationTraits) -> None:
        """Take up what was learned before a restart."""
        if record.traits:
            self.learn(record, read(record.traits))

    def learn(self, record: StationTraits, traits: Traits) -> None:
        """A station has taken a limit, in whatever way: its make is like that. Others say nothing yet."""
        if record.model and traits.used:
            self._shown[_make(record)] = Traits(refused=traits.refused, valid_to=traits.valid_to)

    def pinned(self, record: StationTraits | None) -> Pin | None:
        """What the operator says of a station's make; the first that fits."""
        if record is None:
            return None
        return next((p for p in self._pins if p.fits(record.vendor, record.model, record.firmware)), None)

    def start(self, record: StationTraits) -> Traits:
        """What to begin with for a station that is new, or has other firmware now."""
        shown = self._shown.get(_make(record))
        return Traits() if shown is None else Traits(refused=shown.refused, valid_to=shown.valid_to)


def _make(record: StationTraits) -> Make:
    return Make(record.vendor, record.model, record.firmware, record.version)
