"""Other sites in the same browser: what they may read, ride on, frame, fixate or lead away to: nothing (A12)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from tests.web.test_doors import DOORS, path_of
from tests.web.world import PASSWORD, Told, World, stations, world

EVIL = "https://evil.example"
FOREIGN = {"origin": EVIL, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
READS = sorted(path for method, path in DOORS if method == "GET" and not path.endswith("/live"))
PAGES = ("/", "/login", "/setup", "/evses", "/log", "/static/api.js", "/healthz", "/nowhere")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def w() -> AsyncGenerator[World, None]:
    async with world() as made:
        await stations(made, ["E1"])
        yield made


def gives_nothing_away(told: Told) -> None:
    """No other site may read this, frame it, or have it as a script or an image of its own."""
    granted = {name: value for name, value in told.headers.items() if name.startswith("access-control-")}
    assert not granted
    assert told.headers["cross-origin-resource-policy"] == "same-origin"
    assert told.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in told.headers["content-security-policy"]
    assert told.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", READS)
async def test_A12_no_other_site_may_read_what_a_cookie_opens(w: World, path: str) -> None:
    me = await w.log_in()
    told = await w.call("GET", path_of(path), headers={"cookie": me["cookie"], **FOREIGN})
    gives_nothing_away(told)


@pytest.mark.parametrize("door", DOORS, ids=" ".join)
async def test_A12_no_door_tells_another_site_that_it_may_ask(w: World, door: tuple[str, str]) -> None:
    asked = {
        **FOREIGN,
        "access-control-request-method": door[0],
        "access-control-request-headers": "x-csrf-token",
    }
    told = await w.call("OPTIONS", path_of(door[1]), headers=asked)
    gives_nothing_away(told)


@pytest.mark.parametrize("path", PAGES)
async def test_A12_no_page_is_framed_or_leads_away(w: World, path: str) -> None:
    me = await w.log_in()
    for query in (
        "",
        "?next=//evil.example",
        f"?next={EVIL}",
        f"?redirect={EVIL}&url={EVIL}&return_to={EVIL}",
    ):
        for headers in ({}, {"cookie": me["cookie"]}):
            told = await w.call("GET", path + query, headers=headers)
            gives_nothing_away(told)
            where = told.headers.get("location", "/")
            assert where.startswith("/"), where
            assert not where.startswith(("//", "/\\")), where
            assert b"evil.example" not in told.body


async def test_A12_a_session_that_was_there_before_the_login_is_not_the_one_after(w: World) -> None:
    """Who plants a cookie in somebody's browser must not be in once that somebody logs in."""
    planted = await w.log_in("opa")
    for cookie in (planted["cookie"], "emw_session=os_planted-by-another-site"):
        told = await w.call(
            "POST", "/api/v1/login", {"name": "ann", "password": PASSWORD}, headers={"cookie": cookie}
        )
        assert told.status == 200
        fresh = told.cookies[0].partition(";")[0]
        assert fresh != cookie
        assert (await w.call("GET", "/api/v1/me", headers={"cookie": cookie})).status == 401
        assert (await w.call("GET", "/api/v1/me", headers={"cookie": fresh})).json["name"] == "ann"


async def test_A12_no_socket_is_opened_for_another_site_nor_for_anybody(w: World) -> None:
    me = await w.log_in()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/api/v1/live",
        "raw_path": b"/api/v1/live",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost:8401"),
            (b"cookie", me["cookie"].encode()),
            (b"origin", EVIL.encode()),
        ],
        "subprotocols": [],
        "client": ("192.0.2.1", 1),
        "server": ("localhost", 8401),
        "state": {},
    }
    await w.app(scope, receive, send)
    assert all(message["type"] != "websocket.accept" for message in sent)
