"""The operator's stories over the API."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from emw.domain import facts as f
from emw.domain.model import Cause
from emw.domain.people import Role
from emw.service.ports import HeartBeat
from tests.web.test_by_hand import until
from tests.web.world import HOSTILE, START, dispatched, reads, stations, world


async def test_evses_are_filtered_sorted_and_paged() -> None:
    async with world() as w:
        await w.headend.admin.define_territory("test", "Zone")
        await w.headend.admin.define_territory("test", "East", parent_id="Zone")
        await stations(w, [f"E{n:02}" for n in range(20)], amps=10)
        await stations(w, ["W1", "W2"], territory="West", amps=0)
        key = await w.key(Role.VIEWER)

        async def ids(query: str) -> list[str]:
            told = await w.call("GET", f"/api/v1/evses?{query}", key=key)
            assert told.status == 200, told.body
            return [e["evseID"] for e in told.json["items"]]

        assert await ids("limit=3&offset=2") == ["E02", "E03", "E04"]
        assert await ids("territory=Zone&limit=1&sort=-evseID") == ["E19"]
        assert await ids("state=idle") == ["W1", "W2"]
        assert await ids("text=w") == ["W1", "W2"]
        assert await ids("evseID=E07") == ["E07"]
        assert (await ids("sort=-loadKW"))[0] == "E19"
        told = (await w.call("GET", "/api/v1/evses?limit=3", key=key)).json
        assert (told["total"], told["limit"], told["offset"]) == (22, 3, 0)
        assert told["items"][0]["loadKW"] == 2.3


async def test_who_is_paused_has_the_lowest_limit_and_who_has_none_comes_last() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2", "E3", "W1"])
        now = w.clock.now()
        for name, max_a in (("E1", 13.0), ("E2", 0.0), ("E3", 6.0)):
            await w.headend.ledger.record(
                f.CommandIssued(
                    at=now, actor="emw", command_id=f"co_{name}", evse_id=name, max_a=max_a,
                    until=now + timedelta(minutes=10), cause=Cause.OPERATOR, request_key=None, node_id=None,
                    would_draw_a=20.0, asked_kw=0.0, renewal=False, replaces_a=None,
                )
            )  # fmt: skip
        key = await w.key(Role.VIEWER)
        for sort, order in (("limitAmps", "E2 E3 E1 W1"), ("-limitAmps", "E1 E3 E2 W1")):
            told = await w.call("GET", f"/api/v1/evses?sort={sort}", key=key)
            assert " ".join(e["evseID"] for e in told.json["items"]) == order


async def test_a_limit_is_explained_in_words() -> None:
    async with world() as w:
        await w.headend.admin.define_territory("test", "Zone", ceiling_kw=500, time_zone="America/New_York")
        await w.headend.admin.define_territory("test", "East", parent_id="Zone", time_zone="America/New_York")
        await stations(w, ["E1"])
        me = await w.log_in("opa")
        body = {"territory": "East", "kW": 2, "requestID": "R7", "durationMinutes": 60}
        told = await w.call("POST", "/api/v1/requests", body, headers=me)
        assert told.status == 201
        await dispatched(w)
        one = (await w.call("GET", "/api/v1/evses/E1", headers=me)).json
        assert one["limit"]["limitAmps"] == one["evse"]["limitAmps"] == 11.0
        assert one["explanation"].startswith("11 A until 12:")
        assert "EDT: request R7 in East; the station agreed" in one["explanation"]
        assert "ceiling of Zone (500 kW) not binding" in one["explanation"]
        assert one["path"] == ["East", "Zone"]
        w.clock.at += timedelta(seconds=90)
        await w.call("POST", "/api/v1/evses/E1/optOut", {"minutes": 30, "reason": "ill"}, headers=me)
        await until(lambda: w.headend.state.limits["E1"].max_a is None)
        one = (await w.call("GET", "/api/v1/evses/E1", headers=me)).json
        assert "opted out until 12:31 EDT" in one["explanation"]
        assert one["evse"]["limitAmps"] is None
        await w.call("POST", "/api/v1/evses/E1/optOut", {}, headers=me)
        one = (await w.call("GET", "/api/v1/evses/E1", headers=me)).json
        assert "opted out" not in one["explanation"]


async def test_a_request_adds_up_and_returns_to_normal() -> None:
    async with world() as w:
        await stations(w, [f"E{n}" for n in range(10)])
        me = await w.log_in("opa")
        body = {"territory": "East", "kW": 20, "requestID": "R1"}
        assert (await w.call("POST", "/api/v1/requests", body, headers=me)).status == 201
        assert (await w.call("POST", "/api/v1/requests", body, headers=me)).status == 201
        assert (await w.call("POST", "/api/v1/requests", {**body, "kW": 21}, headers=me)).status == 409
        await dispatched(w)
        for path in ("/api/v1/requests", "/api/v1/requests/operator:R1"):
            told = (await w.call("GET", path, headers=me)).json
            one = told["items"][0] if "items" in told else told
            parts = sum(one[k] for k in ("confirmedKW", "pendingKW", "refusedKW", "shortKW"))
            assert abs(parts - one["requestedKW"]) < 0.0005
            assert one["confirmedKW"] == 20
            assert (one["isoID"], one["state"], one["affectedEVSEs"]) == ("operator", "active", 10)
        taking = (await w.call("GET", "/api/v1/requests/operator:R1/enrolments", headers=me)).json["items"]
        assert {e["evseID"] for e in taking} == {f"E{n}" for n in range(10)}
        tree = (await w.call("GET", "/api/v1/territories", headers=me)).json["items"]
        assert (tree[0]["baselineKW"], tree[0]["targetKW"], tree[0]["loadKW"]) == (46.0, 26.0, 46.0)
        for n in range(10):
            reads(w, f"E{n}", 11)
        tree = (await w.call("GET", "/api/v1/territories", headers=me)).json["items"]
        assert tree[0]["shedKW"] == tree[0]["baselineKW"] - tree[0]["loadKW"] > 20
        ended = await w.call(
            "POST", "/api/v1/requests/operator:R1/returnToNormal", {"reason": "enough"}, headers=me
        )
        assert (ended.json["state"], ended.json["cancelledBy"]) == ("restoring", "operator:opa")
        again = await w.call("POST", "/api/v1/requests/operator:R1/returnToNormal", {}, headers=me)
        assert again.status == 200
        assert (await w.call("GET", "/api/v1/requests?state=active", headers=me)).json["items"] == []


async def test_the_tally_of_the_board_is_that_of_the_books() -> None:
    """The console's sums and what the grid is told come from one rule."""
    async with world() as w:
        await stations(w, [f"E{n}" for n in range(10)])
        me = await w.log_in("opa")
        await w.call("POST", "/api/v1/requests", {"territory": "East", "kW": 20}, headers=me)
        await dispatched(w)
        w.clock.at += timedelta(seconds=60)
        for n in range(7):
            reads(w, f"E{n}", 9 + n)
        (request,) = w.headend.state.requests.values()
        books = w.headend.accounts.sums(request, w.clock.now())
        (east,) = (await w.call("GET", "/api/v1/territories", headers=me)).json["items"]
        assert abs(east["loadKW"] - (books.load_kw or 0)) < 0.001
        assert abs(east["baselineKW"] - books.baseline_kw) < 0.001
        assert abs(east["availableKW"] - books.available_kw) < 0.001
        assert abs(east["shedKW"] - (books.measured_kw or 0)) < 0.001


