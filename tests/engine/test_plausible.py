"""A meter's register against the power it shows (attack A10): what is told, what is forgiven, what can't be seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.engine.plausible import GAP, Judged, begun

START = datetime(2026, 3, 2, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def judged(shown_kw: list[float], true_kw: list[float], *, step_kwh: float = 0.0) -> list[Judged]:
    """What an hour or so of readings, one a minute, is found to be. The register counts the true load, in steps."""
    kwh, span, found = 0.0, begun(START, shown_kw[0], 0.0), []
    for n in range(1, len(shown_kw)):
        kwh += (true_kw[n - 1] + true_kw[n]) / 2 / 60
        told_kwh = kwh if not step_kwh else int(kwh / step_kwh) * step_kwh
        span, verdict = span.then(START + n * MINUTE, shown_kw[n], told_kwh)
        found += [] if verdict is None else [verdict]
    return found


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.001, 0.1]), st.floats(0.92, 1.08))
def test_A10_who_tells_the_truth_as_well_as_meters_can_is_believed(
    seed: int, step_kwh: float, off: float
) -> None:
    chance = Random(seed)
    true_kw = [chance.choice([0.0, 1.4, 3.7, 7.4, 11.0]) for _ in range(90)]
    found = judged([kw * off for kw in true_kw], true_kw, step_kwh=step_kwh)
    assert found
    assert all(x.agrees for x in found)


@pytest.mark.parametrize("factor", [0.0, 0.3, 0.8, 1.3, 2.0, 3.0])
def test_A10_who_shows_another_power_than_its_register_counts_is_found_in_a_quarter_of_an_hour(
    factor: float,
) -> None:
    found = judged([7.4 * factor] * 40, [7.4] * 40)
    assert [x.agrees for x in found] == [False] * 2
    assert found[0].register_kwh == pytest.approx(1.85)


def test_A10_a_meter_that_lies_with_both_is_not_seen() -> None:
    assert all(x.agrees for x in judged([14.8] * 40, [14.8] * 40))


def test_A10_silence_and_a_register_that_goes_back_begin_anew() -> None:
    span, verdict = begun(START, 7.0, 5.0).then(START + GAP + MINUTE, 7.0, 50.0)
    assert (span.since, verdict) == (START + GAP + MINUTE, None)
    again, verdict = span.then(START + GAP + 2 * MINUTE, 7.0, 0.1)
    assert (again.since, verdict) == (START + GAP + 2 * MINUTE, None)
    same, verdict = again.then(again.at, 7.0, 9.0)
    assert (same.kwh, verdict) == (9.0, None)
