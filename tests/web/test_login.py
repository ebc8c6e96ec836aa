"""Who gets in, how, and for how long (A2, A3, A8, A12)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from argon2 import Type

from emw.domain.people import Role
from emw.service.gate import hash_of
from emw.web import auth as auth_module
from emw.web import passwords
from emw.web.app import WebSettings, operator_app
from emw.web.auth import Auth
from tests.conftest import DEAR
from tests.web.world import PASSWORD, World, world


def auth_of(w: World) -> Auth:
    found: Auth = w.app.state["auth"]
    return found


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """People's time, to be moved by hand."""
    at = [1000.0]
    monkeypatch.setattr(auth_module, "elapsed_s", lambda: at[0])
    return at


async def test_A12_the_cookie_is_out_of_reach_for_scripts_and_other_sites() -> None:
    async with world() as w:
        told = await w.call("POST", "/api/v1/login", {"name": "ann", "password": PASSWORD})
        assert told.status == 200
        flags = {part.strip().lower() for part in told.cookies[0].split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} <= flags
        assert "secure" not in flags
        secret = told.cookies[0].partition(";")[0].removeprefix("emw_session=")
        assert len(secret) > 64
        assert secret not in str(auth_of(w).logins._kept)
        assert hash_of(secret) in auth_of(w).logins._kept
        assert told.json == {"name": "ann", "role": "administrator", "csrfToken": told.json["csrfToken"]}
        assert w.store.log[-1]["kind"] == "LoggedIn"
        assert PASSWORD not in str(w.store.log)
    async with world(WebSettings(secure=True)) as w:
        told = await w.call("POST", "/api/v1/login", {"name": "ann", "password": PASSWORD})
        assert "secure" in told.cookies[0].lower()


async def test_A2_unknown_and_wrong_look_alike() -> None:
    async with world() as w:
        await w.headend.admin.disable_operator("test", "opa")
        said = [
            await w.call("POST", "/api/v1/login", {"name": n, "password": p}, address=f"a{n}")
            for n, p in (
                ("ann", "wrong"),
                ("nobody", "wrong"),
                ("opa", PASSWORD),
                ("", "x"),
                ("a" * 255, "x"),
            )
        ]
        assert [t.status for t in said] == [401, 401, 401, 400, 401]
        assert said[0].body == said[1].body == said[2].body == said[4].body
        assert not any(t.cookies for t in said)


async def test_a_wrong_name_is_checked_as_long_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as w:
        checked: list[Any] = []
        right = auth_of(w).passwords.right

        async def note(known_hash: str | None, password: str) -> bool:
            checked.append(known_hash)
            return await right(known_hash, password)

        monkeypatch.setattr(auth_of(w).passwords, "right", note)
        await w.call("POST", "/api/v1/login", {"name": "nobody", "password": "x"})
        assert checked == [None]  # against a hash that nobody's password has


async def test_A2_guesses_are_limited_per_name_and_per_address(seconds: list[float]) -> None:
    async with world() as w:

        async def guess(name: str, address: str, password: str = PASSWORD[:3]) -> Any:
            return await w.call(
                "POST", "/api/v1/login", {"name": name, "password": password}, address=address
            )

        answers = [await guess("ann", "evil") for _ in range(8)]
        assert [t.status for t in answers][:5] == [401] * 5
        assert answers[-1].status == 429
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await guess("ann", "evil", PASSWORD)).status == 429
        assert (await guess("ann", "elsewhere", PASSWORD)).status == 200  # nobody locks ann out from afar
        names = [(await guess(f"name{n}", "evil2")).status for n in range(25)]
        assert names[:20] == [401] * 20
        assert 429 in names[20:]
        seconds[0] += 400
        assert (await guess("ann", "evil", PASSWORD)).status == 200
        refused = [r for r in w.store.log if r["kind"] == "LoginRefused"]
        assert len(refused) <= 6  # a flood of tries is not a flood of rows
        assert "name3" not in str(refused)  # what nobody is called may be a password typed in the wrong field


