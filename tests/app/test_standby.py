"""Whose turn it is: a spare waits, any other start is refused after a moment (fault F8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from emw.app import standby
from emw.app.lock import DataDirBusy
from emw.app.standby import in_turn
from emw.store.errors import Claimed, StoreUnusable


def failing(*errors: Exception) -> Callable[[], Awaitable[str]]:
    """An attempt that fails with each of these, and then succeeds."""
    left = list(errors)

    async def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return attempt


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "AGAIN_S", 0.0)
    monkeypatch.setattr(standby, "GRACE_S", 0.02)


async def test_F8_a_spare_waits_through_whatever_comes_once_it_has_waited_and_says_each_reason_once() -> None:
    said: list[str] = []
    away = StoreUnusable("the database can't be reached")
    attempt = failing(DataDirBusy("busy"), Claimed("node-1"), Claimed("node-1"), away, Claimed("node-2"))
    assert await in_turn(attempt, said.append) == "done"
    assert said == [
        "busy",
        "node-1 works with this database",
        "the database can't be reached",
        "node-2 works with this database",
    ]


async def test_a_spare_that_could_never_serve_says_so_at_once() -> None:
    with pytest.raises(StoreUnusable, match="no database URL"):
        await in_turn(failing(StoreUnusable("store.url is no database URL")), lambda _: None)


async def test_F8_who_is_no_spare_gives_a_killed_process_a_moment_and_then_gives_up() -> None:
    assert await in_turn(failing(Claimed("a session that is just ending")), None) == "done"
    with pytest.raises(Claimed, match="node-1 works with this database: stop it"):
        await in_turn(failing(*(Claimed("node-1") for _ in range(1000))), None)
    with pytest.raises(DataDirBusy):
        await in_turn(failing(DataDirBusy("busy")), None)
