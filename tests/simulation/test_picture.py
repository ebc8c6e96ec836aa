"""What is kept of an EVSE's picture from one round to the next is what a look at everything would show."""

import pytest

from emw.service.picture import Picture
from emw.simulation.run import simulate


@pytest.mark.parametrize("seed", range(51, 55))
def test_a_view_that_was_kept_is_one_made_anew(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Picture._one
    seen = {True: 0, False: 0}

    def checked(picture: Picture, evse: object, this: object) -> object:
        before = picture._made.get(evse.evse_id)  # type: ignore[attr-defined]
        one = kept(picture, evse, this)  # type: ignore[arg-type]
        picture._made.pop(evse.evse_id, None)  # type: ignore[attr-defined]
        again = kept(picture, evse, this)  # type: ignore[arg-type]
        assert one == again
        seen[before is not None and one is before[1]] += 1
        return again

    monkeypatch.setattr(Picture, "_one", checked)
    assert simulate(seed, hours=0.5).broken is None
    assert min(seen.values()) > 100
