"""Every number of every door against what is none: 400 naming the field, nothing changed (F16, P9)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.doors.house import House

HOSTILE: dict[str, str] = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "1e308": "1e308",
    "-1e308": "-1e308",
    "-1": "-1",
    "-0.0": "-0.0",
    "0": "0",
    "400 digits": "9" * 400,
    "minus 400 digits": "-" + "9" * 400,
    "1e400": "1e400",
    "1e-400": "1e-400",
    "text": '"12"',
    "NaN in text": '"NaN"',
    "true": "true",
    "null": "null",
    "list": "[]",
    "object": "{}",
    "huge text": '"' + "7" * 60_000 + '"',
    "octal": "010",
    "hex": "0x20",
    "plus": "+5",
    "bare point": "5.",
    "nothing": "",
}
ZEROES = {"-0.0", "0", "1e-400"}
"""These are 0: legal where 0 is."""

Body = dict[str, Any]
Field = tuple[str, str, frozenset[str]]


def _fields(door: str, *names: str, legal: set[str] = frozenset()) -> list[Field]:  # type: ignore[assignment]
    return [(door, name, frozenset(legal)) for name in names]


FIELDS: list[Field] = [
    *_fields("/evse/powerOn", "lineVoltage", "evseMaxAmps", "phases"),
    *_fields("/evse/powerOn", "location.latitude", "location.longitude", legal={*ZEROES, "-1", "null"}),
    *_fields("/evse/plugIntoVehicle", "lineVoltage", "evseMaxAmps", "carMaxAmps"),
    *_fields("/evse/plugIntoVehicle", "energyRequestedKWh", "departureTime", legal={"null"}),
    *_fields("/evse/plugInHeartBeat", "lineVoltage", "currentAmps", legal=ZEROES),
    *_fields("/evse/plugInHeartBeat", "evseMaxAmps", "carMaxAmps", "timestamp"),
    *_fields("/evse/plugInHeartBeat", "limitAmps", "energyKWh", legal={*ZEROES, "null"}),
    *_fields("/evse/adjustedMaxAmps", "newMaxAmps"),
    *_fields("/evse/unplugged", "energyKWh", legal={*ZEROES, "null"}),
    *_fields("/iso/decrease", "kW"),
    *_fields("/iso/decrease", "durationMinutes", "start", "end", legal={"null"}),
]


async def _body(emw: House, door: str) -> tuple[Body, str]:
    """A message this door takes, and the credential that goes with it."""
    await emw.plug_in("S1")
    iso = await emw.iso("grid", "East")
    token = emw.tokens["S1"]
    bodies: dict[str, tuple[Body, str]] = {
        "/evse/powerOn": (emw.power_on_body("S1", phases=1), emw.secrets["S1"]),
        "/evse/powerOff": ({"evseID": "S1"}, token),
        "/evse/plugIntoVehicle": (
            {
                "evseID": "S1",
                "lineVoltage": 230,
                "evseMaxAmps": 32,
                "carMaxAmps": 16,
                "energyRequestedKWh": 10,
                "departureTime": "2026-03-02T20:00:00Z",
            },
            token,
        ),
        "/evse/plugInHeartBeat": (emw.heartbeat_body("S1", limitAmps=32, energyKWh=1), token),
        "/evse/adjustedMaxAmps": ({"evseID": "S1", "newMaxAmps": 20}, token),
        "/evse/unplugged": ({"evseID": "S1", "energyKWh": 3}, token),
        "/iso/connected": ({}, iso),
        "/iso/decrease": (
            {
                "requestID": "R1",
                "territory": "East",
                "kW": 5,
                "durationMinutes": 5,
                "start": "2026-03-02T18:00:00Z",
                "end": "2026-03-02T19:00:00Z",
            },
            iso,
        ),
        "/iso/returnToNormal": ({"requestID": "R1"}, iso),
    }
    body, credential = bodies[door]
    return json.loads(json.dumps(body)), credential


def _raw(body: Body, name: str, literal: str) -> bytes:
    """The message with one field's value replaced by these very characters."""
    body = json.loads(json.dumps(body))
    *where, last = name.split(".")
    inner = body
    for step in where:
        inner = inner[step]
    inner[last] = "@@"
    if name == "durationMinutes":
        body.pop("end", None)
    if name in {"end", "start"}:
        body.pop("durationMinutes", None)
    return json.dumps(body).replace('"@@"', literal).encode()


@pytest.mark.parametrize(("door", "name", "legal"), FIELDS, ids=[f"{d}:{n}" for d, n, _ in FIELDS])
async def test_F16_P9_no_number_that_is_none_is_taken(
    emw: House, door: str, name: str, legal: frozenset[str]
) -> None:
    body, credential = await _body(emw, door)
    await emw.settled()
    before = emw.snapshot()
    wrong = []
    for what, literal in HOSTILE.items():
        if what in legal:
            continue
        told = await emw.post(door, _raw(body, name, literal), credential)
        if told.status != 400 or told.field not in {name, name.rpartition(".")[2]}:
            wrong.append(f"{what}: {told.status} {told.raw[:150]!r}")
        if emw.snapshot() != before:
            wrong.append(f"{what}: changed something")
            before = emw.snapshot()
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("door", "name", "legal"), [f for f in FIELDS if f[2]], ids=[f"{d}:{n}" for d, n, x in FIELDS if x]
)
async def test_what_is_legal_is_taken(emw: House, door: str, name: str, legal: frozenset[str]) -> None:
    body, credential = await _body(emw, door)
    for number, what in enumerate(sorted(legal)):
        if door == "/iso/decrease":
            body["requestID"] = f"R{number}"
        if door == "/evse/powerOn":
            await emw.settled()
        told = await emw.post(door, _raw(body, name, HOSTILE[what]), credential)
        assert told.status == 200, (what, told.raw)
        emw.clock.forward(1)


