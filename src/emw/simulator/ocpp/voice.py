"""How each version says what happens at a station: the messages that it sends of its own accord. Pure, but for the
sequence numbers of 2.0.1, which belong to the transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import Final, Protocol

from emw.simulator.ocpp.meter import Metered
from emw.simulator.ocpp.outbox import Saying

VENDOR: Final = "emw"
CONNECTOR: Final = 1

Heard = Callable[[bytes, datetime], None]


class ConnectorState(StrEnum):
    """How it stands at the connector, in the words of 1.6."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"


class Cause(StrEnum):
    """Why a transaction began or ended, in the words of 1.6 where it has one."""

    TAG = "Tag"
    REMOTE = "Remote"
    UNPLUGGED = "EVDisconnected"
    NOT_ALLOWED = "DeAuthorized"
    RESET = "SoftReset"
    HARD_RESET = "HardReset"
    POWER = "PowerLoss"


@dataclass(slots=True, eq=False)
class Transaction:
    """A transaction as its station keeps it. `id`: as text; 1.6's comes with an answer, and may never come."""

    began: datetime
    tag: str
    id: str | None = None
    seq: int = -1
    remote_start_id: int | None = None
    state: ConnectorState = ConnectorState.PREPARING

    def next_seq(self) -> int:
        """The number of the next message about it."""
        self.seq += 1
        return self.seq


@dataclass(frozen=True, slots=True)
class Sampling:
    """What meter values are to hold."""

    measurands: tuple[str, ...]
    per_phase: bool = False


class Voice(Protocol):
    """One version's way to say things. `unreadable`: its word for a frame that says nothing."""

    unreadable: str

    def transaction_id(self, rng: Random) -> str | None:
        """The id of a new transaction; None: the central system gives it."""
        ...

    def boot(self, model: str, serial: str, *, restarted: bool, heard: Heard) -> Saying:
        """Here I am."""
        ...

    def heartbeat(self) -> Saying:
        """Still here."""
        ...

    def authorize(self, tag: str, heard: Heard) -> Saying:
        """May this tag charge?"""
        ...

    def status(self, state: ConnectorState, at: datetime) -> list[Saying]:
        """How it stands, said anew."""
        ...

    def changed(
        self,
        old: ConnectorState,
        new: ConnectorState,
        transaction: Transaction | None,
        metered: Metered,
        *,
        offline: bool,
    ) -> list[Saying]:
        """How it stands has changed."""
        ...

    def began(
        self, transaction: Transaction, metered: Metered, cause: Cause, heard: Heard, *, offline: bool
    ) -> Saying:
        """A transaction began."""
        ...

    def measured(
        self,
        transaction: Transaction | None,
        metered: Metered,
        sampling: Sampling,
        context: str,
        *,
        offline: bool,
    ) -> Saying:
        """The meter shows this."""
        ...

    def ended(self, transaction: Transaction, metered: Metered, cause: Cause, *, offline: bool) -> Saying:
        """A transaction ended."""
        ...
