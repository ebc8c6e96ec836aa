"""The chain of the activity log (promise P13): each row's hash covers the row and the hash before it.

A day begins with a genesis that carries the last hash of the day before, so that a day can be checked alone given
that one hash. `meta.log_head` names the newest row, so that a log cut off at its end is noticed too.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

START: Final = b"\0" * 32
"""What the first row of all follows."""


def genesis(day: str, previous: bytes) -> bytes:
    """What the first row of a day follows."""
    return sha256(b"emw activity log|" + day.encode() + b"|" + previous).digest()


def link(previous: bytes, seq: int, kind: str, payload: bytes) -> bytes:
    """The hash of one row. The other columns are copies out of the payload and are compared with it when checked."""
    return sha256(b"%b|%d|%b|%b" % (previous, seq, kind.encode(), payload)).digest()


def head_text(seq: int, day: str, digest: bytes) -> str:
    """The newest row as `meta.log_head` keeps it."""
    return f"{seq} {day or '-'} {digest.hex()}"


def head_of(text: str) -> tuple[int, str, bytes]:
    """What `head_text` wrote. Raises ValueError."""
    seq, day, digest = text.split(" ")
    return int(seq), "" if day == "-" else day, bytes.fromhex(digest)
