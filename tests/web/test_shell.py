"""What holds for every answer: security headers, our own host, ids of any kind in a path."""

from __future__ import annotations

import gzip
import re
from importlib.resources import files

import pytest

from emw.domain.people import Role
from emw.web.app import WebSettings
from emw.web.shell import host_check
from tests.web.world import HOSTILE, segment, stations, world

PATHS = [
    "/",
    "/login",
    "/setup",
    "/evses",
    "/evses/E1",
    "/grid",
    "/log",
    "/messages/de.js",
    "/static/live.js",
    "/static/style.css",
    "/healthz",
    "/api/v1/me",
    "/nothing",
]


async def test_every_answer_carries_the_security_headers() -> None:
    async with world() as w:
        for path in PATHS:
            for host in ("localhost:8401", "evil.example"):
                told = await w.call("GET", path, headers={"host": host})
                policy = told.headers["content-security-policy"]
                assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), path
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert told.headers["x-content-type-options"] == "nosniff"
                assert told.headers["referrer-policy"] == "no-referrer"
                assert told.headers["cache-control"] in {"no-store", "no-cache"}
                assert told.status == 421 if host == "evil.example" else told.status != 421


async def test_pages_have_no_script_or_style_of_their_own() -> None:
    async with world() as w:
        await stations(w, ["E1"])
        me = await w.log_in()
        for path in ("/", "/evses", "/evses/E1", "/log", "/login", "/setup"):
            out = path in {"/login", "/setup"}
            page = (await w.call("GET", path, headers={} if out else me)).body.decode()
            assert "<main" in page
            assert "<style" not in page
            assert " style=" not in page
            assert not re.search(r"<[^>]*\son\w+=", page)
            assert "<script>" not in page
            assert "http://" not in page
            assert "https://" not in page


async def test_a_browser_is_refused_in_a_page_and_a_machine_in_json() -> None:
    async with world() as w:
        await stations(w, ["E1"])
        me = await w.log_in()
        for path in ("/nothing", "/evses/<b>E9", "/reports/requests/x:y"):
            page = await w.call("GET", path, headers={**me, "accept": "text/html,*/*;q=0.8"})
            assert page.status == 404, path
            assert page.headers["content-type"].startswith("text/html")
            assert "there is no" in page.body.decode()
            assert "<b>" not in page.body.decode()
            told = await w.call("GET", path, headers=me)
            assert (told.status, told.headers["content-type"]) == (404, "application/problem+json")
        lost = {**me, "accept": "text/html", "accept-language": "de"}
        assert "hier ist nichts" in (await w.call("GET", "/nothing", headers=lost)).body.decode()
        assert (await w.call("GET", "/evses/E1", headers=me)).status == 200
        told = await w.call("GET", "/api/v1/nothing", headers={**me, "accept": "text/html"})
        assert told.headers["content-type"] == "application/problem+json"


async def test_static_files_are_asked_for_once() -> None:
    async with world() as w:
        told = await w.call("GET", "/static/live.js")
        assert told.headers["content-type"].startswith("text/javascript")
        again = await w.call("GET", "/static/live.js", headers={"if-none-match": told.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        packed = await w.call("GET", "/static/live.js", headers={"accept-encoding": "gzip, br"})
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == told.body


@pytest.mark.parametrize(
    ("host", "ok"),
    [
        ("localhost", True),
        ("localhost:8401", True),
        ("emw.localhost:80", True),
        ("127.0.0.1:8401", True),
        ("[::1]:8401", True),
        ("192.0.2.7", True),
        ("Console.Example:443", True),
        ("console.example.", True),
        ("evil.example", False),
        ("console.example.evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[", False),
        ("0x7f.1", False),
    ],
)
def test_only_our_own_names_are_answered(host: str, ok: bool) -> None:
    assert host_check(("console.example",))(host) is ok


async def test_dns_rebinding_gets_nothing() -> None:
    async with world(WebSettings(allowed_hosts=("console.example",))) as w:
        key = await w.key(Role.VIEWER)
        assert (await w.call("GET", "/api/v1/me", key=key, headers={"host": "evil.example"})).status == 421
        assert (await w.call("GET", "/api/v1/me", key=key, headers={"host": "console.example"})).status == 200


async def test_an_id_may_be_anything() -> None:
    async with world() as w:
        await stations(w, HOSTILE)
        me = await w.log_in()
        for evse_id in HOSTILE:
            told = await w.call("GET", f"/api/v1/evses/{segment(evse_id)}", headers=me)
            assert told.status == 200, evse_id
            assert told.json["evse"]["evseID"] == evse_id
            told = await w.call(
                "POST", f"/api/v1/evses/{segment(evse_id)}/optOut", {"minutes": 5}, headers=me
            )
            assert told.status == 200, evse_id
        for broken in ("%ff", "%c3%28", "%ed%a0%80"):
            assert (await w.call("GET", f"/api/v1/evses/{broken}", headers=me)).status in {400, 404}
        listed = (await w.call("GET", "/api/v1/evses?limit=1000", headers=me)).json
        assert {e["evseID"] for e in listed["items"]} == set(HOSTILE)
        assert {e["state"] for e in listed["items"]} == {"opted out"}


async def test_health_and_readiness() -> None:
    async with world() as w:
        assert (await w.call("GET", "/healthz")).json == {"alive": True}
        assert (await w.call("GET", "/readyz")).json == {"ready": True, "why": None}
        me = await w.log_in()
        w.store.broken = True
        await w.call("POST", "/api/v1/resume", {}, headers=me)
        told = await w.call("GET", "/readyz")
        assert told.status == 503
        assert "store" in told.json["why"]
        assert (await w.call("GET", "/healthz")).status == 200
        w.store.broken = False
        await w.call("POST", "/api/v1/resume", {}, headers=me)
        assert (await w.call("GET", "/readyz")).status == 200


def test_what_scrolls_can_be_scrolled_without_a_mouse() -> None:
    """Whether it has more than fits depends on what is in it: each is a stop of the Tab key, and says what it holds."""
    boxes = [
        tag
        for page in files("emw.web").joinpath("templates").iterdir()
        for tag in re.findall(
            r"<[^>]*class=\"(?:[^\"]* )?scroll(?: [^\"]*)?\"[^>]*>", page.read_text("utf-8")
        )
    ]
    assert len(boxes) > 10
    assert [tag for tag in boxes if 'tabindex="0"' not in tag or "aria-label" not in tag] == []
