"""A handshake that fails is told in the log, with what it means, and a flood of them in one line a minute."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from emw.app.handshakes import EACH_S, Refusals
from tests.app.test_tls import Papers, at_most_12, nothing, served, shakes

NOW = datetime.now(UTC)


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


def expired(papers: Papers) -> ssl.SSLContext:
    return papers.client(
        papers.issue("cp1", not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=1))
    )


def of_another_authority(papers: Papers) -> ssl.SSLContext:
    return papers.client(papers.issue("cp1", authority=trustme.CA()))


def without_forward_secrecy(papers: Papers) -> ssl.SSLContext:
    return at_most_12(papers, "AES128-GCM-SHA256")


def that_does_not_trust_us(_: Papers) -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.mark.parametrize(
    ("client", "why"),
    [
        (expired, "certificate has expired"),
        (of_another_authority, "its certificate is not taken"),
        (without_forward_secrecy, "stations.tls_without_forward_secrecy"),
        (that_does_not_trust_us, "does not trust our certificate"),
        (None, "its URL must begin with wss"),
    ],
)
async def test_who_does_not_come_in_by_tls_is_told_in_the_log(
    client: Callable[[Papers], ssl.SSLContext] | None, why: str, papers: Papers
) -> None:
    async with served(nothing, papers, client_ca=papers.ca) as port:
        with capture_logs() as said:
            if client is None:
                await asyncio.to_thread(speaks_plainly, port)
            else:
                await asyncio.to_thread(shakes, port, client(papers))
            async with asyncio.timeout(60):
                while not said:  # noqa: ASYNC110 - the other end may learn of it first
                    await asyncio.sleep(0.01)
        assert [line["event"] for line in said] == ["server.tls_refused"]
        assert why in said[0]["why"]
        assert said[0]["certificate"] == papers.certificate
        assert await asyncio.to_thread(shakes, port, papers.client()), "all others come in as before"


def speaks_plainly(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 60) as sock:
        sock.sendall(b"GET /ocpp/CP1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.recv(1_000)


def test_a_flood_of_failed_handshakes_is_one_line_a_minute() -> None:
    now_s = 100.0
    refusals = Refusals("a.pem", lambda: now_s)
    with capture_logs() as said:
        for _ in range(5):
            refusals.failed(ssl.SSLError(1, "odd"))
        now_s += EACH_S
        refusals.failed(ssl.SSLError(1, "odd"))
    assert [line["times"] for line in said] == [1, 5]
