"""What the log must keep at every commit: checked on the facts themselves, with a shadow of the state beside it.

The shadow is `fold(evolve, log)`: each fact is applied to it as it becomes durable, and must give the very rows
that were written.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.model import Cause, Evse, Record
from emw.domain.state import State
from emw.engine.view import Rules
from emw.simulation.disk import Disk, Rows, row_key
from emw.simulation.motion import Motion
from emw.store.database import GivenSqlite
from emw.store.log import facts_of, tables_of, verify_log

Fail = Callable[[str, str], None]
MOST_HOLD = timedelta(hours=1)
"""How far ahead a staged return may hold a limit (the last check before the wire says the same)."""


class LedgerChecks:
    """Follows the log."""

    def __init__(self, disk: Disk, rules: Rules, motion: Motion, fail: Fail) -> None:
        self.checked = 0
        self.shadow = State()
        self.tables: Rows = {}
        self.commands: dict[str, f.CommandIssued] = {}
        self.knobs: defaultdict[str, set[float]] = defaultdict(set)
        """Every knob that was ever told, per EVSE."""
        self.undelivered: dict[str, f.ReportQueued] = {}
        self.taken: Callable[[str, str], bool] = lambda _iso, _body: True
        self.plug_ins: Callable[[str], int] = lambda _: 10**9
        self.seen: Counter[tuple[str, str]] = Counter()
        self._disk = disk
        self._rules = rules
        self._motion = motion
        self._fail = fail
        self._answers: dict[str, f.CommandAnswered] = {}
        self._reported: set[tuple[str, str]] = set()
        self._started: defaultdict[str, int] = defaultdict(int)

    # --- at each commit

    def committed(self, _: int, facts: Sequence[f.Fact], records: Sequence[Record]) -> None:
        """A group is durable."""
        wrote: Rows = {}
        for fact in facts:
            self.checked += 1
            self._look(fact)
            for record in apply(self.shadow, fact)[0]:
                wrote[row_key(record)] = record
                if isinstance(record, Evse):
                    self.knobs[record.evse_id].add(record.max_a)
            self._motion.after(fact, self.shadow)
        if wrote != {row_key(r): r for r in records}:
            self._fail(
                "fold rule", f"the rows written are not those of the facts: {_difference(wrote, records)}"
            )
        self.tables.update(wrote)

    def _look(self, fact: f.Fact) -> None:  # noqa: C901, PLR0912 - one case per kind of fact
        self.seen[_name_of(fact)] += 1
        match fact:
            case f.CommandIssued():
                self._command(fact)
                self._motion.before(fact, self.shadow)
            case f.CommandAnswered():
                last = self._answers.get(fact.evse_id)
                if last is not None and _same_answer(last, fact):
                    self._fail("P5", f"the same answer was recorded twice: {fact}")
                self._answers[fact.evse_id] = fact
            case f.SessionStarted():
                self._started[fact.evse_id] += 1
                if self._started[fact.evse_id] > self.plug_ins(fact.evse_id):
                    self._fail(
                        "P5", f"{fact.evse_id} plugged in {self.plug_ins(fact.evse_id)} times, not {fact}"
                    )
            case f.SessionEnded():
                if fact.session_id not in self.shadow.sessions:
                    self._fail("P5", f"a session ended twice: {fact}")
            case f.RequestReceived():
                same = [
                    r
                    for r in self.shadow.requests.values()
                    if r.iso_id == fact.iso_id and r.request_id == fact.request_id
                ]
                if same or fact.request_key in self.shadow.requests:
                    self._fail("P5", f"the same request was taken twice: {fact}")
            case f.RequestCancelled():
                if not self.shadow.requests[fact.request_key].live:
                    self._fail("P5", f"a request that is over was cancelled: {fact}")
            case f.RequestMoved():
                if fact.state is self.shadow.requests[fact.request_key].state:
                    self._fail("P5", f"a request moved twice: {fact}")
            case f.RequestTallied():
                self._sums(fact)
            case f.ReportQueued():
                if fact.kind != "interval" and (fact.request_key, fact.kind) in self._reported:
                    self._fail("P5", f"the same report was made twice: {fact.kind} {fact.request_key}")
                self._reported.add((fact.request_key, fact.kind))
                self.undelivered[fact.report_id] = fact
            case f.ReportDelivered():
                queued = self.undelivered.pop(fact.report_id, None)
                if queued is None or not self.taken(queued.iso_id, queued.body):
                    self._fail("P1 reports", f"recorded as delivered, but nobody took it: {fact}")
            case f.ReportDropped():
                queued = self.undelivered.pop(fact.report_id, None)
                iso = self.shadow.isos.get(queued.iso_id) if queued else None
                if queued and iso and iso.access_url and fact.at - queued.at < timedelta(days=7):
                    self._fail("P1 reports", f"dropped though its receiver is there: {fact}")
            case _:
                pass

    def _command(self, c: f.CommandIssued) -> None:
        self.commands[c.command_id] = c
        evse = self.shadow.evses[c.evse_id]
        if c.max_a is None:
            return
        if not (c.max_a == 0 or evse.floor_a <= c.max_a <= evse.max_a + 1e-9):
            self._fail("P4", f"{c.max_a:g} A is neither 0 nor {evse.floor_a:g} to {evse.max_a:g} A: {c}")
        rules = self._rules
        lease = {
            Cause.CEILING: timedelta(seconds=rules.ceiling_lease_s),
            Cause.RESTORATION: MOST_HOLD,
        }.get(c.cause, timedelta(seconds=rules.lease_s))
        if not c.at < c.until <= c.at + lease:
            self._fail("P3", f"ends {c.until}, its lease at {c.at + lease}: {c}")
        request = self.shadow.requests.get(c.request_key) if c.request_key else None
        if c.cause is Cause.SHED:
            if request is None:
                self._fail("P3", f"a shed that no request asks for: {c}")
            elif request.end_at is not None and c.until > request.end_at:
                self._fail("P3", f"ends {c.until}, after its event at {request.end_at}: {c}")
        if c.cause is Cause.SHED and self.shadow.halted and (self.shadow.halt["all"].at or c.at) < c.at:
            self._fail("P14", f"a shed while dispatch is halted: {c}")

    def _sums(self, t: f.RequestTallied) -> None:
        asked = self.shadow.requests[t.request_key].kw
        parts = (t.confirmed_kw, t.pending_kw, t.refused_kw, t.short_kw)
        if abs(sum(parts) - asked) > 1e-6 or min(parts) < -1e-9:
            self._fail("P11", f"{asked} kW were asked, the parts are {parts}")

    # --- against what was acknowledged, and after each start

    def count(self, kind: str, name: str) -> int:
        """How often a named fact is in the log."""
        return self.seen[kind, name]

    def reread(self) -> None:
        """A start: the log on the disk gives the shadow anew; what was counted before must still be there."""
        before = self.seen
        lost = {}
        now: Counter[tuple[str, str]] = Counter(_name_of(fact) for fact in self._disk.log)
        for name, times in before.items():
            if now[name] != times:
                lost[name] = (times, now[name])
        if lost:
            first = min(lost)
            self._fail(
                "P1", f"{first[0]} {first[1]} was in the log {lost[first][0]} times, now {lost[first][1]}"
            )
        shadow, tables = fold(self._disk.log)
        if tables != self._disk.rows:
            self._fail(
                "fold rule",
                f"the tables are not the log's: {_difference(tables, list(self._disk.rows.values()))}",
            )
        self.shadow, self.tables = shadow, tables
        self._motion.shadow_is(shadow)

    def read_back(self) -> None:
        """The real store: what comes out of SQLite is what went in. (Each start compares the live view.)"""
        if self._disk.sql is None:
            return
        with GivenSqlite(self._disk.sql.connection).snapshot() as connection:
            if list(facts_of(connection)) != self._disk.log:
                self._fail("P1", "the log read back from SQLite is not what was committed")
            if tables_of(connection) != self._disk.rows:
                self._fail("fold rule", "the tables read back from SQLite are not the log's")
            if problem := verify_log(connection):
                self._fail("P13", f"the chain of the log is broken: {problem}")

    def same_as(self, live: State) -> str | None:
        """Where the live view differs from the log's; None: nowhere."""
        for name in State.__slots__:
            if name in {"_by_type", "_paths"}:
                continue
            here, there = getattr(self.shadow, name), getattr(live, name)
            if here != there:
                keys = sorted({str(k) for k in here.keys() | there.keys() if here.get(k) != there.get(k)})
                key = next(k for k in here.keys() | there.keys() if str(k) == keys[0])
                return f"{name} {keys[0]}: log {here.get(key)}, live {there.get(key)}"
        return None


