"""The API over the real store: its questions and ours are the same."""

from __future__ import annotations

import contextlib

import msgspec

from emw.store import Disk
from emw.web.live import Feed
from tests.web.world import HOSTILE, dispatched, reads, stations, world


async def test_everything_that_is_asked_of_the_store_is_answered() -> None:
    async with world(real=Disk().reopen()) as w:
        await stations(w, ["E1", *HOSTILE])
        me = await w.log_in()
        body = {"territory": "East", "kW": 2, "requestID": "R1"}
        assert (await w.call("POST", "/api/v1/requests", body, headers=me)).status == 201
        await dispatched(w)
        reads(w, "E1", 8)
        await w.headend.telemetry.flush()
        filters = (
            "kind=RequestReceived",
            "evseID=E1",
            "requestKey=operator:R1",
            "isoID=operator",
            "territory=East",
            "actor=operator:ann",
            "since=2026-01-01T00:00:00Z",
            "text=kW",
            "beforeSeq=5",
        )
        for query in ("", *filters):
            told = await w.call("GET", f"/api/v1/activity?limit=5&{query}", headers=me)
            assert told.status == 200, told.body
            assert told.json["items"] or query == "text=kW"
            assert b"hash" not in told.body.lower()
        own = (await w.call("GET", "/api/v1/activity?requestKey=operator:R1", headers=me)).json["items"]
        assert {"RequestReceived", "Enrolled", "CommandIssued", "CommandAnswered"} <= {x["kind"] for x in own}
        page = (await w.call("GET", "/api/v1/activity?kind=RequestReceived", headers=me)).json
        assert page["items"][0]["text"] == "operator asks for 2 kW less in East (request R1)"
        for path in ("sessions?evseID=E1", "evses/E1/telemetry", "requests/operator:R1/enrolments"):
            told = await w.call("GET", f"/api/v1/{path}", headers=me)
            assert told.status == 200, told.body
            assert told.json["items"], path
        assert (await w.call("GET", "/api/v1/requests/operator:R1", headers=me)).status == 200
        lines = (await w.call("GET", "/api/v1/activity.jsonl", headers=me)).body.splitlines()
        assert msgspec.json.decode(lines[-1])["kind"] == "ServerStarted"
        for form in ("", ".csv", ".jsonl"):
            told = await w.call("GET", f"/api/v1/activity{form}?text=%00", headers=me)
            assert told.status == 400, "a download that can't be is refused before it begins"


async def test_the_past_hour_comes_from_the_store() -> None:
    async with world(real=Disk().reopen()) as w:
        await stations(w, ["E1"])
        await w.headend.telemetry.flush()
        feed: Feed = w.app.state["feed"]
        async with contextlib.aclosing(await feed.watch(lambda: True)) as stream:
            assert (await anext(stream)).startswith(b"retry: ")
            assert (await anext(stream)).startswith(b"event: snapshot\n")
