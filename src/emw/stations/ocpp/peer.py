"""What is known of one station while the process lives, apart from any socket: it outlives reconnects.

What must outlive the process lies in the store: traits, open transactions, EVSEs. From there a peer is made again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from emw.domain.model import Evse, Limit, Transaction
from emw.stations.ocpp.dynamic import Lease
from emw.stations.ocpp.meter import NOTHING, MeterMemory
from emw.stations.ocpp.needs import Need
from emw.stations.ocpp.traits import Pin, Purpose, Traits
from emw.stations.ocppj import Version

FRAME_KEPT: Final = 1_024
"""Of a frame so many bytes are kept for the operator's eyes."""
OFF: Final = timedelta(minutes=2)
"""A clock that is nearer to ours than this is right."""
RIGHT: Final = timedelta(0)
APART: Final = timedelta(seconds=3)
PACED: Final = timedelta(seconds=2)
"""Two messages that came at least `APART`, and are dated as far apart as they came to this, are both of now."""


NO_PHASES: Final[tuple[tuple[int, str | None], int]] = ((0, None), 0)


class Installed(msgspec.Struct, gc=False):
    """A limit of ours that the station has accepted. `dynamic`: the profile that can be changed in place."""

    purpose: Purpose
    limit_a: float
    until: datetime
    dynamic: Lease | None = None


class Line(Protocol):
    """A station's connection, as far as is asked of it here."""

    @property
    def version(self) -> Version:
        """What is spoken over it."""
        ...

    @property
    def address(self) -> str:
        """Where it comes from."""
        ...

    @property
    def opened_at(self) -> datetime:
        """Since when it is open."""
        ...


class Delivery(Protocol):
    """A command on its way to an EVSE, or said to it last."""

    def stands(self, line: Line, limit: Limit) -> bool:
        """Whether it is on its way over this connection, or was taken: nothing has to be said again."""
        ...


class Supply(NamedTuple):
    """What readings are made with of an EVSE, as long as its record is this one."""

    evse: Evse
    to_neutral_v: float
    kw_per_a: float
    knob_w: float
    """What it draws at most where nobody else limits it."""
    most_w: float
    """No reading can be above this: some meters say kWh and mean Wh. Less may be a wrong knob."""


class Plug:
    """One EVSE of a station."""

    __slots__ = (
        "asked_in_vain",
        "delivery",
        "doubt",
        "evse_id",
        "installed",
        "left_at",
        "memory",
        "need",
        "number",
        "others",
        "over",
        "peer",
        "phases_seen",
        "priority",
        "status",
        "supply",
        "transaction_id",
        "trouble",
    )

    def __init__(self, peer: Peer, number: int, evse_id: str) -> None:
        self.peer = peer
        self.number = number
        self.evse_id = evse_id
        self.status = ""
        self.transaction_id: str | None = None
        self.memory: MeterMemory = NOTHING
        self.supply: Supply | None = None
        self.installed: Installed | None = None
        self.left_at: datetime | None = None  # when its last session ended; None: none has since emw started
        self.delivery: Delivery | None = None  # the command that is being said to it, or was last
        self.over = 0  # 1.6: a transaction that readings still name, and that runs no more
        self.phases_seen = NO_PHASES  # in use, and how often in a row seen
        self.asked_in_vain = 0  # how often in a row its silent meter was asked
        self.need: Need | None = None  # what its vehicle said that it needs
        self.priority = False  # its station says that its driver wants no limits
        self.others: dict[str, float] = {}  # who else limits it, and to what, A
        self.doubt = ""  # what speaks against its limit being in force, in words
        self.trouble = ""  # what is odd about its meter, in words

    def sees(self, phases: int, uses: str | None) -> int:
        """Its meter shows phases in use; how often in a row it showed these."""
        seen, (before, times) = (phases, uses), self.phases_seen
        self.phases_seen = (seen, times + 1 if before == seen else 1)
        return self.phases_seen[1]

    def has_heard(self, limit: Limit) -> bool:
        """Whether its station has heard of this limit, or is being told, over the connection that it has."""
        line = self.peer.connection
        return self.delivery is not None and line is not None and self.delivery.stands(line, limit)

    def held_a(self, now: datetime) -> float | None:
        """The limit it is believed to hold, A."""
        if self.installed is None or now >= self.installed.until:
            return None
        return self.installed.limit_a


