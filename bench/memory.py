"""Memory per idle EVSE in the server, measured at 20,000: powered on, plugged in, one heartbeat each.

    python -m bench.memory [--stations 20000]

Prints KB per EVSE of resident memory above the empty server (goal: at most 6).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
from pathlib import Path

from bench.field import TERRITORY, plugged_in
from bench.measure import Claim, tell


def resident_kb() -> float:
    """This process's resident memory, KB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise SystemExit("no VmRSS on this machine")


async def measure(stations: int, folder: str) -> float:
    """KB per EVSE."""
    from emw.app.build import parts_of
    from emw.app.config import Config
    from emw.app.logs import set_up_logs
    from emw.service.ports import HeartBeat

    set_up_logs("error")
    async with parts_of(Config(data_dir=folder)) as parts:
        headend = parts.headend
        running = asyncio.create_task(headend.run())
        await headend.ready.wait()
        await headend.admin.define_territory("bench", TERRITORY)

        async def one(evse_id: str) -> None:
            await plugged_in(headend, evse_id, access_url=f"http://10.0.0.1:8080/{evse_id}")
            beat = HeartBeat(
                at=headend.clock.now(),
                voltage_v=230.0,
                current_a=16.0,
                evse_max_a=32.0,
                car_max_a=32.0,
                limit_a=None,
                energy_kwh=1.0,
            )
            await headend.intake.heartbeat(headend.state.stations[evse_id], evse_id, beat)

        await one("warm-up")
        gc.collect()
        before = resident_kb()
        for start in range(0, stations, 500):
            await asyncio.gather(*(one(f"evse-{n:06}") for n in range(start, min(start + 500, stations))))
        await headend.telemetry.flush()
        gc.collect()
        after = resident_kb()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return (after - before) / stations


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stations", type=int, default=20_000)
    options = parser.parse_args()
    import uvloop

    with tempfile.TemporaryDirectory() as folder:
        each = uvloop.run(measure(options.stations, str(Path(folder) / "data")))
    tell("memory", Claim(f"KB per idle EVSE at {options.stations}", (each,) * 3, 6.0, "at most"))


if __name__ == "__main__":
    main()
