"""What one dispatch round sees: a frozen picture of one territory tree, made by the service, read by `decide`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from emw.domain.held import at_most_a
from emw.domain.model import Cause, Limit, ReductionRequest, RequestState, Territory
from emw.domain.units import FLOOR_A
from emw.engine.columns import SMALL_A
from emw.engine.ladder import Flexible, Price

REFUSING = "refusing"
"""Why an EVSE that answered no, or that its meter gives the lie, can't be asked for a while."""
HELD = "held by the governor"
"""Why what could be asked is not asked yet: ramp, rhythm or the minimum gap between two changes."""
NAMED_KW = 0.05
"""Less is not named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of dispatch. Times in seconds of the clock in force."""

    lease_s: float = 900.0
    """No limit is issued for longer; longer events are renewed in pieces (promise P3)."""
    ceiling_lease_s: float = 86_400.0
    """A ceiling is a law: its limits outlive a silent emw for this long (promise P12)."""
    gap_s: float = 60.0
    """At most one change of an EVSE's limit in this time."""
    restore_share_per_min: float = 0.05
    """Share of a node's controllable load that may rise per minute (promise P7)."""
    shed_share_per_min: float = 1.0
    """The same for falling, for requests that are not marked as an emergency."""
    ramp_floor_kw_per_min: float = 25.0
    """A node may always move this much per minute: it is too little for a grid to feel."""
    reversals: int = 2
    """A node's load may turn its direction this often in `rhythm_s` (promise P7)."""
    rhythm_s: float = 600.0
    return_min: float = 10.0
    """A large shed takes at least so long to come back, min."""
    hold_before_end_s: float = 15.0
    """How long before an event's end the limits of a staged return go out."""
    dead_band: float = 0.006
    """Share of the target within which nothing is corrected (dispatch, closed loop)."""
    retry_after_s: float = 120.0
    """A station that refused or did not answer is asked again after this, doubled each time."""
    retry_most_s: float = 1_800.0
    round_s: float = 30.0
    """The longest time between two rounds while a request is live."""
    band_doubt: float = 0.2
    """Nobody is moved for less than this part of the doubt about the counterfactual."""
    young_s: float = 120.0
    """A vehicle this young joins a running shed at its level; later it is one among the others."""
    hand_on_every_s: float = 300.0
    hand_on_after_s: float = 600.0
    """A hold this old may be handed on to another driver."""
    hand_on_margin: float = 0.07
    """... whose price is lower by this much, kWh missed per kWh shed."""
    hand_on_share: float = 0.008
    """... for at most this share of the load at a time: it must not look like a turn of the load."""

    @property
    def lease(self) -> timedelta:
        """`lease_s` as a timedelta."""
        return timedelta(seconds=self.lease_s)

    @property
    def longest(self) -> timedelta:
        """No limit lasts longer, whatever it is for."""
        return max(timedelta(seconds=self.ceiling_lease_s), self.hold)

    @property
    def hold(self) -> timedelta:
        """The longest a limit may be held for a staged return at a time: a slower one is held in pieces."""
        return timedelta(seconds=max(self.lease_s, 3_600.0))


