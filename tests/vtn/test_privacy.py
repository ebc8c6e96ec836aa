"""The privacy matrix: business logic, the owner, another VEN and nobody, at every endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.vtn.house import PROGRAM, SHED, VtnHouse, vtn_house

pytestmark = pytest.mark.asyncio(loop_scope="module")
SPEC = Path(__file__).parents[1] / "grid/specs/openadr/3.1.0/openadr3.yaml"
BL, OWNER, OTHER, NONE = "shop", "ven-1", "ven-2", "nobody"
WHO = (BL, OWNER, OTHER, NONE)
# Per object: who may read, replace and delete it. What is not there for somebody is 404, what a scope lacks is 403.
READ = {
    "targeted program": (200, 200, 404, 401),
    "open program": (200, 200, 200, 401),
    "targeted event": (200, 200, 404, 401),
    "open event": (200, 200, 200, 401),
    "report": (200, 200, 404, 401),
    "ven": (200, 200, 404, 401),
    "resource": (200, 200, 404, 401),
    "subscription": (200, 200, 404, 401),
}
WRITE = {
    "targeted program": (200, 403, 403, 401),
    "open program": (200, 403, 403, 401),
    "targeted event": (200, 403, 403, 401),
    "open event": (200, 403, 403, 401),
    "report": (403, 200, 404, 401),
    "ven": (200, 200, 404, 401),
    "resource": (200, 200, 404, 401),
    "subscription": (403, 200, 404, 401),
}
CREATE = {
    "targeted program": (201, 403, 403, 401),
    "open program": (201, 403, 403, 401),
    "targeted event": (201, 403, 403, 401),
    "open event": (201, 403, 403, 401),
    "report": (403, 201, 409, 401),  # of an event that only the owner sees
    "ven": (201, 201, 201, 401),
    "resource": (201, 201, 404, 401),  # in the owner's ven
    "subscription": (201, 201, 201, 401),
}
ELSEWHERE = {
    ("GET", "/auth/server"): (200, 200, 200, 200),
    ("POST", "/auth/token"): (400, 400, 400, 400),  # a form without credentials, whoever sends it
    ("GET", "/notifiers"): (200, 200, 200, 401),
}


def rows(table: Mapping[str, tuple[int, ...]]) -> list[tuple[str, str, int]]:
    return [(what, who, status) for what, row in table.items() for who, status in zip(WHO, row, strict=True)]


def plural_of(what: str) -> str:
    return what.rsplit(" ", maxsplit=1)[-1] + "s"


class World:
    """One object of each kind, of `ven-1`, whose ven has been granted the target `mine`."""

    def __init__(self, h: VtnHouse) -> None:
        self.h = h
        self.ids: dict[str, str] = {}
        self.n = 0

    def body(self, what: str, who: str) -> dict[str, Any]:
        """A request for such an object as this client would write it."""
        self.n += 1
        n, ids = self.n, self.ids
        bl = who == BL
        targets = {"targets": ["mine", "secret"]} if what.startswith("targeted") else {}
        match what.rsplit(" ", maxsplit=1)[-1]:
            case "program":
                return {**PROGRAM, "programName": f"p{n}", **targets}
            case "event":
                return {**SHED, "programID": ids.get("open program", ""), **targets}
            case "report":
                return {"eventID": ids["targeted event"], "clientName": f"c{n}", "resources": []}
            case "subscription":
                return {"clientName": f"c{n}", "objectOperations": []}
            case "ven":
                owner = {"clientID": OWNER, "targets": ["mine"]} if bl else {}
                return {"objectType": f"{'BL' if bl else 'VEN'}_VEN_REQUEST", "venName": f"v{n}", **owner}
            case _:
                owner = {"clientID": OWNER} if bl else {}
                kind = f"{'BL' if bl else 'VEN'}_RESOURCE_REQUEST"
                return {"objectType": kind, "resourceName": f"r{n}", "venID": ids["ven"], **owner}

    async def make(self, what: str) -> str:
        by = BL if "program" in what or "event" in what or what == "ven" else OWNER
        self.ids[what] = (await self.h.make(by, plural_of(what), self.body(what, by)))["id"]
        return self.ids[what]

    async def ask(self, method: str, path: str, who: str, body: Any = None) -> Any:
        return await self.h.call(method, path, body, by=None if who == NONE else who)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def w() -> Any:
    async with vtn_house() as h:
        world = World(h)
        for what in ("ven", "open program", "targeted program", "open event", "targeted event"):
            await world.make(what)
        for what in ("report", "resource", "subscription"):
            await world.make(what)
        yield world


@pytest.mark.parametrize(("what", "who", "status"), rows(READ))
async def test_who_may_read_an_object(w: World, what: str, who: str, status: int) -> None:
    told = await w.ask("GET", f"/{plural_of(what)}/{w.ids[what]}", who)
    assert told.status == status, told.raw


@pytest.mark.parametrize(("what", "who", "status"), rows(READ))
async def test_who_finds_an_object(w: World, what: str, who: str, status: int) -> None:
    told = await w.ask("GET", f"/{plural_of(what)}", who)
    assert told.status == (401 if who == NONE else 200)
    found = who != NONE and w.ids[what] in {o["id"] for o in told.body}
    assert found is (status == 200)


@pytest.mark.parametrize(("what", "who", "status"), rows(WRITE))
async def test_A5_who_may_replace_an_object(w: World, what: str, who: str, status: int) -> None:
    path = f"/{plural_of(what)}/{w.ids[what]}"
    before = (await w.ask("GET", path, BL)).body
    w.h.emw.clock.forward(0.01)  # some are told apart by when they were changed alone
    told = await w.ask("PUT", path, who, w.body(what, who))
    assert told.status == status, told.raw
    after = (await w.ask("GET", path, BL)).body
    assert (after != before) is (status == 200)
    assert after.get("clientID") == before.get("clientID")
    if what == "ven":
        assert after["targets"] == ["mine"], "what business logic granted stays"


@pytest.mark.parametrize(("what", "who", "status"), rows(WRITE))
async def test_A5_who_may_delete_an_object(w: World, what: str, who: str, status: int) -> None:
    kept = dict(w.ids)
    extra = World(w.h)
    extra.ids, extra.n = dict(kept), w.n + 1_000
    object_id = await extra.make(what)
    w.n = extra.n
    told = await w.ask("DELETE", f"/{plural_of(what)}/{object_id}", who)
    assert told.status == status, told.raw
    there = (await w.ask("GET", f"/{plural_of(what)}/{object_id}", BL)).status
    assert there == (404 if status == 200 else 200)
    w.ids = kept


@pytest.mark.parametrize(("what", "who", "status"), rows(CREATE))
async def test_who_may_create_an_object(w: World, what: str, who: str, status: int) -> None:
    told = await w.ask("POST", f"/{plural_of(what)}", who, w.body(what, who))
    assert told.status == status, told.raw
    if status == 201 and what in {"ven", "resource", "report", "subscription"}:
        assert told.body["clientID"] == (OWNER if who == BL and what in {"ven", "resource"} else who)


@pytest.mark.parametrize("door", ELSEWHERE, ids=" ".join)
@pytest.mark.parametrize("who", WHO)
async def test_the_other_doors(w: World, door: tuple[str, str], who: str) -> None:
    told = await w.ask(*door, who)
    assert told.status == ELSEWHERE[door][WHO.index(who)], told.raw


@pytest.mark.parametrize("who", WHO)
async def test_there_is_no_mqtt(w: World, who: str) -> None:
    for path in ("programs", "events", "vens/x/events", "resources"):
        told = await w.ask("GET", f"/notifiers/mqtt/topics/{path}", who)
        assert told.status == (401 if who == NONE else 404)


async def test_the_tables_have_every_endpoint_of_the_contract(w: World) -> None:
    paths = yaml.safe_load(SPEC.read_text(encoding="utf-8"))["paths"]
    doors = {(m.upper(), p) for p, at in paths.items() for m in at if m != "parameters"}
    plurals = {plural_of(what) for what in READ}
    mine = {(m, f"/{p}") for p in plurals for m in ("GET", "POST")} | set(ELSEWHERE)
    mine |= {(m, f"/{p}/{{}}") for p in plurals for m in ("GET", "PUT", "DELETE")}
    plain = {(m, re.sub(r"{\w+}", "{}", p)) for m, p in doors if "/mqtt/" not in p}
    assert plain == mine


async def test_targets_that_were_not_granted_are_hidden(w: World) -> None:
    for what in ("targeted program", "targeted event"):
        path = f"/{plural_of(what)}/{w.ids[what]}"
        assert (await w.ask("GET", path, BL)).body["targets"] == ["mine", "secret"]
        assert (await w.ask("GET", path, OWNER)).body["targets"] == ["mine"]
        listed = (await w.ask("GET", f"/{plural_of(what)}", OWNER)).body
        assert [o["targets"] for o in listed if o["id"] == w.ids[what]] == [["mine"]]


async def test_a_query_can_not_ask_for_targets_that_were_not_granted(w: World) -> None:
    mine, secret = [
        await w.h.ids(who, "events", targets=t) for who, t in ((OWNER, "mine"), (OWNER, "secret"))
    ]
    assert w.ids["targeted event"] in mine
    assert secret == []
    assert w.ids["targeted event"] in await w.h.ids(BL, "events", targets="secret")


async def test_a_grant_counts_at_once_also_by_a_resource_and_so_does_its_end(w: World) -> None:
    event = f"/events/{w.ids['targeted event']}"
    ven = await w.h.make(
        BL, "vens", {"objectType": "BL_VEN_REQUEST", "clientID": OTHER, "venName": "of the other"}
    )
    assert (await w.ask("GET", event, OTHER)).status == 404
    resource = {
        "objectType": "BL_RESOURCE_REQUEST",
        "clientID": OTHER,
        "resourceName": "r",
        "venID": ven["id"],
        "targets": ["secret"],
    }
    made = await w.h.make(BL, "resources", resource)
    told = await w.ask("GET", event, OTHER)
    assert (told.status, told.body["targets"]) == (200, ["secret"])
    await w.ask("DELETE", f"/resources/{made['id']}", BL)
    assert (await w.ask("GET", event, OTHER)).status == 404


async def test_a_ven_can_not_grant_itself_anything(w: World) -> None:
    body = {"objectType": "VEN_VEN_REQUEST", "venName": "greedy", "targets": ["secret"], "clientID": OWNER}
    made = await w.h.make(OTHER, "vens", body)
    assert made["clientID"] == OTHER
    assert "targets" not in made
    event = f"/events/{w.ids['targeted event']}"
    assert (await w.ask("GET", event, OTHER)).status == 404
    await w.ask("DELETE", f"/vens/{made['id']}", OTHER)


async def test_an_owner_does_not_change(w: World) -> None:
    body = {"objectType": "BL_VEN_REQUEST", "clientID": OTHER, "venName": "taken over"}
    told = await w.ask("PUT", f"/vens/{w.ids['ven']}", BL, body)
    assert (told.status, told.field) == (409, "clientID")
    resource = {**w.body("resource", BL), "clientID": OTHER}
    told = await w.ask("POST", "/resources", BL, resource)
    assert (told.status, told.field) == (409, "clientID")
