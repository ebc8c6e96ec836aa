"""What operators change: stations, ISOs, territories, people, keys, opt-outs, and the big red stop.

Each returns the secret it made exactly once; only its hash is kept.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import timedelta

import structlog

from emw.domain import facts as f
from emw.domain.lines import WIRINGS
from emw.domain.model import Territory
from emw.domain.people import Role
from emw.service.dispatch import Dispatch
from emw.service.errors import BadInput, Conflict, NotFound, Unavailable
from emw.service.gate import hash_of
from emw.service.ledger import Ledger
from emw.service.ports import Clock, Ids
from emw.service.requests import OPERATOR

log = structlog.get_logger()
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
MOST_ID = 255
DRIVER = "driver:"
"""How an actor begins who is whoever holds the link of a stay."""


def plain_name(field: str, value: str) -> str:
    """A name that people and URLs can carry: letters, digits, `_ . @ -`, at most 64."""
    if not NAME.fullmatch(value):
        raise BadInput(
            field, "use 1 to 64 letters, digits, '_', '.', '@' or '-', starting with a letter or digit"
        )
    return value


def any_text(field: str, value: str, most: int = MOST_ID) -> str:
    """Any text: it is only ever text in pages, CSV and logs. NUL and lone surrogates can't be stored."""
    if not value.strip():
        raise BadInput(field, "must not be empty")
    if len(value) > most:
        raise BadInput(field, f"must be at most {most} characters")
    if "\x00" in value or any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        raise BadInput(field, "must not contain NUL or half a character")
    return value


