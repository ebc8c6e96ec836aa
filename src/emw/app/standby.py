"""A spare: an emw that waits until no other works with its data folder or its database, and then serves (fault F8)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import structlog

from emw.app.config import ConfigError
from emw.app.lock import DataDirBusy
from emw.service.ports import Store
from emw.store.errors import Claimed, StoreUnusable

log = structlog.get_logger()

T = TypeVar("T")
Waits = Callable[[str], Any]
"""Told why a spare waits, each time there is another reason."""

AGAIN_S: Final = 1.0
"""How often a spare looks whether it is its turn."""
PATIENCE_S: Final = 3.0
"""For how long nobody must have written before a spare does: a database that restarts is no reason to take over."""
GRACE_S: Final = 4.0
"""For how long one that is no spare tries, before it says that another is at work."""


async def in_turn(attempt: Callable[[], Awaitable[T]], waits: Waits | None) -> T:
    """What `attempt` returns, once it can. Without `waits` it has a few seconds.

    Raises what `attempt` raises, but for "another is at work". A spare that has waited takes nothing for final: a
    database that is not to be reached while it fails over will be.
    """
    if waits is None:
        return await _soon(attempt)
    why = ""
    while True:
        try:
            return await attempt()
        except DataDirBusy as error:
            said = str(error)
        except Claimed as error:
            said = f"{error.holder} works with this database"
        except StoreUnusable as error:
            if not why:
                raise
            said = str(error)
        if said != why:
            why = said
            log.info("server.waits", why=why)
            waits(why)
        await asyncio.sleep(AGAIN_S)


async def _soon(attempt: Callable[[], Awaitable[T]]) -> T:
    """The session of a process that was killed a moment ago may outlive it by what it had just begun."""
    clock = asyncio.get_running_loop().time
    until_s = clock() + GRACE_S
    while True:
        try:
            return await attempt()
        except Claimed:
            if clock() > until_s:
                raise
        await asyncio.sleep(GRACE_S / 20)


def key_id(key: bytes) -> str:
    """Which key it is, told so that nobody can guess the key: whoever takes over needs the same."""
    return hmac.digest(key, b"which key", "sha256")[:6].hex()


async def same_key(store: Store, mine: str) -> None:
    """Raises ConfigError where stations know another key than ours from whoever served them last."""
    rows = await store.query("activity", kind="ServerStarted", limit=1)
    theirs = rows[0]["payload"].get("key_id") if rows else None
    if theirs is not None and theirs != mine:
        raise ConfigError(
            "server.key in this data folder is not the one of the emw that served last: stations that are called "
            "would refuse this one. Copy the file from there"
        )
