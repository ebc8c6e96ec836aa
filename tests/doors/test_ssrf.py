"""URLs that would make emw call what it should not (A6): a table of disguises, names that lie, redirects, proxies.

The allowed network is 127.0.0.5; canaries sit on other loopback addresses and must never be knocked.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from emw.outgoing import CallFailed, CallTimedOut, Guard, Outgoing, OutgoingRules, Reply, UrlRefused
from tests.doors.canary import Canary, answer, canary
from tests.doors.house import House, house

ALLOWED = "127.0.0.5"

DISGUISES = [
    "http://127.0.0.1:{port}",
    "http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}",
    "http://127.0.0.4:{port}",
    "http://127.0.0.6:{port}",
    "http://2130706433:{port}",
    "http://0x7f000001:{port}",
    "http://0x7f.0.0.1:{port}",
    "http://0x7f.1:{port}",
    "http://0177.0.0.1:{port}",
    "http://0177.1:{port}",
    "http://017700000001:{port}",
    "http://127.1:{port}",
    "http://127.0.1:{port}",
    "http://127.000.000.001:{port}",
    "http://127.0.0.1.:{port}",
    "http://127.0.0.5.:{port}",
    "http://0:{port}",
    "http://0.0.0.0:{port}",
    "http://[::1]:{port}",
    "http://[::]:{port}",
    "http://[0:0:0:0:0:0:0:1]:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "http://[::ffff:7f00:1]:{port}",
    "http://[::ffff:127.0.0.5]:{port}",
    "http://[::127.0.0.1]:{port}",
    "http://[::127.0.0.5]:{port}",
    "http://[2002:7f00:1::]:{port}",
    "http://[2002:7f00:5::1]:{port}",
    "http://[64:ff9b::127.0.0.1]:{port}",
    "http://[64:ff9b::7f00:5]:{port}",
    "http://[64:ff9b:1::7f00:1]:{port}",
    "http://[2001:0:7f00:1::]:{port}",
    "http://[fe80::1%25lo]:{port}",
    "http://[fe80::1%lo]:{port}",
    "http://[::1%25lo]:{port}",
    "http://user@127.0.0.1:{port}",
    "http://127.0.0.5@127.0.0.1:{port}",
    "http://127.0.0.5:80@127.0.0.1:{port}/",
    "http://user:secret@127.0.0.5:{port}",
    "http://@127.0.0.5:{port}",
    "http://127.0.0.5%40127.0.0.1:{port}",
    "http://127.0.0.5\\@127.0.0.1:{port}",
    "http://127.0.0.1\\.127.0.0.5:{port}",
    "http:\\\\127.0.0.1:{port}",
    "http://127.0.0.1:{port}#@127.0.0.5",
    "http://127.0.0.5#@127.0.0.1:{port}",
    "http://127.0.0.5?@127.0.0.1:{port}",
    "http://127.0.0.5/?u=http://127.0.0.1:{port}",
    "http://127.0.0.5 @127.0.0.1:{port}",
    "http://127.0.0.1%00.127.0.0.5:{port}",
    "http://127.0.0.%31:{port}",
    "http://%31%32%37.0.0.1:{port}",
    "http://127.0.0.1\r\nHost: x:{port}",
    "http://127.0.0.5:{port}/\r\nX-Odd: 1",
    "http://127.0.0.5:{port}/\tx",
    "http://127.0.0.1\x00:{port}",
    " http://127.0.0.1:{port}",
    "http://127.0.0.1:{port} ",
    "http://\uff11\uff12\uff17.0.0.1:{port}",
    "http://127\u30020\u30020\u30021:{port}",
    "http://127\uff0e0.0.1:{port}",
    "http://\u2460\u2461\u2466.0.0.1:{port}",
    "http://l\u00f6calhost:{port}",
    "http://loc\u0430lhost:{port}",
    "http://127.0.0.1:{port}\u200b",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}",
    "gopher://127.0.0.1:{port}/_x",
    "dict://127.0.0.1:{port}",
    "ws://127.0.0.1:{port}",
    "unix:///var/run/x",
    "data:application/json,{{}}",
    "javascript:alert(1)",
    "jar:http://127.0.0.1:{port}!/",
    "//127.0.0.1:{port}",
    "127.0.0.1:{port}",
    "http:127.0.0.1:{port}",
    "http:/127.0.0.1:{port}",
    "http:///127.0.0.1:{port}",
    "http://",
    "http://:{port}",
    "http://.:{port}",
    "http://-:{port}",
    "http://[]:{port}",
    "http://[127.0.0.1]:{port}",
    "http://[::1:{port}",
    "http://127.0.0.1:{port}:80",
    "http://127.0.0.5:0",
    "http://127.0.0.5:22",
    "http://127.0.0.5:1023",
    "http://127.0.0.5:65536",
    "http://127.0.0.5:99999999999",
    "http://127.0.0.5:-1",
    "http://127.0.0.5:+80",
    "http://127.0.0.5: 80",
    "http://127.0.0.5:port",
    "http://127.0.0.5:{port}/?",
    "http://127.0.0.5:{port}/" + "x" * 1_024,
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]/latest",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://10.0.0.1:{port}",
    "http://192.168.0.1:{port}",
    "http://172.16.0.1:{port}",
    "http://224.0.0.1:{port}",
    "http://255.255.255.255:{port}",
    "http://[ff02::1]:{port}",
    "http://8.8.8.8:{port}",
    "",
    "   ",
    "null",
]  # fmt: skip


@pytest.fixture
async def birds() -> AsyncGenerator[list[Canary], None]:
    """Canaries on one port of several loopback addresses; the last one sits where calls are allowed."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(canary("127.0.0.1"))
        found = [first]
        for host in ("127.0.0.4", "127.0.0.6", "::1", ALLOWED):
            with contextlib.suppress(OSError):
                found.append(await stack.enter_async_context(canary(host, first.port)))
        assert found[-1].host == ALLOWED
        yield found


