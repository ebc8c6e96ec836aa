"""The event loop emw serves on: uvloop, where it is to be had, and a garbage collector that seldom stops it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

COLLECT: Final = (20_000, 20, 20)
"""Python's own first step is 700 objects: a thousand facts that wait for one commit are more, and none is garbage."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, as `asyncio.run` does."""
    collect_seldom()
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 - there is none for Windows

    return uvloop.run(main)


def collect_seldom() -> None:
    """Let what is made and dropped within one group commit die by itself, before the collector looks at it.

    At the interpreter's own pace it cost a quarter of all CPU time that a busy write path took.
    """
    gc.set_threshold(*COLLECT)
