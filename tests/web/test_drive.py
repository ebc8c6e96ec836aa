"""The driver plane: one charge by its link, nothing else, and nothing of it anywhere else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from emw.domain.people import Role
from emw.service.drivers import Drivers
from emw.web.drive import driver_app
from emw.web.shell import OperatorApp
from tests.service.test_drivers import session_of, unplugged
from tests.web.world import Told, World, stations, world

KEY = b"k" * 32
CHARGE = "/drive/api/charge"


class Plane:
    """The plane beside the world's operator plane."""

    def __init__(self, w: World) -> None:
        self.w = w
        self.drivers = Drivers(w.headend, KEY, stickers=True)
        self.app: OperatorApp = driver_app(w.headend, self.drivers)

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any
    ) -> Told:
        headers = {**more.pop("headers", {}), **({} if token is None else {"emw-charge": token})}
        return await self.w.call(method, path, body, app=self.app, headers=headers, **more)

    def token(self, evse_id: str) -> str:
        return self.drivers.link(session_of(self.w, evse_id))


@pytest.fixture
async def plane() -> AsyncGenerator[Plane, None]:
    async with world() as w:
        await stations(w, ["E1", "E2"])
        yield Plane(w)


async def test_a_link_shows_its_own_charge_and_changes_it(plane: Plane) -> None:
    token = plane.token("E1")
    told = await plane.call("GET", CHARGE, token=token)
    assert told.status == 200, told.body
    assert (told.json["evseID"], told.json["state"], told.json["energyKWh"]) == ("E1", "free", 1.5)
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["referrer-policy"] == "no-referrer"
    for secret in ("customer-of", "vehicle-7", "secret-token-hash", "E2"):
        assert secret not in told.body.decode()
    assert (await plane.call("POST", CHARGE + "/optOut", {"minutes": 30}, token=token)).status == 200
    assert (await plane.call("GET", CHARGE, token=token)).json["state"] == "opted_out"
    state = plane.w.headend.state
    assert state.evses["E1"].opted_out_until is not None
    assert state.evses["E2"].opted_out_until is None
    assert (await plane.call("POST", CHARGE + "/optIn", {}, token=token)).status == 200
    assert state.evses["E1"].opted_out_until is None
    need = {"energyRequestedKWh": 12, "departureTime": "2026-05-05T19:00:00+02:00"}
    told = await plane.call("POST", CHARGE + "/need", need, token=token)
    assert told.status == 200, told.body
    told = await plane.call("GET", CHARGE, token=token)
    assert (told.json["energyRequestedKWh"], told.json["toldByDriver"]) == (12.0, True)
    await unplugged(plane.w, "E1", 9.0)
    assert (await plane.call("POST", CHARGE + "/optOut", {}, token=token)).status == 409


async def test_P6_without_the_link_nothing_is_told_or_changed(plane: Plane) -> None:
    rows = len(plane.w.store.log)
    good = plane.token("E1")
    for i, token in enumerate((None, "", good[:-1], good + "A", good.swapcase(), "E1", "a" * 22)):
        for method, path, body in (
            ("GET", CHARGE, None),
            ("POST", CHARGE + "/optOut", {}),
            ("POST", CHARGE + "/optIn", {}),
            ("POST", CHARGE + "/need", {}),
        ):
            told = await plane.call(method, path, body, token=token, address=f"192.0.2.{i}{len(path)}")
            assert told.status == 404, (token, path, told.body)
    assert len(plane.w.store.log) == rows


async def test_a_code_leads_to_the_link_and_guesses_are_slow(plane: Plane) -> None:
    code = plane.drivers.code(session_of(plane.w, "E2"))
    told = await plane.call("POST", CHARGE + "/find", {"code": code.lower()})
    assert told.json == {"link": plane.token("E2")}
    sticker = plane.drivers.sticker("E1")
    told = await plane.call("POST", CHARGE + "/find", {"code": sticker})
    assert told.json == {"link": plane.token("E1")}
    statuses = [
        (await plane.call("POST", CHARGE + "/find", {"code": "AAAAA-AAAAA"}, address="192.0.2.50")).status
        for _ in range(14)
    ]
    assert statuses[:10] == [404] * 10
    assert 429 in statuses[10:]
    assert (await plane.call("POST", CHARGE + "/find", {"code": code}, address="192.0.2.50")).status == 429
    # Who has a link is not locked out by another's guesses from the same address, nor is another address.
    told = await plane.call("GET", CHARGE, token=plane.token("E1"), address="192.0.2.50")
    assert told.status == 200
    assert (await plane.call("POST", CHARGE + "/find", {"code": code})).status == 200


