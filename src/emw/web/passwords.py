"""Passwords: argon2id, made and checked beside the loop, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from emw.service.errors import BadInput, TooMany

LEAST: Final = 8
MOST: Final = 256
AT_ONCE: Final = 2
"""A check takes 64 MiB and some 50 ms of a core on purpose: a flood of logins must not take both from dispatch."""
WAITING: Final = 20

_HASHER: Final = PasswordHasher()
Result = TypeVar("Result")


def hash_password(password: str) -> str:
    """The argon2id hash of a password. Takes some 50 ms: inside the server ask `Passwords`."""
    return _HASHER.hash(password.encode("utf-8", "surrogatepass"))


def check_new_password(password: str, name: str) -> str:
    """A password that may be set. Length counts, not its signs."""
    if len(password) < LEAST:
        raise BadInput("password", f"must have at least {LEAST} characters")
    if password.casefold() == name.casefold():
        raise BadInput("password", "must not be the name")
    return password


@cache
def _nobody() -> str:
    """What a password is checked against where the name is unknown, so that it takes as long."""
    return hash_password("nobody has this password")


class Passwords:
    """Hashes and checks without holding up the loop.

    A thread, although the service has none: argon2 releases the interpreter while it works, and half a second of
    logins in a row would be half a second in which no station is answered.
    """

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash of a new password."""
        return await self._beside(lambda: hash_password(password))

    async def right(self, known_hash: str | None, password: str) -> bool:
        """Whether the password is right; with no hash (an unknown name) it takes as long and is wrong."""

        def check() -> bool:
            try:
                _HASHER.verify(known_hash or _nobody(), password.encode("utf-8", "surrogatepass"))
            except (VerificationError, InvalidHashError):
                return False
            return known_hash is not None

        return await self._beside(check)

    async def _beside(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= WAITING:
            raise TooMany("too many logins at once; try again in a moment", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(work)  # noqa: TID251 - see the class
        finally:
            self._waiting -= 1