class EvseView(NamedTuple):
    """One EVSE with a vehicle, or one that still holds a limit. A tuple: a large fleet's rounds make many.

    `would_draw_a`: what it would draw if it were let go now, A per phase; `potential_a`: the most it could come to.
    `baseline_a`: what it is expected to draw had nobody asked anything of it (None: the same as `would_draw_a`).
    `draw_a`: what its meter shows under the limit in force (None: not metered since that began).
    `gap_a`: how much less than it is offered it takes. `price`: what holding it costs its driver; `priority`: how much
    that counts.
    `why_not`: why it can't be asked now (offline, opted out, refused …); None when it can. `meter_counts`: it is heard,
    and its meter does not contradict itself.
    `lines`: the lines of the grid that it loads, told where a ceiling is in A; `line_a_per_a`: what an ampere of its
    limit puts on each of them, A.
    `by_driver`: it was its driver who opted out, and nobody on his behalf.
    `by_hand_a`: an operator's own ceiling on it, until `by_hand_until`; `stopped`: sheds are stopped where it stands.
    """

    evse_id: str
    path: tuple[str, ...]
    kw_per_a: float
    max_a: float
    would_draw_a: float
    potential_a: float
    floor_a: float = FLOOR_A
    step_a: float = 1.0
    may_pause: bool = False
    gap_a: float = 0.0
    why_not: str | None = None
    meter_counts: bool = True
    opted_out: bool = False
    by_driver: bool = False
    limit: Limit | None = None
    next_change_at: datetime | None = None
    baseline_a: float | None = None
    draw_a: float | None = None
    price: Price | None = None
    priority: float = 1.0
    plugged_at: datetime | None = None
    by_hand_a: float | None = None
    by_hand_until: datetime | None = None
    stopped: bool = False
    lines: tuple[str, ...] = ()
    line_a_per_a: float = 1.0

    @property
    def hears(self) -> bool:
        """Whether it can be told something: a wish that drivers and people refuse, a law that they can't."""
        return self.why_not is None or self.opted_out or self.stopped

    @property
    def refuses(self) -> bool:
        """Whether it said no, or its meter is silent or says so: it may hold a limit all the same."""
        return self.why_not == REFUSING

    def drawn_a(self, limit_a: float | None, unlimited_a: float | None = None) -> float:
        """Predicted draw under a limit, A: what it is offered less its gap, never more than it would draw."""
        would_a = self.would_draw_a if unlimited_a is None else unlimited_a
        return would_a if limit_a is None else min(would_a, max(limit_a - self.gap_a, 0.0))

    @property
    def lowest_a(self) -> float:
        """The least it can be brought to draw, A."""
        return self.drawn_a(0.0 if self.may_pause else self.floor_a)

    def stands_a(self, now: datetime) -> float:
        """The most it could come to draw under what it may hold now, A per phase."""
        return self.drawn_a(at_most_a(self.limit, now), self.potential_a)

    def now_a(self, limit_a: float | None) -> float:
        """Draw under a limit: metered where it is the one in force and has settled, else predicted."""
        in_force_a = self.limit.max_a if self.limit is not None else None
        same = limit_a == in_force_a or (
            limit_a is not None and in_force_a is not None and abs(limit_a - in_force_a) < SMALL_A
        )
        return self.draw_a if same and self.draw_a is not None else self.drawn_a(limit_a)

    def gives_kw(self, limit_a: float | None) -> float:
        """The curtailment under a limit, kW: what it is expected to draw without any request less what it draws."""
        return self._below_kw(self.now_a(limit_a))

    def rises_kw(self, limit_a: float) -> float:
        """The load that comes back when it is let go of a limit, kW, as predicted."""
        return self.kw_per_a * (self.would_draw_a - self.drawn_a(limit_a))

    def flexible(self, draw_a: float, per_a: float | None = None) -> Flexible:
        """As an allocator takes it: drawing `draw_a` as things are wanted so far.

        `per_a`: what an ampere of its limit counts, where that is not its kW.
        """
        return Flexible(
            evse_id=self.evse_id,
            kw_per_a=self.kw_per_a if per_a is None else per_a,
            draw_a=draw_a,
            max_a=self.max_a,
            floor_a=self.floor_a,
            step_a=self.step_a,
            may_pause=self.may_pause,
            gap_a=self.gap_a,
            current_a=self.limit.max_a if self.limit is not None else None,
            weight=self.priority,
            price=self.price,
        )

    def _below_kw(self, draw_a: float) -> float:
        baseline_a = self.would_draw_a if self.baseline_a is None else self.baseline_a
        return self.kw_per_a * (baseline_a - draw_a)

    def stays_kw(self, now: datetime) -> float:
        """What an EVSE gives that can't be asked now but may hold a limit all the same: by its meter; else 0.

        Where that says nothing of now, as predicted under what it may hold at most. Who is let go gives nothing.
        """
        if self.hears or not self.meter_counts:
            return 0.0
        if self.draw_a is not None:
            return self._below_kw(self.draw_a)
        limit_a = at_most_a(self.limit, now)
        return 0.0 if limit_a is None else self.gives_kw(limit_a)

    def holds(self, now: datetime) -> bool:
        """Whether a limit is in force that the station agreed to or has not answered yet."""
        return self.limit is not None and self.limit.holds(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One territory tree at one instant."""

    root: str
    territories: Mapping[str, Territory]
    evses: Sequence[EvseView]
    requests: Sequence[ReductionRequest]
    halted: bool = False
    may_rise_kw: Mapping[str, float] = field(default_factory=dict)
    """Per node: how much load may rise now (governor); a node that is not named may rise without bound."""
    rose_kw: Mapping[str, float] = field(default_factory=dict)
    """Per node: how much load was let rise within the last minute."""
    highest_kw: Mapping[str, float] = field(default_factory=dict)
    """Per node: the load that a return may come up to, so that it makes no new peak; not named: without bound."""
    doubt_kw: float = 0.0
    """Standard deviation of what all EVSEs together are believed to draw without requests."""
    hand_on: bool = False
    """Whether it is time to look who could be let go because another can do the same for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One command that `decide` wants sent. `limit_a` None: back to normal."""

    evse_id: str
    limit_a: float | None
    until: datetime
    cause: Cause
    request_key: str | None
    node_id: str | None
    would_draw_a: float
    asked_kw: float
    plugged_at: datetime | None = None
    """Since when the vehicle stands there that it is meant for; None: there is none."""
    line: str | None = None
    renewal: bool = False
    law: bool = False
    """A ceiling needs it: neither ramp nor rhythm may hold it while it brings load down."""
    driver: bool = False
    """Its driver has opted out in person: neither rhythm nor gap may hold what lets it go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """What nobody is left to give for one request, kW, and why in words a person can act on."""

    request_key: str
    kw: float
    why: str = ""
    """The one reason, where no kW go with it."""
    parts: tuple[str, ...] = ()
    """Else what keeps the rest from being asked: kW and reason."""

    def with_held(self, held_kw: float) -> Shortfall:
        """The same, where of what was proposed the governor held back `held_kw` besides."""
        if held_kw < NAMED_KW:
            return self
        parts = (*self.parts, f"{held_kw:.1f} kW {HELD}")
        return replace(self, kw=self.kw + held_kw, why="", parts=parts)

    def told(self, short_kw: float) -> str:
        """In words. `short_kw`: what is short in the sums that it stands beside; they are newer than the plan."""
        return f"short {short_kw:.1f} kW: {', '.join(self.parts)}" if self.parts else self.why


def retold(why: str, short_kw: float) -> str:
    """The words of earlier sums beside others: another number, the same reasons."""
    return re.sub(r"^short [\d.]+ kW: ", f"short {short_kw:.1f} kW: ", why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `decide` proposes: moves in requests' lives, orders, shortfalls, and when to look again."""

    moves: tuple[tuple[str, RequestState], ...] = ()
    """Requests, by key, and the state that each comes to."""
    orders: tuple[Order, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    wake_at: datetime | None = None
    """None: the clock alone changes nothing."""
