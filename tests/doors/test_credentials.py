"""Who gets in: every door, every credential but the right one; one tenant against another (P6, A1-A5, A8)."""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Any

import pytest

from emw.service.gate import FREE_TRIES, MOST_KEPT, NOBODY, Guesses
from tests.doors.house import START, House, Told

STATION_DOORS: dict[str, dict[str, Any]] = {
    "/evse/powerOff": {"evseID": "S1"},
    "/evse/plugIntoVehicle": {"evseID": "S1", "lineVoltage": 230, "evseMaxAmps": 32, "carMaxAmps": 16},
    "/evse/plugInHeartBeat": {
        "evseID": "S1",
        "timestamp": "2026-03-02T17:00:00Z",
        "lineVoltage": 230,
        "currentAmps": 3,
        "evseMaxAmps": 32,
        "carMaxAmps": 32,
        "limitAmps": None,
    },
    "/evse/adjustedMaxAmps": {"evseID": "S1", "newMaxAmps": 20},
    "/evse/unplugged": {"evseID": "S1"},
}
ISO_DOORS: dict[str, dict[str, Any] | None] = {
    "/iso/connected": {},
    "/iso/decrease": {"requestID": "R9", "territory": "East", "kW": 5, "durationMinutes": 5},
    "/iso/returnToNormal": {"requestID": "R1"},
    "/iso/requests": None,
    "/iso/requests/R1": None,
}
ALL_DOORS = ["/evse/powerOn", *STATION_DOORS, *ISO_DOORS]


async def knock(emw: House, door: str, header: bytes | None, address: str) -> Told:
    headers = [] if header is None else [(b"authorization", header)]
    if door.startswith("/iso/requests"):
        return await emw.call(door, method="GET", content_type=None, headers=headers, address=address)
    body = {"/evse/powerOn": emw.power_on_body("S1"), **STATION_DOORS, **ISO_DOORS}[door]
    return await emw.call(door, body, headers=headers, address=address)


async def credentials(emw: House) -> dict[str, bytes]:
    """Everything there is to show at a door, by what it is."""
    await emw.plug_in("S1")
    first = emw.tokens["S1"]
    await emw.power_on("S1")
    await emw.power_on("S2")
    await emw.plug_in("S1")
    await emw.power_on("Off")
    off = emw.tokens["Off"]
    assert (await emw.post("/evse/powerOff", {"evseID": "Off"}, off)).status == 200
    await emw.power_on("Gone")
    await emw.headend.admin.revoke_station("operator:test", "Gone")
    grid, other = await emw.iso("grid", "East"), await emw.iso("other", "West")
    gone = await emw.iso("gone", "East")
    await emw.headend.admin.revoke_iso("operator:test", "gone")
    _, key = await emw.headend.admin.add_key("operator:test", "key", emw_role())
    await emw.decrease("grid", "R1")
    token, secret = emw.tokens["S1"], emw.secrets["S1"]
    shown = {
        "token": token,
        "secret": secret,
        "iso": grid,
        "an earlier token": first,
        "another's token": emw.tokens["S2"],
        "another's secret": emw.secrets["S2"],
        "a dead token": off,
        "a revoked token": emw.tokens["Gone"],
        "a revoked secret": emw.secrets["Gone"],
        "a revoked ISO": gone,
        "an API key": key,
        "nothing": "",
        "the id": "S1",
        "null": "null",
        "the hash of the token": emw.headend.state.stations["S1"].token_hash or "",
        "the hash of the secret": emw.headend.state.stations["S1"].secret_hash,
        "nobody's hash": NOBODY,
        "nobody": "nobody",
        "a longer one": token + "x",
        "a shorter one": token[:-1],
        "other case": token.swapcase(),
        "two": f"{token} {token}",
        "quoted": f'"{token}"',
        "escaped": token.replace("_", "%5F"),
        "500 letters": "x" * 500,
        "10,000 letters": "x" * 10_000,
    }
    headers = {what: b"Bearer " + text.encode() for what, text in shown.items()}
    return {
        **headers,
        "the other ISO": b"Bearer " + other.encode(),
        "no scheme": token.encode(),
        "basic": b"Basic " + token.encode(),
        "a digest": b"Digest username=S1",
        "a token scheme": b"Token " + token.encode(),
        "bearer alone": b"Bearer",
        "an empty header": b"",
        "no Latin": b"Bearer \xff\xfe\x00",
        "UTF-8": b"Bearer " + "\u0405".encode() * 10,
    }


