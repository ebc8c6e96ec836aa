"""OCPP-J framing: frames in, messages out. No socket, no task, no clock: `now` is seconds of any steady clock.

Rules held here (OCPP 1.6-J 4.1.1 and 4.2; OCPP 2.0.1 and 2.1 part 4, 4.1 and 4.2):

- one CALL of ours is on its way at a time, later ones wait; the station's own CALLs are no business of that queue;
- the queue is bounded, and a newer CALL with the same `key` takes the place of one that has not gone out yet;
- a CALL without answer is *unknown* after its time, not failed: a late answer is still matched to it, once;
- what can't be read is answered with a CALLERROR that names the frame, or "-1" where it has no name.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import msgspec

CALL_DEADLINE_S: Final = 30.0
MOST_WAITING: Final = 64
MOST_LATE: Final = 8
LONGEST_ID: Final = 36
"""In characters, by the specification."""
LONGEST_TAKEN: Final = 4 * LONGEST_ID
"""A longer id is answered as it came, up to this."""

_json = msgspec.json.Encoder()
_text_of = _json.encode
_parts = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()


class Version(StrEnum):
    """The subprotocols, lowest first."""

    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"
    V21 = "ocpp2.1"

    @property
    def number(self) -> str:
        """As people write it: 1.6."""
        return self.removeprefix("ocpp")


ALL: Final = tuple(Version)


class Fault(StrEnum):
    """Why a CALL is refused, in the words of 2.x; `code_of` knows those of 1.6."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL = "InternalError"
    PROTOCOL = "ProtocolError"
    SECURITY = "SecurityError"
    FORMAT = "FormatViolation"
    PROPERTY = "PropertyConstraintViolation"
    OCCURRENCE = "OccurrenceConstraintViolation"
    TYPE = "TypeConstraintViolation"
    GENERIC = "GenericError"
    MESSAGE_TYPE = "MessageTypeNotSupported"
    FRAMEWORK = "RpcFrameworkError"


_OLD_WORDS: Final = {
    Fault.FORMAT: "FormationViolation",
    Fault.OCCURRENCE: "OccurenceConstraintViolation",  # spelled so in 1.6-J, table 7
    Fault.MESSAGE_TYPE: "ProtocolError",
    Fault.FRAMEWORK: "FormationViolation",
}


def code_of(fault: Fault, version: Version) -> str:
    """The error code on the wire."""
    return _OLD_WORDS.get(fault, fault.value) if version is Version.V16 else fault.value


def choose(offered: list[str], among: Collection[Version] = ALL) -> tuple[Version, str] | None:
    """The highest version both sides speak, and how the station spells it: it is told the same. None: none in common.

    Stations were seen that write OCPP1.6, or ocpp1.6J. `among`: the versions that we speak.
    """
    spelled = {name.strip().casefold().removesuffix("j"): name.strip() for name in reversed(offered)}
    return next(((v, spelled[v.value]) for v in reversed(Version) if v in among and v.value in spelled), None)


class Call(msgspec.Struct, array_like=True, tag=2, frozen=True, gc=False):
    """The station asks. `payload` is JSON text that nobody has looked into yet."""

    id: Annotated[str, msgspec.Meta(max_length=LONGEST_TAKEN)]
    action: str
    payload: msgspec.Raw

    def result(self, payload: bytes) -> bytes:
        """The CALLRESULT to it."""
        return b"[3,%b,%b]" % (_text_of(self.id), payload)


class Ask(msgspec.Struct, eq=False, gc=False):
    """A CALL of ours. `key`: of those that wait, only the newest of a key goes out. `tag` is the asker's own.

    Not for the garbage collector to look at: what it holds is let go with the answer, or with the connection.

    `frame`: a CALL of somebody else's that goes out as it came, under its own `id`.
    """

    action: str
    payload: bytes
    key: object = None
    tag: Any = None
    id: str = ""
    sent_at: float = 0.0
    frame: bytes | None = None


class _Result(msgspec.Struct, array_like=True, tag=3, frozen=True, gc=False):
    """A CALLRESULT as it is written."""

    id: str
    payload: msgspec.Raw


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A CALLRESULT of ours came. `late`: its time was over."""

    ask: Ask
    payload: bytes
    late: bool


class Failed(NamedTuple):
    """A CALLERROR came for a CALL of ours."""

    ask: Ask
    code: str
    description: str
    late: bool


class Unknown(NamedTuple):
    """An answer to nothing we asked, or a message that wants none: counted and left. `id`: the answer's."""

    why: str
    id: str = ""


