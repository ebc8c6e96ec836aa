"""What is due, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emw.stations.ocpp.due import Due


@given(
    st.lists(st.floats(0, 10_000), max_size=50),
    st.lists(st.floats(0.1, 4_000), min_size=1, max_size=20),
)
def test_all_are_taken_once_in_order_and_none_too_soon_or_a_look_too_late(
    whens: list[float], steps: list[float]
) -> None:
    due: Due[float] = Due()
    for when in whens:
        due.at(when, when)
    now, taken = 0.0, []
    for step in [*steps, 20_000.0]:
        now += step
        found = list(due.take(now))
        assert all(when < now for when in found)
        taken += found
        assert not [w for w in whens if w + 1.01 < now and w not in taken]
    assert sorted(taken) == sorted(whens)


def test_what_is_put_in_again_while_it_is_taken_comes_in_its_time() -> None:
    due: Due[str] = Due()
    due.at(5.0, "a")
    for _ in due.take(6.0):
        due.at(36.0, "a")
    assert list(due.take(36.0)) == []
    assert list(due.take(37.0)) == ["a"]
