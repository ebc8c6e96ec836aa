"""TLS as it is really offered: handshakes, client certificates, certificates that end (A8, A19, F20)."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from emw.app import tls
from emw.app.config import Config, ConfigError
from emw.app.renewal import watch_certificates
from emw.app.server import PlaneServer, server_for
from emw.app.serving import refuse_plain
from tests.acceptance.driver import Server
from tests.doors.house import house

RSA = trustme.KeyType.RSA
FORWARD = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"]
BACKWARD = ["AES128-GCM-SHA256", "AES256-GCM-SHA384"]
WEAK = ["ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES256-SHA", "AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"]


class Papers:
    """An authority of this test's own, and what it certifies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA(key_type=RSA)
        self.ca = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.certificate, self.key = self.issue("localhost")

    def issue(self, *names: str, authority: trustme.CA | None = None, **more: Any) -> tuple[str, str]:
        cert = (authority or self.authority).issue_cert(*names, key_type=RSA, **more)
        number = len(list(self.folder.iterdir()))
        certificate, key = str(self.folder / f"c{number}.pem"), str(self.folder / f"k{number}.pem")
        cert.cert_chain_pems[0].write_to_path(certificate)
        cert.private_key_pem.write_to_path(key)
        return certificate, key

    def client(self, papers: tuple[str, str] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if papers is not None:
            context.load_cert_chain(*papers)
        return context


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def served(app: Any, papers: Papers, **more: Any) -> AsyncGenerator[int, None]:
    async with serving(server_for(app, certificate=papers.certificate, key=papers.key, **more)) as port:
        yield port


@asynccontextmanager
async def serving(server: PlaneServer) -> AsyncGenerator[int, None]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await server.serving.wait()
        yield sock.getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task
        sock.close()


def shakes(port: int, context: ssl.SSLContext) -> str | None:
    """The suite that a handshake came to; None: it was refused."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 60) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as wrapped,
        ):
            suite = wrapped.cipher()
            return None if suite is None else suite[0]
    except (ssl.SSLError, ConnectionError):
        return None


def at_most_12(papers: Papers, suite: str) -> ssl.SSLContext:
    context = papers.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    return context


def old(papers: Papers, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = papers.client()
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context.minimum_version, context.maximum_version = version, version
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


async def test_A19_only_forward_secrecy_and_authenticated_ciphers_get_in(papers: Papers) -> None:
    async with served(nothing, papers) as port:
        assert (await asyncio.to_thread(shakes, port, papers.client()) or "").startswith("TLS_")
        for suite in FORWARD:
            assert await asyncio.to_thread(shakes, port, at_most_12(papers, suite)) == suite
        for suite in (*WEAK, *BACKWARD):
            assert await asyncio.to_thread(shakes, port, at_most_12(papers, suite)) is None, suite
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            assert await asyncio.to_thread(shakes, port, old(papers, version)) is None, version


async def test_A19_suites_without_forward_secrecy_only_by_a_named_setting(papers: Papers) -> None:
    async with served(nothing, papers, old_suites=True) as port:
        for suite in (*FORWARD, *BACKWARD):
            assert await asyncio.to_thread(shakes, port, at_most_12(papers, suite)) == suite
        for suite in WEAK:
            assert await asyncio.to_thread(shakes, port, at_most_12(papers, suite)) is None, suite


def test_A19_both_planes_of_a_real_server_and_no_plain_words_on_them(papers: Papers, tmp_path: Path) -> None:
    server = Server(
        tmp_path / "s",
        EMW_STATIONS_TLS_CERTIFICATE=papers.certificate,
        EMW_STATIONS_TLS_KEY=papers.key,
        EMW_OPERATOR_TLS_CERTIFICATE=papers.certificate,
        EMW_OPERATOR_TLS_KEY=papers.key,
    )
    server.start()
    try:
        for port, path in ((server.port, "/iso/requests"), (server.operator_port, "/healthz")):
            assert shakes(port, papers.client())
            for suite in (*WEAK, *BACKWARD):
                assert shakes(port, at_most_12(papers, suite)) is None, suite
            with socket.create_connection(("127.0.0.1", port), 60) as sock:
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert b"HTTP/" not in sock.recv(1000)
        url = f"https://localhost:{server.operator_port}/healthz"
        with urllib.request.urlopen(url, context=papers.client(), timeout=60) as told:
            assert told.status == 200
    finally:
        assert server.stop() == 0


def test_A19_plain_http_beyond_loopback_is_refused_or_complained_about() -> None:
    for plane in ("stations", "operator"):
        config = Config()
        getattr(config, plane).listen = "192.0.2.1:9"
        with pytest.raises(ConfigError, match=f"{plane}.listen: 192.0.2.1 is open to the network"):
            refuse_plain(config)
        getattr(config, plane).plain_http_beyond_loopback = True
        with capture_logs() as said:
            refuse_plain(config)
        assert [s["event"] for s in said] == ["server.plain_http"]


def doctor(tmp_path: Path, **environment: str) -> list[tuple[str, str]]:
    told = subprocess.run(
        [sys.executable, "-m", "emw", "doctor", "--json", "--data-dir", str(tmp_path / "d")],
        env={"PATH": "/usr/bin:/bin", "EMW_STATIONS_LISTEN": "127.0.0.1:0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [(f["level"], f["what"]) for f in json.loads(told.stdout)["findings"]]


def test_A19_F20_doctor_complains_of_plain_http_old_suites_and_certificates_that_end(
    papers: Papers, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    soon, _ = papers.issue("soon", not_after=now + timedelta(days=20))
    gone, _ = papers.issue("gone", not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    found = doctor(
        tmp_path,
        EMW_STATIONS_PLAIN_HTTP_BEYOND_LOOPBACK="true",
        EMW_STATIONS_TLS_WITHOUT_FORWARD_SECRECY="true",
        EMW_OPERATOR_PLAIN_HTTP_BEYOND_LOOPBACK="true",
        EMW_STATIONS_TLS_CERTIFICATE=soon,
        EMW_OPERATOR_TLS_CERTIFICATE=gone,
        EMW_OCPP_CLIENT_CA=papers.ca,
    )
    said = {(level, what.split(":")[0]) for level, what in found}
    assert {
        ("warning", "stations.plain_http_beyond_loopback"),
        ("warning", "operator.plain_http_beyond_loopback"),
        ("warning", "stations.tls_without_forward_secrecy"),
        ("warning", "stations.tls_certificate"),
        ("error", "operator.tls_certificate"),
    } <= said
    assert all("client_ca" not in what for _, what in found), "what holds for years needs no word"


def test_F20_what_is_no_certificate_is_named_before_the_start(tmp_path: Path) -> None:
    config = Config()
    config.operator.tls_certificate = str(tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"operator.tls_certificate: .*none.pem: No such file"):
        tls.ends_of(config)
    (tmp_path / "none.pem").write_text("hello")
    with pytest.raises(ConfigError, match="is no certificate in PEM form"):
        tls.ends_of(config)


def test_F20_the_start_says_which_certificate_ends_soon() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    ends = {"a": now + timedelta(days=31), "b": now + timedelta(days=29), "c": now}
    with capture_logs() as said:
        tls.warn(ends, now)
    assert [(s["log_level"], s["what"][:2]) for s in said] == [("warning", "b:"), ("error", "c:")]


def subject(port: int, papers: Papers) -> str:
    """The name in the certificate that a server shows to who connects now."""
    with (
        socket.create_connection(("127.0.0.1", port), 60) as sock,
        papers.client().wrap_socket(sock, server_hostname="localhost") as wrapped,
    ):
        shown: Any = wrapped.getpeercert()
    return str(shown["subjectAltName"][-1][1])


async def test_F20_a_renewed_certificate_is_shown_without_a_restart(papers: Papers) -> None:
    server = server_for(nothing, certificate=papers.certificate, key=papers.key)
    heard = asyncio.Event()
    async with serving(server) as port:
        watching = asyncio.create_task(watch_certificates([server], heard.set, look_s=0.01))
        assert await asyncio.to_thread(subject, port, papers) == "localhost"
        new, new_key = papers.issue("localhost", "renewed.example")
        with capture_logs() as said:
            shutil.copyfile(new, papers.certificate)
            async with asyncio.timeout(60):
                while not said:  # noqa: ASYNC110 - it looks when it looks
                    await asyncio.sleep(0.01)
            assert await asyncio.to_thread(subject, port, papers) == "localhost", "its key is not there yet"
            assert said[0]["event"] == "server.certificate_not_renewed"
            assert not heard.is_set()
            shutil.copyfile(new_key, papers.key)
            await asyncio.wait_for(heard.wait(), 60)
        assert await asyncio.to_thread(subject, port, papers) == "renewed.example"
        watching.cancel()


def asks(port: int, context: ssl.SSLContext, token: str) -> int:
    """The status that an ISO's hello gets; 0: no handshake."""
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    try:
        connection.request("POST", "/iso/connected", b"{}", headers)
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError):
        return 0
    finally:
        connection.close()


