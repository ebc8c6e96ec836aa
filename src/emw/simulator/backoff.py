"""How long a station leaves a server alone that does not answer, whatever it speaks."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class BackOff:
    """Pauses, doubling from `base_s` to `cap_s`, with jitter."""

    base_s: float = 1.0
    cap_s: float = 60.0

    def delay_s(self, failures: int, rng: Random) -> float:
        """Half to all of the doubled delay: stations that failed together must not return together."""
        return min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 16)) * rng.uniform(0.5, 1.0)
