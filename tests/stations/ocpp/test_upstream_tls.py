"""The way to a CSMS over TLS: only to one whose certificate is believed and bears its name."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from emw.outgoing import Guard, OutgoingRules
from emw.stations.ocpp import upstream
from emw.stations.ocppj import Version

RULES = OutgoingRules(networks=(ip_network("127.0.0.0/8"),))


def certificate(folder: Path, name: str) -> ssl.SSLContext:
    """A server's context with a certificate of its own for `name`; its PEM file is `folder/cert.pem`."""
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-days", "2"),
            *("-subj", "/CN=csms", "-addext", f"subjectAltName={name}"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize(
    ("name", "believed", "through"),
    [("IP:127.0.0.1", True, True), ("IP:127.0.0.1", False, False), ("DNS:other.example", True, False)],
    ids=["believed", "unknown authority", "another name"],
)
async def test_the_certificate_decides(
    name: str, believed: bool, through: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def take(socket: ServerConnection) -> None:
        async for frame in socket:
            await heard.put(frame)

    context = certificate(tmp_path, name)
    if believed:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    upstream._tls.cache_clear()
    try:
        async with serve(take, "127.0.0.1", 0, ssl=context, subprotocols=[Subprotocol("ocpp1.6")]) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            address = upstream.Address(f"wss://127.0.0.1:{port}/e0", "e0", "secret")
            calling = upstream.connect(Guard(RULES), address, Version.V16, lambda _: None, lambda: None)
            if not through:
                with pytest.raises(upstream.NoCsms, match=r"(?i)certificate"):
                    await calling
                return
            csms = await calling
            csms.send(b"hello")
            assert await asyncio.wait_for(heard.get(), 60) == "hello"
            csms.close()
    finally:
        upstream._tls.cache_clear()
