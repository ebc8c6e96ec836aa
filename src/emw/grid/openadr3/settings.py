"""How emw is a VEN of one VTN: where it is, who we are there, and what its words mean here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Final

from emw.domain.signals import VTN_PREFIX, SignalKind

ROOM: Final = "/openadr3-ven"
"""Where VTNs that announce changes find us, on the station plane."""


class Match(StrEnum):
    """How a target's text is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRule:
    """A target of the VTN that stands for a territory of ours. `type` (3.0.1): only targets of this type."""

    target: str
    territory_id: str
    match: Match = Match.EXACT
    type: str | None = None

    def fits(self, value: str, kind: str | None) -> bool:
        """Whether a target is meant."""
        if self.type is not None and kind is not None and kind != self.type:
            return False
        match self.match:
            case Match.EXACT:
                return value == self.target
            case Match.PREFIX:
                return value.startswith(self.target)
            case Match.REGEX:
                return re.fullmatch(self.target, value) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What a level asks: so many kW, or a share (0..1) of the baseline."""

    kw: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the words of a program mean here.

    `levels`: SIMPLE levels and emergencies as amounts. `payloads`: what program-defined types (CONTROL_SETPOINT …)
    stand for. `assume_kw`: a power without a unit is in kW. `zone`: in which days are counted.
    """

    territory_id: str | None = None
    may_name: tuple[str, ...] = ()
    targets: tuple[TargetRule, ...] = ()
    levels: Mapping[int, Amount] = field(default_factory=dict)
    payloads: Mapping[str, SignalKind] = field(default_factory=dict)
    assume_kw: bool = False
    precedence: int = 100
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class VtnSettings:
    """One VTN. `version` None: found out by asking. Times in seconds."""

    name: str
    url: str
    version: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    token_url: str | None = None
    scope: str | None = None
    audience: str | None = None
    ven_name: str = "emw"
    meaning: Meaning = field(default_factory=Meaning)
    programs: Mapping[str, Meaning] = field(default_factory=dict)
    """By program name or id; not empty: the events of other programs are not served."""
    poll_s: float = 60.0
    near_poll_s: float = 10.0
    near_ahead_s: float = 900.0
    page: int = 50
    deadline_s: float = 15.0
    lost_open_ended_s: float = 86_400.0
    """How long an event without an end is held when its VTN can't be heard any more."""
    reports: tuple[str, ...] = ()
    """Report types that are sent about each event that moves load, asked for or not."""
    report_s: float = 900.0
    """The length of report intervals where the VTN leaves it to us."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """Names that resources have at the VTN, and the territories they stand for."""
    # Of 2.0b only:
    ven_id: str | None = None
    sign_messages: bool = False
    market_context: str = ""
    opt_in_share: float = 0.1
    """Events are declined (optOut) when less than this share of what they ask can be shed."""
    callback_url: str | None = None
    """Where the VTN reaches us with notifications; None: no webhooks."""
    callback_token: str = field(default="", repr=False)
    mqtt: bool = False
    """Whether its broker is listened to."""
    ca_file: str | None = None

    @property
    def source_id(self) -> str:
        """The name of this VTN in facts and records."""
        return f"{VTN_PREFIX}{self.name}"

    def meaning_of(self, program_id: str, program_name: str) -> Meaning | None:
        """What a program's words mean; None: its events are not served."""
        if not self.programs:
            return self.meaning
        return self.programs.get(program_name) or self.programs.get(program_id)


def with_defaults(own: Meaning, default: Meaning) -> Meaning:
    """A program's meaning over its VTN's: what it does not say is as it is for the VTN."""
    return replace(
        default,
        territory_id=own.territory_id or default.territory_id,
        may_name=own.may_name or default.may_name,
        targets=(*own.targets, *default.targets),
        levels={**default.levels, **own.levels},
        payloads={**default.payloads, **own.payloads},
        assume_kw=own.assume_kw or default.assume_kw,
        precedence=own.precedence,
        zone=own.zone,
    )
