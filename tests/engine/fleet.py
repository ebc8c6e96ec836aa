"""A small fleet in a small tree, and rounds of `decide` over it as the service plays them, without the service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from emw.domain.lines import LINES
from emw.domain.model import Cause, Limit, Outcome, ReductionRequest, RequestState, Territory
from emw.engine.decide import decide
from emw.engine.governor import Governor
from emw.engine.ladder import Price
from emw.engine.view import EvseView, Order, Plan, Rules, View

START = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
PHASES = ("L1", "L2", "L3")
PARENTS: dict[str, str | None] = {
    "East": None,
    "North": "East",
    "South": "East",
    "Site": "North",
    **dict.fromkeys(PHASES, "Site"),
}
PATHS = {
    "East": ("East",),
    "North": ("North", "East"),
    "South": ("South", "East"),
    "Site": ("Site", "North", "East"),
    **{phase: (phase, "Site", "North", "East") for phase in PHASES},
}


@dataclass(frozen=True, kw_only=True)
class Car:
    """One EVSE with a vehicle, as it really is."""

    evse_id: str
    node: str = "East"
    kw_per_a: float = 0.23
    lines: tuple[str, ...] = LINES
    max_a: float = 32.0
    step_a: float = 1.0
    would_a: float = 20.0
    potential_a: float = 32.0
    may_pause: bool = False
    gap_a: float = 0.0
    refuses: bool = False
    why_not: str | None = None
    plugged_at: datetime | None = None
    price: Price | None = None


@dataclass
class Fleet:
    """The world of one tree: cars, limits, requests, the governor; every order is checked as it goes out."""

    cars: dict[str, Car]
    rules: Rules = field(default_factory=Rules)
    ceilings: dict[str, float] = field(default_factory=dict)
    ceilings_a: dict[str, float] = field(default_factory=dict)
    requests: dict[str, ReductionRequest] = field(default_factory=dict)
    limits: dict[str, Limit] = field(default_factory=dict)
    now: datetime = START
    halted: bool = False
    serial: int = 0
    sent: list[Order] = field(default_factory=list)
    held: int = 0
    refusals: int = 0
    refused_until: dict[str, datetime] = field(default_factory=dict)
    highest_kw: dict[str, float] = field(default_factory=dict)
    hand_on: bool = False

    def __post_init__(self) -> None:
        self.governor = Governor(self.rules)

    def request(
        self, key: str, kw: float, *, node: str = "East", minutes: float | None = 30, start_s: float = 0
    ) -> None:
        start = self.now + timedelta(seconds=start_s)
        self.requests[key] = ReductionRequest(
            request_key=key,
            iso_id="grid",
            request_id=key,
            territory_id=node,
            kw=kw,
            start_at=start,
            end_at=None if minutes is None else start + timedelta(minutes=minutes),
            received_at=self.now,
        )

    def cancel(self, key: str) -> None:
        request = self.requests[key]
        if request.state is RequestState.PENDING:
            self.requests[key] = replace(request, state=RequestState.CANCELLED)
        elif request.state is RequestState.ACTIVE:
            self.requests[key] = replace(request, state=RequestState.RESTORING)

    def why_not(self, car: Car) -> str | None:
        until = self.refused_until.get(car.evse_id)
        return "refusing" if until is not None and self.now < until else car.why_not

    def view(self) -> View:
        at = self.now.timestamp()
        controllable = dict.fromkeys(PARENTS, 0.0)
        evses = []
        for car in self.cars.values():
            for node in PATHS[car.node]:
                controllable[node] += car.kw_per_a * car.would_a
            next_change = self.governor.next_change(car.evse_id)
            why_not = self.why_not(car)
            evses.append(
                EvseView(
                    evse_id=car.evse_id,
                    path=PATHS[car.node],
                    kw_per_a=car.kw_per_a,
                    lines=car.lines if self.ceilings_a else (),
                    max_a=car.max_a,
                    step_a=car.step_a,
                    would_draw_a=car.would_a,
                    potential_a=car.potential_a,
                    may_pause=car.may_pause,
                    gap_a=car.gap_a,
                    why_not=why_not,
                    opted_out=why_not == "opted out",
                    limit=self.limits.get(car.evse_id),
                    plugged_at=car.plugged_at,
                    price=car.price,
                    next_change_at=None
                    if next_change is None
                    else self.now + timedelta(seconds=next_change - at),
                )
            )
        self.governor.know(controllable)
        return View(
            root="East",
            territories={
                t: Territory(
                    territory_id=t,
                    parent_id=p,
                    ceiling_kw=self.ceilings.get(t),
                    ceiling_a=self.ceilings_a.get(t),
                )
                for t, p in PARENTS.items()
            },
            evses=evses,
            requests=[r for r in self.requests.values() if r.live],
            halted=self.halted,
            may_rise_kw={n: self.governor.may_rise_kw(n, at, halted=self.halted) for n in PARENTS},
            rose_kw={n: self.governor.rose_kw(n, at) for n in PARENTS},
            highest_kw=self.highest_kw,
            hand_on=self.hand_on,
        )

    def round(self) -> Plan:
        """Decide, check, let through, apply."""
        plan = decide(self.view(), self.now, self.rules)
        for key, state in plan.moves:
            self.requests[key] = replace(self.requests[key], state=state)
        for order in plan.orders:
            self.check(order)
            if self._admitted(order):
                self._apply(order)
            else:
                self.held += 1
        return plan

    def check(self, order: Order) -> None:
        """What the last step before the wire would refuse must never be proposed (P3, P4)."""
        car = self.cars[order.evse_id]
        if order.limit_a is None:
            return
        assert order.limit_a == 0.0 or 6.0 <= order.limit_a <= car.max_a + 1e-9, order
        steps = (order.limit_a - 6.0) / car.step_a
        assert order.limit_a == 0.0 or steps == pytest.approx(round(steps), abs=1e-6), order
        longest_s = {
            Cause.CEILING: self.rules.ceiling_lease_s,
            Cause.RESTORATION: max(self.rules.lease_s, 3_600.0),
        }.get(order.cause, self.rules.lease_s)
        assert self.now < order.until <= self.now + timedelta(seconds=longest_s), order
        if order.cause is Cause.SHED:
            assert self.why_not(car) is None, f"{car} was asked"
            assert order.request_key is not None
            end = self.requests[order.request_key].end_at
            assert end is None or order.until <= end, order
            assert order.limit_a > 0 or car.may_pause, order

    def _admitted(self, order: Order) -> bool:
        if order.renewal:
            return True
        car, before = self.cars[order.evse_id], self.limits.get(order.evse_id)
        drawn = car.would_a
        if before is not None and before.in_force(self.now) and before.max_a is not None:
            drawn = min(drawn, before.max_a)
        after = car.would_a if order.limit_a is None else min(car.would_a, order.limit_a)
        told = self.governor.admit(
            order.evse_id,
            PATHS[car.node],
            car.kw_per_a * (after - drawn),
            self.now.timestamp(),
            emergency=True,
            law=order.law,
            halt=order.cause is Cause.HALT,
        )
        return told is None

    def _apply(self, order: Order) -> None:
        self.serial += 1
        car = self.cars[order.evse_id]
        self.sent.append(order)
        outcome = Outcome.REJECTED if car.refuses else Outcome.APPLIED
        if car.refuses:
            self.refusals += 1
            self.refused_until[car.evse_id] = self.now + timedelta(seconds=self.rules.retry_after_s)
        self.limits[order.evse_id] = Limit(
            evse_id=order.evse_id,
            command_id=f"c{self.serial}",
            max_a=order.limit_a,
            until=order.until,
            cause=order.cause,
            issued_at=self.now,
            request_key=order.request_key,
            node_id=order.node_id,
            line=order.line,
            would_draw_a=order.would_draw_a,
            asked_kw=order.asked_kw,
            outcome=outcome,
            answered_a=order.limit_a,
            answered_at=self.now,
        )

    def run(self, seconds: float, step: float = 10.0) -> None:
        """Rounds every `step` seconds, and at once when somebody has refused: others may have to stand in for it."""
        for _ in range(int(seconds / step)):
            self.now += timedelta(seconds=step)
            refusals = -1
            while refusals != self.refusals:
                refusals = self.refusals
                self.round()

    # --- what is so

    def held_a(self, car: Car) -> float | None:
        limit = self.limits.get(car.evse_id)
        real = limit is not None and limit.in_force(self.now) and limit.outcome is Outcome.APPLIED
        return limit.max_a if limit is not None and real else None

    def draws_a(self, car: Car, unlimited_a: float | None = None) -> float:
        would = car.would_a if unlimited_a is None else unlimited_a
        limit_a = self.held_a(car)
        return would if limit_a is None else min(would, max(limit_a - car.gap_a, 0.0))

    def under(self, node: str) -> Iterable[Car]:
        return [c for c in self.cars.values() if node in PATHS[c.node]]

    def shed_kw(self, node: str = "East") -> float:
        return sum(c.kw_per_a * (c.would_a - self.draws_a(c)) for c in self.under(node))

    def could_kw(self, node: str = "East") -> float:
        return sum(c.kw_per_a * self.draws_a(c, c.potential_a) for c in self.under(node))

    def could_a(self, node: str, line: str) -> float:
        return sum(self.draws_a(c, c.potential_a) for c in self.under(node) if line in c.lines)

    def laws(self, node: str) -> list[tuple[float, list[Car]]]:
        """Each ceiling of a node: how much what could be drawn is above it (kW, or A on a line), and who adds to it."""
        here, most_kw, most_a = list(self.under(node)), self.ceilings.get(node), self.ceilings_a.get(node)
        laws = [] if most_kw is None else [(self.could_kw(node) - most_kw, here)]
        if most_a is not None:
            laws += [
                (self.could_a(node, line) - most_a, [c for c in here if line in c.lines]) for line in LINES
            ]
        return laws

    def over(self, node: str) -> float:
        """How much what could be drawn under a node is above the ceiling that it breaks most."""
        return max((over for over, _ in self.laws(node)), default=-inf)

    def free(self) -> bool:
        """Whether nobody is limited."""
        return all(self.held_a(c) is None for c in self.cars.values())

    @property
    def states(self) -> dict[str, str]:
        return {k: str(r.state) for k, r in self.requests.items()}


def alike(count: int, **more: object) -> dict[str, Car]:
    """So many cars of one kind."""
    return {f"E{n:02}": Car(evse_id=f"E{n:02}", **more) for n in range(count)}  # type: ignore[arg-type]
