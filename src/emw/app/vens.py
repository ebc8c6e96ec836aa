"""VENs and our own VTN put together, each with a guarded client of its own: none opens a way out for anybody else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from random import SystemRandom
from typing import TYPE_CHECKING

from emw.app.clock import RandomIds
from emw.app.openadr_config import VtnParts
from emw.app.secrets_file import derived_token
from emw.app.vtn_config import ServerParts
from emw.domain.signals import VTN_PREFIX
from emw.grid.openadr3.settings import VtnSettings
from emw.outgoing import Outgoing
from emw.service.headend import HeadEnd

if TYPE_CHECKING:
    from emw.grid.openadr2b.ven import Ven2b
    from emw.grid.openadr3.ven import Ven
    from emw.grid.vtn.server import VtnServer


@contextlib.asynccontextmanager
async def ven_of(parts: VtnParts, headend: HeadEnd, key: bytes) -> AsyncGenerator[Ven | Ven2b, None]:
    """A VEN of the version that the settings name. Loaded here: who listens to no VTN waits for none of it.

    The token of its callback is made from our key: the same over restarts, and nowhere stored.
    """
    from emw.grid.openadr3.build import ven_of as ven_3_of  # noqa: PLC0415
    from emw.grid.openadr3.client import VtnClient  # noqa: PLC0415

    deadline_s = parts.settings.deadline_s
    async with Outgoing(parts.rules, deadline_s=deadline_s, connections=10, tls=parts.tls) as http:
        if parts.settings.version == "2.0b":
            yield _ven_2b(parts, http, headend)
        else:
            token = derived_token(key, "vc", "", "callback", parts.settings.name)
            settings = replace(parts.settings, callback_token=token)
            ven = ven_3_of(settings, VtnClient(settings, http, headend.clock), headend, SystemRandom())
            ven.listen(http.guard)
            yield ven


@contextlib.asynccontextmanager
async def vtn_of(
    parts: ServerParts, headend: HeadEnd, ids: RandomIds, key: bytes
) -> AsyncGenerator[VtnServer, None]:
    """Our own VTN; its callbacks have a guarded client of their own. `key` is the server's."""
    from emw.grid.vtn.server import VtnServer  # noqa: PLC0415 - off by default

    settings = replace(parts.settings, key=key)
    deadline_s = settings.callback_deadline_s
    async with Outgoing(parts.rules, deadline_s=deadline_s, connections=50, tls=parts.tls) as http:
        yield VtnServer(headend, http, ids, SystemRandom(), settings)


def _ven_2b(parts: VtnParts, http: Outgoing, headend: HeadEnd) -> Ven2b:
    """Loaded here: the XML of 2.0b comes with an extra, and the settings have made sure that it is there."""
    from emw.grid.openadr2b.build import ven_of as ven_2b_of  # noqa: PLC0415

    k = parts.keys
    keys = None if k is None else (k.certificate, k.key, k.vtn_fingerprint)
    return ven_2b_of(parts.settings, http, headend, SystemRandom(), keys)


async def forget_unknown(headend: HeadEnd, configured: Sequence[VtnSettings]) -> None:
    """Signals of VTNs that are no longer configured end: nobody would ever take them back, or a report on them."""
    known = {s.source_id for s in configured}
    await headend.grid_reports.forget(sorted(known))
    for source_id in sorted({s.source_id for s in headend.state.signals.values()} - known):
        if source_id.startswith(VTN_PREFIX):
            gone = {s.event_id: "its VTN is no longer configured" for s in headend.signals.of(source_id)}
            await headend.signals.ended(source_id, gone)