async def test_P9_what_no_address_can_name_is_not_made_and_fields_are_named_as_they_were_said() -> None:
    """A client takes `..` out of a path before it asks: a station of that name could never be revoked."""
    async with world() as w:
        await w.headend.admin.define_territory("test", "East")
        me = await w.log_in()
        for path, said, field in (
            ("stations", {"stationID": ".."}, "stationID"),
            ("stations", {"stationID": "."}, "stationID"),
            ("territories", {"territoryID": ".."}, "territoryID"),
            ("territories", {"territoryID": " "}, "territoryID"),
            ("territories", {"territoryID": "West", "parentID": "nowhere"}, "parentID"),
            ("territories", {"territoryID": "East", "parentID": "East"}, "parentID"),
        ):
            told = await w.call("POST", f"/api/v1/{path}", said, headers=me)
            assert (told.status in {400, 404}, told.json["field"]) == (True, field), told.body
        assert set(w.headend.state.territories) == {"East"}
        assert not w.headend.state.stations


async def test_secrets_are_shown_once() -> None:
    async with world() as w:
        await w.headend.admin.define_territory("test", "East")
        me = await w.log_in()
        station = (await w.call("POST", "/api/v1/stations", {"stationID": "E1"}, headers=me)).json
        iso = (await w.call("POST", "/api/v1/isos", {"isoID": "g", "territories": ["East"]}, headers=me)).json
        token = (await w.call("POST", "/api/v1/tokens", {"name": "scada", "role": "viewer"}, headers=me)).json
        assert (await w.call("POST", "/api/v1/stations", {"stationID": "E1"}, headers=me)).status == 409
        renewed = await w.call("POST", "/api/v1/stations", {"stationID": "E1", "renew": True}, headers=me)
        assert renewed.json["secret"] != station["secret"]
        assert (await w.call("GET", "/api/v1/evses", key=token["key"])).status == 200
        everything = b""
        for path in ("stations", "isos", "tokens", "operators", "activity", "activity.csv", "activity.jsonl"):
            told = await w.call("GET", f"/api/v1/{path}", headers=me)
            assert told.status == 200
            everything += told.body
        for secret in (station["secret"], iso["token"], token["key"], "argon2", "_hash", "Hash"):
            assert secret.encode() not in everything, secret
        revoked = await w.call("DELETE", f"/api/v1/tokens/{token['keyID']}", headers=me)
        assert revoked.status == 200
        assert (await w.call("GET", "/api/v1/evses", key=token["key"])).status == 401
        assert (await w.call("POST", "/api/v1/stations/E1/revoke", {}, headers=me)).status == 200
        listed = (await w.call("GET", "/api/v1/stations?revoked=true", headers=me)).json
        assert [s["stationID"] for s in listed["items"]] == ["E1"]


