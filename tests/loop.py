"""The time of tests: its seconds are those in which a test was given a processor.

A deadline of half a second in a test is one for what is tested. On a busy machine it would measure the machine: a
process may well get no processor for so long. What blocks (a lock, a disk, a sleep) takes its time as always.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

from emw.app.clock import SystemClock

_WAITED: Final = "/proc/thread-self/schedstat"
"""Its second word: ns for which this thread was ready to run, and others had all processors. Linux counts it."""


class OwnTime:
    """A thread's own seconds; the steady clock's where nobody counts the waiting."""

    def __init__(self) -> None:
        self._latest_s = 0.0
        try:
            self._waited_fd = os.open(_WAITED, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._waited_fd = -1

    def __call__(self) -> float:
        """Seconds, steady. They never stand still while it runs: no two messages share a moment by chance."""
        while True:
            waited_s, now_s = self._waited_s(), time.monotonic()
            if waited_s == self._waited_s():  # else it had to wait between a look at the one and at the other
                self._latest_s = max(self._latest_s, now_s - waited_s)
                return self._latest_s

    def _waited_s(self) -> float:
        return 0.0 if self._waited_fd < 0 else int(os.pread(self._waited_fd, 64, 0).split()[1]) / 1e9


own_time: Final = OwnTime()
"""The main thread's, in which tests run."""


class OwnTimeLoop(asyncio.SelectorEventLoop):
    """A loop of the main thread on its own time."""

    def time(self) -> float:
        """Seconds, steady."""
        return own_time()


def waited_s(pid: int) -> float:
    """For how long a process that runs has waited for a processor so far, s; 0 where nobody counts it."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def keep_step(clock: SystemClock) -> None:
    """Let the clock of a head-end in this process go on in own time, as its loop does."""
    passed_s = clock._steady() - clock._zero_s
    clock._steady, clock._zero_s = own_time, own_time() - passed_s
