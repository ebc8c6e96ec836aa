"""Bodies that are no JSON, or not quite: refused with a reason, nothing changed, never a fault of ours (F19, P9)."""

from __future__ import annotations

import codecs
import gzip
import json

import pytest

from tests.doors.house import House

GOOD = b'{"evseID": "S1", "newMaxAmps": 20}'

BROKEN: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "blank": (b" \r\n\t ", 400),
    "a list": (b"[]", 400),
    "a list of one": (b"[" + GOOD + b"]", 400),
    "a number": (b"12", 400),
    "a text": (b'"evseID"', 400),
    "null": (b"null", 400),
    "half": (GOOD[:-5], 400),
    "trailing words": (GOOD + b" and more", 400),
    "two of them": (GOOD + GOOD, 400),
    "a NUL after it": (GOOD + b"\x00", 400),
    "a byte order mark": (codecs.BOM_UTF8 + GOOD, 400),
    "UTF-16": (GOOD.decode().encode("utf-16"), 400),
    "UTF-16 without a mark": (GOOD.decode().encode("utf-16-le"), 400),
    "UTF-32": (GOOD.decode().encode("utf-32"), 400),
    "invalid UTF-8": (b'{"evseID": "S1\xff", "newMaxAmps": 20}', 400),
    "overlong UTF-8": (b'{"evseID": "S1\xc0\xaf", "newMaxAmps": 20}', 400),
    "UTF-8 cut off": (b'{"evseID": "S1\xe2\x82", "newMaxAmps": 20}', 400),
    "a surrogate in UTF-8": (b'{"evseID": "S1\xed\xa0\x80", "newMaxAmps": 20}', 400),
    "half an escaped pair": (b'{"evseID": "S1\\ud800", "newMaxAmps": 20}', 400),
    "the other half": (b'{"evseID": "S1\\udc00", "newMaxAmps": 20}', 400),
    "two first halves": (b'{"evseID": "S1\\ud800\\ud800", "newMaxAmps": 20}', 400),
    "NUL as it is": (b'{"evseID": "S1\x00", "newMaxAmps": 20}', 400),
    "NUL escaped": (b'{"evseID": "S1\\u0000", "newMaxAmps": 20}', 401),  # an id that nobody has
    "deep lists": (b'{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400),
    "deep objects": (b'{"x": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}", 400),
    "100,000 deep": (b"[" * 100_000, 413),
    "100,000 deep and closed": (b'{"x":' * 100_000 + b"1" + b"}" * 100_000, 413),
    "10 MB": (b'{"evseID": "' + b"x" * 10_000_000 + b'"}', 413),
    "one byte too many": (b" " * (65_537 - len(GOOD)) + GOOD, 413),
    "single quotes": (b"{'evseID': 'S1', 'newMaxAmps': 20}", 400),
    "a comment": (b'{"evseID": "S1", /* x */ "newMaxAmps": 20}', 400),
    "a trailing comma": (b'{"evseID": "S1", "newMaxAmps": 20,}', 400),
    "no quotes": (b'{evseID: "S1", newMaxAmps: 20}', 400),
    "a line in a text": (b'{"evseID": "S\n1", "newMaxAmps": 20}', 400),
    "a form": (b"evseID=S1&newMaxAmps=20", 400),
    "XML": (b"<evseID>S1</evseID>", 400),
    "gzip": (gzip.compress(GOOD), 400),
    "the name in other case": (b'{"EVSEID": "S1", "newMaxAmps": 20}', 400),
    "a number for the id": (b'{"evseID": 1, "newMaxAmps": 20}', 400),
    "a list for the id": (b'{"evseID": ["S1"], "newMaxAmps": 20}', 400),
    "twice, the second wrong": (b'{"evseID": "S1", "newMaxAmps": 20, "newMaxAmps": -1}', 400),
    "twice, the first wrong": (b'{"evseID": "S1", "newMaxAmps": -1, "newMaxAmps": 20}', 400),
    "twice, another's id": (b'{"evseID": "S1", "newMaxAmps": 20, "evseID": "S2"}', 401),
}


async def test_P9_bytes_that_are_no_text_are_named_by_their_own_field(emw: House) -> None:
    token = await emw.power_on("S1")
    for raw, field in (
        (b'{"evseID": "S1\xff", "newMaxAmps": 20, "commandID": "co"}', "evseID"),
        (b'{"evseID": "S\xc3\xa91", "newMaxAmps": 20, "commandID": "c\xe9o"}', "commandID"),
    ):
        told = (await emw.post("/evse/adjustedMaxAmps", raw, token)).body
        assert (told["field"], "not UTF-8" in told["detail"]) == (field, True)


@pytest.mark.parametrize(("raw", "status"), BROKEN.values(), ids=BROKEN.keys())
async def test_F19_P9_a_broken_body_is_refused_and_changes_nothing(
    emw: House, raw: bytes, status: int
) -> None:
    token = await emw.power_on("S1")
    await emw.power_on("S2")
    await emw.settled()
    before = emw.snapshot()
    told = await emw.post("/evse/adjustedMaxAmps", raw, token)
    assert told.status == status, told.raw
    assert told.headers["content-type"] == "application/problem+json"
    assert json.loads(told.raw)["detail"]
    assert len(told.raw) < 1_000
    assert emw.snapshot() == before


async def test_the_good_one_is_taken(emw: House) -> None:
    token = await emw.power_on("S1")
    assert (await emw.post("/evse/adjustedMaxAmps", GOOD, token)).status == 200
    assert emw.headend.state.evses["S1"].max_a == 20


TYPES: dict[str, tuple[str | None, int]] = {
    "none": (None, 415),
    "empty": ("", 415),
    "a form": ("application/x-www-form-urlencoded", 415),
    "a file form": ("multipart/form-data; boundary=x", 415),
    "plain text": ("text/plain", 415),
    "plain text that says JSON": ("text/plain; x=application/json", 415),
    "JSON as text": ("text/json", 415),
    "nearly": ("application/jsonp", 415),
    "a family": ("application/problem+json", 415),
    "two": ("text/plain, application/json", 415),
    "JSON": ("application/json", 200),
    "JSON with its charset": ("application/json; charset=utf-8", 200),
    "JSON in other case": ("Application/JSON", 200),
}


@pytest.mark.parametrize(("content_type", "status"), TYPES.values(), ids=TYPES.keys())
async def test_A12_only_json_is_taken(emw: House, content_type: str | None, status: int) -> None:
    token = await emw.power_on("S1")
    told = await emw.call("/evse/adjustedMaxAmps", GOOD, token=token, content_type=content_type)
    assert told.status == status, told.raw


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x"])
async def test_F19_compressed_bodies_are_not_unpacked(emw: House, coding: bytes) -> None:
    token = await emw.power_on("S1")
    bomb = gzip.compress(b" " * 10_000_000)
    told = await emw.call("/evse/adjustedMaxAmps", bomb, token=token, headers=[(b"content-encoding", coding)])
    assert told.status == 415


@pytest.mark.parametrize("length", [b"-1", b"+5", b"abc", b"1e3", b"5, 5", b"0x10", b"99999999999", b"\xb2"])
async def test_F19_a_content_length_that_is_none_is_no_fault_of_ours(emw: House, length: bytes) -> None:
    token = await emw.power_on("S1")
    told = await emw.call("/evse/adjustedMaxAmps", GOOD, token=token, headers=[(b"content-length", length)])
    assert 400 <= told.status < 500, told.raw


DOORS = [
    "/evse/powerOn", "/evse/powerOff", "/evse/plugIntoVehicle", "/evse/plugInHeartBeat", "/evse/adjustedMaxAmps",
    "/evse/unplugged", "/iso/connected", "/iso/decrease", "/iso/returnToNormal",
]  # fmt: skip


async def test_every_door_is_in_the_list(emw: House) -> None:
    assert {p for p, d in emw.plane._doors.items() if d.method == "POST"} == set(DOORS)


@pytest.mark.parametrize(
    "method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO"]
)
async def test_a_door_has_one_method(emw: House, method: str) -> None:
    for door in DOORS:
        told = await emw.call(door, GOOD, method=method)
        assert (told.status, told.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path",
    ["/", "", "/evse", "/evse/", "/EVSE/powerOn", "/evse/powerOn/", "//evse/powerOn", "/evse/../iso/connected",
     "/evse/powerOn\x00", "/evse/powerOn ", "/evse/powerOn%3Fx", "/x" * 10_000, "/\ud800", "/evse/%70owerOn",
     "/iso/requests\n", "*", "http://x/evse/powerOn"],
)  # fmt: skip
async def test_what_is_no_door_is_not_found(emw: House, path: str) -> None:
    told = await emw.call(path, GOOD)
    assert told.status == 404
    assert len(told.raw) < 2_000


@pytest.mark.parametrize("door", DOORS)
async def test_F19_all_doors_stand_all_bodies(emw: House, door: str) -> None:
    """Whatever the body, with the right credential: an answer of 4xx, and nothing changed."""
    await emw.plug_in("S1")
    iso = await emw.iso("grid", "East")
    credential = iso if door.startswith("/iso") else emw.tokens["S1"]
    if door == "/evse/powerOn":
        credential = emw.secrets["S1"]
    await emw.settled()
    before = emw.snapshot()
    for what, (raw, _) in BROKEN.items():
        if raw.startswith(b'{"evseID": "S1", "newMaxAmps"') or (door == "/iso/connected" and b'"x"' in raw):
            continue
        told = await emw.post(door, raw, credential)
        if door == "/iso/connected" and told.status == 200:
            continue  # every field of it is optional: any object is a hello
        assert 400 <= told.status < 500, (what, told.raw)
        if door != "/iso/connected":
            assert emw.snapshot() == before, what
