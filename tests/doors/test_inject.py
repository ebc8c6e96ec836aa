"""Hostile names are only ever text: in answers, in the state, in log lines (A13); floods stay bounded."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Generator
from typing import Any

import pytest
import structlog

from emw.app import logs
from tests.doors.house import House

HOSTILE = {
    "SQL": "x'); DROP TABLE stations; --",
    "SQL twice": 'x" OR "1"="1',
    "a formula": '=HYPERLINK("http://x","y")',
    "a plus formula": "+1+cmd|' /C calc'!A0",
    "an at formula": "@SUM(A1)",
    "a tab formula": "\t=1",
    "a script": "<script>alert(1)</script>",
    "an image": "<img src=x onerror=alert(1)>",
    "an attribute": '" onmouseover="alert(1)',
    "a template": "{{7*7}}${7*7}<%= 7*7 %>#{7*7}",
    "a format": "{0.__class__.__mro__}%s%n%x",
    "a log line": "x\n2026-03-02T17:00:00Z [error] forged=1",
    "a log line of JSON": '","level":"error","event":"forged',
    "a carriage return": "safe\rforged",
    "a header": "x\r\nSet-Cookie: a=b",
    "a terminal": "\x1b[2J\x1b[31mred\x07\x1b]0;title\x07",
    "backspaces": "bad\x08\x08\x08good",
    "right to left": "\u202egnp.exe",
    "an odd line end": "x\u2028y\u2029z\x85w\x0bv\x0cu",
    "a path": "../../../../etc/passwd",
    "a Windows path": "..\\..\\windows\\win.ini",
    "a shell": "$(touch /tmp/x); `id` | sh &",
    "an LDAP filter": "*)(uid=*))(|(uid=*",
    "an entity": "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;",
    "a lookup": "${jndi:ldap://127.0.0.1/x}",
    "no character": "\ufffe\uffff",
    "emoji": "\U0001f697" * 60,
    "combining": "a" + "\u0301" * 100,
    "a key": "a:b",
    "blanks around": "  x  ",
}  # fmt: skip


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Generator[io.StringIO, None, None]:
    """What a process would write to its log, as the real set-up writes it."""
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []  # they are pytest's: set aside, not closed
    logs.set_up_logs("debug")
    yield written
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_A13_what_a_library_logs_is_one_line_of_json_too(lines: io.StringIO) -> None:
    logging.getLogger("some.library").debug("not for us")
    try:
        raise ValueError("evil\nline")
    except ValueError:
        logging.getLogger("some.library").exception("it failed %s", "here")
    (line,) = lines.getvalue().splitlines()
    told = json.loads(line)
    assert (told["library"], told["message"], told["level"]) == ("some.library", "it failed here", "error")
    assert "ValueError: evil" in told["exception"]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_A13_hostile_names_are_only_text(emw: House, lines: io.StringIO, text: str) -> None:
    await emw.enrol(text)
    token = await emw.power_on(
        text, evseModel=text, customerID=text, status=text, location={"territory": "East", "site": text}
    )
    await emw.plug_in(text, vehicle=text)
    assert (await emw.heartbeat(text, currentAmps=30)).status == 200
    evse = emw.headend.state.evses[text]
    assert (evse.evse_id, evse.model, evse.site, evse.status) == (text, text, text, "occupied")
    iso = await emw.iso("grid", "East")
    told = await emw.decrease("grid", text, 3)
    assert told.status == 202, told.raw
    assert told.body["requestID"] == text
    assert (await emw.get(f"/iso/requests/{text}", iso)).body["requestID"] == text
    await emw.until(lambda: text in emw.headend.state.limits)
    body = {"evseID": text, "newMaxAmps": 20, "commandID": text[:255]}
    assert (await emw.post("/evse/adjustedMaxAmps", body, token)).status == 200
    assert (await emw.post("/iso/returnToNormal", {"requestID": text}, iso)).status == 200
    for refused in (
        await emw.post("/iso/returnToNormal", {"requestID": text + "!"}, iso),
        await emw.post("/evse/powerOff", {"evseID": text}, text.encode("utf-8", "replace").decode("latin-1")),
        await emw.call(f"/evse/{text}", {}),
        await emw.post("/iso/decrease", {"requestID": "x", "territory": text, "kW": 1}, iso),
        await emw.post(
            "/evse/powerOn", emw.power_on_body(text, location={"territory": text}), emw.secrets[text]
        ),
    ):
        assert 400 <= refused.status < 500, refused.raw
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["x-content-type-options"] == "nosniff"
        json.loads(refused.raw)
    structlog.get_logger().warning("a.test", evse_id=text, why=f"about {text}")
    for line in lines.getvalue().split("\n"):
        if line:
            said = json.loads(line)
            assert isinstance(said, dict)
            assert said.get("event") != "forged"
            assert "forged" not in said


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_A13_one_log_line_stays_one_line(lines: io.StringIO, text: str) -> None:
    log = structlog.get_logger()
    log.info("x", name=text, forged=text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("y", name=text)
    written = lines.getvalue()
    assert written.count("\n") == 2
    assert len(written.splitlines()) == 2, "no odd line end either"
    assert "\x1b" not in written
    for line in written.splitlines():
        json.loads(line)


def test_A18_secrets_do_not_get_into_log_lines(lines: io.StringIO) -> None:
    structlog.get_logger().info(
        "x", token="st_1", secret="es_2", password="p3", token_hash="h4", authorization="b5"
    )
    written = lines.getvalue()
    assert not any(secret in written for secret in ("st_1", "es_2", "p3", "h4", "b5"))


async def test_A18_what_is_kept_holds_no_credential_in_clear(emw: House) -> None:
    await emw.plug_in("S1")
    await emw.iso("grid", "East")
    _, key = await emw.headend.admin.add_key("operator:test", "key", _role())
    kept = repr(emw.store.log) + repr(emw.store.rows) + repr(emw.snapshot())
    for secret in (emw.secrets["S1"], emw.tokens["S1"], emw.isos["grid"], key):
        assert secret not in kept


async def test_A18_no_door_tells_a_credential_twice(emw: House) -> None:
    """The token is in the answer to a power-on, and nowhere else."""
    token = await emw.power_on("S1")
    iso = await emw.iso("grid", "East")
    for told in (
        await emw.post(
            "/evse/plugIntoVehicle",
            {"evseID": "S1", "lineVoltage": 230, "evseMaxAmps": 32, "carMaxAmps": 9},
            token,
        ),
        await emw.heartbeat("S1"),
        await emw.post("/iso/connected", {}, iso),
        await emw.decrease("grid", "R1"),
        await emw.get("/iso/requests", iso),
        await emw.post("/evse/powerOff", {"evseID": "S2"}, token),
    ):
        for secret in (token, iso, emw.secrets["S1"]):
            assert secret.encode() not in told.raw
            assert secret not in repr(told.headers)


async def test_P8_a_driver_is_in_nothing_that_a_grid_operator_hears(emw: House) -> None:
    await emw.power_on("S1", customerID="Erika-Mustermann")
    await emw.plug_in("S1", vehicle="WVWZZZ-VIN")
    await emw.heartbeat("S1", currentAmps=32)
    iso = await emw.iso("grid", "East")
    for told in (
        await emw.post("/iso/connected", {}, iso),
        await emw.decrease("grid", "R1", 3),
        await emw.get("/iso/requests/R1", iso),
        await emw.get("/iso/requests", iso),
        await emw.post("/iso/returnToNormal", {"requestID": "R1"}, iso),
    ):
        for word in (b"Erika", b"VIN", b"S1"):
            assert word not in told.raw


async def test_F19_a_name_too_many_is_refused_and_kept_nowhere(emw: House) -> None:
    """Ids of strangers make no entry in anything that grows."""
    await emw.power_on("S1")
    await emw.settled()
    before = emw.snapshot()
    for n in range(500):
        told = await emw.post(
            "/evse/unplugged", {"evseID": f"stranger-{n}"}, "x", address=f"192.0.2.{n % 200}"
        )
        assert told.status in {401, 429}
    assert emw.snapshot() == before


def _role() -> Any:
    from emw.domain.people import Role

    return Role.VIEWER
