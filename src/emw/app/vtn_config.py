"""The `[openadr.server]` part of the configuration: whether and how emw is a VTN itself."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from emw.app.openadr_config import OpenAdrSection, Wrong, meanings_of
from emw.grid.openadr3.settings import VtnSettings
from emw.grid.vtn.settings import BASE, ServerSettings

if TYPE_CHECKING:
    from emw.outgoing import OutgoingRules

WHERE = "openadr.server"
POLL_S = 300.0
NEAR_POLL_S = 60.0


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What emw's own VTN is made of. `rules`: where its callbacks may be."""

    settings: ServerSettings
    rules: OutgoingRules
    tls: ssl.SSLContext | None


def server_of(section: OpenAdrSection, listen: str, outgoing: OutgoingRules) -> ServerParts | None:
    """Our own VTN; None: it is off. Raises Wrong."""
    s = section.server
    if not s.enabled:
        return None
    if s.name in {v.name for v in section.vtn}:
        raise Wrong(f"{WHERE}.name: a VTN of openadr.vtn is named {s.name!r}, too")
    public_url = None if s.public_url is None else _public(s.public_url)
    meaning, programs = meanings_of(s, WHERE)
    ours = VtnSettings(
        name=s.name,
        url=public_url or f"http://{listen}{BASE}",
        version="3.1.0",
        meaning=meaning,
        programs=programs,
        poll_s=POLL_S,
        near_poll_s=NEAR_POLL_S,
        reports=tuple(s.reports),
        report_s=s.report_minutes * 60,
        resources={r.name: r.territory for r in s.resource},
    )
    settings = ServerSettings(
        ours=ours,
        public_url=public_url,
        token_life_s=s.token_minutes * 60,
        keep_reports_s=s.keep_reports_days * 86_400,
        callback_deadline_s=s.callback_deadline_seconds,
    )
    try:
        from emw.outgoing import OutgoingRules  # noqa: PLC0415 - heavy, and commands read the section only

        rules = OutgoingRules.of(s.callback_networks, outgoing.ports, plain_http=s.callback_plain_http)
    except ValueError as error:
        raise Wrong(f"{WHERE}.callback_networks: {error}; write networks like '10.20.0.0/16'") from error
    return ServerParts(settings, rules, _tls(s.callback_ca_file))


def _public(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise Wrong(f"{WHERE}.public_url: write it like 'https://dr.example.org' (got {url!r})")
    return url.rstrip("/").removesuffix(BASE) + BASE


def _tls(ca_file: str | None) -> ssl.SSLContext | None:
    if ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Wrong(f"{WHERE}.callback_ca_file can't be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