async def test_a_browser_that_is_lost_is_shown_no_way_to_the_console(plane: Plane) -> None:
    told = await plane.call("GET", "/nothing", headers={"accept": "text/html"})
    assert (told.status, told.headers["content-type"]) == (404, "application/problem+json")


async def test_no_door_of_the_operators_is_served_here(plane: Plane) -> None:
    key = await plane.w.key(Role.ADMINISTRATOR)
    for route in plane.w.app.routes:
        if route.path in {"/", "/healthz"}:
            continue
        path = re.sub(r"\{\w+:str\}", "x", route.path)
        told = await plane.call("GET", path, key=key)
        assert told.status == 404, path
    served = {r.path for r in plane.app.routes if not r.path.startswith("/schema")}
    assert served == {
        "/", "/drive", "/drive/files/{name:str}", "/healthz", "/robots.txt",
        CHARGE, CHARGE + "/find", CHARGE + "/optOut", CHARGE + "/optIn", CHARGE + "/need",
    }  # fmt: skip
    for name in ("main.js", "live.js", "frame.js", "style.css", "..%2fauth.py"):
        assert (await plane.call("GET", f"/drive/files/{name}")).status == 404
    for name in ("drive.js", "drive.css", "icon.svg", "en.js", "de.js"):
        assert (await plane.call("GET", f"/drive/files/{name}")).status == 200
    assert b"halt." not in (await plane.call("GET", "/drive/files/en.js")).body


async def test_A12_a_foreign_page_changes_nothing(plane: Plane) -> None:
    token = plane.token("E1")
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        told = await plane.call("POST", CHARGE + "/optOut", {}, token=token, headers=headers)
        assert told.status == 403
    told = await plane.call("POST", CHARGE + "/optOut", token=token, headers={"content-type": "text/plain"})
    assert told.status == 415
    assert plane.w.headend.state.evses["E1"].opted_out_until is None


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/optOut", {"minutes": 0}, "minutes"),
        ("/optOut", {"minutes": "60"}, "minutes"),
        ("/optOut", {"evseID": "E2"}, "evseID"),
        ("/need", {"energyRequestedKWh": -1}, "energyRequestedKWh"),
        ("/need", {"energyRequestedKWh": 1e9}, "energyRequestedKWh"),
        ("/need", {"departureTime": "soon"}, "departureTime"),
        ("/need", {"departureTime": "2026-05-05T19:00:00"}, "departureTime"),
        ("/need", {"departureTime": "2020-01-01T00:00:00Z"}, "departureTime"),
        ("/find", {}, "code"),
        ("/find", {"code": "x" * 65}, "code"),
    ],
)
async def test_P9_bad_input_is_refused_by_name(plane: Plane, path: str, body: Any, field: str) -> None:
    rows = len(plane.w.store.log)
    told = await plane.call("POST", CHARGE + path, body, token=plane.token("E1"))
    assert (told.status, told.json.get("field")) == (400, field), told.body
    assert len(plane.w.store.log) == rows
    assert (
        await plane.call("POST", CHARGE + "/optOut", raw=b"x" * 5_000, token=plane.token("E1"))
    ).status in {
        400,
        413,
    }


async def test_an_operator_hands_on_the_link_and_the_sticker(plane: Plane) -> None:
    w = plane.w
    told = await w.call("GET", "/api/v1/evses/E1/driverLink", key=await w.key(Role.OPERATOR))
    assert told.json["url"].endswith("#" + plane.token("E1"))
    assert told.json["code"] == plane.drivers.code(session_of(w, "E1"))
    told = await w.call("GET", "/api/v1/evses/E1/sticker", key=await w.key(Role.ADMINISTRATOR))
    assert told.json["url"] == f"http://localhost/drive/#{plane.drivers.sticker('E1')}"
    await unplugged(w, "E1", None)
    told = await w.call("GET", "/api/v1/evses/E1/driverLink", key=await w.key(Role.OPERATOR))
    assert told.status == 404


async def test_P8_no_driver_is_in_metrics_or_logs(plane: Plane, capsys: pytest.CaptureFixture[str]) -> None:
    token = plane.token("E1")
    await plane.call("POST", CHARGE + "/optOut", {"minutes": 30}, token=token)
    await plane.call("POST", CHARGE + "/find", {"code": "AAAAA-AAAAA"})
    await asyncio.sleep(0.1)
    metrics = (await plane.w.call("GET", "/metrics", key=await plane.w.key(Role.VIEWER))).body.decode()
    said = metrics + "".join(capsys.readouterr())
    for secret in (
        token,
        session_of(plane.w, "E1"),
        "customer-of",
        plane.drivers.code(session_of(plane.w, "E1")),
    ):
        assert secret not in said