def emw_role() -> Any:
    from emw.domain.people import Role

    return Role.ADMINISTRATOR


OPENS: dict[str, set[str]] = {
    "/evse/powerOn": {"secret"},
    **{door: {"token"} for door in STATION_DOORS},
    **{door: {"iso", "the other ISO"} for door in ISO_DOORS},
}


@pytest.mark.parametrize("door", ALL_DOORS)
async def test_P6_A1_A3_A8_the_wrong_credential_opens_no_door(emw: House, door: str) -> None:
    shown: dict[str, bytes | None] = {**await credentials(emw), "no header": None}
    await emw.settled()
    before = emw.snapshot()
    words = set()
    for number, (what, header) in enumerate(shown.items()):
        if what in OPENS[door]:
            continue
        told = await knock(emw, door, header, f"192.0.2.{number}")
        assert told.status == 401, (what, told.raw)
        assert told.headers["www-authenticate"] == "Bearer"
        assert emw.snapshot() == before, what
        words.add(told.raw)
    assert len(words) == 1, "unknown and wrong answer alike"
    for number, what in enumerate(sorted(OPENS[door])):
        told = await knock(emw, door, shown[what], f"198.51.100.{number}")
        assert told.status in ({200, 202} if what != "the other ISO" else {200, 404}), (what, told.raw)


ALIKE: dict[str, str] = {
    "small letters": "s1",
    "a blank after": "S1 ",
    "a blank before": " S1",
    "a tab": "S1\t",
    "a line end": "S1\n",
    "a NUL": "S1\x00",
    "a no-break space": "S1\u00a0",
    "a zero-width space": "S\u200b1",
    "a zero-width joiner": "S1\u200d",
    "a byte order mark": "\ufeffS1",
    "full width": "\uff331",
    "a full-width digit": "S\uff11",
    "Cyrillic": "\u04051",
    "a combining mark": "S1\u0301",
    "right to left": "\u202eS1",
    "mathematical": "\U0001d5121",
    "a superscript": "S\u00b9",
    "a path": "x/../S1",
    "escaped": "S%31",
    "SQL": "S1' --",
    "a wildcard": "S%",
    "any": "*",
    "255 letters": "S1" + " " * 253,
}


@pytest.mark.parametrize("what", ALIKE)
async def test_A1_an_id_that_looks_alike_is_another_station(emw: House, what: str) -> None:
    alike = ALIKE[what]
    await emw.plug_in("S1")
    await emw.settled()
    before = emw.snapshot()
    words = set()
    for number, (door, body) in enumerate(
        {"/evse/powerOn": emw.power_on_body("S1"), **STATION_DOORS}.items()
    ):
        credential = emw.secrets["S1"] if door == "/evse/powerOn" else emw.tokens["S1"]
        for said in (alike, "Nobody"):
            told = await emw.post(
                door, {**body, "evseID": said}, credential, address=f"192.0.2.{number}{len(said)}"
            )
            assert told.status == 401, (door, told.raw)
            words.add(told.raw)
    assert len(words) == 1, "nothing tells an id that looks alike from one that is not there"
    assert emw.snapshot() == before


async def test_A1_ids_that_look_alike_may_both_be_enrolled_and_stay_apart(emw: House) -> None:
    """Ids are compared letter by letter, nothing is folded: two stations never become one."""
    await emw.plug_in("S1")
    for name in ("s1", "S1 ", unicodedata.normalize("NFD", "É1"), unicodedata.normalize("NFC", "É1")):
        await emw.plug_in(name)
        told = await emw.post("/evse/unplugged", {"evseID": "S1"}, emw.tokens[name])
        assert told.status == 401
    assert len(emw.headend.state.sessions) == 5


