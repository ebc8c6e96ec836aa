"""Languages: every catalogue says the same things, every page and module asks only for what they say."""

from __future__ import annotations

import asyncio
import contextlib
import re
import string
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import emw
from emw.domain.people import Role
from emw.web.live import Feed
from emw.web.log_words import reason, sentence
from emw.web.refusals import refusal
from emw.web.settings import WebSettings
from emw.web.tongue import DEFAULT, SERVERS, TONGUES, choose
from tests.web.world import stations, world

ENGLISH = TONGUES[DEFAULT].says
ROOM = Path(emw.__file__).parent
# Keys that are put together: a prefix here, the rest a state, a role or a column.
MADE = re.compile(
    r"\bt\(`([a-z_]+)\.\$\{|word\(\"([a-z_]+)\",|t\([\"']([a-z_]+)\.[\"'] ~"
    r"|f\"([a-z_]+)\.\{|\"([a-z_]+)\.\""
)
USED = re.compile(r"\bt\(\s*[\"']([a-z_]+\.[a-z_0-9]+)[\"']")
CHOSEN = re.compile(r"[\"`']([a-z_]+\.[a-z_0-9]+)[\"`']")


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def sources() -> dict[str, str]:
    web = files("emw.web")
    found = [
        *web.joinpath("templates").iterdir(),
        *web.joinpath("static").iterdir(),
        web.joinpath("words.py"),
        web.joinpath("log_words.py"),
        web.joinpath("refusals.py"),
    ]
    return {f.name: f.read_text("utf-8") for f in found if f.name.endswith((".html", ".js", ".py"))}


@pytest.mark.parametrize("tag", sorted(set(TONGUES) - {DEFAULT}))
def test_a_language_has_the_same_keys_and_the_same_places_to_fill(tag: str) -> None:
    says = TONGUES[tag].says
    assert set(says) == set(ENGLISH)
    assert {k: places(v) for k, v in says.items()} == {k: places(v) for k, v in ENGLISH.items()}
    assert all(v.strip() for v in says.values())


def test_what_pages_and_modules_ask_for_is_there_and_nothing_else() -> None:
    texts = sources()
    asked = {key for text in texts.values() for key in USED.findall(text)}
    assert asked - set(ENGLISH) == set()
    prefixes = {p for text in texts.values() for hit in MADE.findall(text) for p in hit if p}
    said = {key for text in texts.values() for key in CHOSEN.findall(text)}
    # `t(`${action}.button`)`: any prefix, this ending.
    endings = {hit for text in texts.values() for hit in re.findall(r"\bt\(`\$\{\w+\}\.(\w+)`", text)}
    loose = {
        k
        for k in set(ENGLISH) - asked - said - {"language"}
        if k.partition(".")[0] not in prefixes and k.rpartition(".")[2] not in endings
    }
    assert loose == set()


@pytest.mark.parametrize(
    ("cookie", "accepted", "tag"),
    [
        (None, None, "en"),
        (None, "de-AT,de;q=0.9,en;q=0.5", "de"),
        (None, "fr, de;q=0.3, en;q=0.8", "en"),
        (None, "en;q=0.2, de;q=0.9", "de"),
        ("de", "en", "de"),
        ("../../etc", "de", "de"),
        ("xx", "*", "en"),
    ],
)
def test_the_users_choice_comes_first_then_the_browsers(
    cookie: str | None, accepted: str | None, tag: str
) -> None:
    assert choose(cookie, accepted).tag == tag


@given(st.none() | st.text(), st.none() | st.text())
def test_any_header_chooses_some_language(cookie: str | None, accepted: str | None) -> None:
    assert choose(cookie, accepted).tag in TONGUES


async def test_why_is_told_in_the_readers_language() -> None:
    async with world() as w:
        await w.headend.admin.define_territory("test", "East", ceiling_kw=5_000.5)
        await stations(w, ["E1"])
        key = await w.key(Role.VIEWER)
        told = {}
        for tag in ("en", "de"):
            answer = await w.call("GET", "/api/v1/evses/E1", key=key, headers={"accept-language": tag})
            told[tag] = answer.json["explanation"]
        assert told["en"] == "no limit; ceiling of East (5,000.5 kW) not binding"
        assert told["de"] == "keine Grenze; Obergrenze von East (5.000,5 kW) bindet nicht"


