"""The simulation is tested by what it finds: each bug on purpose breaks the promise it must, within a few seeds."""

import pytest

from emw.simulation.planted import PLANTS
from emw.simulation.run import simulate

# Bug, the promises one of which must break, the first seed that shows it quickly, and how long it runs.
FOUND = [
    ("above-knob", {"P4"}, 2, 0.5),
    ("answer-before-commit", {"P1"}, 2, 0.5),
    ("ceilings-off", {"P4"}, 1, 0.5),
    ("command-before-commit", {"P1"}, 1, 0.5),
    ("double-count", {"P11"}, 2, 0.5),
    ("governor-off", {"P7"}, 1, 0.5),
    ("lines-off", {"P4"}, 3, 0.5),
    ("lost-commit", {"P1"}, 2, 0.5),
    ("no-floor", {"P4"}, 2, 0.5),
    ("no-resend", {"P2"}, 2, 0.5),
    ("outlives-event", {"P3"}, 2, 0.5),
    ("ownership-off", {"P6"}, 1, 0.5),
    ("plug-in-twice", {"P5"}, 4, 0.5),
    ("reports-dropped", {"P1 reports"}, 2, 0.5),
    ("reports-unheard", {"P1 reports"}, 2, 0.5),
    ("two-requests", {"P5", "P9"}, 1, 0.75),
    ("undo-forgotten", {"P1", "fold rule"}, 27, 0.5),
]


def test_every_plant_has_a_test() -> None:
    assert sorted(PLANTS) == sorted(name for name, *_ in FOUND)


@pytest.mark.parametrize(
    ("name", "promises", "first", "hours"), FOUND, ids=lambda x: x if isinstance(x, str) else ""
)
def test_a_planted_bug_is_found(name: str, promises: set[str], first: int, hours: float) -> None:
    for seed in (first, *(s for s in range(1, 100) if s != first)):
        with PLANTS[name]():
            broken = simulate(seed, hours=hours).broken
        if broken is not None:
            assert broken.split(" at ", 1)[0] in promises, broken
            return
    pytest.fail(f"{name} was not found in a hundred worlds")
