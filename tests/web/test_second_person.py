"""The second person over the API: somebody who is logged in, and not the one who asked (A8)."""

from __future__ import annotations

from emw.domain.people import Role
from emw.service.settings import ServiceSettings
from tests.web.world import PASSWORD_HASH, World, stations, world

CAREFUL = ServiceSettings(confirm_above_kw=10.0)
ASK = {"territory": "East", "kW": 50, "requestID": "R1"}
CONFIRM = "/api/v1/requests/operator:R1/confirm"


async def asked_by_opa(w: World) -> dict[str, str]:
    await stations(w, ["E1", "E2"])
    opa = await w.log_in("opa")
    told = await w.call("POST", "/api/v1/requests", ASK, headers=opa)
    assert told.status == 201, told.body
    assert (told.json["state"], told.json["askedBy"]) == ("pending", "operator:opa")
    assert "second person" in told.json["held"]
    return opa


async def test_A8_who_asked_a_key_and_a_viewer_are_no_second_person() -> None:
    async with world(service=CAREFUL) as w:
        opa = await asked_by_opa(w)
        rows = len(w.store.log)
        assert (await w.call("POST", CONFIRM, {}, headers=opa)).status == 403
        key = await w.key(Role.ADMINISTRATOR)
        rows = len(w.store.log)
        told = await w.call("POST", CONFIRM, {}, key=key)
        assert told.status == 403
        assert "person" in told.json["detail"]
        vic = await w.log_in("vic")
        rows = len(w.store.log)
        assert (await w.call("POST", CONFIRM, {}, headers=vic)).status == 403
        assert len(w.store.log) == rows
        assert w.headend.state.requests["operator:R1"].held is not None


async def test_A8_another_operator_agrees_and_both_names_stand_in_the_log() -> None:
    async with world(service=CAREFUL) as w:
        await asked_by_opa(w)
        await w.headend.admin.add_operator("test", "bob", PASSWORD_HASH, Role.OPERATOR)
        bob = await w.log_in("bob")
        waiting = await w.call("GET", "/api/v1/requests?held=true", headers=bob)
        assert [r["requestKey"] for r in waiting.json["items"]] == ["operator:R1"]
        metrics = await w.call("GET", "/metrics", headers=bob)
        assert b"emw_requests_held 1.0" in metrics.body
        told = await w.call("POST", CONFIRM, {"reason": "spoke to the control room"}, headers=bob)
        assert told.status == 200, told.body
        assert (told.json["held"], told.json["confirmedBy"]) == (None, "operator:bob")
        waiting = await w.call("GET", "/api/v1/requests?held=true", headers=bob)
        assert not waiting.json["items"]
        log = await w.call("GET", "/metrics", headers=bob)
        assert b"emw_requests_held 0.0" in log.body
        kinds = [(x["kind"], x["actor"]) for x in w.store.log]
        assert ("RequestReceived", "operator:opa") in kinds
        assert ("RequestConfirmed", "operator:bob") in kinds