@pytest.mark.parametrize("door", list(STATION_DOORS))
async def test_A3_a_token_dies_of_age(emw: House, door: str) -> None:
    await emw.plug_in("S1")
    await emw.power_on("S1")
    emw.clock.forward(24 * 3600 - 60)
    told = await emw.heartbeat("S1")
    assert told.status == 200
    emw.clock.forward(120)
    await emw.settled()
    before = emw.snapshot()
    told = await emw.post(door, STATION_DOORS[door], emw.tokens["S1"])
    assert told.status == 401
    assert emw.snapshot() == before


@pytest.mark.parametrize("door", list(STATION_DOORS))
@pytest.mark.parametrize("how", ["powered off", "powered on again", "revoked", "enrolled again"])
async def test_A3_A4_a_token_dies_with_what_it_was_for(emw: House, door: str, how: str) -> None:
    await emw.plug_in("S1")
    token = emw.tokens["S1"]
    if how == "powered off":
        await emw.post("/evse/powerOff", {"evseID": "S1"}, token)
    elif how == "powered on again":
        await emw.power_on("S1")
    elif how == "revoked":
        await emw.headend.admin.revoke_station("operator:test", "S1")
    else:
        await emw.headend.admin.add_station("operator:test", "S1", renew=True)
    await emw.settled()
    before = emw.snapshot()
    assert (await emw.post(door, STATION_DOORS[door], token)).status == 401
    assert emw.snapshot() == before


async def test_F20_a_new_secret_kills_the_old_one_and_a_revoked_station_may_return(emw: House) -> None:
    old = await emw.enrol("S1")
    await emw.power_on("S1")
    new = await emw.headend.admin.add_station("operator:test", "S1", renew=True)
    body = emw.power_on_body("S1")
    assert (await emw.post("/evse/powerOn", body, old)).status == 401
    assert (await emw.post("/evse/powerOn", body, new)).status == 200
    await emw.headend.admin.revoke_station("operator:test", "S1")
    assert (await emw.post("/evse/powerOn", body, new)).status == 401
    newer = await emw.headend.admin.add_station("operator:test", "S1")
    assert (await emw.post("/evse/powerOn", body, newer)).status == 200


async def test_A1_no_station_powers_on_for_another(emw: House) -> None:
    """The id in the body is the identity: there is no second one to confuse it with."""
    await emw.power_on("S1")
    await emw.power_on("S2")
    for body in (emw.power_on_body("S1"), {**emw.power_on_body("S1"), "stationID": "S2"}):
        assert (await emw.post("/evse/powerOn", body, emw.secrets["S2"])).status == 401


MADE_UP = ["nobody", "", "None", "null", "0", "station", "S1", NOBODY, "\x00", "token", "secret", "emw"]
"""What a comparison with nothing might be fooled by."""


@pytest.mark.parametrize("how", ["never powered on", "powered off", "aged", "revoked", "not there"])
async def test_A1_where_there_is_no_credential_none_fits(emw: House, how: str) -> None:
    """A station without a living token, and one whose secret is worth nothing, is opened by no word at all."""
    if how == "never powered on":
        await emw.enrol("S1")
    elif how != "not there":
        await emw.plug_in("S1")
    if how == "powered off":
        await emw.post("/evse/powerOff", {"evseID": "S1"}, emw.tokens["S1"])
    elif how == "aged":
        emw.clock.forward(25 * 3600)
    elif how == "revoked":
        await emw.headend.admin.revoke_station("operator:test", "S1")
    await emw.settled()
    before = emw.snapshot()
    for number, word in enumerate(MADE_UP):
        address = f"192.0.2.{number}"
        for door, body in {"/evse/powerOn": emw.power_on_body("S1"), **STATION_DOORS}.items():
            told = await emw.post(door, body, word, address=address)
            assert told.status == 401, (door, word, told.raw)
        for door in ISO_DOORS:
            told = await knock(emw, door, b"Bearer " + word.encode(), f"{address}0")
            assert told.status == 401, (door, word, told.raw)
    assert emw.snapshot() == before


