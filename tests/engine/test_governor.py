"""Mass changes are ramped and spread, whoever asks (P7): any sequence of calls, looked at from outside."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from emw.engine.governor import TINY_KW, TURN_SHARE, Governor
from emw.engine.view import Rules

EVSES = 40
PATHS = {n: (f"feeder-{n % 4}", "East") for n in range(EVSES)}
"""Forty EVSEs of 7 kW on four feeders."""


class Outside:
    """The load as a meter outside would see it: what each EVSE is let draw, and what each node sums up to."""

    def __init__(self, rules: Rules, evse_kw: list[float]) -> None:
        self.rules = rules
        self.kw = evse_kw
        self.governor = Governor(rules)
        self.drawn = list(evse_kw)
        self.moves: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.changed: dict[int, list[float]] = defaultdict(list)
        self.controllable: dict[str, float] = defaultdict(float)
        for n, kw in enumerate(evse_kw):
            for node in PATHS[n]:
                self.controllable[node] += kw
        self.governor.know(self.controllable)

    def ask(self, n: int, share: float, now: float, *, emergency: bool, law: bool = False) -> bool:
        """Somebody wants EVSE `n` at `share` of what it draws unlimited."""
        delta = self.kw[n] * share - self.drawn[n]
        if abs(delta) < 1e-9:
            return False
        held = self.governor.admit(f"E{n}", PATHS[n], delta, now, emergency=emergency, law=law)
        if held is not None:
            assert self.had_to(held, n, delta, now), held
            return False
        self.drawn[n] += delta
        self.changed[n].append(now)
        for node in PATHS[n]:
            self.moves[node].append((now, delta))
        return True

    def had_to(self, why: str, n: int, delta: float, now: float) -> bool:
        """Whether what it says is so: an EVSE that may change is held for nothing but what others moved."""
        rules, way = self.rules, 1 if delta > 0 else -1
        if why.startswith("changed"):
            return now < self.changed[n][-1] + rules.gap_s
        if why.startswith("load has turned"):
            lately = [[t for t in self.reversals(x) if t > now - rules.rhythm_s] for x in PATHS[n]]
            return any(len(turned) >= rules.reversals for turned in lately)
        share = rules.restore_share_per_min if way > 0 else rules.shed_share_per_min
        for node in PATHS[n]:
            moved = sum(max(way * kw, 0.0) for t, kw in self.moves[node] if t > now - 60)
            allowed = max(share * self.controllable[node], rules.ramp_floor_kw_per_min)
            if moved > 0 and moved + abs(delta) > allowed - 1e-6:
                return True
        return False

    def most_in_a_minute(self, node: str, way: int) -> list[tuple[float, list[float]]]:
        """For each minute that ends with a move: the sum that way, and its single moves."""
        found = []
        moves = [(t, way * kw) for t, kw in self.moves[node] if way * kw > 0]
        for t, _ in moves:
            inside = [kw for s, kw in moves if t - 60 < s <= t]
            found.append((sum(inside), inside))
        return found

    def reversals(self, node: str) -> list[float]:
        """When the load turned by more than a correction, seen without knowing the governor's books."""
        band = max(TURN_SHARE * self.controllable[node], TINY_KW)
        turned: list[float] = []
        level = extreme = 0.0
        direction = 0
        for t, kw in self.moves[node]:
            level += kw
            if direction == 0:
                direction, extreme = (1 if kw > 0 else -1), level
            elif (level - extreme) * direction >= 0:
                extreme = level
            elif abs(level - extreme) >= band:
                direction, extreme = -direction, level
                turned.append(t)
        return turned

    def check(self) -> None:
        rules = self.rules
        for node, controllable in self.controllable.items():
            allowed = max(rules.restore_share_per_min * controllable, rules.ramp_floor_kw_per_min)
            for total, inside in self.most_in_a_minute(node, +1):
                assert total <= allowed + 1e-6 or len(inside) <= 1, (node, inside)
            turned = self.reversals(node)
            for t in turned:
                inside_s = [x for x in turned if t - rules.rhythm_s < x <= t]
                assert len(inside_s) <= rules.reversals, (node, turned)
        for times in self.changed.values():
            for one, other in pairwise(times):
                assert other - one >= rules.gap_s - 1e-6


RULES = [
    Rules(),
    Rules(ramp_floor_kw_per_min=0.0),
    Rules(ramp_floor_kw_per_min=0.0, restore_share_per_min=0.2, reversals=1),
    Rules(ramp_floor_kw_per_min=5.0, gap_s=1.0),
    Rules(ramp_floor_kw_per_min=1e9, gap_s=0.0),
]
asked = st.lists(
    st.tuples(
        st.integers(0, 90),  # seconds since the last call
        st.integers(0, EVSES - 1),  # from which EVSE on
        st.integers(1, EVSES),  # how many
        st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]),
        st.booleans(),
    ),
    max_size=60,
)


