"""The service's whole round over a fleet: picture, learning, decision, gate, commands, facts; linear in EVSEs.

A vehicle at every EVSE, one request for a fifth of their load; every station says yes at once, so that what is
measured is emw. CPU time: of the round that finds the request, until the last answer is committed (a command for most
EVSEs), and of a round while it holds.

    python -m bench.round [--evses 10000 30000 100000]

Prints CPU per EVSE for each size, and how much more a round costs an EVSE in the largest fleet than in the smallest
(goal: at most 1.5 times, which is linear but for caches).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.field import TERRITORY
from bench.measure import Claim, tell

GOAL = 1.5
HELD = 5
"""So many rounds while the request holds."""


class Obedient:
    """Stations that do at once what they are told."""

    async def send(self, station: Any, evse: Any, limit: Any, now: Any) -> Any:
        """Yes."""
        from emw.domain.model import Outcome
        from emw.service.ports import Answer

        return Answer(Outcome.APPLIED, evse.max_a if limit.max_a is None else limit.max_a)

    async def greet(self, station: Any) -> None:
        """Nothing to say."""


def plug_in(headend: Any, evses: int) -> None:
    """A vehicle at every EVSE, as if loaded from a store; each has told its meter once."""
    from emw.domain.model import Evse, Session, Station
    from emw.service.ports import HeartBeat

    now = headend.clock.now()
    for n in range(evses):
        name = f"EVSE-{n:06}"
        headend.state.put(Station(station_id=name, secret_hash="0" * 64, added_at=now))
        evse = Evse(
            evse_id=name,
            station_id=name,
            territory_id=TERRITORY,
            model="bench",
            line_voltage_v=230.0,
            phases=1,
            max_a=32.0,
            status="charging",
            powered=True,
            online=True,
            powered_at=now,
            session_id=f"se_{n}",
        )
        headend.state.put(evse)
        headend.state.put(
            Session(
                session_id=f"se_{n}",
                evse_id=name,
                started_at=now - timedelta(hours=1),
                evse_max_a=32.0,
                car_max_a=32.0,
            )
        )
        beat = HeartBeat(now, 230.0, 10.0 + n % 20, 32.0, 32.0, None, 5.0)
        headend.telemetry.take(evse, None, now, beat)


async def measure(evses: int, folder: str) -> tuple[float, float, float]:
    """CPU s of the first round, of a round that holds, and of the thinking in that one."""
    from emw.app.build import parts_of
    from emw.app.config import Config
    from emw.service.requests import Decrease

    async with parts_of(Config(data_dir=folder)) as parts:
        headend = parts.headend
        headend.dispatch.commands._link = Obedient()  # noqa: SLF001 - the port, as it is wired
        headend.dispatch.stopwatch, headend.dispatch.rest = time.thread_time, 0.0
        running = asyncio.create_task(headend.run())
        await headend.ready.wait()
        await headend.admin.define_territory("bench", TERRITORY)
        plug_in(headend, evses)
        await headend.telemetry.flush()
        asked = Decrease(request_id="r", territory_id=TERRITORY, kw=evses * 0.23 * 4, minutes=60)
        cpu_s = time.process_time()
        request = await headend.requests.decrease("bench", asked, actor="bench")
        await headend.accounts.answered(request.request_key)
        await headend.ledger.settled()
        first_s = time.process_time() - cpu_s
        await headend.dispatch.next_round(TERRITORY)
        held, thought = [], []
        for _ in range(HELD):
            cpu_s, thought_s = time.process_time(), headend.dispatch.thought_s
            await headend.dispatch.next_round(TERRITORY)
            held.append(time.process_time() - cpu_s)
            thought.append(headend.dispatch.thought_s - thought_s)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return first_s, statistics.median(held), statistics.median(thought)


def main() -> None:
    """Measure each size, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--evses", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    options = parser.parse_args()
    import uvloop

    from emw.app.logs import set_up_logs
    from emw.app.loop import collect_seldom

    collect_seldom()  # as `emw serve` does
    set_up_logs("error")
    each: dict[int, tuple[float, ...]] = {}
    for n in options.evses:
        with tempfile.TemporaryDirectory() as folder:
            found = uvloop.run(measure(n, str(Path(folder) / "data")))
        each[n] = tuple(round(s / n * 1e6, 2) for s in found)
        first, held, thought = found
        print(
            f"round: {n} EVSEs: first round with its commands {first:.2f} s CPU, a round that holds {held:.3f} s, "
            f"of it thinking {thought:.3f} s",
            flush=True,
        )
    small, large = each[min(each)], each[max(each)]
    tell(
        "round",
        Claim(
            "cost per EVSE of a round that holds, largest fleet to smallest",
            (large[1] / small[1],) * 3,
            GOAL,
            "at most",
        ),
        Claim("the same of the first round", (large[0] / small[0],) * 3, GOAL, "at most"),
        microsecondsPerEvse={
            str(n): {"first": e[0], "holding": e[1], "thinking": e[2]} for n, e in each.items()
        },
    )


if __name__ == "__main__":
    main()