# --- grid operators among each other


async def test_A5_A8_one_grid_operator_neither_sees_nor_touches_anothers(emw: House) -> None:
    a, b = await emw.iso("a", "East"), await emw.iso("b", "East", "West")
    assert (await emw.decrease("a", "R1")).status == 202
    await emw.settled()
    before = emw.snapshot()
    unknown = await emw.get("/iso/requests/R2", b)
    theirs = await emw.get("/iso/requests/R1", b)
    assert (theirs.status, unknown.status) == (404, 404)
    assert theirs.raw.replace(b"R1", b"R2") == unknown.raw
    assert (await emw.post("/iso/returnToNormal", {"requestID": "R1"}, b)).status == 404
    for said in ("a:R1", "a/R1", "../a/R1", "R1%3Fiso=a", "operator:R1"):
        assert (await emw.get(f"/iso/requests/{said}", b)).status == 404
        assert (await emw.post("/iso/returnToNormal", {"requestID": said}, b)).status == 404
    assert (await emw.get("/iso/requests", b)).body == {"requests": []}
    assert emw.snapshot() == before
    assert [r["requestID"] for r in (await emw.get("/iso/requests", a)).body["requests"]] == ["R1"]


async def test_A8_territories_that_are_not_its_own_are_not_there(emw: House) -> None:
    a = await emw.iso("a", "East-1")
    told = await emw.post("/iso/connected", {}, a)
    assert told.body["territories"] == ["East-1"]
    words = set()
    for territory in ("East", "West", "Nowhere"):
        told = await emw.post(
            "/iso/decrease", {"requestID": "R", "territory": territory, "kW": 5, "durationMinutes": 5}, a
        )
        assert told.status == 404
        words.add(told.raw.replace(territory.encode(), b"X"))
    assert len(words) == 1
    assert not emw.headend.state.requests


async def test_A5_the_same_id_of_two_grid_operators_is_two_requests(emw: House) -> None:
    from emw.service.requests import OPERATOR, Decrease

    a, b = await emw.iso("a", "East"), await emw.iso("b", "East")
    assert (await emw.decrease("a", "R1", 5)).status == 202
    assert (await emw.decrease("b", "R1", 7)).status == 202
    await emw.headend.requests.decrease(
        OPERATOR, Decrease(request_id="R1", territory_id="East", kw=9), actor="operator:x"
    )
    assert (await emw.get("/iso/requests/R1", a)).body["requestedKW"] == 5
    assert (await emw.get("/iso/requests/R1", b)).body["requestedKW"] == 7
    assert (await emw.post("/iso/returnToNormal", {"requestID": "R1"}, a)).status == 200
    states = {k: str(r.state) for k, r in emw.headend.state.requests.items()}
    assert states["b:R1"] == states["operator:R1"] != states["a:R1"]


async def test_A8_a_name_that_reads_like_another_operators_key_is_refused(emw: House) -> None:
    from emw.service.errors import BadInput

    for name in ("operator", "a:R1", "a b", "", "a/b", "\u0430", "a\n"):
        with pytest.raises(BadInput):
            await emw.headend.admin.add_iso("operator:test", name, ("East",))


# --- guessing


async def guess(emw: House, number: int, address: str = "203.0.113.9", station: str = "S1") -> Told:
    return await emw.post(
        "/evse/plugInHeartBeat", emw.heartbeat_body(station), f"st_{number:08d}", address=address
    )


