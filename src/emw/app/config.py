"""The configuration: one TOML file, `EMW_<SECTION>_<KEY>` of the environment over it, every value checked by name."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from emw.app.ocpp_config import OcppSection, proxy_of, settings_of
from emw.app.oidc_config import OidcParts, OidcSection, oidc_of, rules_for
from emw.app.openadr_config import OpenAdrSection, VtnParts, Wrong, vtns_of
from emw.app.vtn_config import ServerParts, server_of
from emw.misfit import meant, misfit

# What the parts of emw want of the configuration is loaded by who asks for it: a command that only looks up where the
# data folder is would spend a second on it.
if TYPE_CHECKING:
    from emw.outgoing import OutgoingRules
    from emw.service.settings import ServiceSettings
    from emw.stations.ocpp.settings import OcppSettings, ProxySettings

DEFAULT_FILE = Path("emw.toml")
NOT_SETTINGS = {  # read by single commands and by the tests
    "EMW_CONFIG",
    "EMW_REQUIRE",
    "EMW_CHROMIUM",
    "EMW_STATION_SECRET",
    "EMW_ISO_TOKEN",
    "EMW_VTN_SECRET",
    "EMW_NEW_PASSWORD",
}
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, le=1)]


class ConfigError(Exception):
    """The configuration can't be used; the text names the key and says what to do."""


