"""Webhooks and MQTT over real sockets: from the event to the committed request; forged ones wake nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
from aiohttp import ClientSession
from amqtt.broker import Broker as AmqttBroker
from hypothesis import given
from hypothesis import strategies as st

from emw.app.build import Parts
from emw.app.config import Config
from emw.app.server import bind
from emw.domain import facts as f
from emw.grid.openadr3.mqtt import Broker, NoBroker, broker_of
from emw.grid.openadr3.notices import notice_of
from tests.grid.contract import check
from tests.grid.house import START, House, at, story
from tests.grid.real import serving, until
from tests.grid.vtn import ID, SECRET, Vtn
from tests.ports import free_port

NOW = "0001-01-01"


@contextlib.asynccontextmanager
async def emw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, **more: Any
) -> AsyncGenerator[Parts, None]:
    """Emw over real sockets: a VEN of the VTN at `url` that polls once in ten minutes, and its station plane."""
    monkeypatch.setenv("VTN_SECRET", SECRET)
    sock = bind("127.0.0.1", 0, "stations.listen")
    here = f"http://127.0.0.1:{sock.getsockname()[1]}"
    vtn = {
        "name": "utility",
        "url": url,
        "client_id": ID,
        "client_secret_env": "VTN_SECRET",
        "territory": "East",
        "poll_seconds": 600,
        "near_poll_seconds": 600,
        **{k: here if v == "HERE" else v for k, v in more.items()},
    }
    raw = {"data_dir": str(tmp_path / "data"), "territory": [{"name": "East"}], "openadr": {"vtn": [vtn]}}
    config = msgspec.convert(raw, Config)
    with contextlib.closing(sock):
        async with serving(config, sock) as parts:
            await until(lambda: parts.vens[0].standing.heard_at)
            yield parts


def committed(parts: Parts, event_id: str) -> bool:
    """Whether the event's request is there, durable."""
    return f"vtn:utility:{event_id}" in parts.headend.state.requests


