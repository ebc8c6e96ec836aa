"""OCPP-J frames, the station's side: text in, messages out. Pure. (OCPP 1.6-J 4.2, OCPP 2.0.1 part 4, 4.2)"""

from typing import Any, Final, NamedTuple

import msgspec

_parts: Final = msgspec.json.Decoder(list[msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)
_encode: Final = msgspec.json.Encoder().encode

_LONGEST_ID: Final = 144


class Call(NamedTuple):
    """The central system asks. `payload`: JSON that nobody has looked into."""

    id: str
    action: str
    payload: bytes


class Result(NamedTuple):
    """The answer to a CALL of ours."""

    id: str
    payload: bytes


class Failure(NamedTuple):
    """A CALLERROR to a CALL of ours."""

    id: str
    code: str
    why: str


class Garbage(NamedTuple):
    """A frame that says nothing. `id`: of the message, where it can be read."""

    id: str
    why: str


class Refuse(Exception):
    """A CALL is answered with a CALLERROR: `code` as the version in use spells it."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why


def read(frame: bytes) -> Call | Result | Failure | Garbage:
    """What a frame says."""
    try:
        parts = _parts.decode(frame)
        kind = bytes(parts[0])
        named = _text.decode(parts[1])
        if len(named) > _LONGEST_ID:
            return Garbage("-1", "an id far too long")
        if kind == b"2":
            return Call(named, _text.decode(parts[2]), bytes(parts[3]))
        if kind == b"3":
            return Result(named, bytes(parts[2]))
        if kind == b"4":
            return Failure(named, _text.decode(parts[2]), _text.decode(parts[3]) if len(parts) > 3 else "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError) as error:
        return Garbage("-1", f"no OCPP-J frame: {str(error)[:100]}")
    return Garbage(named, "no such message type")


def call(named: str, action: str, payload: Any) -> bytes:
    """The frame of a CALL."""
    return _encode((2, named, action, payload))


def result(named: str, payload: Any) -> bytes:
    """The frame of a CALLRESULT."""
    return _encode((3, named, payload))


def error(named: str, code: str, why: str) -> bytes:
    """The frame of a CALLERROR."""
    return _encode((4, named, code, why[:255], {}))
