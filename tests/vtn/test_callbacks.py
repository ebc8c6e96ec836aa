"""Webhooks: proved first, told what the subscriber may see, out of band, and given up when dead."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from emw.service.grid_standing import Notified
from tests.doors.house import MemoryStore
from tests.vtn.house import PROGRAM, SHED, Callback, VtnHouse, callback, vtn_house

pytestmark = pytest.mark.asyncio
LOOPBACK = ("127.0.0.0/8",)


@pytest_asyncio.fixture
async def h() -> Any:
    async with vtn_house(networks=LOOPBACK) as running:
        yield running


@pytest_asyncio.fixture
async def hook() -> Any:
    async with callback() as heard:
        yield heard


def subscription(
    url: str, *objects: str, operations: Any = None, token: str | None = None, **more: Any
) -> Any:
    wanted = {
        "objects": list(objects) or ["EVENT"],
        "operations": operations or ["CREATE", "UPDATE", "DELETE"],
        "callbackUrl": url,
    }
    if token is not None:
        wanted["bearerToken"] = token
    return {"clientName": "c", "objectOperations": [wanted], **more}


async def until(h: VtnHouse, holds: Callable[[], object], forward_s: float = 0.0) -> None:
    """Wait until something holds; the clock may run ahead meanwhile."""
    async with asyncio.timeout(60):
        while not holds():
            h.emw.clock.forward(forward_s)
            await asyncio.sleep(0.01)


async def told(h: VtnHouse, hook: Callback, count: int) -> list[tuple[str, str, str]]:
    """So many notifications, and none beyond: operation, type and id."""
    await until(h, lambda: len(hook.got) >= count)
    await asyncio.sleep(0.05)
    return [(n["operation"], n["objectType"], n["object"]["id"]) for n in hook.got]


# --- before a subscription is taken


async def test_a_callback_must_echo_before_a_subscription_is_taken(h: VtnHouse, hook: Callback) -> None:
    hook.echoes = False
    refused = await h.call("POST", "/subscriptions", subscription(hook.url, token="t0"), by="ven-1")
    assert (refused.status, refused.field) == (400, "objectOperations[0].callbackUrl")
    assert await h.ids("ven-1", "subscriptions") == []
    hook.echoes = True
    made = await h.make("ven-1", "subscriptions", subscription(hook.url, token="t0"))
    assert made["clientID"] == "ven-1"
    assert hook.tokens == ["Bearer t0", "Bearer t0"]


async def test_a_put_is_proved_too_and_a_refused_one_changes_nothing(h: VtnHouse, hook: Callback) -> None:
    made = await h.make("ven-1", "subscriptions", subscription(hook.url))
    hook.echoes = False
    path = f"/subscriptions/{made['id']}"
    assert (await h.call("PUT", path, subscription(hook.url, "PROGRAM"), by="ven-1")).status == 400
    assert (await h.call("GET", path, by="ven-1")).body == made


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/hook",
        "http://localhost:9/hook",
        "http://[::1]:9/hook",
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "http://2130706433/",
        "http://user:pass@192.0.2.1/",
        "https://vtn.example/hook?x=1",
        "file:///etc/passwd",
        "gopher://192.0.2.1/",
    ],
)
async def test_A6_A16_a_callback_at_us_is_refused_by_default(url: str) -> None:
    async with vtn_house() as closed:
        refused = await closed.call("POST", "/subscriptions", subscription(url), by="ven-1")
        assert (refused.status, refused.field) == (400, "objectOperations[0].callbackUrl")


async def test_A16_a_probe_learns_nothing_of_why(h: VtnHouse, hook: Callback) -> None:
    """Closed, silent and refusing look alike to somebody who looks for open ports."""
    hook.silent_s = 5.0
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        bodies = [subscription(closed), subscription(hook.url)]
        refused = [await h.call("POST", "/subscriptions", body, by="ven-1") for body in bodies]
    assert refused[0].raw == refused[1].raw
    assert {r.status for r in refused} == {400}


@pytest.mark.parametrize("token", ["a b", "a\r\nX-Evil: 1", "", "é", "x" * 5_000])
async def test_A13_a_token_that_breaks_out_of_its_header_is_refused(
    h: VtnHouse, hook: Callback, token: str
) -> None:
    refused = await h.call("POST", "/subscriptions", subscription(hook.url, token=token), by="ven-1")
    assert (refused.status, refused.field) == (400, "objectOperations[0]")


# --- what is told


async def test_what_happens_is_told_with_the_subscribers_token(h: VtnHouse, hook: Callback) -> None:
    await h.make("ven-1", "subscriptions", subscription(hook.url, "PROGRAM", "EVENT", token="s3cret"))
    program = await h.make("shop", "programs", PROGRAM)
    event = await h.make("shop", "events", {**SHED, "programID": program["id"]})
    changed = (await h.call("PUT", f"/events/{event['id']}", {"programID": program["id"]}, by="shop")).body
    await h.call("DELETE", f"/programs/{program['id']}", by="shop")
    assert await told(h, hook, 5) == [
        ("CREATE", "PROGRAM", program["id"]),
        ("CREATE", "EVENT", event["id"]),
        ("UPDATE", "EVENT", event["id"]),
        ("DELETE", "EVENT", event["id"]),
        ("DELETE", "PROGRAM", program["id"]),
    ]
    assert [n["object"] for n in hook.got] == [program, event, changed, changed, program]
    assert set(hook.tokens) == {"Bearer s3cret"}


async def test_A16_a_subscriber_hears_only_of_what_it_may_read(h: VtnHouse, hook: Callback) -> None:
    everything = ("PROGRAM", "EVENT", "REPORT", "VEN", "RESOURCE", "SUBSCRIPTION")
    await h.make("ven-1", "subscriptions", subscription(hook.url, *everything))
    ven = {"objectType": "BL_VEN_REQUEST", "clientID": "ven-1", "venName": "one", "targets": ["mine"]}
    mine = await h.make("shop", "vens", ven)
    await h.make("ven-2", "vens", {"objectType": "VEN_VEN_REQUEST", "venName": "two"})
    program = await h.make("shop", "programs", PROGRAM)
    body = {**SHED, "programID": program["id"]}
    await h.make("shop", "events", {**body, "targets": ["others"]})
    event = await h.make("shop", "events", {**body, "targets": ["mine", "others"]})
    heard = await told(h, hook, 4)
    assert [(o, t) for o, t, _ in heard] == [
        ("CREATE", "SUBSCRIPTION"),
        ("CREATE", "VEN"),
        ("CREATE", "PROGRAM"),
        ("CREATE", "EVENT"),
    ]
    assert (heard[1][2], heard[3][2]) == (mine["id"], event["id"])
    assert hook.got[3]["object"]["targets"] == ["mine"]
    # What leaves its sight is gone for it, and what comes into its sight is new.
    path = f"/events/{event['id']}"
    await h.call("PUT", path, {**body, "targets": ["others"]}, by="shop")
    await h.call("PUT", path, {**body, "targets": ["others"], "priority": 3}, by="shop")
    await h.call("PUT", path, {**body, "targets": ["mine"]}, by="shop")
    assert [x[0] for x in (await told(h, hook, 6))[4:]] == ["DELETE", "CREATE"]


async def test_business_logic_hears_of_reports_and_a_subscription_may_ask_for_less(
    h: VtnHouse, hook: Callback
) -> None:
    one, two = [(await h.make("shop", "programs", {"programName": n}))["id"] for n in "ab"]
    await h.make(
        "shop", "subscriptions", subscription(hook.url, "REPORT", operations=["CREATE"], programID=one)
    )
    events = [(await h.make("shop", "events", {**SHED, "programID": p}))["id"] for p in (one, two)]
    made = [
        (await h.make("ven-1", "reports", {"eventID": e, "clientName": "c", "resources": []}))["id"]
        for e in events
    ]
    assert await told(h, hook, 1) == [("CREATE", "REPORT", made[0])]


async def test_a_subscription_may_name_targets(h: VtnHouse, hook: Callback) -> None:
    await h.make("shop", "subscriptions", subscription(hook.url, targets=["x"]))
    program = await h.make("shop", "programs", PROGRAM)
    body = {**SHED, "programID": program["id"]}
    made = [await h.make("shop", "events", {**body, "targets": t}) for t in (["y"], [], ["x", "y"])]
    assert await told(h, hook, 1) == [("CREATE", "EVENT", made[-1]["id"])]


# --- out of band


async def test_F11_a_dead_callback_affects_no_write_and_no_other_callback(
    h: VtnHouse, hook: Callback
) -> None:
    async with callback() as dead:
        await h.make("ven-2", "subscriptions", subscription(dead.url))
        await h.make("ven-1", "subscriptions", subscription(hook.url))
        dead.silent_s = 60.0
        program = await h.make("shop", "programs", PROGRAM)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(5):
            await h.make("shop", "events", {**SHED, "programID": program["id"]})
        assert loop.time() - began < 0.9, "less than the deadline of one callback"
        await told(h, hook, 5)
        assert not dead.got


async def test_F11_what_failed_is_told_again_in_order(h: VtnHouse, hook: Callback) -> None:
    await h.make("ven-1", "subscriptions", subscription(hook.url))
    program = await h.make("shop", "programs", PROGRAM)
    hook.status = 503
    made = [(await h.make("shop", "events", {**SHED, "programID": program["id"]}))["id"] for _ in range(2)]
    await until(h, lambda: hook.got)
    hook.status = 204
    await until(h, lambda: h.vtn.callbacks.delivered == 2, forward_s=1.0)
    ids = [n["object"]["id"] for n in hook.got]
    assert list(dict.fromkeys(ids)) == made
    assert ids[-1] == made[1]


@pytest.mark.parametrize("how", ["500", "410", "gone"])
async def test_F11_a_callback_that_stays_dead_is_called_no_more_until_put_again(
    h: VtnHouse, hook: Callback, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await h.make("ven-1", "subscriptions", subscription(hook.url))
    program = await h.make("shop", "programs", PROGRAM)
    record = h.emw.headend.state.vtn_objects
    hook.status = {"500": 500, "410": 410}.get(how, 200)
    if how == "gone":
        monkeypatch.setattr(h.emw.outgoing.guard, "check_address", _refuse)
        h.emw.outgoing.guard._literals.clear()
    await h.make("shop", "events", {**SHED, "programID": program["id"]})
    await until(h, lambda: record[made["id"]].mute, forward_s=1.0)
    assert hook.url in (record[made["id"]].mute or "")
    assert len(hook.got) == {"500": 3, "410": 1, "gone": 0}[how]
    await h.make("shop", "events", {**SHED, "programID": program["id"]})
    await asyncio.sleep(0.1)
    assert len(hook.got) == {"500": 3, "410": 1, "gone": 0}[how]
    ours = h.vtn.ven.seen()
    assert ours.standing.notified is not None
    assert ours.standing.notified() == Notified(delivered=0, dropped=1, muted=1)
    if how != "gone":
        hook.status = 200
        again = await h.call("PUT", f"/subscriptions/{made['id']}", subscription(hook.url), by="ven-1")
        assert again.status == 200
        await h.make("shop", "events", {**SHED, "programID": program["id"]})
        await until(h, lambda: h.vtn.callbacks.delivered == 1)
        assert ours.standing.notified() == Notified(delivered=1, dropped=1, muted=0)


def _refuse(_: object) -> None:
    from emw.outgoing import UrlRefused

    raise UrlRefused("no longer")


async def test_a_deleted_subscription_and_a_revoked_client_hear_nothing(h: VtnHouse, hook: Callback) -> None:
    gone = await h.make("ven-1", "subscriptions", subscription(hook.url))
    await h.make("ven-2", "subscriptions", subscription(hook.url))
    await h.call("DELETE", f"/subscriptions/{gone['id']}", by="ven-1")
    await h.emw.headend.vtn_clients.revoke("t", "ven-2")
    program = await h.make("shop", "programs", PROGRAM)
    await h.make("shop", "events", {**SHED, "programID": program["id"]})
    await asyncio.sleep(0.1)
    assert hook.got == []


# --- the token at rest


async def test_A18_a_subscribers_token_is_sealed_at_rest_and_shown_to_its_owner_only(hook: Callback) -> None:
    store = MemoryStore()
    async with vtn_house(networks=LOOPBACK, store=store) as h:
        made = await h.make("ven-1", "subscriptions", subscription(hook.url, token="SeCrEt-of-ven-1"))
        assert made["objectOperations"][0]["bearerToken"] == "SeCrEt-of-ven-1"
        for told in (
            await h.call("GET", f"/subscriptions/{made['id']}", by="shop"),
            await h.call("GET", "/subscriptions", by="shop"),
        ):
            assert b"SeCrEt" not in told.raw
        everything = b"".join(msgspec.json.encode(fact) for fact in store.log) + repr(store.rows).encode()
        assert b"SeCrEt" not in everything
        token = h.tokens["shop"]
    async with vtn_house(networks=LOOPBACK, store=store) as again:
        again.tokens["shop"] = token
        program = await again.make("shop", "programs", PROGRAM)
        await again.make("shop", "events", {**SHED, "programID": program["id"]})
        await until(again, lambda: hook.got)
        assert hook.tokens[-1] == "Bearer SeCrEt-of-ven-1"
