"""How emw is a VTN."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from emw.grid.openadr3.settings import VtnSettings

BASE: Final = "/openadr3/3.1.0"
"""Where it is on the station plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """emw's own VTN. `ours`: emw as its VEN, with what the words of its programs mean here. Times in seconds."""

    ours: VtnSettings
    public_url: str | None = None
    """Where clients reach `/openadr3/3.1.0`; None: as the request itself says."""
    token_life_s: float = 3_600.0
    keep_reports_s: float = 90 * 86_400.0
    callback_deadline_s: float = 10.0
    callback_tries: int = 12
    """So many in a row may fail before a subscription's callbacks are no longer called."""
    key: bytes = field(default=b"", repr=False)
    """What bearer tokens of callbacks are sealed with."""
