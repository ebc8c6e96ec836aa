"""Figures of the whole service on the engine's yardstick: the same events, played through `emw replay`.

`bench.engine_figures` measures the loop of `emw allocate`; here ledger, governor, commands and accounts stand between.
One event is one replay of its own, of about a minute of CPU. `--loop` plays the loop on the same cars beside it;
where the service's error comes from is said at the end.

python -m bench.service_figures --sessions FILE [--seeds 1] [--events 16] [--share 0.1] [--loop]
"""

from __future__ import annotations

import argparse
import heapq
import statistics
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from bench.engine_world import SHARES, Event, events
from bench.service_loop import loop_on
from bench.service_parts import Watched, decomposed
from emw.app.logs import set_up_logs
from emw.replay.figures import Interval
from emw.replay.requests import Asked
from emw.replay.run import Replayed, replay
from emw.replay.street import Shares, Street
from emw.simulator.records import read
from emw.simulator.sessions import Session, overlay, site_days

DAY = date(2019, 6, 3)
FAULTS = Shares(deaf=0.015, lost=0.02, taper=0.0, pausable=1.0)
"""As the engine's yardstick assumes them."""
INTERVAL = timedelta(minutes=5)


def laid(sessions: Sequence[Session], seed: int, days: int) -> list[Session]:
    """So many weekdays of single sites as one day."""
    chosen = Random(f"overlay:{seed}").sample(site_days(sessions, weekdays_only=True), days)
    return overlay(sessions, chosen, DAY)


def unmanaged_kw(sessions: Sequence[Session], at: Sequence[datetime], seed: int) -> list[float]:
    """What the same cars would have drawn, a mean over the five minutes before each time, kW."""
    first = min(*(s.plug for s in sessions), *at) - INTERVAL
    street = Street(sessions, first, seed, FAULTS)
    agenda: list[tuple[datetime, int, Session | None]] = []
    for n, s in enumerate(sessions):
        agenda += [(s.plug, n, s), (s.unplug, n, None)]
    heapq.heapify(agenda)
    plugged: dict[str, datetime] = {}
    found = []
    for when in sorted({t for a in at for t in (a - INTERVAL, a)}):
        while agenda and agenda[0][0] <= when:
            then, n, coming = heapq.heappop(agenda)
            bay = street.bays[sessions[n].evse_id]
            if coming is not None:
                bay.plug(coming, seed, FAULTS.taper, then)
                plugged[coming.evse_id] = coming.plug
            elif plugged.get(sessions[n].evse_id) == sessions[n].plug:
                bay.leave(then)
        found.append((when, street.energies_kwh(when)[1]))
    energy = dict(found)
    return [(energy[a] - energy[a - INTERVAL]) * 12 for a in at]


def asked_of(sessions: Sequence[Session], chosen: Sequence[Event], seed: int) -> list[Asked]:
    """The events as requests: a share of the load that there is at their start."""
    midnight = datetime(DAY.year, DAY.month, DAY.day, tzinfo=ZoneInfo(sessions[0].tz))
    starts = [midnight + timedelta(minutes=e.start_min) for e in chosen]
    return [
        Asked(
            request_id=f"R{n}",
            kw=round(e.share * kw, 1),
            start=start,
            end=start + timedelta(minutes=e.minutes),
        )
        for n, (e, start, kw) in enumerate(
            zip(chosen, starts, unmanaged_kw(sessions, starts, seed), strict=True)
        )
    ]


def off(found: Sequence[Interval]) -> str:
    """How far feasible intervals were off."""
    errors = sorted((i.error for i in found if i.feasible), key=abs)
    if not errors:
        return "nothing was feasible"
    mean, p95, bias = (
        statistics.fmean(map(abs, errors)),
        abs(errors[int(0.95 * len(errors))]),
        statistics.fmean(errors),
    )
    return f"err {100 * mean:.2f}%  p95 {100 * p95:.2f}%  bias {100 * bias:+.2f}%"


def line(done: Sequence[Replayed]) -> str:
    """One line of figures over several replays."""
    f = [d.figures for d in done]
    shed = sum(x["shedMWh"] for x in f)
    return (
        f"{off([i for d in done for i in d.intervals])}  harm {sum(x['unservedKWh'] for x in f) / shed:.0f} kWh/MWh  "
        f"rebound {max(x['reboundRatio'] for x in f):.3f}  "
        f"cmds {sum(x['commands'] for x in f) / sum(x['evsesTouched'] for x in f):.2f}/EVSE  "
        f"infeasible {sum(x['infeasible'] for x in f)} of {sum(x['intervals'] for x in f)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=16, help="so many of each seed")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--share", type=float, choices=SHARES, help="only events of this share of the load")
    parser.add_argument("--loop", action="store_true", help="play the loop on the same cars, too")
    args = parser.parse_args()
    set_up_logs("error")
    done: list[tuple[Event, Replayed, Watched, list[Interval]]] = []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        sessions = laid(read(args.sessions, seed), seed, args.days)
        of_share = (e for e in events(seed, 16 * args.events) if args.share in (None, e.share))
        chosen = list(islice(of_share, args.events))
        for event, asked in zip(chosen, asked_of(sessions, chosen, seed), strict=True):
            watched = Watched()
            played = replay(sessions, [asked], seed=seed, shares=FAULTS, watch=watched)
            beside = loop_on(sessions, asked, seed=seed, shares=FAULTS) if args.loop else []
            done.append((event, played, watched, beside))
            print(
                f"seed {seed} {100 * event.share:.0f}% {event.minutes} min {asked.kw} kW: {line([played])}"
                + (f"  | loop {off(beside)}" if args.loop else ""),
                flush=True,
            )
    for by in ("share", "minutes"):
        for value in sorted({getattr(e, by) for e, *_ in done}):
            print(f"{by} {value:<6} {line([d for e, d, *_ in done if getattr(e, by) == value])}")
    print(f"all          {line([d for _, d, *_ in done])}")
    if args.loop:
        print(f"loop         {off([i for *_, beside in done for i in beside])}")
    print(decomposed([(d, w) for _, d, w, _ in done]))


if __name__ == "__main__":
    main()