WHEN = [
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59-00:01",
]
"""Times that are no times any more once they are told in UTC."""


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(
    ("door", "name"),
    [
        ("/evse/plugInHeartBeat", "timestamp"),
        ("/evse/plugIntoVehicle", "departureTime"),
        ("/iso/decrease", "start"),
        ("/iso/decrease", "end"),
    ],
)
async def test_F16_a_time_at_the_edge_of_the_calendar_is_no_fault_of_ours(
    emw: House, door: str, name: str, when: str
) -> None:
    body, credential = await _body(emw, door)
    await emw.settled()
    before = emw.snapshot()
    told = await emw.post(door, _raw(body, name, json.dumps(when)), credential)
    assert (told.status, told.field) == (400, name), told.raw
    assert emw.snapshot() == before


TEXTS = {
    "number": "5",
    "true": "true",
    "null": "null",
    "list": "[]",
    "object": "{}",
    "empty": '""',
    "256 characters": '"' + "x" * 256 + '"',
    "huge": '"' + "x" * 60_000 + '"',
    "NaN": "NaN",
}
TEXT_FIELDS: list[Field] = [
    *_fields("/evse/powerOn", "evseModel", "customerID", "status"),
    *_fields("/evse/powerOn", "location.territory"),
    *_fields("/evse/powerOn", "location"),
    *_fields("/evse/powerOn", "accessURL", legal={"null"}),
    *_fields("/iso/decrease", "requestID"),
    *_fields("/iso/returnToNormal", "requestID"),
    *_fields("/iso/connected", "accessURL", legal={"null"}),
]


@pytest.mark.parametrize(("door", "name", "legal"), TEXT_FIELDS, ids=[f"{d}:{n}" for d, n, _ in TEXT_FIELDS])
async def test_P9_texts_that_are_none_are_named(
    emw: House, door: str, name: str, legal: frozenset[str]
) -> None:
    body, credential = await _body(emw, door)
    if door == "/evse/powerOn":
        body["accessURL"] = None
    if door == "/iso/connected":
        body["accessURL"] = None
    await emw.settled()
    before = emw.snapshot()
    for what, literal in TEXTS.items():
        if what in legal or (name == "location" and what == "object"):
            continue
        told = await emw.post(door, _raw(body, name, literal), credential)
        assert told.status == 400, (what, told.raw[:300])
        assert told.field is not None, (what, told.raw[:300])
        assert told.field.startswith(name.rpartition(".")[2]) or told.field.startswith(name), told.field
        assert emw.snapshot() == before, what


@pytest.mark.parametrize(
    "door", ["/evse/powerOn", "/evse/plugIntoVehicle", "/evse/plugInHeartBeat", "/iso/decrease"]
)
async def test_P9_a_missing_field_is_named(emw: House, door: str) -> None:
    body, credential = await _body(emw, door)
    optional = {
        "accessURL", "phases", "energyRequestedKWh", "departureTime", "energyKWh", "limitAmps", "start", "end",
        "durationMinutes",
    }  # fmt: skip
    await emw.settled()
    before = emw.snapshot()
    for name in [n for n in body if n not in optional]:
        told = await emw.post(door, {k: v for k, v in body.items() if k != name}, credential)
        assert (told.status, told.field) == (400, name), told.raw
        assert emw.snapshot() == before


BAD_DECREASES: list[tuple[str, Body, int, str]] = [
    ("nothing to shed", {"kW": 0}, 400, "kW"),
    ("more than the world has", {"kW": 1e9}, 400, "kW"),
    ("both ends", {"durationMinutes": 5}, 400, "end"),
    ("ends before it starts", {"end": "2026-03-02T17:59:00Z"}, 400, "end"),
    ("over already", {"start": "2026-03-01T10:00:00Z", "end": "2026-03-01T11:00:00Z"}, 400, "end"),
    ("a year and more ahead", {"start": "2028-03-01T10:00:00Z", "end": "2028-03-01T11:00:00Z"}, 400, "start"),
    ("for ten years", {"end": "2036-03-01T11:00:00Z"}, 400, "end"),
    ("a time without a zone", {"start": "2026-03-02T18:00:00"}, 400, "start"),
    ("a day that is not there", {"start": "2026-02-30T18:00:00Z"}, 400, "start"),
    ("seconds since 1970", {"start": 1772470800}, 400, "start"),
    ("an unknown territory", {"territory": "Nowhere"}, 404, "territory"),
    ("another's territory", {"territory": "West"}, 404, "territory"),
    ("a blank territory", {"territory": " "}, 404, "territory"),
    ("a blank id", {"requestID": "  "}, 400, "requestID"),
    ("NUL in the id", {"requestID": "a\x00b"}, 400, "requestID"),
]


@pytest.mark.parametrize(
    ("over", "status", "field"), [x[1:] for x in BAD_DECREASES], ids=[x[0] for x in BAD_DECREASES]
)
async def test_P9_a_request_that_makes_no_sense_changes_nothing(
    emw: House, over: Body, status: int, field: str
) -> None:
    body, credential = await _body(emw, "/iso/decrease")
    body.pop("durationMinutes")
    await emw.settled()
    before = emw.snapshot()
    told = await emw.post("/iso/decrease", {**body, **over}, credential)
    assert (told.status, told.field) == (status, field), told.raw
    assert told.headers["content-type"] == "application/problem+json"
    assert emw.snapshot() == before
