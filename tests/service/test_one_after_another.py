"""Two requests without a pause between them: limits stand, nobody moves, and who gives takes part in both."""

from __future__ import annotations

from datetime import timedelta

from emw.service.requests import Decrease
from tests.service.test_starts import HALF_KW, HERE, amps, half_is_asked, limits, minutes, read
from tests.web.world import world


async def test_who_is_held_through_the_end_of_one_request_takes_part_in_the_next() -> None:
    """His limit was made to last for the second one, and counted there; he took part in the first one alone."""
    async with world() as w:
        await half_is_asked(w)
        state, accounts = w.headend.state, w.headend.accounts
        (first,) = accounts.live_requests()
        assert first.end_at is not None
        await w.headend.requests.decrease(
            "operator",
            Decrease(request_id="R2", territory_id="East", kw=HALF_KW, start_at=first.end_at, minutes=60),
            actor="operator:opa",
        )
        while w.clock.now() < first.end_at - timedelta(minutes=2):
            await minutes(w, 1, HERE)
        before = limits(w)
        while w.clock.now() < first.end_at + timedelta(seconds=10):
            w.clock.at += timedelta(seconds=5)
            await w.headend.dispatch.next_round("East")
        after = limits(w)
        assert {e: amps(after, e) for e in HERE} == {e: amps(before, e) for e in HERE}
        (second,) = (r for r in accounts.live_requests() if r.request_id == "R2")
        assert {x.request_key for x in after.values()} == {second.request_key}
        assert second.affected_evses == len(after)
        parts = {e: x for (key, e), x in state.enrolments.items() if key == second.request_key}
        assert parts.keys() == after.keys()
        assert all(x.asked_kw > 0 for x in parts.values())
        confirmed_kw = sum(x.confirmed_kw for x in parts.values())
        await read(w, HERE)
        await w.headend.dispatch.next_round("East")
        assert abs(confirmed_kw - accounts.sums(second, w.clock.now()).confirmed_kw) < 0.1 * HALF_KW
        assert sum(accounts.part_kwh(second.request_key, e) for e in parts) > 0.0