async def test_stations_say_whether_they_are_heard_and_when_they_were_last() -> None:
    async with world() as w:
        await stations(w, ["E1", "E2", "E4"])
        me = await w.log_in()
        await w.call("POST", "/api/v1/stations", {"stationID": "E3"}, headers=me)
        reads(w, "E1", 10.0)
        heard_at = w.clock.now()
        await w.headend.ledger.record(
            f.WentOffline(at=heard_at, actor="emw", evse_id="E2", last_heard_at=heard_at),
            f.PoweredOff(at=heard_at, actor="station:E4", evse_id="E4", station_id="E4", status="off"),
        )
        listed = (await w.call("GET", "/api/v1/stations", headers=me)).json
        assert {s["stationID"]: (s["evses"], s["state"]) for s in listed["items"]} == {
            "E1": (1, "online"),
            "E2": (1, "silent"),
            "E3": (0, "new"),
            "E4": (1, "off"),
        }
        assert datetime.fromisoformat(listed["items"][0]["heardAt"]) == heard_at
        assert listed["items"][2]["heardAt"] is None
        silent = (await w.call("GET", "/api/v1/stations?state=silent", headers=me)).json
        assert ([s["stationID"] for s in silent["items"]], silent["total"]) == (["E2"], 1)


async def test_a_territory_changes_and_a_loop_is_refused() -> None:
    async with world() as w:
        me = await w.log_in()

        async def define(**body: object) -> int:
            return (await w.call("POST", "/api/v1/territories", body, headers=me)).status

        assert await define(territoryID="A") == 200
        assert await define(territoryID="B", parentID="A", ceilingKW=180, timeZone="Europe/Berlin") == 200
        assert await define(territoryID="A", parentID="B") == 400
        assert await define(territoryID="C", parentID="none") == 404
        assert await define(territoryID="B", parentID="A", ceilingKW=90) == 200
        items = (await w.call("GET", "/api/v1/territories", headers=me)).json["items"]
        assert [(t["territoryID"], t["parentID"], t["ceilingKW"]) for t in items] == [
            ("A", None, None),
            ("B", "A", 90),
        ]


async def test_P14_halt_acts_even_when_nothing_can_be_written() -> None:
    async with world() as w:
        me = await w.log_in("opa")
        w.store.broken = True
        told = await w.call("POST", "/api/v1/halt", {"reason": "fire"}, headers=me)
        assert told.json == {"halted": True, "since": None, "by": None, "reason": None, "written": False}
        assert w.headend.dispatch.halted
        w.store.broken = False
        told = await w.call("POST", "/api/v1/resume", {}, headers=me)
        assert told.json["halted"] is False
        told = await w.call("POST", "/api/v1/halt", {"reason": "drill"}, headers=me)
        assert (told.json["by"], told.json["reason"]) == ("operator:opa", "drill")