async def test_A2_wrong_keys_are_limited_and_right_ones_pass(seconds: list[float]) -> None:
    async with world() as w:
        key = await w.key(Role.VIEWER)
        wrong = [(await w.call("GET", "/api/v1/me", key="key_wrong")).status for _ in range(25)]
        assert set(wrong) == {401, 429}
        assert (await w.call("GET", "/api/v1/me", key=key)).status == 200
        for header in (f"Basic {key}", key, f"Bearer {key}x", "Bearer ", "Bearer", f"bearer\t{key}"):
            told = await w.call("GET", "/api/v1/me", headers={"authorization": header}, address=header)
            assert told.status == 401, header
        await w.headend.admin.revoke_key("test", next(iter(w.headend.state.api_keys)))
        assert (await w.call("GET", "/api/v1/me", key=key, address="x")).status == 401


async def test_A3_a_login_ends_by_idling_by_age_and_by_logging_out(seconds: list[float]) -> None:
    async with world() as w:
        auth_of(w).logins._elapsed = lambda: seconds[0]
        me = await w.log_in_by_the_door()
        for _ in range(10):
            seconds[0] += 29 * 60
            assert (await w.call("GET", "/api/v1/me", headers=me)).status == 200
        seconds[0] += 31 * 60
        assert (await w.call("GET", "/api/v1/me", headers=me)).status == 401
        me = await w.log_in_by_the_door()
        for _ in range(17):
            seconds[0] += 28 * 60
            await w.call("GET", "/api/v1/me", headers=me)
        seconds[0] += 10 * 60
        assert (await w.call("GET", "/api/v1/me", headers=me)).status == 401
        me = await w.log_in_by_the_door()
        told = await w.call("POST", "/api/v1/logout", {}, headers=me)
        assert told.status == 200
        assert "max-age=0" in told.cookies[0].lower()
        assert (await w.call("GET", "/api/v1/me", headers=me)).status == 401


async def test_a_login_is_rotated_and_ends_with_the_password_or_the_person() -> None:
    async with world() as w:
        first = await w.log_in_by_the_door()
        told = await w.call(
            "POST",
            "/api/v1/login",
            {"name": "ann", "password": PASSWORD},
            headers={"cookie": first["cookie"]},
        )
        assert told.cookies[0].partition(";")[0] != first["cookie"]
        assert (await w.call("GET", "/api/v1/me", headers=first)).status == 401
        vic, ann = await w.log_in_by_the_door("vic"), await w.log_in_by_the_door()
        body = {"name": "vic", "password": "another password", "role": "viewer"}
        assert (await w.call("POST", "/api/v1/operators", body, headers=ann)).status == 201
        assert (await w.call("GET", "/api/v1/me", headers=vic)).status == 401
        opa = await w.log_in_by_the_door("opa")
        assert (await w.call("POST", "/api/v1/operators/opa/disable", {}, headers=ann)).status == 200
        assert (await w.call("GET", "/api/v1/me", headers=opa)).status == 401


async def test_the_last_administrator_stays() -> None:
    async with world() as w:
        ann = await w.log_in_by_the_door()
        assert (await w.call("POST", "/api/v1/operators/ann/disable", {}, headers=ann)).status == 409
        body = {"name": "ann", "password": "long enough", "role": "viewer"}
        assert (await w.call("POST", "/api/v1/operators", body, headers=ann)).status == 409


