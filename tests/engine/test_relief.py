"""Whom to relieve: no more than was asked, the dearest first, and to nobody the same thing in two ways."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.relief import NEAR_STEP_A, Held, give_back, hand_on

KNOB_A = 32.0


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Held, np.ndarray]:
    n = draw(st.integers(0, 40))
    some = np.random.default_rng(draw(st.integers(0, 10_000)))
    would_a = some.uniform(0.0, KNOB_A, n)
    limit_a = np.where(some.random(n) < 0.2, 0.0, some.integers(6, 33, n))
    gap_a = some.choice([0.0, 0.4, 1.5], n)
    held = Held(
        kw_per_a=some.choice([0.208, 0.23, 0.69], n),
        now_a=np.minimum(np.maximum(limit_a - gap_a, 0.0), would_a),
        would_a=would_a,
        gap_a=gap_a,
        floor_a=np.full(n, 6.0),
        step_a=some.choice([0.1, 1.0], n),
        max_a=np.full(n, KNOB_A),
    )
    return held, np.round(some.random(n), 1)


@given(fleets(), st.floats(0.1, 60.0), st.floats(0.0, 3.0))
def test_what_is_given_back_is_what_was_too_much_to_a_step(
    fleet: tuple[Held, np.ndarray], over_kw: float, near_kw: float
) -> None:
    held, price = fleet
    places, limit_a = give_back(held, price, over_kw, near_kw)
    assert len(set(places.tolist())) == len(places)
    draws_a = np.where(limit_a >= KNOB_A, held.would_a[places], np.maximum(limit_a - held.gap_a[places], 0.0))
    rise_kw = held.kw_per_a[places] * (np.minimum(draws_a, held.would_a[places]) - held.now_a[places])
    a_step_kw = float(held.kw_per_a.max(initial=0.0)) * NEAR_STEP_A
    assert rise_kw.sum() <= over_kw + max(near_kw, a_step_kw) + 1e-9
    assert ((limit_a >= 6.0) & (limit_a <= KNOB_A)).all()
    whole = [p for p, a in zip(places.tolist(), limit_a.tolist(), strict=True) if a >= KNOB_A][:-1]
    left = sorted(set(np.flatnonzero(held.rise_kw > 1e-3).tolist()) - set(places.tolist()))
    assert all(price[p] >= price[q] for p in whole for q in left), "the dearest first"


def test_a_part_is_told_only_where_nobody_fits_as_a_whole() -> None:
    def held(would_a: list[float]) -> Held:
        n = len(would_a)
        same = np.full(n, 1.0)
        return Held(
            kw_per_a=0.23 * same,
            now_a=6.0 * same,
            would_a=np.array(would_a),
            gap_a=0.0 * same,
            floor_a=6.0 * same,
            step_a=same,
            max_a=KNOB_A * same,
        )

    price = np.array([0.9, 0.5, 0.4])
    missing_kw = 0.23 * 10.0
    places, limit_a = give_back(held([26.0, 16.0, 30.0]), price, missing_kw, 0.05)
    assert (places.tolist(), limit_a.tolist()) == ([1], [KNOB_A]), "it fits, though another is dearer"
    places, limit_a = give_back(held([26.0, 22.0, 30.0]), price, missing_kw, 0.05)
    assert (places.tolist(), limit_a.tolist()) == ([0], [16.0])
    assert give_back(held([]), np.zeros(0), missing_kw, 0.05)[0].tolist() == []


@given(fleets(), fleets(), st.floats(0.0, 20.0), st.floats(0.0, 0.5))
def test_nobody_is_handed_on_for_less_than_the_margin_or_more_than_there_is(
    one: tuple[Held, np.ndarray], other: tuple[Held, np.ndarray], most_kw: float, margin: float
) -> None:
    rise_kw, dear = one[0].rise_kw, one[1]
    gain_kw, cheap = other[0].kw_per_a * other[0].would_a, other[1]
    handed = hand_on(rise_kw, dear, gain_kw, cheap, most_kw, margin)
    if not len(handed):
        return
    assert rise_kw[handed].sum() <= most_kw + 1e-9
    # The dearest of those who stand in is cheaper by the margin than anybody handed on.
    order = np.argsort(cheap, kind="stable")
    needed = int(np.searchsorted(np.cumsum(gain_kw[order]), rise_kw[handed].sum() - 1e-9))
    assert needed < len(order)
    assert dear[handed].min() - cheap[order[needed]] > margin
