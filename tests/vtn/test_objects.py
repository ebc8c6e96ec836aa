"""Objects of emw's VTN: created, read, replaced, deleted and found; what is wrong is named and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from tests.doors.house import MemoryStore
from tests.vtn.house import PROGRAM, SHED, VtnHouse, vtn_house

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def h() -> Any:
    async with vtn_house() as running:
        yield running


async def test_an_object_has_what_the_server_sets_and_what_was_said(h: VtnHouse) -> None:
    made = await h.make("shop", "programs", {**PROGRAM, "id": "mine", "objectType": "EVENT", "odd": 1})
    assert made["id"] != "mine"
    assert (made["objectType"], made["programName"]) == ("PROGRAM", "Shed")
    assert made["createdDateTime"] == made["modificationDateTime"]
    assert made["createdDateTime"].endswith("Z")
    assert "odd" not in made
    told = await h.call("GET", f"/programs/{made['id']}", by="shop")
    assert (told.status, told.body) == (200, made)


async def test_put_replaces_the_whole_object(h: VtnHouse) -> None:
    made = await h.make(
        "shop", "programs", {**PROGRAM, "targets": ["a"], "intervalPeriod": {"duration": "PT1H"}}
    )
    h.emw.clock.forward(5)
    told = await h.call("PUT", f"/programs/{made['id']}", {"programName": "Shed 2"}, by="shop")
    assert told.status == 200
    assert told.body == {
        "id": made["id"],
        "objectType": "PROGRAM",
        "createdDateTime": made["createdDateTime"],
        "modificationDateTime": told.body["modificationDateTime"],
        "programName": "Shed 2",
    }
    assert told.body["modificationDateTime"] > made["modificationDateTime"]


async def test_delete_tells_what_is_gone_and_takes_what_belongs_to_it(h: VtnHouse) -> None:
    program = await h.make("shop", "programs", PROGRAM)
    event = await h.make("shop", "events", {**SHED, "programID": program["id"]})
    report = {"eventID": event["id"], "clientName": "v", "resources": []}
    reported = await h.make("ven-1", "reports", report)
    told = await h.call("DELETE", f"/programs/{program['id']}", by="shop")
    assert (told.status, told.body) == (200, program)
    assert (await h.call("GET", f"/events/{event['id']}", by="shop")).status == 404
    assert (await h.call("DELETE", f"/programs/{program['id']}", by="shop")).status == 404
    assert await h.ids("shop", "reports") == [reported["id"]], "reports are the proof and stay"
    corrected = await h.call("PUT", f"/reports/{reported['id']}", {**report, "reportName": "x"}, by="ven-1")
    assert corrected.status == 200
    late = await h.call("POST", "/reports", report, by="ven-1")
    assert late.status == 201, "what was on its way when the event went is taken"
    never = await h.call("POST", "/reports", {**report, "eventID": "never"}, by="ven-1")
    assert (never.status, never.field) == (409, "eventID")


async def test_a_ven_takes_its_resources_along(h: VtnHouse) -> None:
    ven = await h.make("ven-1", "vens", {"objectType": "VEN_VEN_REQUEST", "venName": "site"})
    body = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "meter", "venID": ven["id"]}
    await h.make("ven-1", "resources", body)
    assert (await h.call("DELETE", f"/vens/{ven['id']}", by="ven-1")).status == 200
    assert await h.ids("shop", "resources") == []


NEW: dict[str, tuple[str, Any]] = {
    "programs": ("shop", {"programName": "Shed"}),
    "vens": ("ven-1", {"objectType": "VEN_VEN_REQUEST", "venName": "site"}),
}


@pytest.mark.parametrize("plural", NEW)
async def test_a_name_that_is_taken_is_a_conflict(h: VtnHouse, plural: str) -> None:
    by, body = NEW[plural]
    made = await h.make(by, plural, body)
    told = await h.call("POST", f"/{plural}", body, by=by)
    assert (told.status, told.field) == (409, "programName" if plural == "programs" else "venName")
    assert told.headers["content-type"] == "application/problem+json"
    again = await h.call("PUT", f"/{plural}/{made['id']}", body, by=by)
    assert again.status == 200, "its own name is free for itself"


async def test_a_resource_name_is_taken_within_its_ven_only(h: VtnHouse) -> None:
    vens = [
        await h.make("ven-1", "vens", {"objectType": "VEN_VEN_REQUEST", "venName": n}) for n in ("a", "b")
    ]
    bodies = [{"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "meter", "venID": v["id"]} for v in vens]
    for body in bodies:
        await h.make("ven-1", "resources", body)
    told = await h.call("POST", "/resources", bodies[0], by="ven-1")
    assert (told.status, told.field) == (409, "resourceName")


WRONG: list[tuple[str, str, Any, int, str | None]] = [
    ("shop", "programs", {}, 400, "programName"),
    ("shop", "programs", {"programName": ""}, 400, "programName"),
    ("shop", "programs", {"programName": "x" * 129}, 400, "programName"),
    ("shop", "programs", {**PROGRAM, "targets": [""]}, 400, "targets[0]"),
    ("shop", "programs", {**PROGRAM, "intervalPeriod": {"duration": "1h"}}, 400, "intervalPeriod.duration"),
    ("shop", "programs", {**PROGRAM, "intervalPeriod": {"start": "soon"}}, 400, "intervalPeriod"),
    ("shop", "programs", {**PROGRAM, "payloadDescriptors": [{"payloadType": "PRICE"}]}, 400, None),
    ("shop", "programs", {**PROGRAM, "attributes": [{"type": "x", "values": [None]}]}, 400, None),
    ("shop", "programs", b"{", 400, None),
    ("shop", "programs", b'{"programName": NaN}', 400, None),
    ("shop", "programs", b"[" * 50_000, 400, None),
    ("shop", "programs", b'{"programName": "\xff"}', 400, None),
    ("shop", "programs", b'{"programName": "\\ud800"}', 400, None),
    ("shop", "programs", b" " * 300_000, 413, None),
    ("shop", "events", SHED, 400, "programID"),
    ("shop", "events", {**SHED, "programID": "nowhere"}, 409, "programID"),
    ("shop", "events", {**SHED, "programID": "a b"}, 400, "programID"),
    ("shop", "events", {**SHED, "programID": "p\n"}, 400, "programID"),
    ("shop", "events", {"programID": "p", "priority": -1}, 400, "priority"),
    ("shop", "events", {"programID": "p", "priority": 1.5}, 400, "priority"),
    ("shop", "events", {"programID": "p", "priority": True}, 400, "priority"),
    ("shop", "events", {"programID": "p", "priority": 2**63}, 400, "priority"),
    ("shop", "events", {"programID": "p", "intervals": [{"payloads": []}]}, 400, "intervals[0].id"),
    ("shop", "events", {"programID": "p", "intervals": [{"id": 0}]}, 400, "intervals[0].payloads"),
    ("ven-1", "reports", {"eventID": "e", "clientName": "c"}, 400, "resources"),
    ("ven-1", "reports", {"eventID": "e", "clientName": "c", "resources": []}, 409, "eventID"),
    ("ven-1", "vens", {"venName": "x"}, 400, "objectType"),
    ("ven-1", "vens", {"objectType": "VEN", "venName": "x"}, 400, "objectType"),
    (
        "ven-1",
        "vens",
        {"objectType": "BL_VEN_REQUEST", "clientID": "ven-2", "venName": "x"},
        403,
        "objectType",
    ),
    ("shop", "vens", {"objectType": "VEN_VEN_REQUEST", "venName": "x"}, 403, "objectType"),
    ("shop", "vens", {"objectType": "BL_VEN_REQUEST", "venName": "x"}, 400, "clientID"),
    (
        "ven-1",
        "resources",
        {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "x", "venID": "v"},
        404,
        "venID",
    ),
    ("ven-1", "subscriptions", {"clientName": "c"}, 400, "objectOperations"),
]


@pytest.mark.parametrize(("by", "plural", "body", "status", "field"), WRONG)
async def test_P9_what_is_wrong_is_named_and_changes_nothing(
    h: VtnHouse, by: str, plural: str, body: Any, status: int, field: str | None
) -> None:
    rows = len(h.emw.store.log)
    told = await h.call("POST", f"/{plural}", body, by=by)
    assert told.status == status, told.raw
    assert told.headers["content-type"] == "application/problem+json"
    assert told.body["status"] == status
    if field is not None:
        assert told.field == field, told.raw
    assert len(h.emw.store.log) == rows


async def test_a_body_that_is_no_json_is_refused_by_its_type(h: VtnHouse) -> None:
    told = await h.call(
        "POST", "/programs", b"programName=x", by="shop", headers={"content-type": "text/plain"}
    )
    assert told.status == 415
    zipped = await h.call("POST", "/programs", PROGRAM, by="shop", headers={"content-encoding": "gzip"})
    assert zipped.status == 415


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/programs", "PATCH", "GET, HEAD, POST"),
        ("/programs/x", "POST", "GET, HEAD, PUT, DELETE"),
        ("/auth/token", "GET", "POST"),
        ("/auth/server", "POST", "GET, HEAD"),
        ("/notifiers", "DELETE", "GET, HEAD"),
    ],
)
async def test_a_method_that_is_not_there_is_told_which_are(
    h: VtnHouse, path: str, method: str, allow: str
) -> None:
    told = await h.call(method, path, by="shop")
    assert (told.status, told.headers["allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/", "/nothing", "/programs/a/b", "/programs/..", "/programs/%20", "/auth"])
async def test_there_is_nothing_elsewhere(h: VtnHouse, path: str) -> None:
    assert (await h.call("GET", path, by="shop")).status == 404


# --- times


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("2026-07-01T17:00:00Z", "2026-07-01T17:00:00Z"),
        ("2026-07-01T17:00:00.5+02:00", "2026-07-01T17:00:00.5+02:00"),
        ("2026-07-01 17:00:00", "2026-07-01T17:00:00Z"),
        ("2026-07-01T17:00", "2026-07-01T17:00:00Z"),
        ("2026-07-01T17:00:00", "2026-07-01T17:00:00Z"),
        ("2026-07-01", "2026-07-01T00:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z"),
        ("0000-00-00", "0001-01-01T00:00:00Z"),
    ],
)
async def test_times_are_taken_as_they_come_and_told_as_rfc_3339(h: VtnHouse, said: str, told: str) -> None:
    program = await h.make("shop", "programs", PROGRAM)
    event = {**SHED, "programID": program["id"], "intervalPeriod": {"start": said, "duration": "PT1H"}}
    assert (await h.make("shop", "events", event))["intervalPeriod"]["start"] == told


@pytest.mark.parametrize("said", ["2026-02-30T17:00:00Z", "2026-13-01", "17:00", "2026-07-01T25:00:00Z", ""])
async def test_what_is_no_time_is_refused(h: VtnHouse, said: str) -> None:
    told = await h.call("POST", "/programs", {**PROGRAM, "intervalPeriod": {"start": said}}, by="shop")
    assert (told.status, told.field) == (400, "intervalPeriod")


# --- searching


async def test_a_list_comes_in_pages_oldest_first(h: VtnHouse) -> None:
    made = [(await h.make("shop", "programs", {"programName": f"p{i}"}))["id"] for i in range(55)]
    assert await h.ids("shop", "programs") == made[:50]
    assert await h.ids("shop", "programs", skip=50) == made[50:]
    assert await h.ids("shop", "programs", skip=3, limit=2) == made[3:5]
    assert await h.ids("shop", "programs", limit=0) == []
    assert await h.ids("shop", "programs", skip=100) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"skip": -1}, "skip"),
        ({"skip": "x"}, "skip"),
        ({"limit": 51}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": "1" * 400}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": ["1", "2"]}, "limit"),
        ({"active": "maybe"}, "active"),
        ({"programID": "a b"}, "programID"),
        ({"targets": ""}, "targets"),
    ],
)
async def test_a_query_that_is_wrong_is_named(h: VtnHouse, query: Any, field: str) -> None:
    told = await h.call("GET", "/events", by="shop", query=query)
    assert (told.status, told.field) == (400, field)


async def test_filters_hold_together(h: VtnHouse) -> None:
    one, two = [(await h.make("shop", "programs", {"programName": n}))["id"] for n in "ab"]
    events = [
        (await h.make("shop", "events", {**SHED, "programID": p, "targets": t}))["id"]
        for p, t in ((one, ["x"]), (one, ["y", "x"]), (two, ["x"]), (two, []))
    ]
    assert await h.ids("shop", "events", programID=one) == events[:2]
    assert await h.ids("shop", "events", targets="x") == events[:3]
    assert await h.ids("shop", "events", targets=["y", "z"]) == events[1:2]
    assert await h.ids("shop", "events", targets="x", programID=two) == events[2:3]
    assert await h.ids("shop", "events", programID="nowhere") == []
    reports = [
        (await h.make(by, "reports", {"eventID": e, "clientName": n, "resources": []}))["id"]
        for by, e, n in (("ven-1", events[3], "a"), ("ven-2", events[3], "b"))
    ]
    assert await h.ids("shop", "reports", clientName="b") == reports[1:]
    assert await h.ids("shop", "reports", eventID=events[3]) == reports
    assert await h.ids("shop", "reports", programID=two, eventID=events[3]) == reports
    assert await h.ids("shop", "reports", programID=one) == []
    assert await h.ids("ven-1", "reports", eventID=events[3]) == reports[:1]


async def test_vens_and_resources_are_found_by_name_and_targets(h: VtnHouse) -> None:
    vens = [
        await h.make(
            "shop",
            "vens",
            {"objectType": "BL_VEN_REQUEST", "clientID": c, "venName": n, "targets": t},
        )
        for c, n, t in (("ven-1", "a", ["x"]), ("ven-2", "b", ["y"]))
    ]
    made = [
        await h.make(
            "shop",
            "resources",
            {
                "objectType": "BL_RESOURCE_REQUEST",
                "clientID": v["clientID"],
                "resourceName": "meter",
                "venID": v["id"],
                "targets": v["targets"],
            },
        )
        for v in vens
    ]
    assert await h.ids("shop", "vens", venName="b") == [vens[1]["id"]]
    assert await h.ids("shop", "vens", targets="x") == [vens[0]["id"]]
    assert await h.ids("shop", "resources", resourceName="meter") == [r["id"] for r in made]
    assert await h.ids("shop", "resources", venID=vens[1]["id"]) == [made[1]["id"]]
    assert await h.ids("shop", "resources", targets=["x", "q"]) == [made[0]["id"]]


async def test_active_hides_what_is_over(h: VtnHouse) -> None:
    program = await h.make("shop", "programs", PROGRAM)
    now = h.emw.clock.now()

    async def event(start: str, lasts: str, **more: Any) -> str:
        period = {"start": start, "duration": lasts}
        body = {**SHED, "programID": program["id"], "intervalPeriod": period, **more}
        return str((await h.make("shop", "events", body))["id"])

    past = await event("2020-01-01T00:00:00Z", "PT1H")
    looping = await event("2020-01-01T00:00:00Z", "PT1H", duration="P9999Y")
    long_ago = await event("2020-01-01T00:00:00Z", "PT1H", duration="P1D")
    ahead = await event("2030-01-01T00:00:00Z", "PT1H")
    at_once = await event("0001-01-01", "PT10M")
    endless = await event("2020-01-01T00:00:00Z", "P9999Y")
    cancelled = await event("0001-01-01", "PT0S")
    everything = [past, looping, long_ago, ahead, at_once, endless, cancelled]
    assert now.year == 2026
    assert await h.ids("shop", "events") == everything
    assert await h.ids("shop", "events", active="false") == everything
    assert await h.ids("shop", "events", active="true") == [looping, ahead, at_once, endless]
    h.emw.clock.forward(700)
    assert await h.ids("shop", "events", active="true") == [looping, ahead, endless]


# --- what stays


async def test_objects_and_tokens_are_there_after_a_restart() -> None:
    store = MemoryStore()
    async with vtn_house(store=store) as h:
        program = await h.make("shop", "programs", PROGRAM)
        event = await h.make("shop", "events", {**SHED, "programID": program["id"]})
        gone = await h.make("shop", "events", {**SHED, "programID": program["id"]})
        await h.call("DELETE", f"/events/{gone['id']}", by="shop")
        token = h.tokens["shop"]
    async with vtn_house(store=store) as again:
        told = await again.call("GET", "/events", token=token)
        assert (told.status, told.body) == (200, [event])


async def test_F4_what_the_store_does_not_take_is_not_there(h: VtnHouse) -> None:
    from emw.service.errors import Unavailable

    program = await h.make("shop", "programs", PROGRAM)
    h.emw.store.fails = Unavailable("the disk is full", retry_after_s=7)
    told = await h.call("POST", "/events", {**SHED, "programID": program["id"]}, by="shop")
    assert (told.status, told.headers["retry-after"]) == (503, "7")
    assert (await h.call("PUT", f"/programs/{program['id']}", {"programName": "x"}, by="shop")).status == 503
    assert (await h.call("DELETE", f"/programs/{program['id']}", by="shop")).status == 503
    h.emw.store.fails = None
    assert await h.ids("shop", "events") == []
    assert (await h.call("GET", f"/programs/{program['id']}", by="shop")).body == program
    assert (await h.make("shop", "programs", {"programName": "x"}))["programName"] == "x"


async def test_what_a_client_may_hold_is_bounded(h: VtnHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emw.grid.vtn.book.MOST_OF_A_VEN", 1_000)
    body = {
        "objectType": "VEN_VEN_REQUEST",
        "venName": "a",
        "attributes": [{"type": "x", "values": ["y" * 800]}],
    }
    made = await h.make("ven-1", "vens", body)
    assert (await h.call("POST", "/vens", {**body, "venName": "b"}, by="ven-1")).status == 403
    assert (await h.call("POST", "/vens", {**body, "venName": "b"}, by="ven-2")).status == 201
    await h.call("DELETE", f"/vens/{made['id']}", by="ven-1")
    assert (await h.call("POST", "/vens", {**body, "venName": "a"}, by="ven-1")).status == 201


async def test_reports_are_let_go_when_kept_long_enough(h: VtnHouse) -> None:
    from datetime import timedelta

    program = await h.make("shop", "programs", PROGRAM)
    event = await h.make("shop", "events", {**SHED, "programID": program["id"]})
    old = await h.make("ven-1", "reports", {"eventID": event["id"], "clientName": "v", "resources": []})
    h.emw.clock.forward(3_000)
    new = await h.make("ven-1", "reports", {"eventID": event["id"], "clientName": "v", "resources": []})
    assert await h.ids("shop", "reports") == [old["id"], new["id"]]
    await h.vtn.book.forget(timedelta(minutes=30))
    assert await h.ids("shop", "reports") == [new["id"]]
    assert await h.ids("shop", "events") == [event["id"]]


async def test_there_is_no_vtn_where_it_is_not_switched_on() -> None:
    from tests.doors.house import house

    async with house() as emw:
        h = VtnHouse(emw, None)  # type: ignore[arg-type]  # there is none
        assert (await h.call("GET", "/auth/server")).status == 404