async def test_the_log_is_paged_filtered_and_downloaded() -> None:
    async with world() as w:
        await stations(w, HOSTILE)
        me = await w.log_in()
        seen: list[int] = []
        before = ""
        while True:
            page = (await w.call("GET", f"/api/v1/activity?limit=10{before}", headers=me)).json
            seen += [x["seq"] for x in page["items"]]
            if page["nextBeforeSeq"] is None:
                break
            before = f"&beforeSeq={page['nextBeforeSeq']}"
        assert seen == list(range(len(w.store.log), 0, -1))
        page = (await w.call("GET", "/api/v1/activity?kind=PoweredOn&evseID=%3D1%2B1", headers=me)).json
        assert [x["text"] for x in page["items"]] == ["=1+1 powered on in East, up to 32 A"]
        assert page["items"][0]["details"]["maxAmps"] == 32
        lines = (await w.call("GET", "/api/v1/activity.jsonl?limit=2500", headers=me)).body.splitlines()
        assert [msgspec.json.decode(x)["seq"] for x in lines] == seen


async def test_A13_a_spreadsheet_finds_no_formula_in_the_csv() -> None:
    async with world() as w:
        evil = ["=1+1", "+1", "-1+2", "@SUM(A1)", "=cmd|' /C calc'!A0"]
        await stations(w, evil)
        told = await w.call("GET", "/api/v1/activity.csv", headers=await w.log_in())
        assert told.headers["content-type"].startswith("text/csv")
        assert "attachment" in told.headers["content-disposition"]
        rows = list(csv.reader(io.StringIO(told.body.decode())))
        assert rows[0] == ["seq", "at", "actor", "kind", "text", "details"]
        cells = [cell for row in rows[1:] for cell in row]
        assert not [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r"))]
        assert any(c.startswith("'=1+1 powered on") for c in cells)
        assert rows[1][0] == str(len(w.store.log))  # numbers stay numbers


async def test_telemetry_and_sessions_are_told_with_units() -> None:
    async with world() as w:
        await stations(w, ["E1"])
        await w.headend.telemetry.flush()
        key = await w.key(Role.VIEWER)
        told = (await w.call("GET", "/api/v1/evses/E1/telemetry?limit=5", key=key)).json
        assert told["items"][0] == {
            "timestamp": START.isoformat().replace("+00:00", "Z"),
            "receivedAt": START.isoformat().replace("+00:00", "Z"),
            "lineVoltage": 230.0,
            "currentAmps": 20.0,
            "loadKW": 4.6,
            "limitAmps": None,
            "limitKW": None,
            "energyKWh": 1.5,
            "late": False,
        }
        (session,) = (await w.call("GET", "/api/v1/sessions?evseID=E1", key=key)).json["items"]
        assert (session["evseID"], session["carMaxAmps"], session["endedAt"]) == ("E1", 32.0, None)


async def test_a_limit_is_told_as_load_by_what_the_voltage_means() -> None:
    """Three phases at 400 V between two of them: 10 A are 6.9 kW, and not 12."""
    async with world() as w:
        await stations(w, ["E1"])
        evse = replace(w.headend.state.evses["E1"], line_voltage_v=400.0, phases=3)
        said = HeartBeat(w.clock.now() + timedelta(seconds=1), 400.0, 10.0, 32.0, 32.0, 10.0, None)
        w.headend.telemetry.take(evse, None, w.clock.now(), said)
        w.headend.state.put(evse)
        await w.headend.telemetry.flush()
        told = await w.call("GET", "/api/v1/evses/E1/telemetry?limit=1", key=await w.key(Role.VIEWER))
        (reading,) = told.json["items"]
        assert (reading["loadKW"], reading["limitAmps"], reading["limitKW"]) == (6.928, 10.0, 6.928)


async def test_the_api_describes_itself() -> None:
    async with world() as w:
        told = await w.call("GET", "/api/v1/openapi.json")
        assert told.headers["content-type"] == "application/json"
        schema = told.json
        assert schema["openapi"].startswith("3.1")
        evse = schema["components"]["schemas"]["EvseOut"]["properties"]
        assert {"evseID", "loadKW", "limitAmps", "heardAt"} <= set(evse)
        for path, methods in schema["paths"].items():
            for method, operation in methods.items():
                assert operation["summary"], (method, path)
                for ref in _references(operation):
                    assert ref.rpartition("/")[2] in schema["components"]["schemas"], ref


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [r for v in node.values() for r in _references(v)]
    if isinstance(node, list):
        return [r for v in node for r in _references(v)]
    return []
