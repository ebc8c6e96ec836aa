"""Which limit is in force at a time: stories, and properties against the rule said in the plainest way."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from emw.simulator.ocpp.profiles import (
    Period,
    Profile,
    Purpose,
    composite,
    in_force,
    limited_until,
    next_change,
)

T0 = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
KNOB_A = 32.0


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def profile(number: int = 1, purpose: Purpose = Purpose.TRANSACTION, **changes: object) -> Profile:
    given: dict[str, object] = {
        "id": number,
        "purpose": purpose,
        "stack": 0,
        "periods": (Period(timedelta(0), 10.0),),
        "begins": T0,
        "duration": timedelta(hours=1),
    }
    return Profile(**(given | changes))  # type: ignore[arg-type]


def flat(limit_a: float) -> tuple[Period, ...]:
    return (Period(timedelta(0), limit_a),)


# --- stories


def test_the_lowest_of_station_and_car_counts_and_a_transaction_s_own_profile_beats_the_default() -> None:
    default = profile(1, Purpose.DEFAULT, periods=flat(16.0))
    own = profile(2, Purpose.TRANSACTION, periods=flat(20.0), duration=timedelta(minutes=30))
    station = profile(3, Purpose.STATION, periods=flat(18.0))
    assert in_force([default, own, station], at(0), T0) == 18.0
    assert in_force([default, own], at(0), T0) == 20.0, "higher than the default, and yet it overrides"
    assert in_force([default, own], at(1800), T0) == 16.0, "over: the default counts again"
    assert in_force([default, own, station], at(3600), T0) is None


def test_the_higher_stack_level_overrides_while_it_is_valid() -> None:
    low = profile(1, stack=1, periods=flat(8.0))
    high = profile(2, stack=5, periods=flat(24.0), valid_from=at(600), valid_to=at(1200))
    seen = [in_force([low, high], at(s), T0) for s in (0, 599, 600, 1199, 1200)]
    assert seen == [8.0, 8.0, 24.0, 24.0, 8.0]


def test_without_a_transaction_only_the_station_s_maximum_counts() -> None:
    held = [profile(1, Purpose.DEFAULT), profile(2, Purpose.TRANSACTION)]
    assert in_force(held, at(0), None) is None
    assert in_force([*held, profile(3, Purpose.STATION, periods=flat(13.0))], at(0), None) == 13.0


def test_a_relative_profile_counts_from_the_transaction() -> None:
    relative = profile(1, Purpose.DEFAULT, begins=None, duration=timedelta(minutes=10))
    assert in_force([relative], at(900), at(400)) == 10.0
    assert in_force([relative], at(1000), at(400)) is None


def test_a_daily_profile_comes_back() -> None:
    daily = profile(1, Purpose.DEFAULT, repeats=timedelta(days=1), duration=timedelta(hours=2))
    assert in_force([daily], T0 + timedelta(days=3, hours=1), T0) == 10.0
    assert in_force([daily], T0 + timedelta(days=3, hours=2), T0) is None
    assert next_change([daily], T0 + timedelta(days=3, hours=2), T0) == T0 + timedelta(days=4)


def test_a_staged_return_fits_into_one_profile() -> None:
    steps = (
        Period(timedelta(0), 6.0),
        Period(timedelta(minutes=10), 12.0),
        Period(timedelta(minutes=20), 24.0),
    )
    staged = profile(1, periods=steps, duration=timedelta(minutes=30))
    found = composite([staged], at(300), timedelta(hours=1), T0, KNOB_A)
    assert [(int(one.start.total_seconds()), one.limit_a) for one in found] == [
        (0, 6.0), (300, 12.0), (900, 24.0), (1500, 32.0),
    ]  # fmt: skip
    assert limited_until([staged], at(0), T0) == at(1800)


# --- properties

seconds = st.integers(-600, 3600)
purposes = st.sampled_from(list(Purpose))


@st.composite
def profiles(draw: st.DrawFn) -> list[Profile]:
    """A few profiles with every kind of edge, on a grid coarse enough that edges meet."""
    made = []
    for number in range(draw(st.integers(0, 5))):
        starts = sorted(draw(st.sets(st.integers(0, 5), min_size=1, max_size=3)))
        limits = draw(st.lists(st.integers(0, 32), min_size=len(starts), max_size=len(starts)))
        made.append(
            profile(
                number,
                draw(purposes),
                stack=draw(st.integers(0, 2)),
                periods=tuple(
                    Period(timedelta(seconds=300 * s), float(a)) for s, a in zip(starts, limits, strict=True)
                ),
                begins=draw(st.none() | st.integers(-3, 6).map(lambda n: at(300 * n))),
                duration=draw(st.none() | st.integers(1, 8).map(lambda n: timedelta(seconds=300 * n))),
                repeats=draw(st.none() | st.sampled_from([timedelta(seconds=1200), timedelta(days=1)])),
                valid_from=draw(st.none() | st.integers(-2, 6).map(lambda n: at(300 * n))),
                valid_to=draw(st.none() | st.integers(0, 9).map(lambda n: at(300 * n))),
            )
        )
    return made


began = st.none() | st.integers(-2, 4).map(lambda n: at(300 * n))


def plainly(held: list[Profile], when: datetime, begun: datetime | None) -> float | None:
    """The rule as one would say it, on profiles that have said what they allow."""
    says = [(one, one.limit_a(when, begun)) for one in held]
    heard = [(one, a) for one, a in says if a is not None]

    def top(purpose: Purpose) -> float | None:
        mine = sorted((one.stack, one.id, a) for one, a in heard if one.purpose is purpose)
        return mine[-1][2] if mine else None

    car = None
    if begun is not None:
        own, default = top(Purpose.TRANSACTION), top(Purpose.DEFAULT)
        car = default if own is None else own
    station = top(Purpose.STATION)
    both = [a for a in (car, station) if a is not None]
    return min(both) if both else None


@given(profiles(), seconds, began)
def test_it_is_the_rule_of_the_specification(held: list[Profile], s: int, begun: datetime | None) -> None:
    assert in_force(held, at(s), begun) == plainly(held, at(s), begun)


@given(profiles(), st.randoms(), seconds, began)
def test_the_order_in_which_they_came_does_not_matter(
    held: list[Profile], shuffle: "object", s: int, begun: datetime | None
) -> None:
    mixed = list(held)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    assert in_force(mixed, at(s), begun) == in_force(held, at(s), begun)


@given(profiles(), seconds, st.integers(1, 1800), began)
def test_nothing_changes_between_two_changes(
    held: list[Profile], s: int, later_s: int, begun: datetime | None
) -> None:
    change = next_change(held, at(s), begun)
    if change is None or at(s + later_s) < change:
        assert in_force(held, at(s + later_s), begun) == in_force(held, at(s), begun)


@given(profiles(), st.integers(0, 32), seconds, began)
def test_a_station_s_maximum_never_raises_anything(
    held: list[Profile], limit_a: int, s: int, begun: datetime | None
) -> None:
    others = [one for one in held if one.purpose is not Purpose.STATION]
    before = in_force(others, at(s), begun)
    cap = profile(99, Purpose.STATION, periods=flat(float(limit_a)), begins=at(-9999), duration=None)
    after = in_force([*others, cap], at(s), begun)
    assert after == (limit_a if before is None else min(before, limit_a))


@given(profiles(), seconds, began)
def test_where_every_profile_has_an_end_the_car_is_free_after_the_last(
    held: list[Profile], s: int, begun: datetime | None
) -> None:
    ending = [one for one in held if one.valid_to is not None]
    last = max((one.valid_to for one in ending if one.valid_to is not None), default=T0)
    assert in_force(ending, last, begun) is None
    until = limited_until(ending, at(s), begun)
    assert until is not None
    assert in_force(ending, until, begun) is None
    assert all(one.over(last, begun) for one in ending)


@given(profiles(), seconds, began)
def test_what_is_over_never_speaks_again(held: list[Profile], s: int, begun: datetime | None) -> None:
    for one in held:
        if one.over(at(s), begun):
            assert all(one.limit_a(at(s + later), begun) is None for later in range(0, 7200, 150))


@given(profiles(), st.integers(0, 1800), began)
def test_a_composite_schedule_tells_what_will_be_in_force(
    held: list[Profile], s: int, begun: datetime | None
) -> None:
    steps = composite(held, at(s), timedelta(seconds=3600), begun, KNOB_A)
    assert steps[0].start == timedelta(0)
    assert all(a.limit_a != b.limit_a for a, b in pairwise(steps))
    for offset in range(0, 3600, 100):
        told = [step for step in steps if step.start <= timedelta(seconds=offset)][-1].limit_a
        limit_a = in_force(held, at(s + offset), begun)
        assert told == (KNOB_A if limit_a is None else min(limit_a, KNOB_A))