class Peer:
    """One station."""

    __slots__ = (
        "_by_evse",
        "_frames",
        "_place",
        "_said",
        "connection",
        "gone_at",
        "heard_s",
        "off",
        "pin",
        "plugs",
        "silent",
        "skew",
        "station_id",
        "traits",
    )

    def __init__(
        self, station_id: str, traits: Traits, frames_kept: int, by_evse: dict[str, Plug] | None = None
    ) -> None:
        """`by_evse`: where its EVSEs are entered by their names."""
        self._by_evse = {} if by_evse is None else by_evse
        self.station_id = station_id
        self.traits = traits
        self.pin: Pin | None = None  # what the operator says of its make
        self.connection: Line | None = None
        self.plugs: dict[int, Plug] = {}
        # The last frames, a ring of two entries each: when, in the loop's time, and the frame. No queue of pairs: most
        # stations are silent most of the time, and each piece of memory nobody has looked at for a while costs as much
        # as the rest. Of what went out the time is below 0.
        self._frames: list[float | bytes | None] = [None] * (2 * max(frames_kept, 1))
        self._place = 0
        self.skew: timedelta | None = (
            None  # of all messages' dates, by how much the nearest is behind our clock
        )
        self.off = RIGHT  # by how much its clock is behind ours, where that is proved and too much
        self._said: dict[str, tuple[datetime, datetime]] = {}  # by kind, an odd date and when it came
        self.heard_s: float | None = None  # in the loop's time, like `gone_at` and the frames'
        self.gone_at: float | None = None  # when its connection was lost, in the loop's time
        self.silent = False

    def plug(self, number: int, evse_id: str) -> Plug:
        """The EVSE of this number."""
        plug = self.plugs.get(number)
        if plug is None:
            plug = self.plugs[number] = self._by_evse[evse_id] = Plug(self, number, evse_id)
        return plug

    def keep(self, at_s: float, frame: bytes) -> None:
        """Keep a frame for the operator's eyes, in place of the oldest. Hot."""
        frames, place = self._frames, self._place
        frames[place] = at_s
        frames[place + 1] = frame if len(frame) <= FRAME_KEPT else frame[:FRAME_KEPT]
        self._place = place + 2 if place + 2 < len(frames) else 0

    def kept(self) -> list[tuple[float, bool, bytes]]:
        """The last frames, oldest first: when, in the loop's time, whether it went out, and its first bytes."""
        told: Any = self._frames[self._place :] + self._frames[: self._place]
        return [
            (at_s, False, frame) if at_s >= 0 else (went_out(at_s), True, frame)
            for at_s, frame in zip(told[::2], told[1::2], strict=True)
            if frame is not None
        ]

    def remember(self, transactions: Iterable[Transaction]) -> None:
        """Take up open transactions from the store."""
        for transaction in transactions:
            number = number_of(transaction.evse_id)
            if number:
                self.plug(number, transaction.evse_id).transaction_id = transaction.transaction_id

    def says_time(self, kind: str, at: datetime, now: datetime) -> None:
        """A message of this kind was dated `at`: how far off is its clock?

        A date of long ago may be one that was kept while the station was away: these come in bursts. One clock runs as
        fast as another, so two messages of now are dated as far apart as they came.
        """
        skew = now - at
        if self.skew is None or abs(skew) < abs(self.skew):
            self.skew = skew
        if abs(skew) <= OFF:
            self.off = RIGHT
            return
        dated, came = self._said.setdefault(kind, (at, now))
        if now - came >= APART:
            if abs((at - dated) - (now - came)) <= PACED:
                self.off = skew
            self._said[kind] = (at, now)

    def connected(self) -> None:
        """It is there again: what is said from now on shows its clock."""
        self.gone_at, self.silent = None, False
        self.skew, self.off = None, RIGHT
        self._said.clear()

    def is_fresh(self, at: datetime, now: datetime, within: timedelta) -> bool:
        """Whether something dated `at` by the station is of now, and no history told late."""
        return abs(now - self.by_our_clock(at)) <= max(within, OFF)

    def by_our_clock(self, at: datetime) -> datetime:
        """A moment as the station dates it, by our clock where its own is off."""
        return at + self.off if self.off else at

    def rebooted(self) -> None:
        """What ends with a boot is forgotten."""
        for plug in self.plugs.values():
            plug.memory, plug.delivery, plug.others, plug.doubt = NOTHING, None, {}, ""
            if plug.installed is not None and plug.installed.purpose is Purpose.TX:
                plug.installed = None


def went_out(at_s: float) -> float:
    """The time of a frame that went out, as it is kept; and back."""
    return -1.0 - at_s


def number_of(evse_id: str) -> int:
    """The EVSE's number out of its name; 0: it has none."""
    _, _, number = evse_id.rpartition(":")
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 4 else 0