async def test_A8_an_iso_with_a_certificate_needs_it_beside_its_token(papers: Papers) -> None:
    another = trustme.CA(key_type=RSA)
    shown = {
        "none": None,
        "its own": papers.issue("grid.example.org"),
        "its own, by subject": papers.issue("x.example.org", common_name="grid.example.org"),
        "another's": papers.issue("other.example.org"),
        "of another authority": papers.issue("grid.example.org", authority=another),
    }
    async with house() as emw, served(emw.plane, papers, client_ca=papers.ca) as port:
        bound = await emw.headend.admin.add_iso("t", "grid", ("East",), certificate="grid.example.org")
        free = await emw.headend.admin.add_iso("t", "free", ("East",))
        got = {
            what: await asyncio.to_thread(asks, port, papers.client(cert), bound)
            for what, cert in shown.items()
        }
        assert got == {
            "none": 401,
            "its own": 200,
            "its own, by subject": 200,
            "another's": 401,
            "of another authority": 0,  # no handshake
        }
        assert await asyncio.to_thread(asks, port, papers.client(), free) == 200, "who has none needs none"
        assert await asyncio.to_thread(asks, port, papers.client(shown["its own"]), "iso_guessed") == 401
        renewed = await emw.headend.admin.add_iso("t", "grid", ("East",), renew=True)
        assert await asyncio.to_thread(asks, port, papers.client(), renewed) == 401, (
            "a renewal keeps the binding"
        )
