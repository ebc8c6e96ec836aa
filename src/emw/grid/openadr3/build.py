"""A VEN of OpenADR 3 put together: what it uses of the head-end, and nothing else."""

from __future__ import annotations

from random import Random

from emw.grid.link import Link
from emw.grid.openadr3.client import VtnClient
from emw.grid.openadr3.reporter import Reporter
from emw.grid.openadr3.settings import VtnSettings
from emw.grid.openadr3.ven import Ven
from emw.service.headend import HeadEnd


def ven_of(settings: VtnSettings, client: VtnClient, headend: HeadEnd, chance: Random) -> Ven:
    """A VEN of the VTN that `client` calls."""
    h = headend
    return Ven(
        settings,
        client,
        link=Link(settings.source_id, settings.name, h.state, h.signals, h.clock, chance),
        reporter=Reporter(settings, client, h.ledger, h.signals, h.meter, h.oracle, h.grid_reports, h.clock),
        state=h.state,
        signals=h.signals,
        clock=h.clock,
        chance=chance,
        max_kw=h.settings.max_request_kw,
    )
