"""One seed from its beginning to its end, or to its first broken promise."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from time import process_time
from typing import Any

import structlog

from emw.service import faults
from emw.simulation.loop import NothingLeft, run_to_end, simulated
from emw.simulation.node import Killed
from emw.simulation.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run was, for people and machines."""

    seed: int
    hours: float
    seconds: float
    starts: int
    kills: int
    messages: int
    message_faults: int
    commits: int
    facts: int
    commands: int
    requests: int
    checks: int
    trace_lines: int
    trace_hash: str
    broken: str | None
    last: tuple[str, ...] = ()


@contextlib.contextmanager
def _wired(world: World) -> Iterator[None]:
    """Seams, logs and the loop's complaints lead to this world while it runs."""

    def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Killed):
            world.fail("no unhandled exception", f"{context.get('message')}: {error!r}")

    def to_trace(_: Any, __: str, event: Any) -> Any:
        said = dict(event)
        name = said.pop("event")
        said.pop("exc_info", None)
        world.say(f"log {name} " + " ".join(f"{k}={v}" for k, v in sorted(said.items())))
        if name == "dispatch.illegal_order":
            world.fail("P4", f"an illegal order came as far as the last check: {said}")
        raise structlog.DropEvent

    before = structlog.get_config()
    hook, faults.hook = faults.hook, world.passes
    structlog.configure(
        processors=[to_trace], wrapper_class=structlog.BoundLogger, cache_logger_on_first_use=False
    )
    world.loop.set_exception_handler(complain)
    try:
        yield
    finally:
        faults.hook = hook
        structlog.configure(**before)


def summary_of(world: World, seconds: float) -> Summary:
    """What a run was."""
    headend = world.node.headend
    commands = world.node.commands + (headend.dispatch.commands.sent if headend else 0)
    return Summary(
        seed=world.seed,
        hours=round(world.loop.time() / 3600.0, 3),
        seconds=round(seconds, 3),
        starts=world.node.starts,
        kills=world.node.kills,
        messages=world.network.messages,
        message_faults=world.network.faults,
        commits=world.disk.commits,
        facts=len(world.disk.log),
        commands=commands,
        requests=len(world.ledger_checks.shadow.requests),
        checks=world.checks.checked + world.ledger_checks.checked + world.motion.checked,
        trace_lines=world.trace.lines,
        trace_hash=world.trace.hash,
        broken=None if world.broken is None else str(world.broken),
        last=tuple(world.trace.last) if world.broken else (),
    )


def simulate(
    seed: int, *, hours: float = 3.0, echo: bool = False, prepare: Callable[[World], None] | None = None
) -> Summary:
    """Run one seed to its end or its first broken promise."""
    began = process_time()
    with simulated(Random(f"{seed}:loop")) as loop:
        world = World(seed, loop, hours=hours, echo=echo)
        world.build()
        if prepare is not None:
            prepare(world)
        with _wired(world):
            try:
                main = run_to_end(loop, world.run)
            except NothingLeft as error:
                world.fail("no deadlock", str(error))
            else:
                if world.broken is None:
                    main.result()
        summary = summary_of(world, process_time() - began)
        world.node.closed = True
        loop.ended.add(world.node.life)  # its ports are dead while it is unwound
        return summary
