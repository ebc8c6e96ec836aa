"""The `[openadr]` part of the configuration: which VTNs emw listens to, as whom, and what their words mean here."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta, Struct

from emw.domain.signals import SignalKind
from emw.grid.openadr3.settings import ROOM, Amount, Match, Meaning, TargetRule, VtnSettings, with_defaults

if TYPE_CHECKING:
    from emw.outgoing import OutgoingRules

INTERNET = ("0.0.0.0/0", "::/0")
EXTRA = ("lxml", "signxml")
PORTS = ((80, 80), (443, 443), (1024, 65_535))
ReportType = Literal[
    "DEMAND", "BASELINE", "USAGE", "DELTA_USAGE", "OPERATING_STATE", "LOAD_SHED_DELTA_AVAILABLE"
]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,47}$")]


class Wrong(ValueError):
    """A setting can't be used; the text names it."""


class TargetSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """A target of the VTN that stands for a territory of ours."""

    target: str
    territory: str
    match: Literal["exact", "prefix", "regex"] = "exact"
    type: str | None = None


class ResourceSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """A resource as the VTN names it in reports, and the territory it stands for."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    territory: str


class ProgramSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """A program of the VTN; what is left out is as it is for the VTN."""

    name: str
    territory: str | None = None
    may_name: list[str] = []
    target: list[TargetSection] = []
    levels: dict[Literal["1", "2", "3"], str] = {}
    payloads: dict[str, Literal["reduce_kw", "reduce_share", "setpoint_kw", "limit_kw"]] = {}
    assume_kw: bool | None = None
    precedence: int | None = None
    time_zone: str | None = None


class VtnSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """One VTN. See docs/reference/openadr for what each means."""

    name: Name
    url: str
    version: Literal["3.1.0", "3.0.1", "2.0b"] | None = None
    client_id: str | None = None
    client_secret_file: str | None = None
    client_secret_env: str | None = None
    token_url: str | None = None
    scope: str | None = None
    audience: str | None = None
    ven_name: str = "emw"
    networks: list[str] = []
    plain_http: bool = False
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    territory: str | None = None
    may_name: list[str] = []
    target: list[TargetSection] = []
    levels: dict[Literal["1", "2", "3"], str] = {}
    payloads: dict[str, Literal["reduce_kw", "reduce_share", "setpoint_kw", "limit_kw"]] = {}
    assume_kw: bool = False
    precedence: int = 100
    time_zone: str = "UTC"
    program: list[ProgramSection] = []
    poll_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    near_poll_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 10.0
    deadline_seconds: Annotated[float, Meta(gt=0, le=120)] = 15.0
    open_ended_hours: Annotated[float, Meta(gt=0, le=8_760)] = 24.0
    reports: list[ReportType] = []
    report_minutes: Annotated[float, Meta(ge=1, le=1_440)] = 15.0
    resource: list[ResourceSection] = []
    ven_id: str | None = None
    vtn_fingerprint: str | None = None
    sign_messages: bool = False
    market_context: str = ""
    opt_in_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    webhook: str | None = None
    mqtt: bool = False


class ServerSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """emw as a VTN itself. See docs/reference/vtn for what each means."""

    enabled: bool = False
    name: Name = "own"
    public_url: str | None = None
    token_minutes: Annotated[float, Meta(ge=1, le=1_440)] = 60.0
    keep_reports_days: Annotated[float, Meta(ge=1, le=3_660)] = 90.0
    callback_networks: list[str] = []
    callback_plain_http: bool = False
    callback_ca_file: str | None = None
    callback_deadline_seconds: Annotated[float, Meta(gt=0, le=30)] = 10.0
    reports: list[ReportType] = []
    report_minutes: Annotated[float, Meta(ge=1, le=1_440)] = 15.0
    resource: list[ResourceSection] = []
    territory: str | None = None
    may_name: list[str] = []
    target: list[TargetSection] = []
    levels: dict[Literal["1", "2", "3"], str] = {}
    payloads: dict[str, Literal["reduce_kw", "reduce_share", "setpoint_kw", "limit_kw"]] = {}
    assume_kw: bool = False
    precedence: int = 100
    time_zone: str = "UTC"
    program: list[ProgramSection] = []


class OpenAdrSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """OpenADR: the VTNs whose events are followed, and emw's own VTN."""

    vtn: list[VtnSection] = []
    server: ServerSection = msgspec.field(default_factory=ServerSection)


@dataclass(frozen=True, slots=True)
class Keys:
    """What messages of 2.0b are signed and checked with. The certificate and the key are PEM text."""

    certificate: str
    key: str = field(repr=False)
    vtn_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class VtnParts:
    """What a client of one VTN is made of."""

    settings: VtnSettings
    rules: OutgoingRules
    tls: ssl.SSLContext | None
    keys: Keys | None = None