def id_in_paths(field: str, value: str) -> str:
    """Any text that can be a part of a URL's path: clients take `.` and `..` out of it, however they are written."""
    if value in {".", ".."}:
        raise BadInput(field, "must not be '.' or '..': no address can name it")
    return any_text(field, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseDefaults:
    """The operator's word on a station's EVSEs: territory, knob (A), line voltage (V), phases. None: not said.

    `dc`: direct current, one phase of that voltage. `may_pause`: a shed may bring it to 0 A.
    """

    territory_id: str | None = None
    max_a: float | None = None
    line_voltage_v: float | None = None
    phases: int | None = None
    dc: bool | None = None
    may_pause: bool | None = None


NOT_SAID = EvseDefaults()
HEX_DIGITS = 40
"""Of a key of 20 bytes: the longest that OCPP 1.6-J has room for."""


class Admin:
    """Changes who and what there is."""

    def __init__(self, ledger: Ledger, dispatch: Dispatch, clock: Clock, ids: Ids) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._dispatch = dispatch
        self._clock = clock
        self._ids = ids

    async def define_territory(
        self,
        actor: str,
        territory_id: str,
        *,
        parent_id: str | None = None,
        kind: str = "zone",
        ceiling_kw: float | None = None,
        ceiling_a: float | None = None,
        time_zone: str = "UTC",
    ) -> Territory:
        """Add or change a node of the tree. A loop is refused."""
        id_in_paths("territoryID", territory_id)
        any_text("kind", kind, 64)
        if parent_id is not None:
            if parent_id not in self._state.territories:
                raise NotFound(f"there is no territory {parent_id!r}", field="parentID")
            if territory_id in self._state.path(parent_id):
                raise BadInput("parentID", f"{parent_id!r} lies under {territory_id!r}: that would be a loop")
        if ceiling_kw is not None and not 0 <= ceiling_kw <= 1e7:
            raise BadInput("ceilingKW", "must be between 0 and 10,000,000")
        if ceiling_a is not None and not 0 <= ceiling_a <= 1e7:
            raise BadInput("ceilingAmps", "must be between 0 and 10,000,000")
        node = Territory(
            territory_id=territory_id,
            parent_id=parent_id,
            kind=kind,
            ceiling_kw=ceiling_kw,
            ceiling_a=ceiling_a,
            time_zone=time_zone,
        )
        if self._state.territories.get(territory_id) != node:
            await self._ledger.record(f.TerritoryDefined(at=self._clock.now(), actor=actor, **asdict(node)))
            self._dispatch.wake_all()
        return self._state.territories[territory_id]

    async def add_station(
        self,
        actor: str,
        station_id: str,
        *,
        customer_id: str | None = None,
        renew: bool = False,
        evses: EvseDefaults = NOT_SAID,
        secret: str | None = None,
        in_hex: bool = False,
    ) -> str:
        """Enrol a station; returns its secret. `renew` gives a known one a new secret: the old one dies.

        `evses`: what its protocol can't say of them; what is not said stays as it was. `secret`: one that the
        station has already, instead of a new one. `in_hex`: 40 hexadecimal digits, for those that take nothing else.
        """
        id_in_paths("stationID", station_id)
        known = self._state.stations.get(station_id)
        if known is not None and not known.revoked and not renew:
            raise Conflict(
                f"station {station_id!r} is enrolled already; ask for a renewal to give it a new secret"
            )
        taken = self._state.evses.get(station_id)
        if taken is not None and taken.station_id != station_id:
            raise Conflict(f"{station_id!r} is the name of an EVSE of station {taken.station_id!r}")
        if evses.territory_id is not None and evses.territory_id not in self._state.territories:
            raise NotFound(f"there is no territory {evses.territory_id!r}", field="territory")
        was = known or evses
        new = self._ids.new("es")
        secret = secret or (hash_of(new)[:HEX_DIGITS] if in_hex else new)
        await self._ledger.record(
            f.StationAdded(
                at=self._clock.now(),
                actor=actor,
                station_id=station_id,
                secret_hash=hash_of(secret),
                customer_id=customer_id if customer_id is not None or known is None else known.customer_id,
                protocol="rest" if known is None else known.protocol,
                territory_id=evses.territory_id or was.territory_id,
                max_a=evses.max_a or was.max_a,
                line_voltage_v=evses.line_voltage_v or was.line_voltage_v,
                phases=evses.phases or was.phases,
                dc=was.dc if evses.dc is None else evses.dc,
                may_pause=was.may_pause if evses.may_pause is None else evses.may_pause,
            )
        )
        return secret

    async def wire(self, actor: str, evse_id: str, wiring: str | None) -> None:
        """Say which lines of the grid lie on an EVSE's terminals, in order; None: nobody knows.

        It may be said before the EVSE has shown itself, as soon as its station is enrolled.
        """
        if not {evse_id, evse_id.rpartition(":")[0]} & self._state.stations.keys():
            raise NotFound(f"there is no station with an EVSE {evse_id!r}", field="evseID")
        if wiring is not None and wiring not in WIRINGS:
            raise BadInput("wiring", "name each line once, in order of the terminals: L2, or L2L3L1")
        known = self._state.wirings.get(evse_id)
        if wiring != (known and known.wiring):
            await self._ledger.record(
                f.EvseWired(at=self._clock.now(), actor=actor, evse_id=evse_id, wiring=wiring)
            )
            self._dispatch.wake_all()

    async def revoke_station(self, actor: str, station_id: str, reason: str | None = None) -> None:
        """A station's secret and token die at once; its limits are let go."""
        if station_id not in self._state.stations:
            raise NotFound(f"there is no station {station_id!r}", field="stationID")
        now = self._clock.now()
        facts: list[f.Fact] = []
        evses = self._state.evses_of(station_id)
        for evse in evses:
            if evse.session_id is None or evse.session_id not in self._state.sessions:
                continue
            facts.append(
                f.SessionEnded(
                    at=now,
                    actor=actor,
                    session_id=evse.session_id,
                    evse_id=evse.evse_id,
                    reason="station revoked",
                )
            )
            facts += self._dispatch.leaves(evse.evse_id, "station revoked", now)
        facts.append(f.StationRevoked(at=now, actor=actor, station_id=station_id, reason=reason))
        await self._ledger.record(*facts)
        for territory_id in sorted({evse.territory_id for evse in evses}):
            self._dispatch.wake(territory_id)

    async def add_iso(
        self,
        actor: str,
        iso_id: str,
        territories: tuple[str, ...],
        *,
        certificate: str | None = None,
        renew: bool = False,
    ) -> str:
        """Give a grid operator a token and the territories it may name; returns the token.

        `certificate`: the name in the client certificate that it must show, too; a renewal that names none keeps it.
        """
        plain_name("isoID", iso_id)
        if iso_id == OPERATOR:
            raise BadInput("isoID", f"{OPERATOR!r} is the name of this console's own requests")
        for territory_id in territories:
            if territory_id not in self._state.territories:
                raise NotFound(f"there is no territory {territory_id!r}", field="territories")
        if certificate is not None:
            any_text("certificate", certificate)
        known = self._state.isos.get(iso_id)
        if known is not None and not known.revoked and not renew:
            raise Conflict(f"ISO {iso_id!r} has a token already; ask for a renewal to give it a new one")
        token = self._ids.new("iso")
        await self._ledger.record(
            f.IsoAdded(
                at=self._clock.now(),
                actor=actor,
                iso_id=iso_id,
                token_hash=hash_of(token),
                territories=tuple(sorted(set(territories))),
                certificate=certificate or (None if known is None else known.certificate),
            )
        )
        return token

    async def revoke_iso(self, actor: str, iso_id: str, reason: str | None = None) -> None:
        """A grid operator may ask no more; what runs goes on to its end."""
        if iso_id not in self._state.isos:
            raise NotFound(f"there is no ISO {iso_id!r}", field="isoID")
        await self._ledger.record(
            f.IsoRevoked(at=self._clock.now(), actor=actor, iso_id=iso_id, reason=reason)
        )

    async def add_operator(self, actor: str, name: str, password_hash: str, role: Role) -> None:
        """Give a person a login (the hash is argon2, made at the edge), or a new password or role."""
        plain_name("name", name)
        await self._ledger.record(
            f.OperatorAdded(
                at=self._clock.now(), actor=actor, name=name, password_hash=password_hash, role=role
            )
        )

    async def disable_operator(self, actor: str, name: str) -> None:
        """A person may not log in any more."""
        if name not in self._state.operators:
            raise NotFound(f"there is no operator {name!r}", field="name")
        await self._ledger.record(f.OperatorDisabled(at=self._clock.now(), actor=actor, name=name))

    async def note_login_ended(self, actor: str, name: str, reason: str | None = None) -> None:
        """An administrator ended somebody's login."""
        await self._ledger.record(f.LoginEnded(at=self._clock.now(), actor=actor, name=name, reason=reason))

    async def add_key(
        self,
        actor: str,
        name: str,
        role: Role,
        *,
        scopes: tuple[str, ...] = (),
        days: float | None = None,
    ) -> tuple[str, str]:
        """Make an API key; returns its id and the key. `scopes`: only these parts of the API; `days`: its life."""
        any_text("name", name, 64)
        now = self._clock.now()
        key_id, key = self._ids.new("id"), self._ids.new("key")
        await self._ledger.record(
            f.ApiKeyAdded(
                at=now,
                actor=actor,
                key_id=key_id,
                name=name,
                key_hash=hash_of(key),
                role=role,
                scopes=scopes,
                expires_at=None if days is None else now + timedelta(days=days),
            )
        )
        return key_id, key

    async def revoke_key(self, actor: str, key_id: str) -> None:
        """An API key is worth nothing any more."""
        if key_id not in self._state.api_keys:
            raise NotFound(f"there is no key {key_id!r}", field="keyID")
        await self._ledger.record(f.ApiKeyRevoked(at=self._clock.now(), actor=actor, key_id=key_id))

    async def opt_out(self, actor: str, evse_id: str, minutes: float | None, reason: str) -> None:
        """A driver refuses to be limited for a while (or, with None, takes that back)."""
        evse = self._state.evses.get(evse_id)
        if evse is None:
            raise NotFound(f"there is no EVSE {evse_id!r}", field="evseID")
        now = self._clock.now()
        until = None if minutes is None else now + timedelta(minutes=minutes)
        facts: list[f.Fact] = [f.OptedOut(at=now, actor=actor, evse_id=evse_id, until=until, reason=reason)]
        if until is not None:
            facts += self._dispatch.leaves(evse_id, "opted out", now, session_over=False)
        await self._ledger.record(*facts)
        self._dispatch.wake(evse.territory_id)

    async def halt(self, actor: str, reason: str | None) -> bool:
        """Stop all dispatch and free every car along the ramp. Acts before it is written; True: it is written too."""
        self._dispatch.halt(on=True)
        try:
            await self._ledger.record(f.DispatchHalted(at=self._clock.now(), actor=actor, reason=reason))
        except Unavailable as error:
            log.warning("halt.not_written", why=error.detail)
            return False
        return True

    async def resume(self, actor: str, reason: str | None) -> None:
        """Let dispatch go on."""
        await self._ledger.record(f.DispatchResumed(at=self._clock.now(), actor=actor, reason=reason))
        self._dispatch.halt(on=False)
