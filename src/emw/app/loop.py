"""The event loop emw serves on: uvloop, where it is to be had, and a garbage collector that seldom stops it."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, Final, TypeVar

T = TypeVar("T")

COLLECT: Final = (20_000, 5, 80)
"""Python's own first step is 700 objects: a thousand facts that wait for one commit are more, and none is garbage. The
second step is short, because all that came since the last one are looked at in one go.
"""
LONG_S: Final = 0.1
"""A collection that stops the loop for longer is one too many."""


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
    if spare not in gc.callbacks:
        gc.callbacks.append(spare)


class _Spare:
    """Takes what a long full collection has left out of all later ones: they would stop the loop for as long again.

    In a fleet that was enrolled while emw runs nearly all are records. One that is replaced dies all the same; what is
    lost are cycles among what was there at that moment, and it comes once a fleet has grown by a good part.
    """

    def __init__(self) -> None:
        self._began_s = 0.0

    def __call__(self, phase: str, about: dict[str, int]) -> None:
        if about["generation"] < 2:
            return
        if phase == "start":
            self._began_s = perf_counter()
        elif perf_counter() - self._began_s > LONG_S:
            gc.freeze()


spare: Final = _Spare()
