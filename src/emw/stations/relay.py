"""Between a station and its CSMS: every frame of either reaches the other as it came, and CALLs of ours go in between.

No socket, no task, no clock; `now` is seconds of any steady clock. Rules held here:

- what the station says goes on at once, but for its answers to CALLs of ours: these stay here;
- the CSMS's answers go on at once; its CALLs share one line with ours, so that the station sees one CALL at a time
  (OCPP 1.6-J 4.1.1; 2.0.1 part 4, 4.1.1), in the order in which they came;
- a CALL that the station does not answer in time makes room for the next; its late answer still goes where it belongs;
- what can't be read is no business of ours: it goes on, and who it is for complains;
- while emw stands in for the CSMS (`standing`), CALLs of the station go nowhere: who asked for them answers. What is
  owed to the CSMS is told to it under ids of ours, one at a time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from emw.stations.ocppj import Answered, Ask, Call, Conversation, Failed, Fault, Received, Unknown, Version

PREFIX: Final = "emw-"
"""Our CALLs' ids begin so; an answer under such an id never goes on."""
PAYING: Final = "emw-owed-"
"""So begin the ids of what is told to the CSMS late."""
MOST_OPEN: Final = 64
AWAITED: Final = frozenset({"BootNotification", "StartTransaction"})
"""What the station says of these is true only with the CSMS's answer: accepted or not, and under which number."""

_parts = msgspec.json.Decoder(list[msgspec.Raw])


class Seen(NamedTuple):
    """A CALL of the station's went by; `told`: the CSMS's CALLRESULT, of those in `AWAITED`."""

    call: Call
    told: bytes | None = None


class Theirs(NamedTuple):
    """A CALL of the CSMS's went by, and the station answered with a CALLRESULT."""

    call: Call
    told: bytes


class Ours(NamedTuple):
    """What came of a CALL of ours."""

    got: Answered | Failed


class Asked(NamedTuple):
    """A CALL of the station's that emw answers in the CSMS's place."""

    call: Call


class Paid(NamedTuple):
    """The CSMS answered what was owed to it."""

    got: Answered | Failed


class Passed(NamedTuple):
    """What a frame brings about: a frame to either side, and what is to be known of it."""

    to_csms: bytes | None = None
    to_station: bytes | None = None
    news: Seen | Theirs | Ours | Asked | Paid | None = None


class Relay:
    """One station and its CSMS. `conversation` holds the line of CALLs to the station; ours are put into it, too."""

    __slots__ = ("_open", "_upstream", "conversation", "standing")

    def __init__(self, version: Version) -> None:
        self.conversation = Conversation(version, PREFIX)
        self._upstream = Conversation(version, PAYING)
        self._open: dict[str, Call] = {}
        self.standing = False

    def from_station(self, frame: bytes) -> Passed:
        """The station said something. A CALL of the line may be free to go out afterwards: ask `next`."""
        got = self.conversation.receive(frame)
        if type(got) is Call:
            return self._asks(frame, got)
        if isinstance(got, Answered | Failed):
            return self._answers(frame, got)
        if type(got) is Unknown and got.id.startswith(PREFIX):
            return Passed()
        return Passed(to_csms=frame)

    def _asks(self, frame: bytes, call: Call) -> Passed:
        if self.standing:
            return Passed(news=Asked(call))
        if call.action not in AWAITED:
            return Passed(to_csms=frame, news=Seen(call))
        if len(self._open) >= MOST_OPEN:
            self._open.pop(next(iter(self._open)))
        self._open[call.id] = call
        return Passed(to_csms=frame)

    @staticmethod
    def _answers(frame: bytes, got: Answered | Failed) -> Passed:
        ask = got.ask
        if ask.frame is None:
            return Passed(news=Ours(got))
        onward = (
            frame if ask.frame else None
        )  # none: the CSMS that asked is gone, another knows of no such CALL
        if type(got) is Answered:
            return Passed(
                to_csms=onward, news=Theirs(Call(ask.id, ask.action, msgspec.Raw(ask.payload)), got.payload)
            )
        return Passed(to_csms=onward)

    def csms_lost(self) -> None:
        """The connection to the CSMS is gone; the next one begins anew."""
        self.conversation.disown()
        self._upstream.close()

    def pay(self, action: str, payload: bytes, now: float) -> bytes | None:
        """Tell the CSMS something that is owed to it; None: the last one is not answered yet."""
        if self._upstream.busy:
            return None
        self._upstream.ask(Ask(action, payload))
        return self._upstream.next(now)

    def from_csms(self, frame: bytes) -> Passed:
        """The CSMS said something. Its CALLs wait in line: ask `next`."""
        got: Received = self._upstream.receive(frame)
        if type(got) is Call:
            ask = Ask(got.action, bytes(got.payload), id=got.id, frame=frame)
            if self.conversation.ask(ask) is not None:
                return Passed(
                    to_csms=self.conversation.error(
                        got.id, Fault.GENERIC, "too many calls wait for this station"
                    )
                )
            return Passed()
        if isinstance(got, Answered | Failed):
            return Passed(news=Paid(got))
        if type(got) is Unknown and got.id in self._open:
            call = self._open.pop(got.id)
            told = _result_of(frame)
            return Passed(to_station=frame, news=None if told is None else Seen(call, told))
        return Passed(to_station=frame)

    def next(self, now: float) -> bytes | None:
        """The next CALL to the station, if it may go out now."""
        return self.conversation.next(now)


def _result_of(frame: bytes) -> bytes | None:
    """A CALLRESULT's payload; None: it is something else."""
    try:
        parts = _parts.decode(frame)
        return bytes(parts[2]) if len(parts) > 2 and bytes(parts[0]) == b"3" else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
