"""A request's page lists its EVSEs: each one's part, what holds it now, what it gives; in any order, in pages."""

from __future__ import annotations

import re
from html import unescape

import pytest

from emw.store import Disk
from emw.web import report_pages
from emw.web import taking_part as module
from emw.web.taking_part import TakesPart, page_of
from tests.service.test_shed import beat
from tests.web.world import HOSTILE, START, World, dispatched, reads, segment, stations, world

PATH = f"/reports/requests/{segment('operator:R1')}"


async def lines(w: World, me: dict[str, str], query: str = "") -> list[list[str]]:
    """The cells of every EVSE's line, without tags."""
    shown = await w.call("GET", PATH + query, headers=me)
    assert shown.status == 200, shown.body
    section = shown.body.decode().partition('id="h-taking-part"')[2].partition("</section>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", section.partition("<tbody>")[2], re.DOTALL)
    return [
        [
            " ".join(re.sub(r"<[^>]*>", " ", cell).split())
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


async def test_the_holidays_that_a_report_was_asked_with_go_with_all_that_leads_on_from_it() -> None:
    async with world(real=Disk().reopen()) as w:
        await stations(w, ["E1"])
        me = await w.log_in("opa")
        body = {"territory": "East", "kW": 2, "requestID": "R1", "durationMinutes": 60}
        assert (await w.call("POST", "/api/v1/requests", body, headers=me)).status == 201
        for path in (PATH, f"/reports/months/{START:%Y-%m}"):
            shown = await w.call(
                "GET", f"{path}?holiday={START:%Y}-05-25&holiday={START:%Y}-07-04", headers=me
            )
            page = unescape(shown.body.decode())
            both = f"holiday={START:%Y}-05-25&holiday={START:%Y}-07-04"
            links = [x for x in re.findall(r'href="([^"]*)"', page) if "method=" in x or "format=" in x]
            assert links, path
            assert [x for x in links if both not in x] == []


async def test_a_running_request_shows_who_is_held_at_what_and_gives_what() -> None:
    async with world(real=Disk().reopen()) as w:
        names = [f"E{n}" for n in range(4)]
        await stations(w, names)
        me = await w.log_in("opa")
        body = {"territory": "East", "kW": 9.2, "requestID": "R1", "durationMinutes": 60}
        assert (await w.call("POST", "/api/v1/requests", body, headers=me)).status == 201
        await dispatched(w)
        limits = {name: limit.max_a for name, limit in w.headend.state.limits.items()}
        for n, name in enumerate(limits):
            limit_a = limits[name]
            assert limit_a is not None
            reads(w, name, limit_a - n)
        told = {line[0]: line for line in await lines(w, me)}
        assert told.keys() == limits.keys()
        for name, limit_a in limits.items():
            assert told[name][3].startswith(f"{limit_a:.1f} until ")
            live = w.headend.telemetry.live[name].reading
            assert live is not None
            assert float(told[name][4]) == pytest.approx(4.6 - live.kw, abs=0.006)
        most_first = [float(line[4]) for line in await lines(w, me)]
        assert most_first == sorted(most_first, reverse=True), "who gives most stands first"
        assert [line[0] for line in await lines(w, me, "?by=evse")] == sorted(limits)
        assert [line[0] for line in await lines(w, me, "?by=evse&up=false")] == sorted(limits, reverse=True)
        assert b"Means as known at" not in (await w.call("GET", PATH, headers=me)).body, "there are none yet"


async def test_of_thousands_of_customers_the_largest_are_listed_and_the_others_summed_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report_pages, "MOST_LISTED", 2)
    async with world(real=Disk().reopen()) as w:
        names = [f"E{n}" for n in range(5)]
        await stations(w, names)
        me = await w.log_in("opa")
        body = {"territory": "East", "kW": 13, "requestID": "R1", "durationMinutes": 60}
        assert (await w.call("POST", "/api/v1/requests", body, headers=me)).status == 201
        for _ in range(6):
            await beat(w, names)
        shown = (await w.call("GET", PATH, headers=me)).body.decode()
        listed = [
            [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in re.findall(r"<td.*?</td>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", shown.partition('id="h-parts"')[2], re.DOTALL)[1:]
        ]
        assert [(kind, name, evses) for kind, name, evses, _ in listed] == [
            ("site", "not known", "5"),
            ("customer", listed[1][1], "1"),
            ("customer", listed[2][1], "1"),
            ("customer", "3 others", "3"),
        ]
        site_kwh, *customers_kwh = [float(kwh) for *_, kwh in listed]
        assert sum(customers_kwh) == pytest.approx(site_kwh, abs=0.2)


async def test_one_that_is_over_shows_who_left_when_why_and_what_they_gave() -> None:
    async with world(real=Disk().reopen()) as w:
        names = ["E1", *HOSTILE]
        await stations(w, names)
        me = await w.log_in("opa")
        body = {"territory": "East", "kW": 4 * len(names), "requestID": "R1"}
        assert (await w.call("POST", "/api/v1/requests", body, headers=me)).status == 201
        for _ in range(5):
            await beat(w, names)
        running = (await w.call("GET", "/api/v1/requests/operator:R1/enrolments", headers=me)).json["items"]
        assert all(e["measuredKWh"] > 0.1 for e in running), "so far"
        ended = await w.call("POST", "/api/v1/requests/operator:R1/returnToNormal", {}, headers=me)
        assert ended.status == 200
        for _ in range(15):
            await beat(w, names)
        assert w.headend.state.requests["operator:R1"].state == "closed"
        given = await lines(w, me)
        assert len(given) == len(names)
        for line in given:
            assert len(line) == 4, "nothing holds them any more"
            assert line[2].endswith("request over")
            assert float(line[3]) > 0.1
        page = (await w.call("GET", PATH, headers=me)).body
        assert b"<script>alert" not in page
        assert b'href="/evses/%3Cscript%3Ealert%281%29%3C%2Fscript%3E"' in page


def test_what_is_not_known_comes_last_and_a_page_too_far_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    parts = [
        TakesPart(name, START, None, None, None, kw, 0.0)
        for name, kw in (("b", 1.0), ("a", 1.0), ("c", None), ("d", 3.0), ("e", -1.0))
    ]

    def order(*, up: bool) -> str:
        return "".join(p.evse_id for n in (1, 2, 3) for p in page_of(parts, "now", n, up=up).rows)

    assert (order(up=False), order(up=True)) == ("dabec", "eabdc")
    assert page_of(parts, "evse", 99, up=True)[1:] == (3, 3, 5)
    assert page_of([], "gave", 1, up=False) == ([], 1, 1, 0)
