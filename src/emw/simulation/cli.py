"""`emw-sim`: replay one seed, or run many; a broken promise is shown with its seed and the last lines before it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from emw.simulation.planted import PLANTS
from emw.simulation.run import Summary, simulate


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0: every promise held, 1: one broke, 2: wrong use."""
    arguments = _parser().parse_args(argv)
    seeds = _seeds(arguments.seeds) if arguments.seeds else [arguments.seed]
    if seeds == [None]:
        _parser().error("give a SEED or --seeds A..B")
    broken = 0
    for seed in seeds:
        with PLANTS[arguments.plant]() if arguments.plant else contextlib.nullcontext():
            summary = simulate(seed, hours=arguments.hours, echo=arguments.trace)
        broken += summary.broken is not None
        _show(summary, as_json=arguments.json, many=len(seeds) > 1)
        if arguments.first and broken:
            break
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="emw-sim",
        description="The whole of emw under a seeded simulation: clock, network, disk, kills at named seams.",
    )
    parser.add_argument("seed", metavar="SEED", type=int, nargs="?", help="replay this seed")
    parser.add_argument("--seeds", metavar="A..B", help="run all of these, both ends included")
    parser.add_argument("--hours", metavar="H", type=float, default=3.0, help="virtual hours per seed (3)")
    parser.add_argument("--trace", action="store_true", help="print every line of the run")
    parser.add_argument("--json", action="store_true", help="one JSON object per seed")
    parser.add_argument("--first", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="with this bug on purpose")
    return parser


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("..")
    try:
        return list(range(int(first), int(last or first) + 1))
    except ValueError:
        _parser().error(f"--seeds takes A..B, two whole numbers, not {text!r}")


def _show(summary: Summary, *, as_json: bool, many: bool) -> None:
    if as_json:
        print(msgspec.json.encode(asdict(summary)).decode())
        return
    s = summary
    said = (
        f"seed {s.seed}: {s.hours:g} virtual hours in {s.seconds:.1f} s, {s.kills} kills, {s.messages} messages "
        f"({s.message_faults} hurt), {s.commits} commits, {s.facts} facts, {s.commands} commands, "
        f"{s.requests} requests, {s.checks} checks, trace {s.trace_hash}"
    )
    print(said)
    if s.broken is None:
        return
    if not many:
        print(f"\nthe last {len(s.last)} lines:")
        for line in s.last:
            print(line)
    print(f"\nBROKEN, seed {s.seed}: {s.broken}\n")


if __name__ == "__main__":
    sys.exit(main())
