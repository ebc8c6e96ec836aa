"""A VEN of OpenADR 2.0b put together; the one module that the wiring imports from here."""

from __future__ import annotations

from random import Random

from emw.grid.openadr2b.client import Client2b
from emw.grid.openadr2b.signature import Signing
from emw.grid.openadr2b.ven import Ven2b
from emw.grid.openadr3.client import Http
from emw.grid.openadr3.settings import VtnSettings
from emw.service.headend import HeadEnd


def ven_of(
    settings: VtnSettings,
    http: Http,
    headend: HeadEnd,
    chance: Random,
    keys: tuple[str, str, str] | None = None,
) -> Ven2b:
    """`keys`: our certificate and key (PEM text) and the VTN's fingerprint, where messages are signed."""
    signing = None if keys is None else Signing(*keys)
    client = Client2b(settings, http, headend.clock, lambda: f"{chance.getrandbits(128):032x}", signing)
    return Ven2b(settings, client, headend, chance)
