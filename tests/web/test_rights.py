"""Every door against every role and every key, made from the routes themselves: a new door can't be forgotten."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from litestar.handlers import HTTPRouteHandler

from emw.domain.people import Role
from emw.web.auth import scope_of
from emw.web.shell import CHANGING, OperatorApp
from emw.web.wire_people import SCOPES
from tests.web.test_doors import DOORS, OPEN, path_of
from tests.web.world import World, stations, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
OPEN_PAGES = {
    "/": "leads to the way in",
    "/evses": "leads to the way in",
    "/grid": "leads to the way in",
    "/log": "leads to the way in",
    "/login": "the way in",
    "/setup": "the way in, once",
    "/sso": "the way in",
    "/sso/back": "the way in",
    "/static/{name:str}": "the pages' own files",
    "/messages/{name:str}": "the pages' own sentences",
    "/api/v1/openapi.json": "says what could be asked, and nothing else",
    "/metrics": "asks for a viewer itself, unless it is open by a setting",
}


def routes(app: OperatorApp) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    """Every way in: method, path as it is routed, handler."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield method, route.path, handler


def role_of(handler: HTTPRouteHandler) -> Role | None:
    """The role that a door's guard asks for; None: it has no such guard."""
    found = {guard.role for guard in handler.resolve_guards() if hasattr(guard, "role")}
    assert len(found) <= 1, f"{handler}: several roles"
    return next(iter(found), None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def w() -> AsyncGenerator[World, None]:
    async with world() as made:
        await stations(made, ["E1"])
        yield made


def plain(path: str) -> str:
    """`/x/{id:str}` as the description has it: `/x/{id}`."""
    return path.replace(":str}", "}")


async def test_A8_every_door_asks_for_a_role_or_is_open_for_a_reason(w: World) -> None:
    found = list(routes(w.app))
    assert len(found) > 40
    for method, path, handler in found:
        role = role_of(handler)
        if role is not None:
            known = DOORS.get((method, plain(path)))
            assert known is None or known[0] is role, path
            assert method not in CHANGING or known is not None, f"{method} {path} is in no table of bodies"
            continue
        open_for = (
            path in OPEN_PAGES
            or (method, plain(path)) in OPEN
            or path.startswith("/api/v1/openapi")
            or (method == "GET" and not path.startswith("/api/"))
        )
        assert open_for, f"{method} {path} has no guard"


async def test_A8_open_pages_tell_nothing_to_who_is_not_known(w: World) -> None:
    """A page without a guard is one of the ways in, a file of ours, or leads to the way in."""
    for method, path, handler in routes(w.app):
        if role_of(handler) is not None or path.startswith("/api/") or path in OPEN_PAGES:
            continue
        if (method, path) in OPEN:
            continue
        told = await w.call(method, path_of(plain(path)) if "{" in path else path, address="192.0.2.77")
        assert told.status in {303, 401, 404}, f"{method} {path}: {told.status}"
        where = told.headers.get("location", "").partition("?")[0]
        assert told.status != 303 or where in {"/login", "/setup"}


async def test_A8_each_role_at_each_door(w: World) -> None:
    """Roles below what a door asks for get 403 and change nothing; the others get in."""
    keys: dict[Role | None, str | None] = {role: await w.key(role) for role in Role}
    for method, path, handler in routes(w.app):
        needed = role_of(handler)
        if needed is None:
            continue
        body = DOORS.get((method, plain(path)), (needed, None))[1]
        if body is None and method in CHANGING:
            body = {}
        where = path_of(plain(path))
        told = await w.call(method, where, body, address="192.0.2.78")
        assert told.status == 401, (method, path)
        for role in Role:
            if role.may(needed):
                continue
            rows = len(w.store.log)
            told = await w.call(method, where, body, key=keys[role])
            assert (told.status, len(w.store.log)) == (403, rows), (method, path, role)


async def test_every_door_belongs_to_a_part_that_a_key_can_be_kept_to(w: World) -> None:
    parts = {scope_of(handler) for _, _, handler in routes(w.app) if role_of(handler) is not None}
    assert parts - set(SCOPES) == set(), "a tag that is in no list of scopes"


async def test_A8_a_key_opens_its_own_parts_and_no_other(w: World) -> None:
    admin = w.headend.admin
    for scope in SCOPES:
        _, key = await admin.add_key("test", "k", Role.ADMINISTRATOR, scopes=(scope,))
        for method, path, handler in routes(w.app):
            if role_of(handler) is None or path.endswith("/live"):
                continue
            own = scope_of(handler) == scope
            if own and method in CHANGING:
                continue  # would be let in, and done
            body: Any = {} if method in CHANGING else None
            told = await w.call(method, path_of(plain(path)), body, key=key)
            assert (told.status == 403) is not own, (scope, method, path, told.status)
            assert own or "only" in told.json["detail"]
        told = await w.call("GET", "/metrics", key=key)
        assert told.status == (200 if scope == "watching" else 403)


async def test_a_key_ends_when_it_should_and_says_what_it_is_for(w: World) -> None:
    boss = await w.key(Role.ADMINISTRATOR)
    made = await w.call(
        "POST",
        "/api/v1/tokens",
        {"name": "grafana", "role": "viewer", "scopes": ["watching", "watching"], "days": 1},
        key=boss,
    )
    assert made.status == 201, made.body
    assert made.json["scopes"] == ["watching"]
    told = await w.call("GET", "/metrics", key=made.json["key"])
    assert told.status == 200
    listed = next(
        k
        for k in (await w.call("GET", "/api/v1/tokens", key=boss)).json["items"]
        if k["keyID"] == made.json["keyID"]
    )
    assert (listed["scopes"], listed["expiresAt"]) == (["watching"], made.json["expiresAt"])
    w.clock.at += timedelta(days=1)
    assert (await w.call("GET", "/metrics", key=made.json["key"])).status == 401
    for body in ({"scopes": ["everything"]}, {"scopes": "watching"}, {"days": 0}, {"days": 1e9}):
        told = await w.call("POST", "/api/v1/tokens", {"name": "x", **body}, key=boss)
        assert told.status == 400, body


async def test_an_administrator_ends_a_login_at_once(w: World) -> None:
    theirs, mine = await w.log_in_by_the_door("opa"), await w.log_in("ann")
    listed = (await w.call("GET", "/api/v1/logins", headers=mine)).json["items"]
    login = next(x for x in listed if x["name"] == "opa")
    assert (login["role"], login["singleSignOn"], login["address"]) == ("operator", False, "192.0.2.1")
    assert (await w.call("GET", "/api/v1/me", headers=theirs)).status == 200
    path = f"/api/v1/logins/{login['loginID']}/end"
    assert (await w.call("POST", path, {}, headers=theirs)).status == 403
    assert (await w.call("POST", path, {}, headers=mine)).status == 200
    assert (await w.call("GET", "/api/v1/me", headers=theirs)).status == 401
    assert (await w.call("POST", path, {}, headers=mine)).status == 404
    row = next(r for r in reversed(w.store.log) if r["kind"] == "LoginEnded")
    assert (row["actor"], row["name"]) == ("operator:ann", "opa")
