"""What an operator may change about OCPP. Seconds are real ones."""

from __future__ import annotations

from dataclasses import dataclass, field

from emw.service.admin import NOT_SAID, EvseDefaults
from emw.stations.ocpp.traits import Pin
from emw.stations.ocppj import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppSettings:
    """How emw is a central system.

    `versions`: those that are spoken. `no_subprotocol`: what a station speaks that names no version; None: it is not
    let in.
    `profiles`: the security profiles that are let in: 0 no credential, 1 Basic over ws, 2 Basic over wss, 3 client
    certificate. `unknown`: what becomes of a station that nobody enrolled: `refuse` (404), `pending` (it may connect
    and is told to wait), `accept` (it is enrolled into the default territory).
    `tokens`: who may charge; None: anybody. `pins`: what the operator says of makes.
    """

    versions: frozenset[Version] = frozenset(Version)
    no_subprotocol: Version | None = None
    profiles: frozenset[int] = frozenset({1, 2, 3})
    no_credential_beyond_loopback: bool = False
    unknown: str = "refuse"
    evses: EvseDefaults = NOT_SAID
    tokens: frozenset[str] | None = None
    pins: tuple[Pin, ...] = ()
    heartbeat_s: int = 300
    sample_s: int = 60
    ping_s: float = 45.0
    no_ping: frozenset[str] = field(default_factory=frozenset)
    offline_s: float = 120.0
    connects_per_s: float = 500.0
    frames_kept: int = 20
    quiet_s: float = 5.0
    ping_deadline_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """Which stations have a CSMS of their own, and where. `password`: None passes on what the station came with.

    `hold_s`: so long a station is kept unanswered while its CSMS is away; then emw answers in its place, or lets the
    station go (`stand_in`).
    """

    url: str
    stations: tuple[str, ...] = ("*",)
    territories: frozenset[str] = frozenset()
    password: str | None = field(default=None, repr=False)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    hold_s: float = 20.0
    stand_in: bool = True