async def test_the_first_start_offers_one_link_that_works_once(seconds: list[float]) -> None:
    async with world(people=False) as w:
        path = w.app.state["setup_path"]
        route, _, token = path.partition("#")
        assert route == "/setup"
        assert token not in str(vars(auth_of(w)))
        assert (await w.call("GET", "/")).headers["location"] == "/setup"
        assert b"one-time link" in (await w.call("GET", "/setup")).body
        body = {"token": token, "name": "root", "password": "long enough"}
        for wrong in ({"token": token + "x"}, {"token": "x"}):
            assert (await w.call("POST", "/api/v1/setup", {**body, **wrong}, address="x")).status == 401
        assert (await w.call("POST", "/api/v1/setup", {**body, "password": "short"})).status == 400
        both = await asyncio.gather(
            *(w.call("POST", "/api/v1/setup", {**body, "name": n}, address=n) for n in ("root", "thief"))
        )
        assert sorted(t.status for t in both) == [200, 401]
        assert len(w.headend.state.operators) == 1
        (first,) = w.headend.state.operators.values()
        assert first.role is Role.ADMINISTRATOR
        assert (await w.call("POST", "/api/v1/setup", body)).status == 409
        assert operator_app(w.headend, WebSettings(), w.ids).state["setup_path"] is None


async def test_the_link_of_the_first_start_gets_old(seconds: list[float]) -> None:
    async with world(people=False) as w:
        token = w.app.state["setup_path"].partition("#")[2]
        seconds[0] += 31 * 60
        body = {"token": token, "name": "root", "password": "long enough"}
        assert (await w.call("POST", "/api/v1/setup", body)).status == 401


async def test_A12_a_foreign_page_cannot_log_anybody_in() -> None:
    async with world() as w:
        body = {"name": "ann", "password": PASSWORD}
        evil = {"origin": "https://evil.example"}
        assert (await w.call("POST", "/api/v1/login", body, headers=evil)).status == 403
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert (await w.call("POST", "/api/v1/login", raw=b"name=ann", headers=form)).status == 415


async def test_the_owner_of_this_machine_is_its_administrator() -> None:
    async with world() as w:
        app = operator_app(w.headend, WebSettings(local=True), w.ids)
        told = await w.call("POST", "/api/v1/tokens", {"name": "cli"}, app=app, headers={"host": "anything"})
        assert told.status == 201
        assert w.store.log[-1]["actor"] == "operator:local"
        assert app.state["setup_path"] is None


async def test_the_log_says_who_did_it() -> None:
    async with world() as w:
        key = await w.key(Role.OPERATOR)
        key_id = next(iter(w.headend.state.api_keys))
        await w.call("POST", "/api/v1/halt", {"reason": "drill"}, key=key)
        assert w.store.log[-1]["actor"] == f"key:{key_id}"
        await w.call("POST", "/api/v1/resume", {}, headers=await w.log_in_by_the_door("opa"))
        assert w.store.log[-1]["actor"] == "operator:opa"


async def test_logging_in_works_while_the_disk_is_full() -> None:
    async with world() as w:
        w.store.broken = True
        me = await w.log_in_by_the_door()
        assert (await w.call("GET", "/api/v1/evses", headers=me)).status == 200
        told = await w.call("POST", "/api/v1/tokens", {"name": "x"}, headers=me)
        assert (told.status, told.headers["retry-after"]) == (503, "5")


def test_A2_a_password_is_dear_to_guess() -> None:
    """At least what OWASP's cheat sheet on storing passwords asks of argon2id: 19 MiB, two passes."""
    assert DEAR.type is Type.ID
    assert DEAR.memory_cost >= 19_456
    assert DEAR.time_cost >= 2
    assert DEAR.salt_len >= 16


async def test_a_flood_of_logins_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", DEAR)
    async with world() as w:
        tries = [
            w.call("POST", "/api/v1/login", {"name": "nobody", "password": "x"}, address=f"b{n}")
            for n in range(40)
        ]
        statuses = [t.status for t in await asyncio.gather(*tries)]
        assert set(statuses) <= {401, 429}
        assert statuses.count(429) > 0


def test_the_settings_are_plain() -> None:
    assert replace(WebSettings(), secure=True).session_s == 8 * 3600
