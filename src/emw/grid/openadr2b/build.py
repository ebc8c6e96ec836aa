"""A VEN of OpenADR 2.0b put together; the one module that the wiring imports from here."""

from __future__ import annotations

from random import Random

from emw.grid.link import Link
from emw.grid.openadr2b.client import Client2b
from emw.grid.openadr2b.hearing import Hearing
from emw.grid.openadr2b.reporting import Reporting
from emw.grid.openadr2b.signature import Signing
from emw.grid.openadr2b.ven import Ven2b
from emw.grid.openadr3.client import Http
from emw.grid.openadr3.settings import VtnSettings
from emw.service.headend import HeadEnd
from emw.service.tally import Part


def ven_of(
    settings: VtnSettings,
    http: Http,
    headend: HeadEnd,
    chance: Random,
    keys: tuple[str, str, str] | None = None,
) -> Ven2b:
    """`keys`: our certificate and key (PEM text) and the VTN's fingerprint, where messages are signed."""
    signing = None if keys is None else Signing(*keys)

    def new_id() -> str:
        return f"{chance.getrandbits(128):032x}"

    h = headend

    def sums(territory_id: str) -> Part:
        return h.accounts.whole(territory_id, h.clock.now())

    client = Client2b(settings, http, h.clock, new_id, signing)
    return Ven2b(
        settings,
        client,
        link=Link(settings.source_id, settings.name, h.state, h.signals, h.clock, chance),
        hearing=Hearing(settings, h.state, h.signals, sums, chance, max_kw=h.settings.max_request_kw),
        reporting=Reporting(settings, client, h.state, sums, h.clock, new_id),
        state=h.state,
        signals=h.signals,
        clock=h.clock,
        chance=chance,
        new_id=new_id,
    )
