"""The security profiles over real TLS: who proves what by what, and that a station goes up and never down."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import InvalidMessage, InvalidStatus

from emw.plane import names_of
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.test_door import alive

EVERY: dict[str, Any] = {"security_profiles": (0, 1, 2, 3)}


class Papers:
    """An authority, the server's certificate, and clients that trust it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(str(ca))
        own = self.authority.issue_cert("localhost")
        own.private_key_and_cert_chain_pem.write_to_path(str(folder / "own.pem"))
        self.tls = {
            "certificate": str(folder / "own.pem"),
            "key": str(folder / "own.pem"),
            "client_ca": str(ca),
        }

    def client(
        self, *names: str, common_name: str | None = None, by: trustme.CA | None = None
    ) -> dict[str, Any]:
        """What a station's socket is opened with; with a certificate where it has a name."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        if names or common_name is not None:
            (by or self.authority).issue_cert(*names, common_name=common_name).configure_cert(context)
        return {"ssl": context, "server_hostname": "localhost"}


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path)


async def lets_in(h: House, secret: str | None, station_id: str = "CP1", **how: Any) -> int:
    """101, or the status of the refusal."""
    try:
        socket = await h.socket(station_id, secret, **how)
    except InvalidStatus as refused:
        return refused.response.status_code
    assert await alive(socket)
    await socket.close()
    await until(lambda: h.hub.connected(station_id) is None)
    return 101


async def test_each_profile_over_the_socket_it_asks_for(papers: Papers, tmp_path: Path) -> None:
    async with house(tmp_path / "d", tls=papers.tls, security_profiles=(2, 3)) as h:
        secret = await h.enrol("CP1")
        assert await lets_in(h, None, **papers.client()) == 401
        assert await lets_in(h, "guess", **papers.client()) == 401
        assert await lets_in(h, secret, **papers.client()) == 101
        assert await lets_in(h, None, **papers.client(common_name="CP1")) == 101


@pytest.mark.parametrize(
    ("station_id", "names", "status"),
    [
        ("CP1", {"common_name": "CP1"}, 101),
        ("CP1", {"names": ("cp1.example.org",), "common_name": "CP1"}, 101),
        ("cp1.example.org", {"names": ("cp1.example.org",)}, 101),
        ("CP1", {"common_name": "CP2"}, 403),
        ("CP1", {"common_name": "cp1"}, 403),
        ("CP1", {"names": ("other.example.org",)}, 403),
    ],
)
async def test_a_certificate_is_for_the_station_that_it_names(
    station_id: str, names: dict[str, Any], status: int, papers: Papers, tmp_path: Path
) -> None:
    async with house(tmp_path / "d", tls=papers.tls) as h:
        secret = await h.enrol(station_id)
        how = papers.client(*names.get("names", ()), common_name=names.get("common_name"))
        assert await lets_in(h, None, station_id, **how) == status
        if status == 403:
            assert await lets_in(h, secret, station_id, **how) == 403, (
                "a right secret does not make up for it"
            )


async def test_another_authoritys_certificate_does_not_even_shake_hands(
    papers: Papers, tmp_path: Path
) -> None:
    async with house(tmp_path / "d", tls=papers.tls) as h:
        await h.enrol("CP1")
        with pytest.raises((OSError, EOFError, InvalidMessage)):
            await lets_in(h, None, **papers.client(common_name="CP1", by=trustme.CA()))


async def test_a_revoked_station_is_out_by_every_profile(papers: Papers, tmp_path: Path) -> None:
    async with house(tmp_path / "d", tls=papers.tls, **EVERY) as h:
        secret = await h.enrol("CP1")
        await h.headend.admin.revoke_station("test", "CP1")
        assert await lets_in(h, secret, **papers.client()) == 401
        assert await lets_in(h, None, **papers.client(common_name="CP1")) == 401
        assert await lets_in(h, None, **papers.client()) == 401


async def test_a_station_goes_up_in_profile_and_never_down(papers: Papers, tmp_path: Path) -> None:
    async with house(tmp_path / "d", tls=papers.tls, **EVERY) as h:
        secret = await h.enrol("CP1")
        basic, certificate = papers.client(), papers.client(common_name="CP1")
        assert await lets_in(h, None, **basic) == 101
        assert await lets_in(h, secret, **basic) == 101
        assert await lets_in(h, None, **basic) == 403
        assert await lets_in(h, None, **certificate) == 101
        assert await lets_in(h, secret, **basic) == 403
        assert await lets_in(h, None, **certificate) == 101
        # The operator's word begins anew.
        secret = await h.enrol("CP1")
        assert await lets_in(h, secret, **basic) == 101


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        (None, ()),
        ({}, ()),
        ({"subject": ((("commonName", "a"),), (("organizationName", "o"),))}, ("a",)),
        (
            {"subject": (), "subjectAltName": (("DNS", "b"), ("IP Address", "::1"), ("URI", "urn:c"))},
            ("b", "urn:c"),
        ),
        ({"subject": ((("commonName", "b"),),), "subjectAltName": (("DNS", "b"),)}, ("b",)),
    ],
)
def test_the_names_in_a_certificate(certificate: Any, names: tuple[str, ...]) -> None:
    assert names_of(certificate) == names
