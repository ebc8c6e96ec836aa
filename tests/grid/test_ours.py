"""Our VEN against our VTN, each a whole emw, over real sockets: the story of an event, from one end to the other."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from emw.app.build import Parts
from emw.app.config import Config
from emw.app.server import bind
from emw.domain.vtn import VtnKind, VtnRole
from tests.grid.contract import check_report
from tests.grid.real import serving, until
from tests.ports import free_port

NOW = "0001-01-01T00:00:00Z"
Json = dict[str, Any]


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Utility:
    """The utility's business logic: posts programs and events over HTTP, reads reports."""

    def __init__(self, session: ClientSession, url: str, secret: str) -> None:
        self.session, self.url, self.secret = session, url, secret
        self.programs: dict[str, str] = {}

    async def call(self, method: str, path: str, body: Json | None = None) -> Any:
        form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": self.secret}
        async with self.session.post(f"{self.url}/auth/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.request(method, self.url + path, json=body, headers=headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def program(self, name: str) -> None:
        self.programs[name] = (await self.call("POST", "/programs", {"programName": name}))["id"]

    def event(self, kw: float, *, start: str, duration: str, program: str = "Shed", **more: Any) -> Json:
        kind = "DISPATCH_SETPOINT_RELATIVE"
        return {
            "programID": self.programs[program],
            "intervalPeriod": {"start": start, "duration": duration},
            "payloadDescriptors": [
                {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": "KW"}
            ],
            "intervals": [{"id": 0, "payloads": [{"type": kind, "values": [-kw]}]}],
            **more,
        }

    async def post(self, kw: float, **more: Any) -> str:
        return str((await self.call("POST", "/events", self.event(kw, **more)))["id"])


@contextlib.asynccontextmanager
async def vtn(folder: Path, port: int | None = None) -> AsyncGenerator[tuple[Parts, str], None]:
    """An emw that is a VTN, and its URL."""
    port = port or free_port()
    sock = bind("127.0.0.1", port, "stations.listen")
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    server = {
        "enabled": True,
        "public_url": url,
        "callback_networks": ["127.0.0.0/8"],
        "callback_plain_http": True,
    }
    raw = {"data_dir": str(folder), "openadr": {"server": server}}
    with contextlib.closing(sock):
        async with serving(msgspec.convert(raw, Config), sock) as parts:
            yield parts, url + "/openadr3/3.1.0"


@contextlib.asynccontextmanager
async def ven(folder: Path, url: str, **more: Any) -> AsyncGenerator[Parts, None]:
    """An emw that is a VEN of the VTN at `url`, of its program Shed."""
    sock = bind("127.0.0.1", 0, "stations.listen")
    here = f"http://127.0.0.1:{sock.getsockname()[1]}"
    told = {
        "name": "utility",
        "url": url,
        "client_id": "site-7",
        "client_secret_env": "VEN_SECRET",
        "territory": "East",
        "program": [{"name": "Shed"}],
        "poll_seconds": 1,
        "near_poll_seconds": 1,
        **{k: here if v == "HERE" else v for k, v in more.items()},
    }
    raw = {"data_dir": str(folder), "territory": [{"name": "East"}], "openadr": {"vtn": [told]}}
    with contextlib.closing(sock):
        async with serving(msgspec.convert(raw, Config), sock) as parts:
            yield parts


def state_of(parts: Parts, event_id: str) -> tuple[str, float] | None:
    request = parts.headend.state.requests.get(f"vtn:utility:{event_id}")
    return None if request is None else (str(request.state), request.kw)


def over(parts: Parts, event_id: str) -> bool:
    found = state_of(parts, event_id)
    return found is not None and found[0] in {"restoring", "closed", "cancelled"}


async def test_the_whole_story_of_events_between_our_ven_and_our_vtn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with contextlib.AsyncExitStack() as stack, ClientSession() as session:
        server = await stack.enter_async_context(contextlib.AsyncExitStack())
        a, url = await server.enter_async_context(vtn(tmp_path / "vtn"))
        secret = await a.headend.vtn_clients.add("operator:test", "shop", VtnRole.BL)
        monkeypatch.setenv(
            "VEN_SECRET", await a.headend.vtn_clients.add("operator:test", "site-7", VtnRole.VEN)
        )
        utility = Utility(session, url, secret)
        await utility.program("Shed")
        await utility.program("Tariff")
        wanted = [{"payloadType": "DEMAND", "aggregate": True}, {"payloadType": "OPERATING_STATE"}]
        now = await utility.post(50, start=NOW, duration="PT5S", reportDescriptors=wanted)
        later = await utility.post(40, start=soon(6), duration="PT1H")
        open_ended = await utility.post(30, start=NOW, duration="P9999Y")
        other = await utility.post(20, start=NOW, duration="PT1H", program="Tariff")
        b = await stack.enter_async_context(ven(tmp_path / "ven", url, reports=["BASELINE"]))

        await until(lambda: state_of(b, now) == ("active", 50.0))
        await until(lambda: (found := state_of(b, later)) and found[1] == 40.0)
        await until(lambda: over(b, now))
        await until(lambda: state_of(b, later) == ("active", 40.0))

        changed = utility.event(35, start=NOW, duration="P9999Y")
        await utility.call("PUT", f"/events/{open_ended}", changed)
        await until(lambda: (found := state_of(b, open_ended)) and found[1] == 35.0)
        await utility.call("PUT", f"/events/{open_ended}", utility.event(35, start=NOW, duration="PT0S"))
        await until(lambda: over(b, open_ended))
        gone = await utility.post(25, start=NOW, duration="PT1H")
        await until(lambda: state_of(b, gone) == ("active", 25.0))
        await utility.call("DELETE", f"/events/{gone}")
        await until(lambda: over(b, gone))
        assert state_of(b, other) is None
        assert "not one of those configured" in b.headend.state.signals["vtn:utility", other].segments

        async def on(event_id: str) -> list[Json]:
            return list(await utility.call("GET", f"/reports?eventID={event_id}"))

        await until(lambda: not b.headend.grid_reports.owed_to("vtn:utility"))
        reports = await on(now)
        assert {r["reportName"] for r in reports} == {"BASELINE-0", "DEMAND-0", "OPERATING_STATE-0"}
        for report in reports:
            server_owned = {"id", "createdDateTime", "modificationDateTime", "objectType", "clientID"}
            check_report("3.1.0", {k: v for k, v in report.items() if k not in server_owned})

        port = int(url.split(":")[2].split("/")[0])
        await server.aclose()
        link = b.headend.state.grid_links
        await until(lambda: not link["vtn:utility"].connected)
        assert state_of(b, later) == ("active", 40.0)
        await server.enter_async_context(vtn(tmp_path / "vtn", port))
        await until(lambda: link["vtn:utility"].connected)
        assert state_of(b, later) == ("active", 40.0)
        ended = [x for x in b.headend.state.requests.values() if x.request_id == later]
        assert [x.end_at is not None for x in ended] == [True]
        after = await utility.post(15, start=NOW, duration="PT1H")
        await until(lambda: state_of(b, after) == ("active", 15.0))


async def test_our_vtn_proves_our_callback_and_wakes_our_ven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with vtn(tmp_path / "vtn") as (a, url), ClientSession() as session:
        secret = await a.headend.vtn_clients.add("operator:test", "shop", VtnRole.BL)
        monkeypatch.setenv(
            "VEN_SECRET", await a.headend.vtn_clients.add("operator:test", "site-7", VtnRole.VEN)
        )
        utility = Utility(session, url, secret)
        await utility.program("Shed")
        slow = {"poll_seconds": 600, "near_poll_seconds": 600, "webhook": "HERE"}
        async with ven(tmp_path / "ven", url, **slow) as b:
            standing = b.vens[0].standing
            await until(lambda: standing.heard_at)
            await until(lambda: subscribed(a))
            event = await utility.post(50, start=NOW, duration="PT1H")
            await until(lambda: state_of(b, event) == ("active", 50.0))
            assert standing.told_at is not None
            assert standing.webhook is None


def subscribed(a: Parts) -> bool:
    """Whether the VTN has taken a subscription."""
    return any(x.kind == VtnKind.SUBSCRIPTION for x in a.headend.state.vtn_objects.values())