class StationPlane(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where stations and grid operators connect."""

    listen: str = "127.0.0.1:8400"
    heartbeat_seconds: Annotated[int, Meta(ge=1, le=3600)] = 60
    offline_after_intervals: Annotated[float, Meta(ge=1.5, le=100)] = 3.0
    command_deadline_seconds: Annotated[float, Meta(gt=0, le=60)] = 3.0
    token_life_hours: Annotated[float, Meta(gt=0, le=8760)] = 24.0
    plain_http_beyond_loopback: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None
    tls_without_forward_secrecy: bool = False


class OperatorPlane(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where people and their tools connect."""

    listen: str = "127.0.0.1:8401"
    allowed_hosts: list[str] = []
    public_url: str | None = None
    open_metrics: bool = False
    plain_http_beyond_loopback: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None
    map_file: str | None = None
    map_tiles: str | None = None
    oidc: OidcSection = field(default_factory=OidcSection)


class DriverPlane(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where drivers see their charge. `listen` none: there is no such page."""

    listen: str | None = None
    public_url: str | None = None
    allowed_hosts: list[str] = []
    stickers: bool = False
    plain_http_beyond_loopback: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None


class OutgoingSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where emw may call: stations' and ISOs' access URLs. No network: nowhere."""

    networks: list[str] = []
    ports: tuple[tuple[int, int], ...] = ((80, 80), (443, 443), (1024, 65_535))
    plain_http: bool = True


class Dispatch(Struct, forbid_unknown_fields=True, kw_only=True):
    """How load is moved. See docs/reference/settings for what each number means."""

    lease_seconds: Annotated[float, Meta(ge=30, le=3600)] = 900.0
    gap_seconds: Annotated[float, Meta(ge=0, le=3600)] = 60.0
    restore_share_per_minute: Share = 0.05
    shed_share_per_minute: Share = 1.0
    return_minutes: Annotated[float, Meta(ge=1, le=240)] = 10.0
    ramp_floor_kw_per_minute: Annotated[float, Meta(ge=0)] = 25.0
    season_days: Annotated[float, Meta(ge=1, le=400)] = 30.0
    events_per_season: Annotated[int, Meta(ge=0, le=10_000)] = 0
    cool_down_minutes: Annotated[float, Meta(ge=0, le=40_320)] = 0.0
    fairness: Annotated[float, Meta(ge=0, le=1)] = 0.05
    reversals: Annotated[int, Meta(ge=1, le=100)] = 2
    rhythm_seconds: Annotated[float, Meta(ge=1, le=86_400)] = 600.0
    report_interval_seconds: Annotated[float, Meta(ge=5, le=86_400)] = 300.0
    max_request_kw: Positive = 1_000_000.0
    confirm_above_kw: Positive | None = None
    turned_kw_per_day: Positive | None = None
    most_live_requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    most_evses_per_customer: Annotated[int, Meta(ge=1)] | None = None


class StoreSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where things are kept. `url` empty: SQLite in the data folder."""

    url: str | None = None
    telemetry_days: Annotated[float, Meta(ge=0)] = 30.0
    interval_days: Annotated[float, Meta(ge=0)] = 1_100.0


class TracesSection(Struct, forbid_unknown_fields=True, kw_only=True):
    """Where traces go, by OTLP over HTTP. `url` none: nowhere."""

    url: str | None = None
    networks: list[str] = []


class TerritorySection(Struct, forbid_unknown_fields=True, kw_only=True):
    """A node of the tree that is there from the first start."""

    name: str
    parent: str | None = None
    kind: str = "zone"
    ceiling_kw: Annotated[float, Meta(ge=0)] | None = None
    ceiling_a: Annotated[float, Meta(ge=0)] | None = None
    time_zone: str = "UTC"


class Config(Struct, forbid_unknown_fields=True, kw_only=True):
    """Everything emw is told before it starts."""

    data_dir: str = "emw-data"
    log_level: str = "info"
    speed: Annotated[float, Meta(gt=0, le=10_000)] = 1.0
    """Seconds of emw's clock per second: for demonstrations and tests, never with real stations."""
    start: str | None = None  # where a compressed clock starts (ISO-8601); None: now
    stations: StationPlane = field(default_factory=StationPlane)
    ocpp: OcppSection = field(default_factory=OcppSection)
    operator: OperatorPlane = field(default_factory=OperatorPlane)
    drivers: DriverPlane = field(default_factory=DriverPlane)
    outgoing: OutgoingSection = field(default_factory=OutgoingSection)
    dispatch: Dispatch = field(default_factory=Dispatch)
    store: StoreSection = field(default_factory=StoreSection)
    traces: TracesSection = field(default_factory=TracesSection)
    openadr: OpenAdrSection = field(default_factory=OpenAdrSection)
    territory: list[TerritorySection] = []

    @property
    def data(self) -> Path:
        """The data folder."""
        return Path(self.data_dir)

    def store_url(self) -> str:
        """Where things are kept, as a database URL."""
        return self.store.url or f"sqlite:///{self.data / 'emw.db'}"

    def outgoing_rules(self) -> OutgoingRules:
        """The guarded client's rules. Raises ConfigError for what is no network."""
        from emw.outgoing import OutgoingRules  # noqa: PLC0415 - see the head of this file

        section = self.outgoing
        try:
            return OutgoingRules.of(section.networks, section.ports, plain_http=section.plain_http)
        except ValueError as error:
            raise ConfigError(f"outgoing.networks: {error}; write networks like '10.20.0.0/16'") from error

    def vtns(self) -> list[VtnParts]:
        """The VTNs that emw listens to. Raises ConfigError."""
        try:
            return vtns_of(self.openadr, self.outgoing_rules())
        except Wrong as error:
            raise ConfigError(str(error)) from error

    def vtn_server(self) -> ServerParts | None:
        """Our own VTN; None: it is off. Raises ConfigError."""
        try:
            return server_of(self.openadr, self.stations.listen, self.outgoing_rules())
        except Wrong as error:
            raise ConfigError(str(error)) from error

    def traces_rules(self) -> OutgoingRules | None:
        """Where the collector of traces may be; None: there is none. Raises ConfigError."""
        section = self.traces
        if section.url is None:
            return None
        try:
            return rules_for(section.url, section.networks, "traces.url", plain_http=True)
        except Wrong as error:
            raise ConfigError(str(error)) from error

    def oidc(self) -> OidcParts | None:
        """The provider that people may log in at; None: there is none. Raises ConfigError."""
        try:
            return oidc_of(self.operator.oidc)
        except Wrong as error:
            raise ConfigError(str(error)) from error

    def ocpp_settings(self) -> OcppSettings | None:
        """How emw is a central system; None: not at all."""
        return settings_of(self.ocpp)

    def proxy_settings(self) -> ProxySettings | None:
        """For which stations emw stands before another CSMS; None: for none. Raises ConfigError."""
        try:
            return proxy_of(self.ocpp.proxy)
        except Wrong as error:
            raise ConfigError(str(error)) from error

    def service_settings(self) -> ServiceSettings:
        """The service's settings."""
        from emw.engine.turns import Season  # noqa: PLC0415 - see the head of this file
        from emw.engine.view import Rules  # noqa: PLC0415
        from emw.service.settings import ServiceSettings  # noqa: PLC0415

        d, s = self.dispatch, self.stations
        rules = Rules(
            lease_s=d.lease_seconds,
            gap_s=d.gap_seconds,
            restore_share_per_min=d.restore_share_per_minute,
            shed_share_per_min=d.shed_share_per_minute,
            return_min=d.return_minutes,
            ramp_floor_kw_per_min=d.ramp_floor_kw_per_minute,
            reversals=d.reversals,
            rhythm_s=d.rhythm_seconds,
        )
        return ServiceSettings(
            heartbeat_s=s.heartbeat_seconds,
            offline_after_intervals=s.offline_after_intervals,
            token_life_s=s.token_life_hours * 3600,
            command_deadline_s=s.command_deadline_seconds,
            report_interval_s=d.report_interval_seconds,
            max_request_kw=d.max_request_kw,
            confirm_above_kw=d.confirm_above_kw,
            turned_kw_per_day=d.turned_kw_per_day,
            most_live_requests=d.most_live_requests,
            most_evses_per_customer=d.most_evses_per_customer,
            rules=rules,
            season=Season(
                days=d.season_days,
                events_most=d.events_per_season,
                cool_down_s=d.cool_down_minutes * 60,
                fairness=d.fairness,
            ),
        )


def file_of(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The file that `load_config` reads, if it is there."""
    environment = os.environ if environment is None else environment
    return path or Path(environment.get("EMW_CONFIG", DEFAULT_FILE))


def load_config(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Read `path` (default `emw.toml` where it exists) and lay the environment over it. Raises ConfigError."""
    environment = os.environ if environment is None else environment
    raw: dict[str, Any] = {}
    file = file_of(path, environment)
    if file != DEFAULT_FILE and not file.exists():
        raise ConfigError(f"{file}: there is no such file")
    if file.exists():
        try:
            raw = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: {error}") from error
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}") from error
    for key, value in sorted(environment.items()):
        if key.startswith("EMW_") and key not in NOT_SETTINGS:
            _lay_over(raw, key, value)
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        wrong = misfit(error)
        raise ConfigError(f"{file}: {wrong}{_meant(wrong.field or '')}") from error


def _meant(name: str) -> str:
    """Which setting one that is none may have been meant for, as a question; nothing where there is no such one."""
    known = set(_names(Config))
    return "" if name in known else meant(name, [k for k in known if not name.startswith(f"{k}.")])


def _names(section: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """Every setting of a section and of those in it, as the reference writes them."""
    for one in msgspec.structs.fields(section):
        yield prefix + one.name
        if isinstance(one.type, type) and issubclass(one.type, msgspec.Struct):
            yield from _names(one.type, f"{prefix}{one.name}.")


def _lay_over(raw: dict[str, Any], key: str, value: str) -> None:
    """`EMW_STATIONS_LISTEN` is `stations.listen`; values are TOML, or plain text where they are not."""
    name = key.removeprefix("EMW_").lower()
    try:
        parsed = tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        parsed = value
    sections = [f.name for f in msgspec.structs.fields(Config)]
    section = next((s for s in sections if name.startswith(s + "_") and name not in sections), None)
    if section is None:
        if name not in sections:
            raise ConfigError(f"{key}: there is no such setting")
        raw[name] = parsed
        return
    inner = raw.setdefault(section, {})
    if not isinstance(inner, dict):
        raise ConfigError(f"{key}: {section} can't be set from the environment")
    inner[name.removeprefix(section + "_")] = parsed


def split_address(text: str, field: str) -> tuple[str, int]:
    """`HOST:PORT` to its parts. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"{field}: write HOST:PORT, for example 127.0.0.1:8400 (got {text!r})")
    return host.strip("[]"), int(port)
