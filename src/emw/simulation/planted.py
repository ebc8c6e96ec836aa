"""Bugs on purpose: the simulation is tested by what it finds. Wrappers and patches, never switches in the code.

Each is a context manager around one run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from emw.domain import facts as f
from emw.domain.state import State
from emw.engine import law, orders
from emw.engine.ceilings import ceilings_of
from emw.engine.decide import decide
from emw.engine.governor import Governor
from emw.engine.view import Plan
from emw.grid.iso import IsoLink
from emw.service import dispatch
from emw.service.accounts import Accounts
from emw.service.commands import Commands
from emw.service.gate import Gate, hash_of
from emw.service.intake import Intake
from emw.service.ledger import Ledger
from emw.service.outbox import Outbox
from emw.service.requests import Requests
from emw.simulation.disk import Disk

Plant = Callable[[], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def _patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def answer_before_commit() -> contextlib.AbstractContextManager[None]:
    """Says yes as soon as memory has changed."""

    async def record(self: Ledger, *facts: f.Fact) -> None:
        if facts:
            self.put(*facts)
            await asyncio.sleep(0)

    return _patched(Ledger, "record", record)


def command_before_commit() -> contextlib.AbstractContextManager[None]:
    """Sends first and writes afterwards."""
    issue = Commands.issue

    async def hasty(self: Commands, *wanted: Any) -> Mapping[str, float]:
        ledger = self._ledger
        put = ledger.put

        def put_and_send(*facts: f.Fact) -> Any:
            done = put(*facts)
            for fact in facts:
                if isinstance(fact, f.CommandIssued):
                    self._start(self._state.limits[fact.evse_id])
            return done

        ledger.put = put_and_send  # type: ignore[method-assign]
        try:
            return await issue(self, *wanted)
        finally:
            ledger.put = put  # type: ignore[method-assign]

    return _patched(Commands, "issue", hasty)


def _bent(bend: Callable[[Any], Any]) -> Callable[..., Plan]:

    def bent(view: Any, now: datetime, rules: Any) -> Plan:
        plan = decide(view, now, rules)
        return replace(plan, orders=tuple(bend(order) for order in plan.orders))

    return bent


@contextlib.contextmanager
def no_floor() -> Iterator[None]:
    """Cuts below what exists, and the last check is asleep."""

    def bend(order: Any) -> Any:
        return order if order.limit_a is None else replace(order, limit_a=order.limit_a - 3.0)

    with _patched(dispatch, "decide", _bent(bend)), _patched(Commands, "_legal", lambda *_: True):
        yield


def outlives_event() -> contextlib.AbstractContextManager[None]:
    """The lease counts, the event's end does not."""

    def until(_: Any, __: Any, now: datetime, rules: Any) -> datetime:
        return now + timedelta(seconds=rules.lease_s)

    return _patched(orders, "_until", until)


def no_resend() -> contextlib.AbstractContextManager[None]:
    """After a start nobody is told anything again."""

    def resume(self: Commands, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    return _patched(Commands, "resume", resume)


def double_count() -> contextlib.AbstractContextManager[None]:
    """Counts each EVSE twice in the sums."""
    evses_of = Accounts.evses_of
    return _patched(Accounts, "evses_of", lambda self, node: [*evses_of(self, node), *evses_of(self, node)])


def lost_commit() -> contextlib.AbstractContextManager[None]:
    """The disk says yes before it has flushed."""
    write = Disk.write

    def lazy(self: Disk, facts: Any, records: Any) -> int:
        self.forgets_last = True
        return write(self, facts, records)

    return _patched(Disk, "write", lazy)


@contextlib.contextmanager
def governor_off() -> Iterator[None]:
    """Everything may move at once."""
    with (
        _patched(Governor, "admit", lambda *_, **__: None),
        _patched(Governor, "may_rise_kw", lambda *_, **__: 1e9),
        _patched(Governor, "next_change", lambda *_: None),
    ):
        yield


def ownership_off() -> contextlib.AbstractContextManager[None]:
    """Any station's token opens any station's doors."""

    def station(self: Gate, station_id: str, token: str | None, address: str) -> Any:
        known = {s.token_hash for s in self._state.stations.values()}
        if token is not None and hash_of(token) in known:
            return self._state.stations[station_id]
        raise self._wrong(station_id, address)

    return _patched(Gate, "station", station)


def reports_dropped() -> contextlib.AbstractContextManager[None]:
    """A report that could not be delivered is given up."""
    attempt = Outbox._try  # noqa: SLF001 - a planted bug sits where bugs sit

    async def once(self: Outbox, iso: Any, report: Any) -> bool:
        if not await attempt(self, iso, report):
            await self._drop(report, "it did not get through")
        return True

    return _patched(Outbox, "_try", once)


def reports_unheard() -> contextlib.AbstractContextManager[None]:
    """A report counts as delivered once it has been sent."""
    deliver = IsoLink.deliver

    async def sent(self: IsoLink, iso: Any, report: Any) -> bool:
        await deliver(self, iso, report)
        return True

    return _patched(IsoLink, "deliver", sent)


def two_requests() -> contextlib.AbstractContextManager[None]:
    """The same requestID again is another request."""
    decrease = Requests.decrease

    async def again(self: Requests, iso_id: str, asked: Any, **who: Any) -> Any:
        if f"{iso_id}:{asked.request_id}" in self._state.requests:
            asked = replace(asked, request_id=asked.request_id + "'")
        return await decrease(self, iso_id, asked, **who)

    return _patched(Requests, "decrease", again)


def undo_forgotten() -> contextlib.AbstractContextManager[None]:
    """What a failed commit changed in memory stays there."""
    return _patched(State, "undo", staticmethod(lambda _: None))


def plug_in_twice() -> contextlib.AbstractContextManager[None]:
    """A plug-in that is repeated starts another session."""
    return _patched(Intake, "_same_stay", lambda *_: False)


@contextlib.contextmanager
def above_knob() -> Iterator[None]:
    """Gives more than the station's own maximum."""

    def bend(order: Any) -> Any:
        return order if order.limit_a is None else replace(order, limit_a=order.limit_a + 40.0)

    with _patched(dispatch, "decide", _bent(bend)), _patched(Commands, "_legal", lambda *_: True):
        yield


def ceilings_off() -> contextlib.AbstractContextManager[None]:
    """No ceiling asks for anything."""
    return _patched(law, "ceilings_of", lambda _: [])


def lines_off() -> contextlib.AbstractContextManager[None]:
    """Ceilings in kW are kept, those in A ask for nothing."""
    return _patched(law, "ceilings_of", lambda node: [c for c in ceilings_of(node) if c.line is None])


PLANTS: Final[dict[str, Plant]] = {
    "above-knob": above_knob,
    "answer-before-commit": answer_before_commit,
    "ceilings-off": ceilings_off,
    "command-before-commit": command_before_commit,
    "double-count": double_count,
    "governor-off": governor_off,
    "lines-off": lines_off,
    "lost-commit": lost_commit,
    "no-floor": no_floor,
    "no-resend": no_resend,
    "outlives-event": outlives_event,
    "ownership-off": ownership_off,
    "plug-in-twice": plug_in_twice,
    "reports-dropped": reports_dropped,
    "reports-unheard": reports_unheard,
    "two-requests": two_requests,
    "undo-forgotten": undo_forgotten,
}
