"""Packed event streams: each event is packed once, whoever reads it and whenever he came.

A gzip stream is a header and blocks. A block that looks back at nothing before it, and ends on a whole byte, can stand
behind any other: so the very same bytes go to every viewer, and packing costs nothing per head.
"""

from __future__ import annotations

import zlib
from typing import Final

GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no name, no time."""


def block(data: bytes) -> bytes:
    """`data` as blocks of deflate that stand alone and leave the stream open. Fast rather than small."""
    packer = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


class Event:
    """One server-sent event, and the same packed, each made when somebody wants it."""

    __slots__ = ("_packed", "data")

    def __init__(self, name: str, body: bytes) -> None:
        # JSON has no line breaks of its own, so one data line is enough.
        self.data: Final = b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"
        self._packed: bytes | None = None

    def told(self, *, packed: bool) -> bytes:
        """The bytes that go out."""
        if not packed:
            return self.data
        if self._packed is None:
            self._packed = block(self.data)
        return self._packed
