"""HEAD on a real socket, as a load balancer asks: the head of the answer to a GET, nothing behind it."""

from __future__ import annotations

import asyncio
import http.client

from emw.domain.people import Role
from tests.doors.house import house, served
from tests.web.world import world


def asked(port: int, method: str, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
    """Two requests over one connection, so that a body too many would be taken for the next answer."""
    wire = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        wire.request(method, path, headers=headers)
        wire.getresponse().read()
        wire.request(method, path, headers=headers)
        answer = wire.getresponse()
        body = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        told.pop("date")
        told.pop("transfer-encoding", None)  # of a body, which HEAD has none of (RFC 9110, 9.3.2)
        return answer.status, told, body
    finally:
        wire.close()


async def same_head(port: int, path: str, token: str = "") -> int:
    get = await asyncio.to_thread(asked, port, "GET", path, token)
    head = await asyncio.to_thread(asked, port, "HEAD", path, token)
    assert head[:2] == get[:2]
    assert get[2]
    assert head[2] == b""
    return head[0]


async def test_the_station_plane_answers_head_where_it_answers_get() -> None:
    async with house() as emw, served(emw.plane) as (_, port):
        token = await emw.headend.admin.add_iso("operator:test", "grid", ("East",))
        assert await same_head(port, "/iso/requests", token) == 200
        assert await same_head(port, "/iso/requests") == 401
        assert await same_head(port, "/nothing") == 404
        status, headers, _ = await asyncio.to_thread(asked, port, "HEAD", "/evse/powerOn", "")
        assert (status, headers["allow"]) == (405, "POST")
        status, headers, _ = await asyncio.to_thread(asked, port, "DELETE", "/iso/requests", "")
        assert (status, headers["allow"]) == (405, "GET, HEAD")


async def test_the_operator_plane_answers_head_where_it_answers_get() -> None:
    async with world() as w, served(w.app) as (_, port):
        key = await w.key(Role.VIEWER)
        for path in ("/healthz", "/readyz", "/login", "/static/style.css"):
            assert await same_head(port, path) == 200
        for path in ("/api/v1/evses", "/api/v1/activity.csv"):
            assert await same_head(port, path, key) == 200
        assert await same_head(port, "/api/v1/evses") == 401
        status, headers, _ = await asyncio.to_thread(asked, port, "PUT", "/api/v1/evses", key)
        assert status == 405
        assert "HEAD" in headers["allow"]


async def test_head_begins_no_stream_that_does_not_end() -> None:
    async with world() as w, served(w.app) as (_, port):
        key = await w.key(Role.VIEWER)
        status, headers, body = await asyncio.to_thread(asked, port, "HEAD", "/api/v1/live", key)
        assert (status, headers["content-type"], body) == (200, "text/event-stream; charset=utf-8", b"")
        async with asyncio.timeout(60):
            while w.app.state["feed"].viewers:  # noqa: ASYNC110 - a feed tells nobody who leaves
                await asyncio.sleep(0.01)
