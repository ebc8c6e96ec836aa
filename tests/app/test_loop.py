"""The garbage collector, where a fleet is large."""

import gc

import pytest

from emw.app import loop


@pytest.mark.parametrize(
    ("took_s", "generation", "spared"), [(0.2, 2, True), (0.05, 2, False), (0.2, 1, False)]
)
def test_what_a_long_collection_left_is_not_looked_at_again(
    took_s: float, generation: int, spared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter((10.0, 10.0 + took_s))
    monkeypatch.setattr(loop, "perf_counter", lambda: next(times))
    gc.unfreeze()
    try:
        for phase in ("start", "stop"):
            loop.spare(phase, {"generation": generation})
        assert (gc.get_freeze_count() > 0) is spared
    finally:
        gc.unfreeze()
