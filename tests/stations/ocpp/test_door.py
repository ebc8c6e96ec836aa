"""Who is let in, as whom, and what becomes of two who say they are the same."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.stations.ocpp.house import house, until
from tests.stations.ocpp.plain import boot, plain

HEARTBEAT = json.dumps([2, "1", "Heartbeat", {}])


async def alive(socket: Any) -> bool:
    """Whether emw answers on this socket."""
    try:
        async with asyncio.timeout(60):
            await socket.send(HEARTBEAT)
            while json.loads(await socket.recv())[0] != 3:
                pass
    except (ConnectionClosed, TimeoutError):
        return False
    return True


@pytest.mark.parametrize("path", ["/ocpp/", "/", "/any/thing/before/"])
@pytest.mark.parametrize("after", ["", "/", "?token=1"])
async def test_any_path_before_the_id_and_a_slash_after_it(path: str, after: str, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP 1")
        socket = await h.socket("CP%201" + after, secret, path=path, user="CP 1")
        assert socket.subprotocol == "ocpp1.6"
        assert await alive(socket)
        await socket.close()


async def test_the_highest_subprotocol_and_none_in_common(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        socket = await h.socket("CP1", secret, "ocpp1.6", "ocpp2.0.1", "ocpp2.1")
        assert socket.subprotocol == "ocpp2.1"
        await socket.close()
        socket = await h.socket("CP1", secret, "ocpp2.0", "chat")
        assert socket.subprotocol is None
        await socket.wait_closed()
        assert socket.close_code == 1002


@pytest.mark.parametrize(
    "options",
    [["Upgrade"], ["keep-alive, Upgrade"], ["upgrade,Keep-Alive"], ["keep-alive", "Upgrade"]],
    ids=", then ".join,
)
async def test_an_upgrade_among_other_options_of_the_connection(options: list[str], tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        basic = base64.b64encode(f"CP1:{secret}".encode()).decode()
        lines = [
            "GET /ocpp/CP1 HTTP/1.1",
            f"Host: 127.0.0.1:{h.port}",
            *(f"Connection: {option}" for option in options),
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
            "Sec-WebSocket-Protocol: ocpp1.6",
            f"Authorization: Basic {basic}",
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", h.port)
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(60):
            assert await reader.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        writer.close()


@pytest.mark.parametrize(
    "header", [{}, {"Upgrade": "websocket"}, {"Upgrade": "h2c", "Connection": "Upgrade"}]
)
async def test_who_asks_for_no_websocket_is_told_what_is_wanted(
    header: dict[str, str], tmp_path: Path
) -> None:
    """Mostly it is a proxy that passes no upgrade on."""
    async with house(tmp_path) as h, aiohttp.ClientSession() as http:
        for name in ("CP1", "", "any/CP1"):
            async with http.get(f"http://127.0.0.1:{h.port}/ocpp/{name}", headers=header) as told:
                assert told.status == 426
                assert (told.headers["Upgrade"], told.headers["Connection"]) == ("websocket", "upgrade")
                assert "proxy" in (await told.json(content_type=None))["detail"]
        async with http.post(f"http://127.0.0.1:{h.port}/ocpp/CP1") as told:
            assert (told.status, told.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("offers", [("ocpp2.1", "ocpp1.6"), ("ocpp1.6", "OCPP2.0.1"), ("ocpp1.6J",)])
async def test_a_version_that_is_not_spoken_here_is_as_if_not_offered(
    offers: tuple[str, ...], tmp_path: Path
) -> None:
    async with house(tmp_path, versions=["ocpp1.6"]) as h:
        secret = await h.enrol("CP1")
        socket = await h.socket("CP1", secret, *offers)
        assert socket.subprotocol in {"ocpp1.6", "ocpp1.6J"}
        assert await alive(socket)
        await socket.close()


@pytest.mark.parametrize("header", [None, "", " "])
@pytest.mark.parametrize("speaks", [None, "ocpp1.6", "ocpp2.0.1"])
async def test_who_names_no_version_is_let_in_only_where_a_setting_says_what_it_speaks(
    header: str | None, speaks: str | None, tmp_path: Path
) -> None:
    async with house(tmp_path, no_subprotocol=speaks or "close") as h:
        secret = await h.enrol("CP1")
        basic = base64.b64encode(f"CP1:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        if header is not None:
            headers["Sec-WebSocket-Protocol"] = header
        socket = await connect(
            f"ws://127.0.0.1:{h.port}/ocpp/CP1", additional_headers=headers, compression=None
        )
        assert socket.subprotocol is None
        if speaks is None:
            await socket.wait_closed()
            assert (socket.close_code, socket.close_reason) == (
                1002,
                "offer one of ocpp1.6, ocpp2.0.1, ocpp2.1",
            )
        else:
            seen = h.hub.connected("CP1")
            assert seen is not None
            assert seen.version == speaks
            assert await alive(socket)
            await socket.close()


async def test_who_names_versions_that_nobody_speaks_is_closed_whatever_the_setting(tmp_path: Path) -> None:
    async with house(tmp_path, no_subprotocol="ocpp1.6") as h:
        secret = await h.enrol("CP1")
        socket = await h.socket("CP1", secret, "ocpp1.5", "ocpp2.0")
        await socket.wait_closed()
        assert socket.close_code == 1002


@pytest.mark.parametrize(
    ("who", "user", "secret", "status"),
    [
        ("CP9", None, "any", 404),
        ("CP1", None, "wrong", 401),
        ("CP1", None, None, 401),
        ("CP1", "CP2", "own", 401),
        ("CP2", "CP1", "other", 401),
    ],
)
async def test_P6_who_is_not_let_in(
    who: str, user: str | None, secret: str | None, status: int, tmp_path: Path
) -> None:
    async with house(tmp_path) as h:
        own, other = await h.enrol("CP1"), await h.enrol("CP2")
        said = {"own": own, "other": other}.get(secret or "", secret)
        with pytest.raises(InvalidStatus) as refused:
            await h.socket(who, said, user=user)
        assert refused.value.response.status_code == status
        # REST is still served by the same port.
        assert (await h.iso("POST", "/iso/connected", {}))["territories"] == ["East"]


@pytest.mark.parametrize("how", ["as text", "as bytes", "other bytes"])
async def test_P6_a_key_in_hexadecimal_digits_may_come_as_its_bytes(how: str, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        key = await h.headend.admin.add_station("test", "CP1", in_hex=True)
        assert re.fullmatch("[0-9a-f]{40}", key)
        shown = {"as text": key.encode(), "as bytes": bytes.fromhex(key), "other bytes": bytes(20)}[how]
        headers = {"Authorization": "Basic " + base64.b64encode(b"CP1:" + shown).decode()}
        spoken: Any = ["ocpp1.6"]
        url = f"ws://127.0.0.1:{h.port}/ocpp/CP1"
        if how == "other bytes":
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, additional_headers=headers, subprotocols=spoken, compression=None)
            assert refused.value.response.status_code == 401
            return
        socket = await connect(url, additional_headers=headers, subprotocols=spoken, compression=None)
        assert await alive(socket)
        await socket.close()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (b"CP1:\x00\x8f\x01", "--hex-secret"),
        (b"CP01:secret", "its user is 'CP01'"),
        (b"CP1:guess", "another than was issued"),
        (b"guess", "no user and password"),
    ],
)
async def test_the_log_says_who_was_turned_away_and_what_is_wrong(
    how: bytes, why: str, tmp_path: Path
) -> None:
    async with house(tmp_path) as h:
        await h.enrol("CP1")
        headers = {"Authorization": "Basic " + base64.b64encode(how).decode()}
        with capture_logs() as said, pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{h.port}/ocpp/CP1", additional_headers=headers, compression=None)
        assert why not in str(refused.value.response.body), "who knocks learns no more than before"
        (line,) = [x for x in said if x["event"] == "ocpp.turned_away"]
        assert (line["station_id"], line["status"]) == ("CP1", 401)
        assert why in line["why"]
        assert "guess" not in str(line), "what was shown may be a secret for elsewhere"


async def test_guesses_are_slowed_down_and_the_right_secret_still_passes(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        seen = set()
        for _ in range(14):
            with pytest.raises(InvalidStatus) as refused:
                await h.socket("CP1", "guess")
            seen.add(refused.value.response.status_code)
        assert seen == {401, 429}
        socket = await h.socket("CP1", secret)
        assert await alive(socket)
        await socket.close()


async def test_a_revoked_station_is_not_let_in(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        await h.headend.admin.revoke_station("test", "CP1")
        with pytest.raises(InvalidStatus) as refused:
            await h.socket("CP1", secret)
        assert refused.value.response.status_code == 401


async def test_F20_who_is_revoked_while_connected_is_cut_off(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            await boot(it)
            await h.headend.admin.revoke_station("test", "CP1")
            await asyncio.wait_for(it.socket.wait_closed(), 60)


async def test_basic_over_plain_ws_can_be_refused(tmp_path: Path) -> None:
    async with house(tmp_path, security_profiles=(2, 3)) as h:
        secret = await h.enrol("CP1")
        with pytest.raises(InvalidStatus) as refused:
            await h.socket("CP1", secret)
        assert refused.value.response.status_code == 403


async def test_A4_a_second_proven_connection_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        first = await h.socket("CP1", secret)
        assert await alive(first)
        second = await h.socket("CP1", secret)
        assert await alive(second)
        assert not await alive(first)
        assert h.hub.count == 1
        await second.close()
        await until(lambda: h.hub.count == 0)


async def test_A4_without_proof_the_first_stays_as_long_as_it_answers_a_ping(tmp_path: Path) -> None:
    async with house(tmp_path, security_profiles=(0, 1)) as h:
        await h.enrol("CP1")
        first = await h.socket("CP1", None)
        assert await alive(first)
        second = await h.socket("CP1", None)
        assert not await alive(second)
        assert await alive(first)
        await first.close()


async def test_without_proof_a_dead_first_gives_way(tmp_path: Path) -> None:
    async with house(tmp_path, ping_deadline_s=0.5, security_profiles=(0, 1)) as h:
        await h.enrol("CP1")
        first = await h.socket("CP1", None)
        assert await alive(first)
        first.transport.pause_reading()  # a peer behind a broken line: it hears nothing, and says nothing
        second = await h.socket("CP1", None)
        assert await alive(second)
        await second.close()
        first.transport.abort()


async def test_unknown_stations_wait_or_are_enrolled_where_a_setting_says_so(tmp_path: Path) -> None:
    async with house(tmp_path / "a", unknown_stations="pending") as h, plain(h, "NEW", "pw") as it:
        said = {"chargePointModel": "M", "chargePointVendor": "V"}
        assert (await it.call("BootNotification", said))["status"] == "Pending"
        assert "NEW" not in h.headend.state.stations
    async with house(tmp_path / "b", unknown_stations="accept") as h:
        async with plain(h, "NEW", "its-own-secret") as it:
            assert (await boot(it))["status"] == "Accepted"
            assert "NEW:1" in h.headend.state.evses
        async with plain(h, "NEW", "its-own-secret") as it:
            assert (await boot(it))["status"] == "Accepted"
        with pytest.raises(InvalidStatus):
            await h.socket("NEW", "another")


async def test_a_station_without_a_territory_is_told_to_wait(tmp_path: Path) -> None:
    async with house(tmp_path, territory=None) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret) as it:
            said = {"chargePointModel": "M", "chargePointVendor": "V"}
            assert (await it.call("BootNotification", said))["status"] == "Pending"


async def test_too_many_connections_at_once_are_told_to_come_back(tmp_path: Path) -> None:
    async with house(tmp_path, connects_per_second=1.0) as h:
        secret = await h.enrol("CP1")

        async def status() -> int:
            try:
                await (await h.socket("CP1", secret)).close()
            except InvalidStatus as refused:
                return refused.response.status_code
            return 101

        assert set(await asyncio.gather(*(status() for _ in range(20)))) == {101, 503}


async def test_all_that_boot_at_once_are_told_intervals_of_their_own(tmp_path: Path) -> None:
    async with house(tmp_path, heartbeat_seconds=300) as h:
        told = []
        for n in range(12):
            secret = await h.enrol(f"CP{n}")
            async with plain(h, f"CP{n}", secret) as it:
                told.append((await boot(it))["interval"])
        assert all(270 <= interval <= 300 for interval in told)
        assert len(set(told)) > 3


async def test_silent_connections_are_pinged_and_dead_ones_closed(tmp_path: Path) -> None:
    async with house(tmp_path, ping_seconds=1.0) as h:
        secret = await h.enrol("CP1")
        socket = await h.socket("CP1", secret)
        connection = h.hub.connected("CP1")
        assert connection is not None
        await until(lambda: connection.ponged_s > connection.pinged_s > 0)
        connection.heard_s -= 10_000
        await asyncio.wait_for(socket.wait_closed(), 60)