class Aside(NamedTuple):
    """A message of 2.1 that wants no answer. `of_ours`: a CALLRESULTERROR, our answer under this id was not understood
    (`word` is its code); else a SEND (`word` is its action).
    """

    id: str
    word: str
    more: str
    of_ours: bool


class Broken(NamedTuple):
    """A frame that can't be read, and the CALLERROR that says so."""

    reply: bytes
    why: str


_call = msgspec.json.Decoder(Call).decode
_result = msgspec.json.Decoder(_Result).decode
_AROUND: Final = b"\x00\xef\xbb\xbf \t\r\n"
"""What stations leave before and after a frame: the end of a C string, a byte order mark, a line's end."""
_quoted = functools.lru_cache(maxsize=256)(_json.encode)
"""The actions of our CALLs: a few dozen."""

Received = Call | Answered | Failed | Unknown | Aside | Broken


class Conversation:
    """One station's conversation over one connection."""

    __slots__ = ("_flying", "_late", "_next_id", "_prefix", "version", "waiting")

    def __init__(self, version: Version, prefix: str = "e") -> None:
        self.version = version
        self._prefix = prefix
        self._next_id = 0
        self._flying: Ask | None = None
        self.waiting: tuple[Ask, ...] = ()  # CALLs of ours that are still to go out: short, a bound holds it
        self._late: dict[str, Ask] = {}

    # --- in

    def receive(self, frame: bytes) -> Received:
        """What a frame says."""
        if frame[-1:] != b"]":
            frame = frame.strip(_AROUND)
        if frame.startswith(b"[3"):
            try:
                told = _result(frame)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return self._read(frame)
            flying = self._flying
            if flying is not None and told.id == flying.id:
                self._flying = None
                return Answered(flying, bytes(told.payload), False)
        elif frame.startswith(b"[2"):
            try:
                return _call(frame)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return _by_hand(frame) or self._read(frame)
        return self._read(frame)

    def _read(self, frame: bytes) -> Received:
        try:
            parts = _parts.decode(frame)
            kind = int(bytes(parts[0])) if parts else 0
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            return self._broken("-1", Fault.FRAMEWORK, f"this is no OCPP-J frame: {str(error)[:120]}")
        named = self._id_of(parts)
        if named is None:
            return self._broken("-1", Fault.FRAMEWORK, "the second part must be the message's id, a text")
        if kind == 2:
            return self._call(named, parts)
        if kind in {3, 4}:
            return self._answer(kind, named, parts)
        if kind in {5, 6} and self.version is Version.V21:
            return Aside(named, _word(parts, 2), _word(parts, 3)[:120], of_ours=kind == 5)
        return self._broken(named, Fault.MESSAGE_TYPE, f"there is no message type {kind}")

    def _call(self, named: str, parts: list[msgspec.Raw]) -> Received:
        if len(parts) < 4:
            return self._broken(named, Fault.FRAMEWORK, "a CALL has four parts")
        try:
            action = _text.decode(parts[2])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._broken(named, Fault.FRAMEWORK, "the action must be a text")
        return Call(named, action, parts[3])

    def _answer(self, kind: int, named: str, parts: list[msgspec.Raw]) -> Received:
        late = False
        if self._flying is not None and self._flying.id == named:
            ask, self._flying = self._flying, None
        elif named in self._late:
            ask, late = self._late.pop(named), True
        else:
            return Unknown(f"an answer to {named[:LONGEST_ID]!r}, which was not asked", named)
        if kind == 3:
            return Answered(ask, bytes(parts[2]) if len(parts) > 2 else b"{}", late)
        return Failed(ask, _word(parts, 2), _word(parts, 3), late)

    @staticmethod
    def _id_of(parts: list[msgspec.Raw]) -> str | None:
        try:
            named: str = _text.decode(parts[1])
        except (IndexError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return named if len(named) <= LONGEST_TAKEN else None

    def _broken(self, named: str, fault: Fault, why: str) -> Broken:
        return Broken(self.error(named, fault, why), why)

    # --- answers to the station

    @staticmethod
    def result(named: str, payload: bytes) -> bytes:
        """The CALLRESULT to a CALL."""
        return b"[3,%b,%b]" % (_json.encode(named), payload)

    def error(self, named: str, fault: Fault, why: str) -> bytes:
        """The CALLERROR to a CALL. The description has at most 255 characters on the wire."""
        return _json.encode((4, named, code_of(fault, self.version), why[:255], {}))

    # --- CALLs of ours

    def ask(self, ask: Ask) -> Ask | None:
        """Put a CALL in line; returns the one that has lost its place: an older one of its key, or itself (full)."""
        if ask.key is not None:
            for place, other in enumerate(self.waiting):
                if other.key == ask.key:
                    self.waiting = (*self.waiting[:place], ask, *self.waiting[place + 1 :])
                    return other
        if len(self.waiting) >= MOST_WAITING:
            return ask
        self.waiting += (ask,)
        return None

    def next(self, now: float) -> bytes | None:
        """The next CALL that may go out now, if any. It is on its way from here on."""
        if self._flying is not None or not self.waiting:
            return None
        ask, *rest = self.waiting
        self.waiting = tuple(rest)
        return self._out(ask, now)

    def at_once(self, ask: Ask, now: float) -> bytes | None:
        """The CALL as it goes out now, where none is in its way: what `ask` and `next` would do. Hot."""
        if self._flying is not None or self.waiting:
            return None
        return self._out(ask, now)

    def _out(self, ask: Ask, now: float) -> bytes:
        self._flying = ask
        ask.sent_at = now
        if ask.frame is not None:
            self._late.pop(ask.id, None)  # an answer under this id is meant for this CALL from now on
            return ask.frame
        self._next_id += 1
        ask.id = named = f"{self._prefix}{self._next_id}"
        return b'[2,"%b",%b,%b]' % (named.encode(), _quoted(ask.action), ask.payload)

    def expired(self, now: float) -> Ask | None:
        """The CALL whose time is over, once. It makes room for the next; its late answer is still known."""
        ask = self._flying
        if ask is None or now - ask.sent_at < CALL_DEADLINE_S:
            return None
        self._flying = None
        if len(self._late) >= MOST_LATE:
            self._late.pop(next(iter(self._late)))
        self._late[ask.id] = ask
        return ask

    def disown(self) -> None:
        """Who asked through us is gone: its CALLs that wait go out no more; who is asked already may still answer."""
        self.waiting = tuple(ask for ask in self.waiting if ask.frame is None)
        for ask in (*self._late.values(), *([self._flying] if self._flying is not None else [])):
            if ask.frame is not None:
                ask.frame = b""

    def close(self) -> list[Ask]:
        """The connection is gone: every CALL without answer, the one on its way first."""
        left = [*([self._flying] if self._flying is not None else []), *self.waiting]
        self._flying, self.waiting, self._late = None, (), {}
        return left

    @property
    def busy(self) -> bool:
        """Whether a CALL of ours is on its way."""
        return self._flying is not None


def _by_hand(frame: bytes) -> Call | None:
    """A CALL whose payload is no JSON: it has a name all the same, under which it can be refused."""
    parts = frame.split(b'"', 4)
    if len(parts) < 5:
        return None
    head, named, comma, action, tail = parts
    tail = tail.strip()
    plain = b"\\" not in named and named.isascii() and len(named) <= LONGEST_TAKEN and b"\\" not in action
    if plain and tail[:1] == b"," and tail[-1:] == b"]" and _bare(head) == b"[2," and _bare(comma) == b",":
        return Call(named.decode(), action.decode("ascii", "replace"), msgspec.Raw(tail[1:-1]))
    return None


def _bare(text: bytes) -> bytes:
    """Without what JSON allows between its parts."""
    return text.translate(None, b" \t\r\n")


def _word(parts: list[msgspec.Raw], place: int) -> str:
    """A text of a CALLERROR, whatever stands there."""
    try:
        return str(_any.decode(parts[place]))[:255]
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def fault_of(error: Exception) -> tuple[Fault, str]:
    """What is wrong with a payload, by what its decoder says of it."""
    why = str(error)[:200]
    if not isinstance(error, msgspec.ValidationError):
        return Fault.FORMAT, why
    if "missing required field" in why:
        return Fault.OCCURRENCE, why
    if why.startswith("Expected `") and "got `" in why:
        return Fault.TYPE, why
    return Fault.PROPERTY, why
