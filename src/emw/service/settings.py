"""The settings of the service: every number an operator may want to change, with its unit and its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from emw.engine.turns import Season
from emw.engine.view import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """How the service keeps time with stations and the grid. Seconds are the clock's own."""

    heartbeat_s: int = 60
    offline_after_intervals: float = 3.0
    token_life_s: float = 86_400.0
    command_deadline_s: float = 3.0
    """How long a station may take to answer a call; its shed counts as nothing after that."""
    commands_in_flight: int = 1_000
    decrease_wait_s: float = 5.0
    report_interval_s: float = 300.0
    report_retry_s: float = 5.0
    report_retry_most_s: float = 600.0
    report_keep_s: float = 7 * 86_400.0
    telemetry_flush_s: float = 1.0
    telemetry_group: int = 2_000
    telemetry_bound: int = 100_000
    roll_up_s: float = 60.0
    max_request_kw: float = 1_000_000.0
    confirm_above_kw: float | None = None
    """What one asker's live requests may come to, kW; beyond it a second person must agree. None: without bound."""
    turned_kw_per_day: float | None = None
    """kW times turns that one asker's requests may make in 24 h; beyond it a second person must agree."""
    most_live_requests: int = 1_000
    """Live requests of one asker."""
    most_evses_per_customer: int | None = None
    """EVSEs with a vehicle of one customer that count as sheddable (attack A10). None: all."""
    max_request_s: float = 7 * 86_400.0
    max_ahead_s: float = 400 * 86_400.0
    rules: Rules = field(default_factory=Rules)
    season: Season = field(default_factory=Season)
