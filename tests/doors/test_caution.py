"""What one credential may ask without a second person: much at once, much to and fro, many at a time (A8, A9)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from emw.domain import facts as f
from emw.domain.model import ReductionRequest, RequestState
from emw.domain.state import State
from emw.service.caution import Caution
from emw.service.errors import Conflict, Forbidden
from emw.service.settings import ServiceSettings
from tests.doors.house import START, House, house

CAREFUL = ServiceSettings(
    decrease_wait_s=1.0, confirm_above_kw=10.0, turned_kw_per_day=100.0, most_live_requests=4
)
ANN = "operator:ann"


@pytest.fixture
async def careful() -> AsyncGenerator[House, None]:
    async with house(settings=CAREFUL) as made:
        await made.iso("grid", "East", "West")
        await made.iso("other", "East")
        for name in ("S1", "S2", "S3"):
            await made.plug_in(name)
            await made.heartbeat(name, currentAmps=32)
        yield made


async def stands(emw: House, request_id: str, iso: str = "grid") -> dict[str, Any]:
    told = await emw.get(f"/iso/requests/{request_id}", emw.isos[iso])
    assert told.status == 200
    body: dict[str, Any] = told.body
    parts = body["confirmedKW"] + body["pendingKW"] + body["refusedKW"] + body["shortKW"]
    assert parts == pytest.approx(body["requestedKW"]), "the sum holds while it waits, too"
    return body


async def test_A8_above_the_threshold_nobody_is_asked_before_a_second_person_agrees(careful: House) -> None:
    emw = careful
    told = await emw.post(
        "/iso/decrease", {"requestID": "R1", "territory": "East", "kW": 11}, emw.isos["grid"]
    )
    assert (told.status, told.body["state"]) == (200, "pending"), (
        "it is taken, and does not wait for stations"
    )
    await emw.settled()
    body = await stands(emw, "R1")
    assert body["state"] == "pending"
    assert "second person" in body["whyShort"]
    assert not emw.headend.state.limits
    request = emw.headend.state.requests["grid:R1"]
    with pytest.raises(Forbidden):
        await emw.headend.requests.confirm(request, actor="iso:grid")
    await emw.headend.requests.confirm(request, actor=ANN)
    await emw.until(lambda: emw.headend.state.limits, 10.0)
    assert (await stands(emw, "R1"))["state"] == "active"
    who = [(x.actor, type(x)) for x in emw.store.log if isinstance(x, f.RequestReceived | f.RequestConfirmed)]
    assert who == [("iso:grid", f.RequestReceived), (ANN, f.RequestConfirmed)], "both are on the record"
    await emw.headend.requests.confirm(emw.headend.state.requests["grid:R1"], actor=ANN)
    with pytest.raises(Conflict):
        await emw.headend.requests.confirm(emw.headend.state.requests["grid:R1"], actor="operator:bob")


async def test_A8_many_small_ones_are_one_large_one_and_another_asker_is_another(careful: House) -> None:
    emw = careful
    for n in range(3):
        assert (await emw.decrease("grid", f"R{n}", 4.0)).status == 202
    assert (await emw.decrease("other", "R9", 4.0)).status == 202
    requests = emw.headend.state.requests
    await emw.until(lambda: requests["other:R9"].state is RequestState.ACTIVE)
    assert [(await stands(emw, f"R{n}"))["state"] for n in range(3)] == ["active", "active", "pending"]


async def test_A8_what_nobody_agreed_to_ends_at_its_end_and_can_be_taken_back(careful: House) -> None:
    emw = careful
    await emw.decrease("grid", "R1", 50.0, durationMinutes=10)
    await emw.decrease("grid", "R2", 50.0, durationMinutes=10)
    told = await emw.post("/iso/returnToNormal", {"requestID": "R2"}, emw.isos["grid"])
    assert told.body["state"] == "cancelled"
    emw.clock.forward(601)
    emw.headend.dispatch.wake("East")
    await emw.until(lambda: emw.headend.state.requests["grid:R1"].state is RequestState.CANCELLED)
    assert not emw.headend.state.limits
    with pytest.raises(Conflict):
        await emw.headend.requests.confirm(emw.headend.state.requests["grid:R1"], actor=ANN)


async def test_A9_a_key_that_moves_load_to_and_fro_is_held_for_a_person(careful: House) -> None:
    """Ten times 5 kW down and up are 100 kW of turns; the eleventh waits, whatever the governor would let through."""
    emw = careful
    for n in range(11):
        assert (await emw.decrease("grid", f"R{n}", 5.0)).status == 202
        key = f"grid:R{n}"
        await emw.until(lambda key=key: began(emw.headend.state.requests[key]), 10.0)  # type: ignore[misc]
        await emw.post("/iso/returnToNormal", {"requestID": f"R{n}"}, emw.isos["grid"])
        emw.clock.forward(60)
    assert "24 hours" in (emw.headend.state.requests["grid:R10"].held or "")
    assert all(emw.headend.state.requests[f"grid:R{n}"].held is None for n in range(10))
    emw.clock.forward(24 * 3600)
    await emw.settled()
    assert (await emw.decrease("grid", "later", 5.0)).status == 202
    assert emw.headend.state.requests["grid:later"].held is None, "a day later there is room again"


async def test_A9_live_requests_are_capped_per_asker_and_the_answer_says_when_to_come_back(
    careful: House,
) -> None:
    emw = careful
    later = (START + timedelta(hours=5)).isoformat()
    for n in range(4):
        assert (await emw.decrease("grid", f"R{n}", 0.1, start=later)).status == 202
    log = len(emw.store.log)
    refused = await emw.decrease("grid", "R4", 0.1, start=later)
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert len(emw.store.log) == log
    assert (await emw.decrease("grid", "R1", 0.1, start=later)).status == 202, (
        "the same one again is no new one"
    )
    assert (await emw.decrease("other", "R0", 0.1, start=later)).status == 202
    await emw.post("/iso/returnToNormal", {"requestID": "R0"}, emw.isos["grid"])
    assert (await emw.decrease("grid", "R4", 0.1, start=later)).status == 202


async def test_A8_nothing_is_held_where_nobody_asked_for_it() -> None:
    async with house() as emw:
        await emw.iso("grid", "East")
        for n in range(30):
            assert (await emw.decrease("grid", f"R{n}", 1e5)).status == 202
        assert all(r.held is None for r in emw.headend.state.requests.values())


def began(request: ReductionRequest) -> bool:
    return request.held is not None or request.state is not RequestState.PENDING


@given(
    st.lists(st.tuples(st.floats(0.1, 30.0), st.booleans(), st.floats(0, 40_000)), max_size=20),
    st.floats(0.1, 30.0),
)
@hypothesis_settings(max_examples=60)
def test_A9_whatever_was_asked_before_what_goes_unseen_stays_within_both_bounds(
    history: list[tuple[float, bool, float]], kw: float
) -> None:
    state, now = State(), START
    caution = Caution(state, ServiceSettings(confirm_above_kw=20.0, turned_kw_per_day=90.0))

    def ask(n: int, kw: float) -> str | None:
        held = caution.why_hold("iso:grid", kw, now)
        state.requests[f"grid:{n}"] = ReductionRequest(
            request_key=f"grid:{n}",
            iso_id="grid",
            request_id=str(n),
            territory_id="East",
            kw=kw,
            start_at=now,
            end_at=None,
            received_at=now,
            state=RequestState.PENDING if held else RequestState.ACTIVE,
            asked_by="iso:grid",
            held=held,
        )
        return held

    for n, (asked_kw, ends, seconds) in enumerate([*history, (kw, False, 0.0)]):
        ask(n, asked_kw)
        free = [r for r in state.requests.values() if r.held is None]
        assert sum(r.kw for r in free if r.live) <= 20.0 + 1e-9
        lately = [r for r in free if r.ended_at is None or now - r.ended_at < timedelta(days=1)]
        assert sum(2 * r.kw for r in lately) <= 90.0 + 1e-9
        if ends:
            old = state.requests[f"grid:{n}"]
            state.requests[f"grid:{n}"] = replace(old, state=RequestState.CLOSED, ended_at=now)
        now += timedelta(seconds=seconds)