async def test_A2_wrong_guesses_end_in_429_and_the_right_one_is_not_locked_out(emw: House) -> None:
    await emw.plug_in("S1")
    told = [await guess(emw, n) for n in range(40)]
    assert [t.status for t in told[:FREE_TRIES]] == [401] * FREE_TRIES
    assert {t.status for t in told[FREE_TRIES + 1 :]} == {429}
    waits = [int(t.headers["retry-after"]) for t in told if t.status == 429]
    assert waits == sorted(waits)
    assert waits[-1] >= 60, "each wrong one makes the wait longer"
    right = await emw.post(
        "/evse/plugInHeartBeat", emw.heartbeat_body("S1"), emw.tokens["S1"], address="203.0.113.9"
    )
    assert right.status == 200, "a live station behind the same address goes on"
    assert (await emw.heartbeat("S1")).status == 200


async def test_A2_finding_ids_is_counted_per_address(emw: House) -> None:
    told = [await guess(emw, n, station=f"S{n}") for n in range(80)]
    assert {t.status for t in told[:50]} == {401}
    assert {t.status for t in told[60:]} == {429}
    assert (await guess(emw, 1, address="203.0.113.10")).status == 401, "others are not punished"


@pytest.mark.parametrize("door", ["/evse/powerOn", "/iso/connected", "/iso/requests"])
async def test_A2_every_door_counts(emw: House, door: str) -> None:
    await emw.enrol("S1")
    statuses = [
        (await knock(emw, door, f"Bearer x{n}".encode(), "203.0.113.9")).status for n in range(FREE_TRIES + 5)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429


async def test_A2_the_wait_ends(emw: House) -> None:
    told = await guess(emw, 0)
    for n in range(FREE_TRIES + 2):
        told = await guess(emw, n)
    assert told.status == 429
    emw.clock.forward(int(told.headers["retry-after"]) + 1)
    assert (await guess(emw, 1)).status == 401
    emw.clock.forward(3600)
    assert [(await guess(emw, n)).status for n in range(FREE_TRIES)] == [401] * FREE_TRIES


async def test_A2_an_aged_token_is_no_guess(emw: House) -> None:
    """A day after a fleet has powered on all its tokens age at once, perhaps behind one address."""
    await emw.plug_in("S1")
    emw.clock.forward(25 * 3600)
    aged = [await emw.heartbeat("S1") for _ in range(FREE_TRIES * 8)]
    assert {t.status for t in aged} == {401}
    assert (await guess(emw, 1)).raw == aged[0].raw


async def test_A2_a_right_secret_wipes_the_slate_of_its_address(emw: House) -> None:
    """After a backup was restored all tokens are wrong: a fleet behind one address must find its way back."""
    names = [f"S{n}" for n in range(70)]
    for name in names:
        await emw.enrol(name)
    waits = dict.fromkeys(names, 0)
    for _ in range(40):
        for name in names:
            if name in emw.tokens or waits[name] > emw.clock.now().timestamp():
                continue
            told = await guess(emw, 1, station=name)
            if told.status == 401:
                body = emw.power_on_body(name)
                on = await emw.post("/evse/powerOn", body, emw.secrets[name], address="203.0.113.9")
                assert on.status == 200
                emw.tokens[name] = on.body["token"]
            else:
                waits[name] = int(emw.clock.now().timestamp()) + int(told.headers["retry-after"])
        emw.clock.forward(30)
    assert len(emw.tokens) == len(names), "everybody is back within twenty minutes"


async def test_A2_the_counters_take_no_more_memory_than_they_may(emw: House) -> None:
    guesses = Guesses()
    for n in range(MOST_KEPT + 500):
        guesses.wrong(f"{n}", START)
    assert len(guesses._tries) == MOST_KEPT
    long = "x" * 255
    for n in range(300):
        await emw.post("/evse/powerOff", {"evseID": f"{long[:-4]}{n}"}, "x", address=f"192.0.{n % 250}.{n}")
    gate = emw.headend.gate
    assert len(gate._by_id._tries) <= MOST_KEPT
    assert len(gate._by_address._tries) <= MOST_KEPT


async def test_A2_many_at_once_are_counted_one_by_one(emw: House) -> None:
    await emw.plug_in("S1")
    told = await asyncio.gather(*(guess(emw, n) for n in range(30)))
    assert sum(t.status == 401 for t in told) == FREE_TRIES
