"""Who a station is, whatever it speaks."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """`secret` is the enrolment secret. No `access_url`: the station is behind NAT and can't be called."""

    evse_id: str
    secret: str = field(repr=False)
    territory: str
    model: str = "Simulated EVSE"
    customer_id: str = "simulated"
    phases: int | None = None
    may_pause: bool | None = None
    site: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    access_url: str | None = None
