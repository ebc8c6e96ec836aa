"""`emw grid`: what is wrong with a VTN in plain words, and how grid systems stand, by API and command line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emw.cli.control import call_asgi
from emw.cli.grid import status
from emw.domain.people import Role
from emw.grid.openadr3.check import Check, Finding
from emw.grid.openadr3.client import VtnClient
from emw.grid.openadr3.settings import Meaning, VtnSettings
from emw.web.app import WebSettings, operator_app
from tests.grid.house import URL, House, at, story
from tests.grid.vtn import ID, SECRET, Vtn

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return NOW

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def loop_seconds(self, seconds: float) -> float:
        return seconds


def tried(vtn: Vtn, **more: Any) -> list[Finding]:
    settings = VtnSettings(
        **{
            "name": "utility",
            "url": URL,
            "client_id": ID,
            "client_secret": SECRET,
            "meaning": Meaning(territory_id="East"),
            **more,
        }
    )

    async def run() -> list[Finding]:
        clock = Clock()
        places = {"East": ("East",)}
        check = Check(settings, VtnClient(settings, vtn, clock), clock.now(), places.get)
        return [f async for f in check.run()]

    return asyncio.run(run())


def errors(findings: Sequence[Finding]) -> list[str]:
    assert all(f.do for f in findings if f.level == "error")
    return [f.what for f in findings if f.level == "error"]


@pytest.mark.parametrize("version", ["3.1.0", "3.0.1"])
def test_a_vtn_that_works_is_told_step_by_step(version: str) -> None:
    vtn = Vtn(
        version=version, programs=[{"id": "p1", "programName": "Shed"}], expires_in=None, only_basic=True
    )
    vtn.shed("e1", 5, start="2026-07-01T13:00:00Z")
    vtn.event("e2", ("CONTROL_SETPOINT", 1, "KW"), start="2026-07-01T13:00:00Z")
    findings = tried(vtn)
    told = "\n".join(f.what for f in findings)
    assert not errors(findings)
    for words in (f"OpenADR {version}", "HTTP Basic", "Shed", "events we may see: 2", "emw would follow: 1"):
        assert words in told
    assert any(f.do == "say in `payloads` what it stands for" for f in findings)
    assert SECRET not in told


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"down": True}, "can't be reached"),
        ({"silent": True}, "did not answer"),
        ({"status": 503}, "today is not my day"),
        ({"status": 403}, "403"),
        ({"garbage": b"<html>"}, "no JSON"),
        ({"garbage": b"{}"}, "no list"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_what_to_do(trouble: dict[str, Any], words: str) -> None:
    (error,) = errors(tried(Vtn(**trouble)))
    assert words in error


def test_wrong_credentials_programs_and_events_are_named() -> None:
    (error,) = errors(tried(Vtn(), client_secret="wrong"))
    assert "does not take our client id and secret" in error
    assert "wrong" not in error
    vtn = Vtn(programs=[{"id": "p1", "programName": "Shed"}], events=[{"id": "e1", "intervals": "none"}])
    assert [e[:12] for e in errors(tried(vtn, programs={"Sheds": Meaning()}))] == [
        "there is no ",
        "event e1 can",
    ]


def test_A16_the_secret_goes_nowhere_in_clear_that_the_vtn_names() -> None:
    vtn = Vtn(server_says="http://elsewhere.example/token")
    (error,) = errors(tried(vtn, url="https://vtn.example/openadr3/3.1.0"))
    assert "does not go there without TLS" in error
    assert not vtn.logins


def test_connections_events_and_what_is_not_served_over_the_api() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(5), eventName="Evening", reportDescriptors=[{"payloadType": "DEMAND"}])
        vtn.event("e2", ("PRICE", 0.3, None), start=at(5), duration="PT2H")
        vtn.shed("old", 5, start=at(1), duration="PT1M")
        vtn.events.append({"id": "bad", "intervals": 3})
        h.headend.grids = [h.ven(vtn)]
        app = operator_app(h.headend, WebSettings(local=True), h.headend.admin._ids)

        async def get(path: str) -> dict[str, Any]:
            status, body = await call_asgi(app, "GET", "/api/v1" + path, None)
            assert status == 200
            found: dict[str, Any] = json.loads(body)
            return found

        await h.until(10)
        (connection,) = (await get("/grid/connections"))["items"]
        assert (connection["connected"], connection["protocol"], connection["events"]) == (
            True,
            "openadr-3.1.0",
            4,
        )
        assert connection["unreadable"][0]["eventID"] == "bad"
        assert connection["notifications"] == {}
        events = (await get("/grid/events?sourceID=vtn:utility"))["items"]
        assert [e["eventID"] for e in events] == ["e1", "e2", "old"]
        assert events[0]["requestKeys"] == ["vtn:utility:e1"]
        assert events[0]["segments"][0]["kind"] == "reduce_kw"
        assert (await get("/grid/events?sourceID=vtn:other"))["total"] == 0
        (unserved,) = (await get("/grid/unserved"))["items"]
        assert unserved["said"] == "PRICE 0.3"
        assert "trade" in unserved["why"]
        _, metrics = await call_asgi(app, "GET", "/metrics", None)
        assert b'emw_grid_connected{source="vtn:utility"} 1.0' in metrics
        vtn.down = True
        await h.until(70)
        (connection,) = (await get("/grid/connections"))["items"]
        assert connection["connected"] is False
        assert "can't be reached" in connection["why"]
        assert connection["reportsOwed"] == 1

    story(tell)
    assert Role.VIEWER


async def emw(*words: str, **environment: str) -> tuple[int, str]:
    """The command line, as a person types it."""
    import os

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "emw",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_the_command_line_says_it_and_its_exit_status_tells(tmp_path: Path) -> None:
    vtn = Vtn()
    vtn.shed("e1", 5, start="2040-01-01T00:00:00Z")
    here = ("--data-dir", str(tmp_path / "data"))
    async with vtn.served() as url:
        status, said = await emw(
            "grid", "check", url, "--client-id", ID, "--json", *here, EMW_VTN_SECRET=SECRET
        )
        assert (status, json.loads(said)["ok"]) == (0, True)
        config = tmp_path / "emw.toml"
        (tmp_path / "secret").write_text("wrong")
        (tmp_path / "secret").chmod(0o600)
        config.write_text(
            f'data_dir = "{tmp_path / "data"}"\n[[openadr.vtn]]\nname = "utility"\nurl = "{url}"\n'
            f'client_id = "{ID}"\nclient_secret_file = "{tmp_path / "secret"}"\n'
        )
        status, said = await emw("grid", "check", "utility", "--config", str(config))
        assert status == 1
        assert "does not take our client id and secret" in said
        assert "-> check client_id" in said
        status, said = await emw("grid", "check", "nobody", "--config", str(config))
        assert status == 2
    await emw("territory", "add", "East", "--config", str(config))
    status, said = await emw("grid", "status", "--json", "--config", str(config))
    told = msgspec.json.decode(said)
    assert (status, told["ok"]) == (1, False)
    assert told["connections"][0]["connected"] is None


def test_the_command_line_shows_events_that_cant_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Told:
        def __init__(self, _: object) -> None:
            pass

        def get(self, path: str, **_: object) -> dict[str, Any]:
            odd = [{"eventID": "bad", "why": "its intervals are no list"}, {"eventID": None, "why": "no id"}]
            connection = {"sourceID": "vtn:utility", "name": "utility", "connected": True, "unreadable": odd}
            return {"items": [connection] if path == "/grid/connections" else []}

    monkeypatch.setattr("emw.cli.grid.Control", Told)
    status()
    said = capsys.readouterr().out
    assert "its intervals are no list" in said
    assert "without an id" in said
