"""What happened, line by line: a hash over all of it, the last lines for whoever has to read them."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from typing import Final

KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that did not hold: which, when (virtual seconds) and the numbers."""

    promise: str
    at_s: float
    detail: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.promise} at {self.at_s:.3f} s: {self.detail}"


class Trace:
    """Lines of a run. The same seed gives the same lines in every process: so the hash tells two runs apart."""

    def __init__(self, *, echo: bool = False) -> None:
        self.lines = 0
        self.last: deque[str] = deque(maxlen=KEPT)
        self._echo = echo
        self._digest = hashlib.blake2b(digest_size=16)

    def say(self, at_s: float, what: str) -> None:
        """Note one thing that happened."""
        line = f"{at_s:12.3f} {what}"
        self.lines += 1
        self.last.append(line)
        self._digest.update(line.encode("utf-8", "backslashreplace"))
        if self._echo:
            print(line)  # noqa: T201 - asked for

    @property
    def hash(self) -> str:
        """The hash over every line so far."""
        return self._digest.hexdigest()