@pytest.fixture
async def outgoing() -> AsyncGenerator[Outgoing, None]:
    rules = OutgoingRules.of([f"{ALLOWED}/32"], [(80, 80), (1024, 65_535)])
    async with Outgoing(rules, deadline_s=0.5) as opened:
        yield opened


def unharmed(birds: list[Canary]) -> bool:
    return not any(bird.knocks for bird in birds[:-1])


async def post(outgoing: Outgoing, url: str) -> Reply:
    return await outgoing.post(url, "/control/setMaxAmps", b"{}", token="ct_secret")


async def test_A6_no_disguise_reaches_a_canary(outgoing: Outgoing, birds: list[Canary]) -> None:
    taken = []
    for url in DISGUISES:
        try:
            await post(outgoing, url.format(port=birds[0].port))
            taken.append(url)
        except UrlRefused:
            continue
        except CallFailed as error:
            taken.append(f"{url}: {error!r}")
    assert not taken, "\n".join(taken)
    assert unharmed(birds)
    assert birds[-1].knocks == 0, "and none of them is taken for the allowed one"


async def test_A6_the_allowed_url_is_called(outgoing: Outgoing, birds: list[Canary]) -> None:
    """Without this the other tests would pass on a client that never calls anybody."""
    for tail in ("", "/", "/base", "/base/"):
        reply = await post(outgoing, birds[-1].url + tail)
        assert (reply.status, reply.body) == (200, b'{"maxAmps": 10}')
    assert birds[-1].knocks == 1, "connections are kept"
    assert [h.split(b" ")[1] for h in birds[-1].heard] == [
        b"/control/setMaxAmps", b"/control/setMaxAmps", b"/base/control/setMaxAmps", b"/base/control/setMaxAmps"
    ]  # fmt: skip
    assert b"authorization: bearer ct_secret" in birds[-1].heard[0].lower()
    assert unharmed(birds)


async def test_A6_P9_power_on_refuses_every_disguise_by_name(birds: list[Canary]) -> None:
    async with house(networks=[f"{ALLOWED}/32"]) as emw:
        secret = await emw.enrol("S1")
        iso = await emw.iso("grid", "East")
        await emw.settled()
        before = emw.snapshot()
        for form in DISGUISES:
            url = form.format(port=birds[0].port)
            told = await emw.post("/evse/powerOn", emw.power_on_body("S1", accessURL=url), secret)
            assert (told.status, told.field) == (400, "accessURL"), (url, told.raw)
            told = await emw.post("/iso/connected", {"accessURL": url}, iso)
            assert (told.status, told.field) == (400, "accessURL"), (url, told.raw)
        assert emw.snapshot() == before
        assert unharmed(birds)
        assert birds[-1].knocks == 0


async def test_A6_without_networks_nobody_is_called(emw: House, birds: list[Canary]) -> None:
    """The default: stations hear of limits in the answers to what they send."""
    secret = await emw.enrol("S1")
    for url in (birds[-1].url, "http://station.example:8080", "http://8.8.8.8", "https://[2606:4700::1111]"):
        told = await emw.post("/evse/powerOn", emw.power_on_body("S1", accessURL=url), secret)
        assert (told.status, told.field) == (400, "accessURL")
        assert "configured" in told.body["detail"]
    told = await emw.post("/evse/powerOn", emw.power_on_body("S1"), secret)
    assert told.status == 200
    assert not any(bird.knocks for bird in birds)