def fold(log: Sequence[f.Fact]) -> tuple[State, Rows]:
    """State and tables out of the log alone."""
    state, tables = State(), {}
    for fact in log:
        for record in apply(state, fact)[0]:
            tables[row_key(record)] = record
    return state, tables


def hash_of(secret: str) -> str:
    """As the gate keeps it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _name_of(fact: f.Fact) -> tuple[str, str]:
    kind = type(fact).__name__
    match fact:
        case f.PoweredOn():
            return kind, fact.token_hash
        case f.SessionStarted() | f.SessionEnded():
            return kind, fact.session_id
        case f.CommandIssued():
            return kind, fact.command_id
        case f.RequestReceived() | f.RequestCancelled():
            return kind, fact.request_key
        case f.ReportQueued():
            return kind, fact.report_id
        case _:
            return kind, ""


def _same_answer(a: f.CommandAnswered, b: f.CommandAnswered) -> bool:
    return (a.command_id, a.outcome, a.answered_a) == (b.command_id, b.outcome, b.answered_a)


def _difference(rows: Rows, records: Sequence[Record]) -> str:
    there = {row_key(r): r for r in records}
    keys = [k for k in rows.keys() | there.keys() if rows.get(k) != there.get(k)]
    first = min(keys, key=lambda k: (k[0].__name__, str(k[1])))
    return (
        f"{first[0].__name__} {first[1]}: {rows.get(first)} against {there.get(first)} ({len(keys)} differ)"
    )
