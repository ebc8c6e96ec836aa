"""How fast a station may speak, per kind of message: token buckets. Pure: `now` is seconds of a steady clock.

What belongs to transactions may come in bursts (a station that was offline replays what it kept, and what is refused
it sends again for ever); the rest is what a broken station floods a central system with.
"""

from __future__ import annotations

from typing import Final

USUAL: Final = (5.0, 60.0)
REFUSED: Final = ""
"""Of frames that can't be taken, whatever they say, so many are borne: then the connection is closed."""
RATES: Final[dict[str, tuple[float, float]]] = {
    "BootNotification": (0.2, 10.0),
    "Heartbeat": (1.0, 30.0),
    "Authorize": (2.0, 30.0),
    "MeterValues": (100.0, 2_000.0),
    "TransactionEvent": (100.0, 5_000.0),
    "StartTransaction": (100.0, 2_000.0),
    "StopTransaction": (100.0, 2_000.0),
    "StatusNotification": (20.0, 500.0),
    REFUSED: (0.1, 200.0),
}
"""Messages a second in the long run, and at once."""


class Rates:
    """One connection's buckets: of each, the moment from which on it is full again."""

    __slots__ = ("_full_at",)

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}

    def admits(self, action: str, now: float) -> bool:
        """Whether one more message of this kind is taken now."""
        rate, burst = RATES.get(action) or USUAL
        full_at = self._full_at.get(action)
        if full_at is None or full_at < now:
            full_at = now
        elif (full_at - now) * rate > burst - 1.0:
            return False
        self._full_at[action] = full_at + 1.0 / rate
        return True