@pytest.mark.parametrize("way", ["plain", "odd"])
async def test_an_event_told_by_webhook_is_a_request_long_before_the_next_poll(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`odd`: as the Alliance's server has it, with verbs, `/echo`, and JSON in JSON with snake_case keys."""
    vtn = Vtn(wants_verbs=way == "odd")
    async with vtn.served() as url, emw(tmp_path, monkeypatch, url, webhook="HERE") as parts:
        (subscription,) = await until(lambda: list(vtn.subscriptions.values()))
        if way == "plain":
            check("3.1.0", "subscriptionRequest", {k: v for k, v in subscription.items() if k != "id"})
        operation = subscription["objectOperations"][0]
        headers = {"Authorization": f"Bearer {operation['bearerToken']}"}
        async with ClientSession() as session:
            echo = operation["callbackUrl"] + ("/echo" if way == "odd" else "")
            async with session.get(echo, params={"echo": "a+b%20c_7"}) as answer:
                assert (answer.status, await answer.text()) == (200, "a+b%20c_7")
            polls = parts.vens[0].standing.polls
            event = vtn.shed("e1", 5, start=NOW)
            body: Any = {"objectType": "EVENT", "operation": "CREATE", "object": event}
            if way == "odd":
                body = json.dumps(
                    {"object_type": "EVENT", "operation": "POST", "object": {"program_id": "p1"}}
                )
            async with session.post(operation["callbackUrl"], json=body, headers=headers) as answer:
                assert answer.status == 200
            await until(lambda: committed(parts, "e1"))
            assert parts.vens[0].standing.polls == polls + 1
            assert parts.vens[0].standing.told_at is not None


async def test_A16_a_forged_webhook_wakes_nobody_and_nothing_in_a_true_one_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vtn, stranger = Vtn(), Vtn()
    async with (
        vtn.served() as url,
        stranger.served() as elsewhere,
        emw(tmp_path, monkeypatch, url, webhook="HERE") as parts,
        ClientSession() as session,
    ):
        (subscription,) = await until(lambda: list(vtn.subscriptions.values()))
        operation = subscription["objectOperations"][0]
        callback, token = operation["callbackUrl"], operation["bearerToken"]
        polls = parts.vens[0].standing.polls
        for wrong in (
            None,
            "",
            "Bearer",
            f"Bearer {token}x",
            f"Bearer {token[:-1]}",
            f"Basic {token}",
            "Bearer é",
        ):
            headers = {} if wrong is None else {"Authorization": wrong}
            async with session.post(callback, json={"operation": "CREATE"}, headers=headers) as answer:
                assert answer.status == 401
        async with session.post(callback.replace("/utility", "/other"), json={}) as answer:
            assert answer.status == 404
        async with session.put(callback, json={}) as answer:
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
        for odd in ("", "x" * 600, "a\r\nb"):
            async with session.get(callback, params={"echo": odd}) as answer:
                assert answer.status == 400
        async with session.get(callback, params={"echo": "<script>"}) as answer:
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert parts.vens[0].standing.polls == polls
        lure = {"id": "e9", "links": elsewhere, "callbackUrl": elsewhere, "tokenURL": elsewhere}
        body = {"objectType": "EVENT", "operation": "CREATE", "object": lure}
        headers = {"Authorization": f"bearer {token}"}
        async with session.post(callback, json=body, headers=headers) as answer:
            assert answer.status == 200
        await until(lambda: parts.vens[0].standing.polls > polls)
        assert not stranger.calls
        assert not committed(parts, "e9")


async def test_a_subscription_is_renewed_made_anew_and_not_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vtn = Vtn(version="3.0.1", programs=[{"id": "p1", "programName": "Shed"}])
    vtn.shed("e1", 5, start="2040-01-01T00:00:00Z")
    async with vtn.served() as url:
        async with emw(tmp_path, monkeypatch, url, webhook="HERE"):
            (subscription,) = await until(lambda: list(vtn.subscriptions.values()))
            check("3.0.1", "subscription", {k: v for k, v in subscription.items() if k != "id"})
            assert subscription["programID"] == "p1"
        callback = subscription["objectOperations"][0]["callbackUrl"]
        vtn.subscriptions["s9"] = {**subscription, "id": "s9"}
        vtn.subscriptions["odd"] = {**subscription, "id": "odd", "programID": ["p1"]}
        vtn.subscriptions["none"] = {"id": "none", "objectOperations": 7}
        # The next life has another port, but the same URL: what the earlier one left is renewed, what is double goes.
        async with emw(tmp_path, monkeypatch, url, webhook=callback.removesuffix("/openadr3-ven/utility")):
            await until(lambda: "s9" not in vtn.subscriptions)
            assert ("PUT", "/subscriptions/s1") in [c[:2] for c in vtn.calls]
            assert list(vtn.subscriptions) == ["s1", "odd", "none"]  # the last two are not ours


@contextlib.asynccontextmanager
async def broker(port: int, *, anonymous: bool) -> AsyncGenerator[None, None]:
    """A real MQTT broker."""
    plugins: dict[str, Any] = {
        "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": anonymous}
    }
    if not anonymous:
        plugins["tests.grid.mqtt_auth.TokenAuth"] = {}
    config = {"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": plugins}
    running = AmqttBroker(config)
    await running.start()
    try:
        yield
    finally:
        await running.shutdown()