def vtns_of(section: OpenAdrSection, outgoing: OutgoingRules) -> list[VtnParts]:
    """Every configured VTN, checked. Raises Wrong."""
    names = [v.name for v in section.vtn]
    for name in names:
        if names.count(name) > 1:
            raise Wrong(f"openadr.vtn: two are named {name!r}")
    return [_vtn(v, outgoing) for v in section.vtn]


def _vtn(v: VtnSection, outgoing: OutgoingRules) -> VtnParts:
    where = f"openadr.vtn {v.name!r}"
    meaning, programs = meanings_of(v, where)
    settings = VtnSettings(
        name=v.name,
        url=v.url,
        version=v.version,
        client_id=v.client_id,
        client_secret=_secret(v, where),
        token_url=v.token_url,
        scope=v.scope,
        audience=v.audience,
        ven_name=v.ven_name,
        meaning=meaning,
        programs=programs,
        poll_s=v.poll_seconds,
        near_poll_s=v.near_poll_seconds,
        deadline_s=v.deadline_seconds,
        lost_open_ended_s=v.open_ended_hours * 3_600,
        reports=tuple(v.reports),
        report_s=v.report_minutes * 60,
        resources={r.name: r.territory for r in v.resource},
        ven_id=v.ven_id,
        sign_messages=v.sign_messages,
        market_context=v.market_context,
        opt_in_share=v.opt_in_share,
        callback_url=_callback(v, where),
        mqtt=v.mqtt,
        ca_file=v.ca_file,
    )
    return VtnParts(settings, _rules(v, outgoing, where), _tls(v, where), _keys(v, where))


def _callback(v: VtnSection, where: str) -> str | None:
    if v.webhook is None:
        return None
    parts = urlsplit(v.webhook)
    literal = _literal(parts.hostname or "")
    loopback = parts.hostname == "localhost" or (literal is not None and literal.is_loopback)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise Wrong(f"{where}: webhook: write where the VTN reaches this emw, like 'https://emw.example.org'")
    if parts.scheme == "http" and not (v.plain_http or loopback):
        raise Wrong(f"{where}: webhook: its token can be read on the way (plain_http = true allows it)")
    return f"{v.webhook.rstrip('/')}{ROOM}/{v.name}"


def meanings_of(v: VtnSection | ServerSection, where: str) -> tuple[Meaning, dict[str, Meaning]]:
    """What the words of a VTN mean here, and those of its programs. Raises Wrong."""
    meaning = Meaning(
        territory_id=v.territory,
        may_name=tuple(v.may_name),
        targets=_targets(v.target, where),
        levels=_levels(v.levels, where),
        payloads={k: SignalKind(x) for k, x in v.payloads.items()},
        assume_kw=v.assume_kw,
        precedence=v.precedence,
        zone=_zone(v.time_zone, where),
    )
    return meaning, {p.name: _program(p, meaning, where) for p in v.program}


def _program(p: ProgramSection, meaning: Meaning, where: str) -> Meaning:
    where = f"{where} program {p.name!r}"
    own = Meaning(
        territory_id=p.territory,
        may_name=tuple(p.may_name),
        targets=_targets(p.target, where),
        levels=_levels(p.levels, where),
        payloads={k: SignalKind(x) for k, x in p.payloads.items()},
        precedence=meaning.precedence if p.precedence is None else p.precedence,
        zone=meaning.zone if p.time_zone is None else _zone(p.time_zone, where),
    )
    merged = with_defaults(own, meaning)
    return merged if p.assume_kw is None else replace(merged, assume_kw=p.assume_kw)


def _targets(told: Sequence[TargetSection], where: str) -> tuple[TargetRule, ...]:
    for t in told:
        if t.match == "regex":
            try:
                re.compile(t.target)
            except re.error as error:
                raise Wrong(f"{where}: target {t.target!r} is no regular expression: {error}") from error
    return tuple(
        TargetRule(target=t.target, territory_id=t.territory, match=Match(t.match), type=t.type) for t in told
    )


def _levels(told: Mapping[Literal["1", "2", "3"], str], where: str) -> dict[int, Amount]:
    return {int(level): _amount(text, f"{where}: level {level}") for level, text in told.items()}


def _amount(text: str, where: str) -> Amount:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|kW|MW)\s*", text)
    if match is None:
        raise Wrong(f"{where}: write an amount like '25 %', '500 kW' or '1.5 MW' (got {text!r})")
    number = float(match[1])
    if match[2] == "%":
        if number > 100:
            raise Wrong(f"{where}: {text!r} is more than all of the load")
        return Amount(share=number / 100)
    return Amount(kw=number * (1_000 if match[2] == "MW" else 1))