async def test_A6_a_url_that_was_allowed_is_checked_again_at_every_call(birds: list[Canary]) -> None:
    """A station powered on under an older configuration: its URL stands in the store, and is not called."""
    async with house() as emw:
        from dataclasses import replace

        await emw.plug_in("S1")
        await emw.iso("grid", "East")
        await emw.heartbeat("S1")
        state = emw.headend.state
        state.stations["S1"] = replace(state.stations["S1"], access_url=birds[-1].url)
        await emw.decrease("grid", "R1", 3)
        await emw.until(lambda: "S1" in state.limits and str(state.limits["S1"].outcome) == "offline")
        limit = state.limits["S1"]
        assert "URL" in (limit.reason or "")
        assert not any(bird.knocks for bird in birds)


# --- names


class Names:
    """A resolver of our own: each name's answers, one after the other (the last one stays)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._real = loop.getaddrinfo

    async def getaddrinfo(self, host: str, port: int, **more: Any) -> list[Any]:
        if host[0].isdigit() or ":" in host:
            found: list[Any] = await self._real(host, port, **more)
            return found
        self.asked.append(host)
        waiting = self.answers.get(host.rstrip(".").lower())
        if not waiting:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        addresses = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return [
            (
                socket.AF_INET6 if ":" in a else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (a, port, 0, 0) if ":" in a else (a, port),
            )
            for a in addresses
        ]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    loop = asyncio.get_running_loop()
    made = Names(loop)
    monkeypatch.setattr(loop, "getaddrinfo", made.getaddrinfo)
    return made


LIARS: dict[str, list[str]] = {
    "bad": ["127.0.0.1"],
    "good and bad": [ALLOWED, "127.0.0.1"],
    "bad and good": ["127.0.0.1", ALLOWED],
    "many good and one bad": [ALLOWED] * 8 + ["127.0.0.4"],
    "another family": ["::1"],
    "mapped": ["::ffff:127.0.0.1"],
    "the good one mapped": ["::ffff:127.0.0.5"],
    "6to4": ["2002:7f00:5::"],
    "NAT64": ["64:ff9b::7f00:5"],
    "metadata": ["169.254.169.254"],
    "nowhere": ["0.0.0.0"],
    "everywhere": ["255.255.255.255"],
    "many": ["224.0.0.1"],
}


@pytest.mark.parametrize("addresses", LIARS.values(), ids=LIARS.keys())
async def test_A6_a_name_with_one_bad_address_is_not_called(
    outgoing: Outgoing, birds: list[Canary], names: Names, addresses: list[str]
) -> None:
    names.answers["station.example"] = [addresses]
    for host in ("station.example", "STATION.example", "station.example."):
        with pytest.raises(UrlRefused):
            await post(outgoing, f"http://{host}:{birds[0].port}")
    assert unharmed(birds)
    assert birds[-1].knocks == 0
    assert names.asked


async def test_A6_a_name_that_leads_where_it_may_is_called(
    outgoing: Outgoing, birds: list[Canary], names: Names
) -> None:
    names.answers["station.example"] = [[ALLOWED]]
    assert (await post(outgoing, f"http://station.example:{birds[0].port}")).status == 200
    assert b"Host: station.example" in birds[-1].heard[0]
    assert len(names.asked) == 1, "looked up once: what was checked is what is connected to"


async def test_A6_a_name_that_changes_its_mind_is_not_followed(
    outgoing: Outgoing, birds: list[Canary], names: Names
) -> None:
    async def once(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"{}", "200 OK", "Connection: close"))
        await writer.drain()
        writer.close()

    birds[-1].behave = once
    names.answers["station.example"] = [[ALLOWED], ["127.0.0.1"]]
    url = f"http://station.example:{birds[0].port}"
    assert (await post(outgoing, url)).status == 200
    for _ in range(5):
        with pytest.raises(UrlRefused):
            await post(outgoing, url)
    assert unharmed(birds)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "ip6-localhost", "a.localhost"]
)
async def test_A6_this_machine_by_name_is_not_called(
    outgoing: Outgoing, birds: list[Canary], names: Names, host: str
) -> None:
    names.answers[host.rstrip(".").lower()] = names.answers[host.rstrip(".")] = [["127.0.0.1", "::1"]]
    with pytest.raises(UrlRefused):
        await post(outgoing, f"http://{host}:{birds[0].port}")
    assert unharmed(birds)


async def test_A6_a_name_nobody_knows_is_a_failed_call(outgoing: Outgoing, names: Names) -> None:
    for host in ("nobody.example", "a" * 63 + ".example", ".".join(["a" * 60] * 4)):
        with pytest.raises(CallFailed):
            await post(outgoing, f"http://{host}:8080")


async def test_A6_a_slow_resolver_does_not_hold_a_call(outgoing: Outgoing, names: Names) -> None:
    async def slow(*_: Any, **__: Any) -> list[Any]:
        await asyncio.sleep(30)
        return []

    names.getaddrinfo = slow  # type: ignore[method-assign]
    asyncio.get_running_loop().getaddrinfo = slow  # type: ignore[method-assign]
    with pytest.raises(CallTimedOut):
        await post(outgoing, "http://station.example:8080")


# --- redirects, proxies, cookies


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x", "300 x", "399 x"])
async def test_A6_redirects_are_not_followed(outgoing: Outgoing, birds: list[Canary], status: str) -> None:
    async def elsewhere(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"{}", status, f"Location: {birds[0].url}/"))
        await writer.drain()

    birds[-1].behave = elsewhere
    with pytest.raises(CallFailed, match="redirect"):
        await post(outgoing, birds[-1].url)
    assert unharmed(birds)


async def test_A6_the_environment_names_no_proxy(
    birds: list[Canary], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, birds[0].url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with Outgoing(OutgoingRules.of([f"{ALLOWED}/32"], [(1024, 65_535)]), deadline_s=0.5) as opened:
        assert (await post(opened, birds[-1].url)).status == 200
    assert unharmed(birds)


async def test_A7_nothing_is_carried_from_one_station_to_another(
    outgoing: Outgoing, birds: list[Canary]
) -> None:
    async def cookies(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"{}", "200 OK", "Set-Cookie: a=b; Path=/"))
        await writer.drain()

    birds[-1].behave = cookies
    await post(outgoing, birds[-1].url)
    await outgoing.post(birds[-1].url, "/reductionReport", b"{}")
    assert b"cookie" not in birds[-1].heard[1].lower()
    assert b"authorization" not in birds[-1].heard[1].lower()


# --- the networks of the configuration


NETWORKS: list[tuple[list[str], str, bool]] = [
    ([], "127.0.0.1", False),
    (["0.0.0.0/0"], "8.8.8.8", True),
    (["0.0.0.0/0"], "127.0.0.1", False),
    (["0.0.0.0/0"], "10.1.2.3", False),
    (["0.0.0.0/0"], "169.254.169.254", False),
    (["0.0.0.0/0"], "0.0.0.0", False),
    (["0.0.0.0/0"], "224.0.0.1", False),
    (["::/0"], "[2606:4700::1111]", True),
    (["::/0"], "[::1]", False),
    (["::/0"], "[fd00::1]", False),
    (["::/0"], "[fe80::1]", False),
    (["::/0"], "[::ffff:8.8.8.8]", False),
    (["::/0"], "8.8.8.8", False),
    (["10.0.0.0/8"], "10.1.2.3", True),
    (["10.0.0.0/8"], "192.168.0.1", False),
    (["127.0.0.0/8"], "127.0.0.1", True),
    (["169.254.0.0/16"], "169.254.1.1", True),
    (["169.254.0.0/16"], "169.254.169.254", False),
    (["fc00::/7"], "[fd00:ec2::254]", False),
    (["100.64.0.0/10"], "100.100.100.200", False),
    (["0.0.0.0/8"], "0.0.0.1", False),
    (["224.0.0.0/4"], "224.0.0.1", False),
    (["8.0.0.0/7"], "10.0.0.1", False),
]


@pytest.mark.parametrize(("networks", "host", "may"), NETWORKS)
def test_A6_a_network_opens_what_it_names_and_nothing_special_beside(
    networks: list[str], host: str, may: bool
) -> None:
    guard = Guard(OutgoingRules.of(networks, [(80, 80)]))
    if may:
        guard.check(f"http://{host}")
    else:
        with pytest.raises(UrlRefused):
            guard.check(f"http://{host}")


def test_A19_plain_http_can_be_switched_off() -> None:
    guard = Guard(OutgoingRules.of(["10.0.0.0/8"], [(80, 80), (443, 443)], plain_http=False))
    guard.check("https://10.0.0.1")
    with pytest.raises(UrlRefused, match="https"):
        guard.check("http://10.0.0.1")
