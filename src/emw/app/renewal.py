"""A renewed certificate without a restart (fault F20): files that changed are shown to whoever connects next."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from emw.app.server import PlaneServer

log = structlog.get_logger()
LOOK_S: Final = 60.0

Stamp = tuple[int, ...]
"""When the certificate and the key of a server were written; a renewal writes both."""


def stamp_of(server: PlaneServer) -> Stamp | None:
    """None: it speaks no TLS, or a file is away for a moment, as within a renewal."""
    if server.papers is None:
        return None
    try:
        return tuple(Path(file).stat().st_mtime_ns for file in server.papers)
    except OSError:
        return None


async def watch_certificates(
    servers: Sequence[PlaneServer], renewed: Callable[[], None], *, look_s: float = LOOK_S
) -> None:
    """Look at the files every `look_s`; `renewed` hears of each server that has new ones. Runs until cancelled.

    A pair that does not fit, as between the writing of one file and the other, changes nothing and is tried again.
    """
    seen = {server: stamp_of(server) for server in servers}
    while True:
        await asyncio.sleep(look_s)
        for server in servers:
            stamp = stamp_of(server)
            if stamp is None or stamp == seen[server]:
                continue
            try:
                server.renew()
            except (OSError, ssl.SSLError) as error:
                log.warning("server.certificate_not_renewed", files=server.papers, why=str(error))
                continue
            seen[server] = stamp
            log.info("server.certificate_renewed", files=server.papers)
            renewed()
