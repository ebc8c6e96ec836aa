"""emw as a VEN of a foreign VTN of 2.0b (openleadr) over real sockets: plain, and with mutual TLS and signatures."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
import trustme
from aiohttp import web
from openleadr import OpenADRServer

from emw.app.clock import SystemClock
from emw.grid.openadr2b.build import ven_of
from emw.grid.openadr2b.signature import fingerprint_of
from emw.grid.openadr3.settings import Amount, Meaning, VtnSettings
from emw.outgoing import Outgoing, OutgoingRules
from emw.simulation.loop import SimLoop
from tests.grid.house import House
from tests.ports import free_port

PATIENCE_S = 30.0


class RealHouse(House):
    """The house on a real clock."""

    def __init__(self) -> None:
        super().__init__(cast("SimLoop", None))
        self.clock = cast("Any", SystemClock())


@dataclass
class Certificates:
    """A CA's, the VTN's and ours, as files."""

    ca: Path
    vtn: tuple[Path, Path]
    ven: tuple[Path, Path]


def certificates(folder: Path) -> Certificates:
    authority = trustme.CA()
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    pairs = []
    for name, cert in (
        ("vtn", authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)),
        ("ven", authority.issue_cert("ven.example", key_type=trustme.KeyType.RSA)),
    ):
        crt, key = folder / f"{name}.crt", folder / f"{name}.key"
        cert.cert_chain_pems[0].write_to_path(str(crt))
        cert.private_key_pem.write_to_path(str(key))
        pairs.append((crt, key))
    return Certificates(ca, pairs[0], pairs[1])


@dataclass
class Business:
    """What the utility behind the VTN knows and hears."""

    opts: dict[str, str] = field(default_factory=dict)
    loads: list[tuple[datetime, float]] = field(default_factory=list)
    registered: int = 0

    def heard(self, ven_id: str, event_id: str, opt_type: str) -> None:
        self.opts[event_id] = opt_type


@asynccontextmanager
async def served(business: Business, certs: Certificates | None) -> AsyncGenerator[tuple[OpenADRServer, str]]:
    port = free_port()
    told: dict[str, Any] = {}
    if certs is not None:
        crt, key, ca = str(certs.vtn[0]), str(certs.vtn[1]), str(certs.ca)
        told = {
            "cert": crt,
            "key": key,
            "http_cert": crt,
            "http_key": key,
            "http_ca_file": ca,
            "show_fingerprint": False,
        }

    def look_up(ven_id: str) -> dict[str, Any] | None:
        if ven_id != "ven-1" or not business.registered:
            return None
        finger = None if certs is None else fingerprint_of(certs.ven[0].read_text())
        return {"ven_id": "ven-1", "ven_name": "emw", "fingerprint": finger, "registration_id": "reg-1"}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", web.NotAppKeyWarning)  # of the foreign VTN's own making
        vtn = OpenADRServer(
            vtn_id="VTN", http_port=port, ven_lookup=look_up, requested_poll_freq=timedelta(seconds=1), **told
        )

    async def register(payload: dict[str, Any]) -> tuple[str, str]:
        business.registered += 1
        return "ven-1", "reg-1"

    async def reports(
        ven_id: str,
        resource_id: str,
        measurement: str,
        unit: str,
        scale: str,
        min_sampling_interval: timedelta,
        max_sampling_interval: timedelta,
    ) -> tuple[Callable[..., None], timedelta] | None:
        assert (measurement, unit, scale) == ("RealPower", "W", "k")
        return business.loads.extend, min_sampling_interval

    vtn.add_handler("on_create_party_registration", register)
    vtn.add_handler("on_register_report", reports)
    await vtn.run()
    try:
        yield vtn, f"{'http' if certs is None else 'https'}://127.0.0.1:{port}"
    finally:
        await vtn.stop()


async def until(what: Callable[[], object]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE_S):
        while not what():  # noqa: ASYNC110 - nobody tells when
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "mutual-tls-and-signed"])
async def test_the_whole_story_with_a_foreign_vtn(secured: bool, tmp_path: Path) -> None:
    certs = certificates(tmp_path) if secured else None
    business = Business()
    house = await RealHouse().open()
    tls, keys = None, None
    if certs is not None:
        tls = ssl.create_default_context(cafile=certs.ca)
        tls.load_cert_chain(*certs.ven)
        vtn_finger = fingerprint_of(certs.vtn[0].read_text())
        keys = (certs.ven[0].read_text(), certs.ven[1].read_text(), vtn_finger)
    rules = OutgoingRules(networks=(ip_network("127.0.0.0/8"),))
    async with served(business, certs) as (vtn, url), Outgoing(rules, deadline_s=5, tls=tls) as http:
        settings = VtnSettings(
            name="utility",
            url=url,
            version="2.0b",
            meaning=Meaning(territory_id="East", assume_kw=True, levels={2: Amount(share=0.25)}),
            sign_messages=secured,
        )
        ven = ven_of(settings, http, house.headend, Random(1), keys)
        house.run(ven)
        await until(lambda: business.registered)
        now = datetime.now(UTC)
        dispatch = [{"dtstart": now, "duration": timedelta(hours=1), "signal_payload": -100.0}]
        event = vtn.add_event("ven-1", "LOAD_DISPATCH", "delta", dispatch, callback=business.heard)
        await until(lambda: business.opts.get(event) == "optIn")
        await until(lambda: [b[:3] for b in house.brief()] == [(event, "active", 100.0)])
        await until(lambda: house.load_kw() < 345)
        simple = [{"dtstart": now + timedelta(hours=2), "duration": timedelta(hours=1), "signal_payload": 2}]
        later = vtn.add_event("ven-1", "SIMPLE", "level", simple, callback=business.heard)
        await until(lambda: business.opts.get(later) == "optIn")
        await until(lambda: any(b[:2] == (later, "pending") for b in house.brief()))
        vtn.cancel_event("ven-1", event)
        await until(lambda: any(b[:2] == (event, "restoring") for b in house.brief()))
        await until(lambda: business.loads)
        assert ven.standing.why is None
    await house.close()


async def test_a_vtn_with_another_certificate_than_told_is_not_believed(tmp_path: Path) -> None:
    certs, business = certificates(tmp_path), Business()
    house = await RealHouse().open()
    tls = ssl.create_default_context(cafile=certs.ca)
    tls.load_cert_chain(*certs.ven)
    keys = (certs.ven[0].read_text(), certs.ven[1].read_text(), "00:11:22:33:44:55:66:77:88:99")
    rules = OutgoingRules(networks=(ip_network("127.0.0.0/8"),))
    async with served(business, certs) as (_, url), Outgoing(rules, deadline_s=5, tls=tls) as http:
        settings = VtnSettings(name="utility", url=url, version="2.0b", sign_messages=True)
        ven = ven_of(settings, http, house.headend, Random(1), keys)
        await ven.turn()
        assert "signed by" in (ven.standing.why or "")
        assert ven.standing.heard_at is None
    await house.close()