def _zone(name: str, where: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Wrong(f"{where}: there is no time zone {name!r}") from error


def _secret(v: VtnSection, where: str) -> str | None:
    if v.client_secret_file is not None and v.client_secret_env is not None:
        raise Wrong(f"{where}: give client_secret_file or client_secret_env, not both")
    if v.client_secret_env is not None:
        found = os.environ.get(v.client_secret_env)
        if not found:
            raise Wrong(f"{where}: the environment has no {v.client_secret_env}")
        return found
    if v.client_secret_file is not None:
        return secret_file(Path(v.client_secret_file), where)
    if v.client_id is not None:
        raise Wrong(f"{where}: a client_id needs client_secret_file or client_secret_env")
    return None


def secret_file(path: Path, where: str) -> str:
    """The secret in a file that nobody else can read. Raises Wrong."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"{where}: client_secret_file {path} can't be read: {error}") from error
    if mode & 0o077:
        raise Wrong(f"{where}: {path} can be read by others; run `chmod 600 {path}`")
    if not text:
        raise Wrong(f"{where}: {path} is empty")
    return text


def _rules(v: VtnSection, outgoing: OutgoingRules, where: str) -> OutgoingRules:
    """Where this VTN and its token server may be: named networks, else the host that its URL names or the internet.

    The URL is the operator's own word, so an address in it needs no second permission; a name in it may lead to the
    public internet and to the networks of `[outgoing]`, and nowhere else.
    """
    parts = urlsplit(v.url)
    host = parts.hostname or ""
    literal = _literal(host)
    loopback = host == "localhost" or (literal is not None and literal.is_loopback)
    if parts.scheme not in {"http", "https"} or not host:
        raise Wrong(f"{where}: url must begin with https:// and name a host (got {v.url!r})")
    if parts.scheme == "http" and not (v.plain_http or loopback):
        raise Wrong(
            f"{where}: {v.url} is plain HTTP: credentials can be read on the way (plain_http = true allows it)"
        )
    if v.networks:
        named: Sequence[str] = v.networks
    elif literal is not None:
        named = (f"{literal}/{literal.max_prefixlen}",)
    elif loopback:
        named = ("127.0.0.0/8", "::1/128")
    else:
        named = (*INTERNET, *(str(n) for n in outgoing.networks))
    try:
        networks = tuple(ip_network(n) for n in named)
    except ValueError as error:
        raise Wrong(f"{where}: networks: {error}; write networks like '10.20.0.0/16'") from error
    port = parts.port
    ports = PORTS if port is None or any(a <= port <= b for a, b in PORTS) else (*PORTS, (port, port))
    from emw.outgoing import OutgoingRules  # noqa: PLC0415 - heavy, and commands read the sections only

    return OutgoingRules(networks=networks, ports=ports, plain_http=v.plain_http or loopback)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _keys(v: VtnSection, where: str) -> Keys | None:
    """The keys of 2.0b's signatures; None where messages are not signed."""
    of_20b = [
        name
        for name, told in (
            ("ven_id", v.ven_id),
            ("vtn_fingerprint", v.vtn_fingerprint),
            ("sign_messages", v.sign_messages),
        )
        if told
    ]
    if v.version == "2.0b" and (missing := [m for m in EXTRA if find_spec(m) is None]):
        raise Wrong(f"{where}: OpenADR 2.0b needs {' and '.join(missing)}: pip install 'emw[oadr20b]'")
    if of_20b and v.version != "2.0b":
        raise Wrong(f'{where}: {of_20b[0]} goes with version = "2.0b" only')
    if not (v.sign_messages or v.vtn_fingerprint):
        return None
    if v.certificate is None or v.key is None or not v.vtn_fingerprint:
        raise Wrong(
            f"{where}: signed messages need certificate, key and vtn_fingerprint (AA:BB:…, as the VTN tells it)"
        )
    try:
        certificate, key = (Path(p).read_text(encoding="ascii") for p in (v.certificate, v.key))
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"{where}: certificate or key can't be read: {error}") from error
    return Keys(certificate, key, v.vtn_fingerprint.upper())


def _tls(v: VtnSection, where: str) -> ssl.SSLContext | None:
    if v.ca_file is None and v.certificate is None:
        return None
    try:
        context = ssl.create_default_context(cafile=v.ca_file)
        if v.certificate is not None:
            context.load_cert_chain(v.certificate, v.key)
    except (OSError, ssl.SSLError) as error:
        raise Wrong(f"{where}: ca_file, certificate or key can't be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
