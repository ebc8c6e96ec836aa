"""Who gets a token of emw's VTN, and what one is worth (A16)."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from emw.domain.vtn import VtnRole
from emw.grid.vtn.rights import SCOPES
from emw.service.errors import BadInput, Conflict, NotFound
from emw.service.gate import hash_of
from emw.store.rows import fact_columns, shown
from tests.vtn.house import PROGRAM, VtnHouse, vtn_house

pytestmark = pytest.mark.asyncio
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest_asyncio.fixture
async def h() -> Any:
    async with vtn_house() as running:
        yield running


async def ask(h: VtnHouse, form: Any, **headers: str) -> Any:
    raw = form if isinstance(form, bytes) else urlencode(form).encode()
    return await h.call("POST", "/auth/token", raw, headers={**FORM, **headers})


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


async def test_the_server_says_where_tokens_are(h: VtnHouse) -> None:
    told = await h.call("GET", "/auth/server")
    assert told.body == {"tokenURL": "http://vtn.example:8400/openadr3/3.1.0/auth/token"}
    odd = await h.call("GET", "/auth/server", headers={"host": "a b@evil/x"})
    assert odd.body == {"tokenURL": "http://127.0.0.1:8400/openadr3/3.1.0/auth/token"}


async def test_a_public_url_is_told_whatever_the_request_says() -> None:
    async with vtn_house(public_url="https://dr.example.org/openadr3/3.1.0") as h:
        told = await h.call("GET", "/auth/server", headers={"host": "evil.example"})
        assert told.body == {"tokenURL": "https://dr.example.org/openadr3/3.1.0/auth/token"}


@pytest.mark.parametrize("way", ["form", "basic", "both"])
async def test_a_secret_is_taken_in_the_form_and_as_basic(h: VtnHouse, way: str) -> None:
    secret = h.secrets["ven-1"]
    form = {"grant_type": "client_credentials"}
    if way != "basic":
        form |= {"client_id": "ven-1", "client_secret": secret}
    headers = {} if way == "form" else {"authorization": basic("ven-1", secret)}
    told = await ask(h, form, **headers)
    assert told.status == 200
    assert told.body["token_type"] == "Bearer"
    assert told.body["expires_in"] == 3600
    assert set(told.body["scope"].split()) == set(SCOPES[VtnRole.VEN])
    assert told.headers["cache-control"] == "no-store"
    assert (await h.call("GET", "/events", token=told.body["access_token"])).status == 200


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({}, {}, 400, "invalid_request"),
        ({"grant_type": "password"}, {}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, {}, 400, "invalid_request"),
        ({"grant_type": "client_credentials", "client_id": "ven-1"}, {}, 400, "invalid_request"),
        (
            {"grant_type": "client_credentials", "client_id": "ven-1", "client_secret": "x"},
            {},
            401,
            "invalid_client",
        ),
        (
            {"grant_type": "client_credentials", "client_id": "who?", "client_secret": "x"},
            {},
            401,
            "invalid_client",
        ),
        ({"grant_type": "client_credentials"}, {"authorization": "Basic !!"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, {"authorization": "Basic YQ=="}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, {"authorization": basic("ven-1", "x")}, 401, "invalid_client"),
        (b"grant_type=client_credentials&grant_type=password", {}, 400, "invalid_request"),
        (b"grant_type=client_credentials&client_id=%ff&client_secret=x", {}, 400, "invalid_request"),
        (b"\xff\xfe", {}, 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, {"content-type": "application/json"}, 400, "invalid_request"),
    ],
)
async def test_what_is_no_credential_gets_the_word_of_the_rfc(
    h: VtnHouse, form: Any, headers: dict[str, str], status: int, error: str
) -> None:
    rows = len(h.emw.store.log)
    told = await ask(h, form, **headers)
    assert (told.status, told.body["error"]) == (status, error), told.raw
    assert told.body["status"] == status
    assert told.headers["content-type"] == "application/json"
    assert len(h.emw.store.log) == rows


async def test_A2_unknown_and_wrong_look_alike_and_guesses_are_slowed_down(h: VtnHouse) -> None:
    told = [(await h.log_in(name, "wrong")) for name in ("ven-1", "nobody") for _ in range(12)]
    assert told[0].raw == told[12].raw
    assert {t.status for t in told[:10]} == {401}
    assert told[11].status == told[23].status == 429
    assert int(told[11].headers["retry-after"]) > 0
    assert (await h.log_in("ven-1")).status == 200, "the right secret is never locked out by guesses"


async def test_A16_a_token_is_bound_to_its_client_and_scopes(h: VtnHouse) -> None:
    only_read = (await h.log_in("ven-1", scope="read_targets")).body
    assert only_read["scope"] == "read_targets"
    token = only_read["access_token"]
    assert (await h.call("GET", "/events", token=token)).status == 200
    for method, path in (("GET", "/reports"), ("GET", "/vens"), ("POST", "/vens"), ("POST", "/reports")):
        body = {"objectType": "VEN_VEN_REQUEST", "venName": "x"} if path == "/vens" else None
        if path == "/reports" and method == "POST":
            body = {"eventID": "e", "clientName": "c", "resources": []}  # type: ignore[dict-item]
        told = await h.call(method, path, body, token=token)
        assert told.status == 403, (method, path)
        assert "scope" in told.body["detail"]
    more = (await h.log_in("ven-1", scope="read_targets write_programs read_all")).body
    assert more["scope"] == "read_targets", "a role has what it has, whatever it asks for"
    assert (await h.call("POST", "/programs", PROGRAM, token=more["access_token"])).status == 403


@pytest.mark.parametrize("scope", ["write_programs", "everything", "read_all write_events"])
async def test_A16_a_scope_that_the_role_has_not_is_refused(h: VtnHouse, scope: str) -> None:
    told = await h.log_in("ven-1", scope=scope)
    assert (told.status, told.body["error"]) == (400, "invalid_scope")


async def test_A16_a_token_expires(h: VtnHouse) -> None:
    assert (await h.call("GET", "/events", by="ven-1")).status == 200
    h.emw.clock.forward(3_590)
    assert (await h.call("GET", "/events", by="ven-1")).status == 200
    h.emw.clock.forward(11)
    told = await h.call("GET", "/events", by="ven-1")
    assert (told.status, told.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "none", "typ": "JWT"}, {"sub": "shop", "scope": "read_all"}, "")
        ),
        "x" * 600,
        "\x00",
        "ÿ",
    ],
    ids=["empty", "guess", "alg none", "long", "NUL", "latin"],
)
async def test_A16_what_is_no_token_of_ours_opens_nothing(h: VtnHouse, token: str) -> None:
    assert (await h.call("GET", "/programs", token=token)).status == 401


@pytest.mark.parametrize("kind", ["station", "iso", "secret", "lower case", "twice"])
async def test_A16_a_credential_of_another_door_opens_nothing(h: VtnHouse, kind: str) -> None:
    match kind:
        case "station":
            token = await h.emw.power_on("E1")
        case "iso":
            token = await h.emw.iso("grid", "East")
        case "secret":
            token = h.secrets["shop"]
        case "lower case":
            token = h.tokens["shop"].swapcase()
        case _:
            token = f"{h.tokens['shop']},{h.tokens['shop']}"
    assert (await h.call("GET", "/programs", token=token)).status == 401


async def test_A16_a_token_of_the_vtn_opens_no_other_door(h: VtnHouse) -> None:
    for path, body in (
        ("/iso/connected", {}),
        ("/iso/decrease", {"requestID": "R", "territory": "East", "kW": 1}),
        ("/evse/powerOff", {"evseID": "E1"}),
    ):
        for secret in (h.tokens["shop"], h.secrets["shop"]):
            assert (await h.emw.post(path, body, secret)).status == 401


async def test_a_renewed_secret_kills_the_old_one_and_its_tokens(h: VtnHouse) -> None:
    old, token = h.secrets["ven-1"], h.tokens["ven-1"]
    h.emw.clock.forward(1)
    new = await h.emw.headend.vtn_clients.add("operator:test", "ven-1", VtnRole.VEN, renew=True)
    assert (await h.call("GET", "/events", token=token)).status == 401
    assert (await h.log_in("ven-1", old)).status == 401
    assert (await h.log_in("ven-1", new)).status == 200


async def test_a_revoked_client_is_nobody_and_what_it_wrote_stays(h: VtnHouse) -> None:
    made = await h.make("shop", "programs", PROGRAM)
    await h.emw.headend.vtn_clients.revoke("operator:test", "shop")
    assert (await h.call("GET", "/programs", by="shop")).status == 401
    assert (await h.log_in("shop")).status == 401
    assert await h.ids("ven-1", "programs") == [made["id"]]


async def test_names_of_clients_are_plain_free_and_not_ours(h: VtnHouse) -> None:
    clients = h.emw.headend.vtn_clients
    with pytest.raises(Conflict):
        await clients.add("t", "shop", VtnRole.BL)
    for name in ("emw", "EMW", "a b", "", "x:y"):
        with pytest.raises(BadInput):
            await clients.add("t", name, VtnRole.BL)
    with pytest.raises(NotFound):
        await clients.revoke("t", "nobody")


async def test_a_client_has_so_many_tokens_and_asks_for_so_many(h: VtnHouse) -> None:
    first = h.tokens["ven-1"]
    told = []
    for _ in range(15):
        h.emw.clock.forward(0.001)
        told.append(await h.log_in("ven-1"))
    assert (await h.call("GET", "/events", token=first)).status == 200
    h.emw.clock.forward(0.001)
    await h.log_in("ven-1")
    assert (await h.call("GET", "/events", token=first)).status == 401, "the seventeenth took its place"
    assert (await h.call("GET", "/events", token=told[0].body["access_token"])).status == 200
    assert len(h.emw.headend.state.vtn_tokens) == 18
    more = [(await h.log_in("ven-1")).status for _ in range(50)]
    assert more[-1] == 429
    h.emw.clock.forward(61)
    assert (await h.log_in("ven-1")).status == 200


async def test_A18_secrets_and_tokens_are_kept_as_hashes_and_shown_to_nobody(h: VtnHouse) -> None:
    kept = [fact_columns(fact) for fact in h.emw.store.log]
    everything = b"".join(payload for _, payload, _ in kept) + repr(h.emw.store.rows).encode()
    for secret in (*h.secrets.values(), *h.tokens.values()):
        assert secret.encode() not in everything
        assert hash_of(secret).encode() in everything
        assert not any(hash_of(secret) in str(shown(payload.decode())) for _, payload, _ in kept)
