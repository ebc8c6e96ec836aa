"""The `[operator.oidc]` part of the configuration: the provider that people log in at, and what their groups mean."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from emw.app.openadr_config import INTERNET, PORTS, Wrong, secret_file
from emw.domain.people import Role

if TYPE_CHECKING:
    from emw.identity.oidc import OidcSettings
    from emw.outgoing import OutgoingRules


class OidcSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """Single sign-on. `issuer` none: off. See docs/howto/single-sign-on for what each means."""

    issuer: str | None = None
    client_id: str = "emw"
    client_secret_file: str | None = None
    client_secret_env: str | None = None
    label: str = "Single sign-on"
    scopes: tuple[str, ...] = ("openid", "profile")
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    administrators: list[str] = []
    operators: list[str] = []
    viewers: list[str] = []
    default_role: Literal["viewer", "operator"] | None = None
    networks: list[str] = []
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class OidcParts:
    """What a provider's client is made of."""

    settings: OidcSettings
    rules: OutgoingRules
    tls: ssl.SSLContext | None


def oidc_of(section: OidcSection) -> OidcParts | None:
    """The configured provider, checked; None: there is none. Raises Wrong."""
    if section.issuer is None:
        return None
    from emw.identity.id_token import ASYMMETRIC, Trust  # noqa: PLC0415 - cryptography is for who has a provider
    from emw.identity.oidc import OidcSettings  # noqa: PLC0415

    where = "operator.oidc"
    rules = rules_for(section.issuer, section.networks, f"{where}.issuer")
    unknown = [a for a in section.algorithms if a not in ASYMMETRIC]
    if unknown or not section.algorithms:
        raise Wrong(f"{where}.algorithms: {unknown or 'empty'}; allow some of {', '.join(ASYMMETRIC)}")
    if "openid" not in section.scopes:
        raise Wrong(f"{where}.scopes: 'openid' must be among them")
    roles = {
        Role.ADMINISTRATOR: frozenset(section.administrators),
        Role.OPERATOR: frozenset(section.operators),
        Role.VIEWER: frozenset(section.viewers),
    }
    if section.default_role is None and not any(roles.values()):
        raise Wrong(f"{where}: nobody could log in; name groups as administrators, operators or viewers")
    trust = Trust(
        issuer=section.issuer,
        client_id=section.client_id,
        algorithms=section.algorithms,
        name_claim=section.name_claim,
        role_claim=section.role_claim,
        roles=roles,
        default_role=None if section.default_role is None else Role(section.default_role),
    )
    settings = OidcSettings(
        trust=trust,
        label=section.label,
        client_secret=_secret(section, where),
        scopes=section.scopes,
        plain_http=rules.plain_http,
    )
    return OidcParts(settings, rules, _tls(section))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _secret(section: OidcSection, where: str) -> str | None:
    if section.client_secret_file is not None and section.client_secret_env is not None:
        raise Wrong(f"{where}: give client_secret_file or client_secret_env, not both")
    if section.client_secret_env is not None:
        found = os.environ.get(section.client_secret_env)
        if not found:
            raise Wrong(f"{where}: the environment has no {section.client_secret_env}")
        return found
    if section.client_secret_file is not None:
        return secret_file(Path(section.client_secret_file), where)
    return None


def rules_for(url: str, networks: Sequence[str], where: str, *, plain_http: bool = False) -> OutgoingRules:
    """Where the server of an operator's own URL may be: named networks, else what the URL names. Raises Wrong."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    loopback = is_loopback(host)
    if parts.scheme not in ({"https", "http"} if loopback or plain_http else {"https"}) or not host:
        raise Wrong(f"{where}: must begin with https:// and name a host (got {url!r})")
    named: Sequence[str] = INTERNET
    if networks:
        named = networks
    elif loopback:
        named = ("127.0.0.0/8", "::1/128")
    elif _is_address(host):
        named = (host,)
    try:
        allowed = tuple(ip_network(n) for n in named)
    except ValueError as error:
        raise Wrong(f"{where}: networks: {error}; write networks like '10.20.0.0/16'") from error
    port = parts.port
    ports = PORTS if port is None or any(a <= port <= b for a, b in PORTS) else (*PORTS, (port, port))
    from emw.outgoing import OutgoingRules  # noqa: PLC0415 - heavy, and commands read the section only

    return OutgoingRules(networks=allowed, ports=ports, plain_http=loopback or plain_http)


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _tls(section: OidcSection) -> ssl.SSLContext | None:
    if section.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=section.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Wrong(f"operator.oidc.ca_file: can't be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
