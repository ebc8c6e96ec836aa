"""VENs put together, each with a guarded client of its own: a VTN opens no way out for anybody else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from random import SystemRandom
from typing import TYPE_CHECKING

from emw.app.openadr_config import VtnParts
from emw.app.secrets_file import derived_token
from emw.grid.openadr3.client import VtnClient
from emw.grid.openadr3.ven import Ven
from emw.outgoing import Outgoing
from emw.service.headend import HeadEnd

if TYPE_CHECKING:
    from emw.grid.openadr2b.ven import Ven2b


@contextlib.asynccontextmanager
async def ven_of(parts: VtnParts, headend: HeadEnd, key: bytes) -> AsyncGenerator[Ven | Ven2b, None]:
    """A VEN of the version that the settings name.

    The token of its callback is made from our key: the same over restarts, and nowhere stored.
    """
    deadline_s = parts.settings.deadline_s
    async with Outgoing(parts.rules, deadline_s=deadline_s, connections=10, tls=parts.tls) as http:
        if parts.settings.version == "2.0b":
            yield _ven_2b(parts, http, headend)
        else:
            token = derived_token(key, "vc", "", "callback", parts.settings.name)
            settings = replace(parts.settings, callback_token=token)
            ven = Ven(settings, VtnClient(settings, http, headend.clock), headend, SystemRandom())
            ven.listen(http.guard)
            yield ven


def _ven_2b(parts: VtnParts, http: Outgoing, headend: HeadEnd) -> Ven2b:
    """Loaded here: the XML of 2.0b comes with an extra, and the settings have made sure that it is there."""
    from emw.grid.openadr2b.build import ven_of as ven_2b_of  # noqa: PLC0415

    k = parts.keys
    keys = None if k is None else (k.certificate, k.key, k.vtn_fingerprint)
    return ven_2b_of(parts.settings, http, headend, SystemRandom(), keys)
