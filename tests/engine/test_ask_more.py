"""Whom to cut, done fast for many: sorted only as far as needed, in blocks, and the same to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from emw.engine import ask_more, price
from emw.engine.columns import LEAST_KW, Columns
from emw.engine.estimate import Estimator


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("part", [0.0, 0.001, 0.03, 0.3, 0.99, 2.0])
def test_sorting_a_part_is_sorting_all_and_taking_the_first(seed: int, part: float) -> None:
    rng = np.random.default_rng(seed)
    each = np.round(rng.random(30_000), 3)  # many are the same
    gain = np.where(rng.random(30_000) < 0.3, 0.0, rng.uniform(0, 7, 30_000))
    whole = np.lexsort((np.arange(30_000), each))
    whole = whole[gain[whole] > LEAST_KW]
    enough_kw = part * float(gain.sum())
    found = ask_more.by_price(each, gain, enough_kw)
    needed = int(np.searchsorted(np.cumsum(gain[whole]), enough_kw)) + ask_more.SPARE
    assert len(found) >= min(needed, len(whole))
    np.testing.assert_array_equal(found, whole[: len(found)])
    if part == 0.001:
        assert len(found) < len(whole) / 2


@pytest.mark.parametrize("n", [300, 6_000])
def test_the_price_of_a_row_does_not_hang_on_the_block_it_is_in(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prices(n)
    monkeypatch.setattr(price, "BLOCK", 97)
    in_blocks = prices(n)
    for name in ("floor", "pause", "hold"):
        np.testing.assert_array_equal(getattr(in_blocks, name), getattr(whole, name))
    assert len(np.unique(whole.floor)) > n / 3


def prices(n: int) -> price.Prices:
    rng = np.random.default_rng(3)
    draw_a, told_kwh = rng.uniform(8, 32, n), rng.uniform(8, 60, n)
    told_kwh[rng.random(n) < 0.2] = np.nan
    seen = Columns(
        now_min=660.0,
        was=np.full(n, -1),
        kw_per_a=np.full(n, 0.23),
        max_a=np.full(n, 32.0),
        floor_a=np.full(n, 6.0),
        step_a=np.ones(n),
        limit_a=np.full(n, 32.0),
        draw_a=draw_a,
        got_kwh=rng.uniform(0, 12, n),
        req_kwh=told_kwh,
        plug_min=rng.uniform(400, 650, n),
        depart_min=rng.uniform(700, 1_100, n),
        opted_out=np.zeros(n, dtype=np.bool_),
        online=np.ones(n, dtype=np.bool_),
    )
    est, outlook = Estimator(), price.Outlook()
    est.update(seen)
    outlook.align(seen)
    return price.prices(seen, est, outlook, np.arange(n), draw_a, 0.7, price.Taste())
