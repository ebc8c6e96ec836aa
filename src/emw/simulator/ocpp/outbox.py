"""What a station has to say over OCPP: one CALL on its way at a time, what belongs to a transaction kept until it is
answered. Sans I/O.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, Final

from emw.simulator.ocpp import framing

MOST_KEPT: Final = 512
"""Messages kept for a central system that is away. Then the oldest meter values go, and transactions last."""

_ATTEMPTS: Final = 3
_RETRY_S: Final = 10.0


class Worth(IntEnum):
    """How much depends on a message: a transaction's begin and end are the last to be given up."""

    PASSING = 0
    METER = 1
    TRANSACTION = 2


@dataclass(slots=True, eq=False)
class Saying:
    """One CALL to make. `payload` is made when it goes out: only then is a transaction's id known.

    `early`: may be said before the central system has accepted the station. `heard`: takes the answer.
    """

    action: str
    payload: Callable[[], Any]
    worth: Worth = Worth.PASSING
    early: bool = False
    heard: Callable[[bytes, datetime], None] | None = None
    attempts: int = 0
    id: str = ""


class Outbox:
    """First in, first out; survives lost connections and reboots."""

    def __init__(self, patience_s: float) -> None:
        """`patience_s`: how long an answer may take before the connection counts as dead."""
        self.said = 0
        self._patience = timedelta(seconds=patience_s)
        self._waiting: deque[Saying] = deque()
        self._flying: Saying | None = None
        self._deadline: datetime | None = None
        self._hold_until: datetime | None = None

    @property
    def deadline(self) -> datetime | None:
        """By when the CALL on its way must have been answered."""
        return self._deadline

    @property
    def kept(self) -> int:
        """Messages of transactions that nobody has acknowledged."""
        flying = self._flying is not None and self._flying.worth > Worth.PASSING
        return sum(saying.worth > Worth.PASSING for saying in self._waiting) + flying

    @property
    def empty(self) -> bool:
        """Whether everything is said and answered."""
        return self._flying is None and not self._waiting

    def say(self, saying: Saying, *, first: bool = False) -> None:
        """Put a message in line."""
        if first:
            self._waiting.appendleft(saying)
        else:
            self._waiting.append(saying)
        if len(self._waiting) > MOST_KEPT:
            self._give_up_one()

    def due(self, now: datetime, *, accepted: bool) -> datetime | None:
        """When `next` has something; None: not before an answer comes, or something happens."""
        if self._flying is not None or not self._waiting or not (accepted or self._waiting[0].early):
            return None
        return now if self._hold_until is None else max(now, self._hold_until)

    def next(self, now: datetime, *, accepted: bool) -> bytes | None:
        """The frame of the next CALL that may go out now. From here on it is on its way."""
        due = self.due(now, accepted=accepted)
        if due is None or due > now:
            return None
        saying = self._flying = self._waiting.popleft()
        self.said += 1
        saying.id = str(self.said)
        self._deadline, self._hold_until = now + self._patience, None
        return framing.call(saying.id, saying.action, saying.payload())

    def answered(self, named: str) -> Saying | None:
        """The message that this id was the answer to; None: it was not asked."""
        saying = self._flying
        if saying is None or saying.id != named:
            return None
        self._flying = self._deadline = None
        return saying

    def failed(self, named: str, now: datetime) -> Saying | None:
        """A CALLERROR came: what matters is said again, a few times."""
        saying = self.answered(named)
        if saying is None:
            return None
        saying.attempts += 1
        if saying.worth > Worth.PASSING and saying.attempts < _ATTEMPTS:
            self._waiting.appendleft(saying)
            self._hold_until = now + timedelta(seconds=_RETRY_S * saying.attempts)
        return saying

    def closed(self) -> None:
        """The connection is gone: what nobody needs later is dropped, the rest waits in its order."""
        if self._flying is not None:
            self._waiting.appendleft(self._flying)
        self._flying = self._deadline = self._hold_until = None
        self._waiting = deque(saying for saying in self._waiting if saying.worth > Worth.PASSING)

    def _give_up_one(self) -> None:
        for worth in Worth:
            for saying in self._waiting:
                if saying.worth is worth:
                    self._waiting.remove(saying)
                    return
