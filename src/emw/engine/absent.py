"""Vehicles that a snapshot does not tell of: most have left, some are told of again a minute later. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emw.engine.estimate import Estimator
from emw.engine.past import Past

LASTS_MIN = 15.0
"""Who was away for longer is another story."""

Key = tuple[str, float]
"""EVSE and time of plug-in: one stay."""


class _Gone(NamedTuple):
    at_min: float
    places: dict[Key, int]
    past: Past


class Absent:
    """Keeps for a while what was known of those who are not told of any more."""

    def __init__(self) -> None:
        self._gone: deque[_Gone] = deque()

    def note(self, rows: Mapping[Key, int], told: Mapping[Key, int], est: Estimator, now_min: float) -> None:
        """Before an estimator takes in a round: which of its `rows` are not `told` of."""
        while self._gone and now_min - self._gone[0].at_min > LASTS_MIN:
            self._gone.popleft()
        gone = {row: key for key, row in rows.items() if key not in told}
        if not gone:
            return
        known, past = est.past()
        places = {gone[row]: place for place, row in enumerate(known.tolist()) if row in gone}
        if places:
            self._gone.append(_Gone(now_min, places, past))

    def recall(self, keys: Sequence[Key], was: Sequence[int]) -> Past | None:
        """What was known of those who are told of again (`was` -1), by row; None: of nobody."""
        again = [
            (row, gone.past, gone.places.pop(key))
            for row, (key, before) in enumerate(zip(keys, was, strict=True))
            if before < 0
            for gone in self._gone
            if key in gone.places
        ]
        if not again:
            return None
        found = Past.nothing(len(keys))
        for row, past, place in again:
            for name in Past.__slots__:
                getattr(found, name)[row] = getattr(past, name)[place]
        return found