@pytest.mark.parametrize("anonymous", [True, False], ids=["anonymous", "token"])
async def test_an_event_told_by_mqtt_is_a_request_long_before_the_next_poll(
    anonymous: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    way = (
        {"method": "ANONYMOUS"} if anonymous else {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"}
    )
    vtn = Vtn(
        notifiers={
            "WEBHOOK": True,
            "MQTT": {"URIS": [f"mqtt://127.0.0.1:{port}"], "serialization": "JSON", "authentication": way},
        }
    )
    async with vtn.served() as url, emw(tmp_path, monkeypatch, url, mqtt=True) as parts:
        ven = parts.vens[0]
        await until(lambda: ven.standing.mqtt)
        assert "broker 127.0.0.1" in str(ven.standing.mqtt)
        async with broker(port, anonymous=anonymous):
            await until(lambda: ven.standing.mqtt is None)
            polls = await until(lambda: ven.standing.polls)
            vtn.shed("e1", 5, start=NOW)
            user, password = (None, None) if anonymous else (ID, "t1")
            async with aiomqtt.Client("127.0.0.1", port, username=user, password=password) as publisher:
                await publisher.publish("events/create", json.dumps({"objectType": "EVENT"}), qos=1)
                await until(lambda: committed(parts, "e1"))
            assert ven.standing.polls >= polls
        await until(lambda: ven.standing.mqtt)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (
            {"MQTT": {"URIS": ["mqtts://b.example"], "authentication": {"method": "ANONYMOUS"}}},
            Broker("b.example", 8883, True),
        ),
        (
            {
                "MQTT": {
                    "URIS": [7, "http://x", "mqtt://b.example:1999"],
                    "authentication": {"method": "OAUTH2_BEARER_TOKEN", "username": "anyone"},
                }
            },
            Broker("b.example", 1999, False, "anyone"),
        ),
        ({"MQTT": {"URIS": ["mqtt://b"], "authentication": {"method": "CERTIFICATE"}}}, "CERTIFICATE"),
        ({"MQTT": {"URIS": "mqtt://b", "authentication": {"method": "ANONYMOUS"}}}, "names no broker"),
        ({"WEBHOOK": True}, "no MQTT broker"),
        (None, "no MQTT broker"),
    ],
)
def test_brokers_as_vtns_name_them(told: Any, found: Broker | str) -> None:
    if isinstance(found, Broker):
        assert broker_of(told, "me") == found
    else:
        with pytest.raises(NoBroker, match=found):
            broker_of(told, "me")


@given(
    st.one_of(
        st.binary(max_size=200), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)
    )
)
def test_whatever_a_notification_says_it_is_read_or_taken_for_news(raw: bytes | str) -> None:
    assert notice_of(raw).is_news or isinstance(json.loads(raw), dict | str)


@pytest.mark.parametrize(("told", "most_s"), [(True, 1.0), (False, 61.0)], ids=["push", "poll"])
def test_from_the_event_to_the_committed_request_and_to_its_start(told: bool, most_s: float) -> None:
    """<= 1 s by push, <= the poll interval and 1 s by polling; a known start is kept within 1 s. On virtual time."""

    async def tell(h: House) -> None:
        vtn = Vtn()
        ven = h.ven(vtn)
        await h.until(2.5)
        for n in range(5):
            made_at, name = h.clock.now(), f"e{n}"
            vtn.shed(name, 5, start=NOW)
            if told:
                ven.told(notice_of(b'{"objectType": "EVENT", "operation": "CREATE"}'))
            await asyncio.sleep(most_s)
            (received,) = [x for x in h.disk.log if isinstance(x, f.RequestReceived) and x.request_id == name]
            assert 0 <= (received.at - made_at).total_seconds() <= most_s
            await asyncio.sleep(61 + 13 * n)
        vtn.shed("later", 5, start=at(30.3))
        await h.until(31)
        (moved,) = [
            x
            for x in h.disk.log
            if isinstance(x, f.RequestMoved) and x.request_key == "vtn:utility:later" and x.state == "active"
        ]
        assert 0 <= (moved.at - START).total_seconds() - 30.3 * 60 <= 1

    story(tell)


def test_notifications_that_are_no_news() -> None:
    assert not notice_of(b'{"objectType": "REPORT", "operation": "CREATE"}').is_news
    assert not notice_of(json.dumps(json.dumps({"object_type": "EVENT", "operation": "GET"}))).is_news
    assert notice_of(json.dumps(json.dumps({"object_type": "event", "operation": "delete"}))).is_news
