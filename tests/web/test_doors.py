"""Every door of the operator plane against every wrong caller and every wrong kind of body (A5, A8, A12, P9)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from emw.domain.people import Role
from emw.domain.vtn import VtnRole
from tests.web.world import World, segment, stations, world

SPAN = "territory=East&since=2026-05-05T00:00:00Z&until=2026-05-06T00:00:00Z"
VIEW, OPERATE, ADMINISTER = Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR
DOORS: dict[tuple[str, str], tuple[Role, Any]] = {
    ("GET", "/api/v1/me"): (VIEW, None),
    ("POST", "/api/v1/logout"): (VIEW, {}),
    ("GET", "/api/v1/evses"): (VIEW, None),
    ("GET", "/api/v1/evses/{evse_id}"): (VIEW, None),
    ("GET", "/api/v1/evses/{evse_id}/telemetry"): (VIEW, None),
    ("POST", "/api/v1/evses/{evse_id}/optOut"): (OPERATE, {"minutes": 5, "reason": "ill"}),
    ("POST", "/api/v1/evses/{evse_id}/limit"): (OPERATE, {"maxAmps": 10, "minutes": 5, "reason": "a test"}),
    ("POST", "/api/v1/evses/{evse_id}/priority"): (OPERATE, {"priority": 2, "reason": "a test"}),
    ("POST", "/api/v1/evses/{evse_id}/wiring"): (ADMINISTER, {"wiring": "L2"}),
    ("POST", "/api/v1/evses/{evse_id}/reset"): (OPERATE, {"reason": "a test"}),
    ("POST", "/api/v1/territories/{territory_id}/stop"): (OPERATE, {"reason": "a test"}),
    ("POST", "/api/v1/territories/{territory_id}/resume"): (OPERATE, {"reason": "a test"}),
    ("PATCH", "/api/v1/requests/{request_key}"): (OPERATE, {"kW": 1}),
    ("GET", "/api/v1/evses/{evse_id}/driverLink"): (OPERATE, None),
    ("GET", "/api/v1/evses/{evse_id}/sticker"): (ADMINISTER, None),
    ("GET", "/api/v1/map"): (VIEW, None),
    ("GET", "/api/v1/sessions"): (VIEW, None),
    ("GET", "/api/v1/requests"): (VIEW, None),
    ("POST", "/api/v1/requests"): (OPERATE, {"territory": "East", "kW": 1, "requestID": "R1"}),
    ("GET", "/api/v1/requests/{request_key}"): (VIEW, None),
    ("POST", "/api/v1/preview"): (VIEW, {"territory": "East", "kW": 1}),
    ("GET", "/api/v1/territories/{territory_id}/forecast"): (VIEW, None),
    ("GET", "/api/v1/requests/{request_key}/shed"): (VIEW, None),
    ("GET", "/api/v1/requests/{request_key}/enrolments"): (VIEW, None),
    ("POST", "/api/v1/requests/{request_key}/confirm"): (OPERATE, {}),
    ("GET", "/api/v1/reports/requests/{request_key}/table"): (VIEW, None),
    ("GET", "/api/v1/reports/months/{month}"): (VIEW, None),
    ("GET", "/api/v1/reports/months/{month}/table"): (VIEW, None),
    ("GET", f"/api/v1/reports/means?{SPAN}"): (VIEW, None),
    ("POST", "/api/v1/requests/{request_key}/returnToNormal"): (OPERATE, {}),
    ("GET", "/api/v1/territories"): (VIEW, None),
    ("POST", "/api/v1/territories"): (ADMINISTER, {"territoryID": "West", "ceilingKW": 5}),
    ("GET", "/api/v1/grid/connections"): (VIEW, None),
    ("GET", "/api/v1/grid/events"): (VIEW, None),
    ("GET", "/api/v1/grid/unserved"): (VIEW, None),
    ("GET", "/api/v1/stations"): (VIEW, None),
    ("POST", "/api/v1/stations"): (ADMINISTER, {"stationID": "E9"}),
    ("POST", "/api/v1/stations/{station_id}/revoke"): (ADMINISTER, {}),
    ("GET", "/api/v1/stations/{station_id}/ocpp"): (VIEW, None),
    ("POST", "/api/v1/stations/{station_id}/ocpp"): (OPERATE, {"action": "Reset", "payload": {}}),
    ("GET", "/api/v1/stations/{station_id}/frames"): (OPERATE, None),
    ("GET", "/api/v1/stations/{station_id}/transactions"): (OPERATE, None),
    ("GET", "/api/v1/isos"): (VIEW, None),
    ("POST", "/api/v1/isos"): (ADMINISTER, {"isoID": "grid", "territories": ["East"], "renew": True}),
    ("POST", "/api/v1/isos/{iso_id}/revoke"): (ADMINISTER, {}),
    ("GET", "/api/v1/vtn/clients"): (VIEW, None),
    ("POST", "/api/v1/vtn/clients"): (ADMINISTER, {"clientID": "shop", "role": "bl", "renew": True}),
    ("POST", "/api/v1/vtn/clients/{client_id}/revoke"): (ADMINISTER, {}),
    ("GET", "/api/v1/operators"): (ADMINISTER, None),
    ("POST", "/api/v1/operators"): (ADMINISTER, {"name": "bob", "password": "long enough", "role": "viewer"}),
    ("POST", "/api/v1/operators/{name}/disable"): (ADMINISTER, {}),
    ("GET", "/api/v1/logins"): (ADMINISTER, None),
    ("POST", "/api/v1/logins/{login_id}/end"): (ADMINISTER, {}),
    ("GET", "/api/v1/tokens"): (ADMINISTER, None),
    ("POST", "/api/v1/tokens"): (ADMINISTER, {"name": "t"}),
    ("DELETE", "/api/v1/tokens/{key_id}"): (ADMINISTER, None),
    ("GET", "/api/v1/halt"): (VIEW, None),
    ("POST", "/api/v1/halt"): (OPERATE, {}),
    ("POST", "/api/v1/resume"): (OPERATE, {}),
    ("GET", "/api/v1/activity"): (VIEW, None),
    ("GET", "/api/v1/activity.csv"): (VIEW, None),
    ("GET", "/api/v1/activity.jsonl"): (VIEW, None),
    ("GET", "/api/v1/live"): (VIEW, None),
    ("GET", "/metrics"): (VIEW, None),
}
OPEN = {
    ("POST", "/api/v1/setup"),
    ("POST", "/api/v1/login"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
}
FOR_PEOPLE = {("POST", "/api/v1/requests/{request_key}/confirm")}
"""No key opens these, whatever its role (tests/web/test_second_person)."""
BODIES = [door for door, (_, body) in DOORS.items() if body is not None]
IDS = {
    "evse_id": "E1",
    "request_key": "operator:R1",
    "station_id": "E1",
    "iso_id": "grid",
    "client_id": "shop",
    "territory_id": "East",
    "name": "vic",
    "key_id": "nokey",
    "month": "2026-05",
    "login_id": "nologin",
}


def path_of(template: str) -> str:
    return template.format(**{k: segment(v) for k, v in IDS.items()})


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def w() -> AsyncGenerator[World, None]:
    async with world() as made:
        await stations(made, ["E1"])
        await made.call(
            "POST",
            "/api/v1/requests",
            {"territory": "East", "kW": 1, "requestID": "R1"},
            key=await made.key(Role.OPERATOR),
        )
        await made.headend.admin.add_iso("test", "grid", ("East",))
        await made.headend.vtn_clients.add("test", "shop", VtnRole.BL)
        yield made


async def test_every_door_is_in_the_table(w: World) -> None:
    paths = w.app.openapi_schema.to_schema()["paths"]
    doors = {
        (m.upper(), p) for p, methods in paths.items() for m in methods if not p.endswith("openapi.json")
    }
    assert doors == {(m, p.partition("?")[0]) for m, p in DOORS} | OPEN


@pytest.mark.parametrize("door", DOORS, ids=" ".join)
async def test_without_a_credential_nothing_is_told_or_changed(w: World, door: tuple[str, str]) -> None:
    rows = len(w.store.log)
    for headers in ({}, {"cookie": "emw_session=os_nothing"}, {"authorization": "Basic YTpi"}):
        told = await w.call(
            door[0], path_of(door[1]), DOORS[door][1], headers=headers, address=f"a{list(DOORS).index(door)}"
        )
        assert told.status == 401, told.body
        assert told.headers["content-type"] == "application/problem+json"
        assert told.json["status"] == 401
    assert len(w.store.log) == rows


@pytest.mark.parametrize("door", [d for d in DOORS if DOORS[d][0] is not VIEW], ids=" ".join)
async def test_a_role_below_is_refused(w: World, door: tuple[str, str]) -> None:
    needed, body = DOORS[door]
    below = [r for r in Role if not r.may(needed)]
    for role in below:
        key = await w.key(role)
        rows = len(w.store.log)
        told = await w.call(door[0], path_of(door[1]), body, key=key)
        assert told.status == 403, told.body
        assert len(w.store.log) == rows


@pytest.mark.parametrize(
    "door", [d for d in DOORS if d[1] not in {"/api/v1/live", "/api/v1/me"}], ids=" ".join
)
async def test_the_needed_role_is_enough(w: World, door: tuple[str, str]) -> None:
    needed, body = DOORS[door]
    told = await w.call(door[0], path_of(door[1]), body, key=await w.key(needed))
    if door in FOR_PEOPLE:
        assert told.status == 403
        return
    if door[1].endswith("/reset"):
        assert told.status == 409, "this station's protocol has none"
        return
    assert told.status in {200, 201, 404}, told.body
    assert told.status != 404 or door[0] == "DELETE" or "login_id" in door[1]


@pytest.mark.parametrize("door", BODIES, ids=" ".join)
async def test_A12_a_cookie_alone_changes_nothing(w: World, door: tuple[str, str]) -> None:
    """A12: a foreign page can make a browser send the cookie, but not our token, nor hide where it comes from."""
    me = await w.log_in()
    body = DOORS[door][1]
    rows = len(w.store.log)
    for wrong in (
        {"x-csrf-token": ""},
        {"x-csrf-token": "csrf_guessed"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        told = await w.call(door[0], path_of(door[1]), body, headers={**me, **wrong})
        assert told.status == 403, (wrong, told.body)
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        told = await w.call(door[0], path_of(door[1]), body, headers={**me, "content-type": media})
        assert told.status == 415, (media, told.body)
    assert len(w.store.log) == rows


BAD = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"1",
    b"{'a':1}",
    b'{"unknownField":1}',
    b'{"kW":NaN}',
    b'{"kW":Infinity}',
    b'{"kW":1e999}',
    b'{"a":' * 50_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"reason":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"reason":"\xff\xfe"}',
    b'{"reason":"\\ud800"}',
    "{}".encode("utf-16"),
    b'{"reason":1}',
    b'{"reason":{"a":[]}}',
]


@pytest.mark.parametrize("door", [*BODIES, *sorted(d for d in OPEN if d[0] == "POST")], ids=" ".join)
async def test_P9_bad_bodies_are_refused_by_name_and_change_nothing(w: World, door: tuple[str, str]) -> None:
    if door[1].endswith("/logout"):
        pytest.skip("takes no body")
    who = None if door in OPEN else await w.key(Role.ADMINISTRATOR)
    rows = len(w.store.log)
    for body in BAD:
        told = await w.call(door[0], path_of(door[1]) if door not in OPEN else door[1], raw=body, key=who)
        assert told.status == 400, (body[:40], told.status, told.body[:200])
        assert told.headers["content-type"] == "application/problem+json"
        assert told.json["detail"]
    told = await w.call(door[0], path_of(door[1]) if door not in OPEN else door[1], {"typo": 1}, key=who)
    assert told.json["field"] == "typo" or "missing" in told.json["detail"], told.body
    assert len(w.store.log) == rows


async def test_F19_a_huge_body_is_refused(w: World) -> None:
    key = await w.key(Role.ADMINISTRATOR)
    told = await w.call("POST", "/api/v1/halt", raw=b'{"reason":"' + b"x" * 300_000 + b'"}', key=key)
    assert told.status == 413
    told = await w.call("POST", "/api/v1/halt", raw=b"{}", key=key, headers={"content-length": "10000000000"})
    assert told.status == 413
    told = await w.call("POST", "/api/v1/halt", raw=b"{}", key=key, headers={"content-encoding": "gzip"})
    assert told.status == 415
    assert not w.headend.dispatch.halted


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/evses?limit=0", "limit"),
        ("/api/v1/evses?limit=10001", "limit"),
        ("/api/v1/evses?offset=-1", "offset"),
        ("/api/v1/evses?state=burning", "state"),
        ("/api/v1/evses?sort=colour", "sort"),
        ("/api/v1/requests?state=x", "state"),
        ("/api/v1/activity?kind=Nonsense", "kind"),
        ("/api/v1/activity?beforeSeq=x", "beforeSeq"),
        ("/api/v1/activity?since=yesterday", "since"),
        ("/api/v1/activity?since=2026-05-04T07:00:00", "since"),
        ("/api/v1/evses/E1/telemetry?until=soon", "until"),
        ("/api/v1/stations?revoked=perhaps", "revoked"),
    ],
)
async def test_bad_queries_are_refused_by_name(w: World, path: str, field: str) -> None:
    told = await w.call("GET", path, key=await w.key(Role.VIEWER))
    assert (told.status, told.json.get("field")) == (400, field), told.body


async def test_a_name_that_a_door_does_not_know_is_refused_in_its_query_as_in_a_body(w: World) -> None:
    admin = await w.key(Role.ADMINISTRATOR)
    for (method, template), (_, body) in DOORS.items():
        if template == "/metrics":  # a scraper may say what it likes: it gets all
            continue
        path = path_of(template)
        told = await w.call(method, f"{path}{'&' if '?' in path else '?'}colour=red", body, key=admin)
        assert (told.status, told.json.get("field")) == (400, "colour"), (method, path, told.body)


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/v1/evses?evseId=E1", "evseId: is not a parameter here; did you mean evseID?"),
        ("/api/v1/requests?limit=1&stat=active", "stat: is not a parameter here; did you mean state?"),
        (
            "/api/v1/activity?request=grid:R1&limit=1",
            "request: is not a parameter here; did you mean requestKey?",
        ),
        ("/api/v1/halt?verbose", "verbose: is not a parameter here"),
    ],
)
async def test_a_misspelt_filter_is_told_what_it_may_have_meant(w: World, path: str, detail: str) -> None:
    told = await w.call("GET", path, key=await w.key(Role.VIEWER))
    assert (told.status, told.json["detail"]) == (400, detail)


async def test_a_query_tells_nothing_to_who_may_not_ask(w: World) -> None:
    assert (await w.call("GET", "/api/v1/evses?colour=red")).status == 401
    assert (await w.call("GET", "/api/v1/operators?colour=red", key=await w.key(Role.VIEWER))).status == 403


async def test_a_link_to_a_page_may_gather_names_on_its_way(w: World) -> None:
    who = await w.log_in("opa")
    for page in ("/", "/evses", "/requests", "/reports", "/log"):
        assert (await w.call("GET", f"{page}?utm_source=mail", headers=who)).status == 200, page


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/v1/requests", {"territory": "East", "kW": 0}, "kW"),
        ("/api/v1/requests", {"territory": "East", "kW": True}, "kW"),
        ("/api/v1/requests", {"territory": "East", "kW": "5"}, "kW"),
        ("/api/v1/requests", {"territory": "East"}, "kW"),
        ("/api/v1/requests", {"territory": "East", "kW": 5, "durationMinutes": -1}, "durationMinutes"),
        ("/api/v1/requests", {"territory": "East", "kW": 5, "start": "2026-05-05T10:00:00"}, "start"),
        ("/api/v1/requests", {"territory": "East", "kW": 5, "start": "0001-01-01T00:00:00+14:00"}, "start"),
        ("/api/v1/requests", {"territory": "East", "kW": 5, "end": "9999-12-31T23:59:59-14:00"}, "end"),
        ("/api/v1/territories", {"territoryID": "W", "timeZone": "Mars/Base"}, "timeZone"),
        ("/api/v1/territories", {"territoryID": "W", "timeZone": "../../etc/passwd"}, "timeZone"),
        ("/api/v1/territories", {"territoryID": "W", "ceilingKW": -1}, "ceilingKW"),
        ("/api/v1/territories", {"territoryID": "East", "parentID": "East"}, "parentID"),
        ("/api/v1/stations", {"stationID": " "}, "stationID"),
        ("/api/v1/stations", {"stationID": "x" * 256}, "stationID"),
        ("/api/v1/isos", {"isoID": "operator", "territories": ["East"]}, "isoID"),
        ("/api/v1/isos", {"isoID": "g", "territories": [1]}, "territories[0]"),
        ("/api/v1/operators", {"name": "b", "password": "short"}, "password"),
        ("/api/v1/operators", {"name": "b", "password": "long enough", "role": "god"}, "role"),
        ("/api/v1/evses/E1/optOut", {"minutes": 0}, "minutes"),
        ("/api/v1/evses/E1/optOut", {"minutes": 1e300}, "minutes"),
    ],
)
async def test_bad_values_are_refused_by_name(w: World, path: str, body: Any, field: str) -> None:
    rows = len(w.store.log)
    told = await w.call("POST", path, body, key=(key := await w.key(Role.ADMINISTRATOR)))
    assert (told.status, told.json.get("field")) == (400, field), told.body
    assert len(w.store.log) == rows + 1, key


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/evses/nobody"),
        ("GET", "/api/v1/evses/nobody/telemetry"),
        ("GET", "/api/v1/requests/operator:none"),
        ("GET", "/api/v1/requests/none/enrolments"),
        ("DELETE", "/api/v1/tokens/none"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/nothing/at/all"),
        ("GET", "/static/../auth.py"),
        ("GET", "/static/%2e%2e%2fauth.py"),
        ("GET", "/static/nothing.js"),
    ],
)
async def test_what_is_not_there(w: World, method: str, path: str) -> None:
    told = await w.call(method, path, key=await w.key(Role.ADMINISTRATOR))
    assert told.status == 404
    assert told.headers["content-type"] == "application/problem+json"


async def test_a_wrong_method_is_405(w: World) -> None:
    told = await w.call("PUT", "/api/v1/evses", {}, key=await w.key(Role.VIEWER))
    assert told.status == 405
    assert told.headers["content-type"] == "application/problem+json"


async def test_a_bug_is_told_without_its_insides(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("secret insides")

    monkeypatch.setattr(w.headend.requests, "of", broken)
    told = await w.call("GET", "/api/v1/requests", key=await w.key(Role.VIEWER))
    assert told.status == 500
    assert b"insides" not in told.body
    assert told.json["title"] == "emw failed"
