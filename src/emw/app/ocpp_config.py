"""The `[ocpp]` part of the configuration: how emw is a central system, and before whose CSMS it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from emw.app.openadr_config import Wrong
from emw.stations.ocpp.traits import Pin

if TYPE_CHECKING:  # loaded by who asks for it, as in `config`
    from emw.stations.ocpp.settings import OcppSettings, ProxySettings

Spoken = Literal["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]


class OcppProxySection(Struct, forbid_unknown_fields=True, kw_only=True):
    """emw between stations and the CSMS that their operator has. `url` none: emw is the central system."""

    url: str | None = None
    stations: tuple[str, ...] = ("*",)
    territories: list[str] = []
    password: str | None = None
    passwords: dict[str, str] = {}
    hold_seconds: Annotated[float, Meta(ge=0, le=3600)] = 20.0
    stand_in: bool = True


class OcppSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """emw as central system for stations that speak OCPP. See docs/reference/ocpp for what each means."""

    enabled: bool = True
    versions: Annotated[tuple[Spoken, ...], Meta(min_length=1)] = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
    no_subprotocol: Literal["close"] | Spoken = "close"
    security_profiles: tuple[Literal[0, 1, 2, 3], ...] = (1, 2, 3)
    no_credential_beyond_loopback: bool = False
    client_ca: str | None = None
    unknown_stations: Literal["refuse", "pending", "accept"] = "refuse"
    territory: str | None = None
    max_amps: Annotated[float, Meta(gt=0, le=2000)] = 32.0
    line_voltage: Annotated[float, Meta(ge=50, le=1500)] = 230.0
    phases: Annotated[int, Meta(ge=1, le=3)] = 3
    current: Literal["ac", "dc"] = "ac"
    may_pause: bool = False
    accept_any_token: bool = True
    tokens: list[str] = []
    heartbeat_seconds: Annotated[int, Meta(ge=10, le=900)] = 300
    sample_seconds: Annotated[int, Meta(ge=5, le=900)] = 60
    ping_seconds: Annotated[float, Meta(ge=0, le=600)] = 45.0
    no_ping: list[str] = []
    offline_seconds: Annotated[float, Meta(ge=10, le=3600)] = 120.0
    connects_per_second: Annotated[float, Meta(ge=1, le=100_000)] = 500.0
    frames_kept: Annotated[int, Meta(ge=1, le=1000)] = 20
    models: list[Pin] = []
    proxy: OcppProxySection = field(default_factory=OcppProxySection)


def settings_of(o: OcppSection) -> OcppSettings | None:
    """How emw is a central system; None: not at all."""
    from emw.service.admin import EvseDefaults  # noqa: PLC0415 - see the head of `config`
    from emw.stations.ocpp.settings import OcppSettings  # noqa: PLC0415
    from emw.stations.ocppj import Version  # noqa: PLC0415

    if not o.enabled:
        return None
    return OcppSettings(
        versions=frozenset(map(Version, o.versions)),
        no_subprotocol=None if o.no_subprotocol == "close" else Version(o.no_subprotocol),
        profiles=frozenset(o.security_profiles),
        no_credential_beyond_loopback=o.no_credential_beyond_loopback,
        unknown=o.unknown_stations,
        evses=EvseDefaults(
            territory_id=o.territory,
            max_a=o.max_amps,
            line_voltage_v=o.line_voltage,
            phases=o.phases,
            dc=o.current == "dc",
            may_pause=o.may_pause,
        ),
        tokens=None if o.accept_any_token else frozenset(o.tokens),
        pins=tuple(o.models),
        heartbeat_s=o.heartbeat_seconds,
        sample_s=o.sample_seconds,
        ping_s=o.ping_seconds,
        no_ping=frozenset(o.no_ping),
        offline_s=o.offline_seconds,
        connects_per_s=o.connects_per_second,
        frames_kept=o.frames_kept,
    )


def proxy_of(p: OcppProxySection) -> ProxySettings | None:
    """For which stations emw stands before another CSMS; None: for none. Raises Wrong."""
    from emw.stations.ocpp.settings import ProxySettings  # noqa: PLC0415 - see the head of `config`

    if p.url is None:
        return None
    host = urlsplit(p.url).netloc
    if not p.url.startswith(("ws://", "wss://")) or "{stationID}" not in p.url or "{" in host:
        raise Wrong(
            f"ocpp.proxy.url: write it like 'wss://csms.example.org/ocpp/{{stationID}}' (got {p.url!r})"
        )
    return ProxySettings(
        url=p.url,
        stations=p.stations,
        territories=frozenset(p.territories),
        password=p.password,
        passwords=dict(p.passwords),
        hold_s=p.hold_seconds,
        stand_in=p.stand_in,
    )
