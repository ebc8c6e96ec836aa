"""The driver plane in the field: its settings, its port, and the invitations that stations and operators hand on."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from emw.app.config import DriverPlane, split_address
from emw.app.server import PlaneServer, bind, server_for
from emw.service.drivers import Drivers
from emw.service.headend import HeadEnd
from emw.service.ports import Invitation
from emw.web.drive import driver_app, link_of


def driver_servers(
    section: DriverPlane, headend: HeadEnd, drivers: Drivers | None
) -> list[tuple[PlaneServer, Any]]:
    """The plane's server with its bound socket; none where it has no port."""
    if section.listen is None or drivers is None:
        return []
    public = urlsplit(section.public_url or "")
    hosts = (*section.allowed_hosts, *([public.hostname] if public.hostname else []))
    app = driver_app(headend, drivers, hosts)
    server = server_for(app, certificate=section.tls_certificate, key=section.tls_key)
    return [(server, bind(*split_address(section.listen, "drivers.listen"), "drivers.listen"))]


def invite(headend: HeadEnd, drivers: Drivers, base_url: str) -> None:
    """From now on every stay has a link and a code that its station can show."""
    headend.invite = lambda session_id: Invitation(
        link_of(base_url, drivers.link(session_id)), drivers.code(session_id)
    )