def test_a_row_of_the_log_is_told_in_the_readers_language() -> None:
    tallied = {
        "request_key": "grid:R1", "confirmed_kw": 1200.5, "pending_kw": 0.0, "refused_kw": 3.0, "short_kw": 12.0,
        "measured_kw": None,
    }  # fmt: skip
    german = TONGUES["de"]
    assert sentence("RequestTallied", tallied, german) == (
        "Anforderung grid:R1: 1.200,5 kW bestätigt, 0 offen, 3 abgelehnt, 12 fehlen; gemessen ? kW"
    )
    sent = {"evse_id": "E{1}", "max_a": 6.5, "cause": "shed"}
    assert sentence("CommandIssued", sent) == "E{1} at most 6.5 A (request)"
    assert sentence("CommandIssued", sent, german) == "E{1} höchstens 6,5 A (Anforderung)"
    answered = {"evse_id": "E1", "outcome": "rejected", "answered_a": None, "reason": "cable is hot"}
    assert sentence("CommandAnswered", answered, german) == "E1: die Station hat abgelehnt: cable is hot"


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("dispatch is stopped", "alles ist gestoppt"),
        (
            "short 12.5 kW: 8.0 kW at floor, 4.5 kW can't be limited",
            "es fehlen 12,5 kW: 8,0 kW am Mindeststrom, 4,5 kW nicht begrenzbar",
        ),
        ("short 1.0 kW: nothing is being drawn", "es fehlen 1,0 kW: es wird nichts bezogen"),
        (
            "more than 500 kW at once need a second person",
            "mehr als 500 kW auf einmal brauchen eine zweite Person",
        ),
        ("what a grid operator wrote, 3 kW", "what a grid operator wrote, 3 kW"),
    ],
)
def test_why_something_is_short_is_told_in_the_readers_language(english: str, german: str) -> None:
    assert reason(english, TONGUES["de"]) == german
    assert reason(english, TONGUES["en"]) == english


@given(st.text())
def test_any_reason_can_be_told(text: str) -> None:
    assert reason(text, TONGUES["de"]) or not text


def test_the_console_s_modules_are_sent_all_they_say() -> None:
    scripts = "".join(text for name, text in sources().items() if name.endswith(".js") and name != "drive.js")
    asked = {key.partition(".")[0] for key in USED.findall(scripts)}
    asked |= {prefix for hit in MADE.findall(scripts) for prefix in hit if prefix}
    assert len(asked) > 20
    assert asked & SERVERS == set()


def test_a_refusal_is_told_in_the_readers_language_with_its_field() -> None:
    german = TONGUES["de"]
    assert refusal("kW: must be more than 0 and at most 2.5", "kW", german) == (
        "kW: muss größer als 0 und höchstens 2,5 sein"
    )
    assert refusal("kW: must be more than 0", "kW", german) == "kW: muss mehr als 0 sein"
    assert refusal("there is no EVSE 'E{id}1'", "evseID", german) == "es gibt keinen Ladepunkt 'E{id}1'"
    assert refusal("what nobody has translated", None, german) == "what nobody has translated"


def test_every_refusal_in_the_catalogue_is_one_that_is_said() -> None:
    rooms = ("misfit.py", "service/*.py", "web/*.py")
    code = "".join(p.read_text("utf-8") for room in rooms for p in ROOM.glob(room))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # one text over two lines
    for key, text in ENGLISH.items():
        if key.startswith("refusal."):
            said = re.sub(r"\\{\w+\\}", r"(\\{[^{}]*(\\{[^{}]*\\})?[^{}]*\\}|[\\d,]+)", re.escape(text))
            assert re.search(f'"{said}"', code), key


async def test_the_feed_speaks_the_viewers_language() -> None:
    async with world(WebSettings(tick_s=0.02)) as w:
        await stations(w, ["E1"])
        feed: Feed = w.app.state["feed"]
        english, german = await feed.watch(lambda: True), await feed.watch(lambda: True, tongue=TONGUES["de"])
        async with contextlib.aclosing(english), contextlib.aclosing(german):
            for stream in (english, german):
                for _ in range(3):  # how soon to come again, everything, the past
                    await anext(stream)
            await w.headend.admin.define_territory("test", "North")
            for stream, word in ((english, "territory North"), (german, "Gebiet North")):
                async with asyncio.timeout(60):
                    while word not in (await anext(stream)).decode():
                        pass


async def test_a_page_speaks_the_readers_language_and_keeps_the_readers_colours() -> None:
    async with world() as w:
        me = await w.log_in()
        page = (await w.call("GET", "/", headers={**me, "accept-language": "de"})).body.decode()
        assert '<html lang="de" data-theme="auto">' in page
        assert "Ladepunkte" in page
        cookie = f"{me['cookie']}; emw_language=en; emw_theme=dark"
        page = (
            await w.call("GET", "/", headers={**me, "cookie": cookie, "accept-language": "de"})
        ).body.decode()
        assert '<html lang="en" data-theme="dark">' in page
        page = (await w.call("GET", "/login", headers={"cookie": 'emw_theme="><script>'})).body.decode()
        assert 'data-theme="auto"' in page
        told = await w.call("GET", "/messages/de.js")
        assert told.headers["content-type"].startswith("text/javascript")
        assert (await w.call("GET", "/messages/xx.js")).status == 404
