"""A process whose loop stands still is worse than none: its limits would be renewed by nobody and believed by all."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import threading
import time

STALL_S = 30.0


async def watch_loop(stall_s: float = STALL_S) -> None:
    """End the process when the event loop does not turn for `stall_s` (fault F22): a dead server frees cars."""
    alive = [time.monotonic()]
    stop = threading.Event()

    def bark() -> None:
        while not stop.wait(stall_s / 6):
            if time.monotonic() - alive[0] > stall_s:
                faulthandler.dump_traceback()
                os._exit(70)

    threading.Thread(target=bark, name="watchdog", daemon=True).start()
    try:
        while True:
            alive[0] = time.monotonic()
            await asyncio.sleep(1.0)
    finally:
        stop.set()