@given(asked, st.sampled_from(RULES), st.sampled_from([7.0, 3.68, 22.0, 0.04]))
@settings(max_examples=80, deadline=None)
def test_P7_A9_whoever_asks_load_is_ramped_and_turns_twice_in_ten_minutes(
    calls: list[tuple[int, int, int, float, bool]], rules: Rules, kw: float
) -> None:
    outside = Outside(rules, [kw] * EVSES)
    now = 0.0
    for wait, first, many, share, emergency in calls:
        now += wait
        for n in range(first, min(first + many, EVSES)):
            outside.ask(n, share, now, emergency=emergency)
    outside.check()
    for node in ("feeder-0", "East"):
        room_kw = outside.governor.may_rise_kw(node, now)
        told = outside.governor.admit(f"next-{node}", [node], 1e-4, now, emergency=False)
        assert told is not None or room_kw > 0, "a round that is told of no room gets none"


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=5, max_size=40), st.sampled_from(RULES))
@settings(max_examples=60, deadline=None)
@example([0.0, 1.0] * 20, RULES[3])
@example([0.0, 1.0] * 20, RULES[4])
def test_P7_A9_back_and_forth_with_all_one_has_every_second(wanted: list[float], rules: Rules) -> None:
    """A stolen key that asks for everything, every second, for a quarter of an hour."""
    outside = Outside(rules, [7.0] * EVSES)
    for second in range(900):
        share = wanted[second // 30 % len(wanted)]
        if second % 5 == 0:
            for n in range(EVSES):
                outside.ask(n, share, float(second), emergency=True)
    outside.check()


@given(st.lists(st.floats(0.01, 22.0), min_size=EVSES, max_size=EVSES), asked)
@settings(max_examples=60, deadline=None)
def test_P7_mixed_fleets_too(evse_kw: list[float], calls: list[tuple[int, int, int, float, bool]]) -> None:
    outside = Outside(Rules(ramp_floor_kw_per_min=2.0), evse_kw)
    now = 0.0
    for wait, first, many, share, emergency in calls:
        now += wait
        for n in range(first, min(first + many, EVSES)):
            outside.ask(n, share, now, emergency=emergency)
    outside.check()


def test_P7_a_fleet_comes_back_along_its_ramp_and_does_come_back() -> None:
    rules = Rules(ramp_floor_kw_per_min=0.0)
    outside = Outside(rules, [7.0] * EVSES)
    for n in range(EVSES):
        assert outside.ask(n, 0.0, 0.0, emergency=True), "an emergency is not ramped on its way down"
    back = []
    for second in range(60, 60 + 25 * 60):
        back += [second for n in range(EVSES) if outside.ask(n, 1.0, float(second), emergency=False)]
    outside.check()
    assert len(back) == EVSES, "everybody is free again"
    assert 15 * 60 <= back[-1] - 60 <= 21 * 60, "five per cent a minute: twenty minutes for all"


def test_P7_what_is_no_emergency_is_ramped_on_its_way_down() -> None:
    rules = Rules(ramp_floor_kw_per_min=0.0, shed_share_per_min=0.1)
    outside = Outside(rules, [7.0] * EVSES)
    down = sum(outside.ask(n, 0.0, 0.0, emergency=False) for n in range(EVSES))
    assert down == 4
    assert outside.ask(EVSES - 1, 0.0, 1.0, emergency=True)


def test_P7_what_rises_takes_no_room_from_what_falls_and_nothing_at_all_is_no_turn() -> None:
    governor = Governor(Rules(ramp_floor_kw_per_min=10.0, gap_s=0.0, reversals=1))
    for n in range(20):
        assert governor.admit(f"full-{n}", ["n"], 0.0, 0.0, emergency=False) is None
    for n in range(5):
        assert governor.admit(f"up-{n}", ["n"], 2.0, 1.0, emergency=False) is None
    assert governor.admit("down", ["n"], -10.0, 2.0, emergency=False) is None, (
        "the first turn, and all of its room"
    )
    assert governor.admit("more", ["n"], -1.0, 3.0, emergency=False) is not None


def test_P7_a_driver_s_word_frees_and_limits_nobody_sooner() -> None:
    governor = Governor(Rules())
    assert governor.admit("a", ["n"], -1.0, 0.0, emergency=True) is None
    assert governor.admit("a", ["n"], -1.0, 1.0, emergency=True, driver=True) is not None
    assert governor.admit("a", ["n"], 2.0, 1.0, emergency=False, driver=True) is None


def test_P7_A9_the_third_turn_waits_ten_minutes() -> None:
    outside = Outside(Rules(ramp_floor_kw_per_min=1e9, gap_s=60), [7.0] * EVSES)
    took = []
    for minute in range(15):
        want = 0.0 if minute % 2 == 0 else 1.0
        took.append(sum(outside.ask(n, want, minute * 61.0, emergency=True) for n in range(EVSES)))
    assert took[:3] == [EVSES] * 3, "down, up, down: the first way is no turn, two turns are free"
    assert sum(took[3:10]) == 0
    outside.check()


def test_P12_a_ceiling_waits_for_no_ramp_no_rhythm_and_no_gap() -> None:
    outside = Outside(Rules(ramp_floor_kw_per_min=0.0, shed_share_per_min=0.01), [7.0] * EVSES)
    for n in range(EVSES):
        assert outside.ask(n, 0.5, 0.0, emergency=False, law=True)
    for n in range(EVSES):
        assert outside.ask(n, 0.0, 1.0, emergency=False, law=True)
    assert not outside.ask(0, 1.0, 2.0, emergency=False, law=True), "but it frees nobody faster than others"


def test_P14_a_halt_waits_for_no_rhythm_and_keeps_to_the_ramp() -> None:
    rules = Rules(ramp_floor_kw_per_min=0.0, gap_s=1.0)
    outside = Outside(rules, [7.0] * EVSES)
    now = 0.0
    for want in (0.0, 0.5, 0.0):
        for _ in range(20):
            now += 60
            for n in range(EVSES):
                outside.ask(n, want, now, emergency=True)
    freed = 0
    for second in range(60):
        for n in range(EVSES):
            told = outside.governor.admit(f"E{n}", PATHS[n], 7.0, now + second, emergency=False, halt=True)
            freed += told is None
    allowed = max(1, int(0.05 * 7.0 * EVSES / 7.0))
    assert 1 <= freed <= allowed + 4, "one per feeder at most where a share is less than one"


def test_P7_a_limit_that_ended_by_itself_counts_on_the_ramp() -> None:
    rules = Rules(ramp_floor_kw_per_min=10.0)
    outside = Outside(rules, [7.0] * EVSES)
    governor = outside.governor
    for n in range(EVSES):
        outside.ask(n, 0.0, 0.0, emergency=True)
    governor.moved_by_itself(PATHS[0], 14.0, 100.0)
    for node in PATHS[0]:
        outside.moves[node].append((100.0, 14.0))
    assert governor.may_rise_kw("East", 101.0) == 0.0
    assert not outside.ask(0, 1.0, 101.0, emergency=False)
    assert outside.ask(0, 1.0, 161.0, emergency=False)


def test_P7_a_turn_that_could_not_be_written_is_none_and_takes_no_real_one_s_place() -> None:
    governor = Governor(Rules(rhythm_s=600.0, reversals=2))
    governor.know({"n": 100.0})

    def moves(evse_id: str, kw: float, now: float, *, written: bool = True) -> bool:
        if governor.admit(evse_id, ["n"], kw, now, emergency=True) is not None:
            return False
        (governor.stands if written else governor.taken_back)(["n"])
        return True

    assert moves("a", -20.0, 0.0)
    for at in (100.0, 160.0, 220.0):  # the disk is full, and it is tried again each minute
        assert moves("b", 5.0, at, written=False)
    governor.moved_by_itself(["n"], 0.5, 230.0)
    assert moves("b", 5.0, 400.0)
    assert moves("c", -9.0, 410.0)
    assert not moves("d", 5.0, 720.0), "ten minutes after it was tried first, five after it was done"
    assert not moves("d", 5.0, 999.0)
    assert moves("d", 5.0, 1001.0)


def test_P7_what_ended_by_itself_meanwhile_is_not_taken_back() -> None:
    governor = Governor(Rules(rhythm_s=600.0, reversals=1))
    governor.know({"n": 100.0})
    assert governor.admit("a", ["n"], -20.0, 0.0, emergency=True) is None
    governor.stands(["n"])
    assert governor.admit("b", ["n"], -5.0, 100.0, emergency=True) is None
    governor.moved_by_itself(["n"], 10.0, 101.0)
    governor.taken_back(["n"])
    assert governor.admit("c", ["n"], -5.0, 200.0, emergency=True) is not None, "it rose at 101 s"
    assert governor.admit("c", ["n"], -5.0, 702.0, emergency=True) is None
