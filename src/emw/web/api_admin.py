"""Who and what there is, over the API: territories, stations, grid operators, people, keys, and the big red stop."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from litestar import Controller, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from emw.domain.model import Evse, Station
from emw.domain.people import Role
from emw.service.admin import EvseDefaults
from emw.service.errors import BadInput, Conflict, NotFound
from emw.service.headend import HeadEnd
from emw.web.auth import administrator, elapsed_s, operator, viewer
from emw.web.given import Limited, Offset, Text, TheAuth, TheBoard, TheCaller, TheHeadEnd, id_of, settled
from emw.web.passwords import check_new_password
from emw.web.wire import (
    Done,
    HaltOut,
    Heard,
    IsoIn,
    IsoMade,
    IsoOut,
    Page,
    ReasonIn,
    StationIn,
    StationMade,
    StationOut,
    TerritoryIn,
    TerritoryOut,
    told,
    whole,
)
from emw.web.wire_people import LoginOut, OperatorIn, OperatorOut, TokenIn, TokenMade, TokenOut


class Territories(Controller):
    """The territory tree."""

    path = "/territories"
    tags = ("Territories",)

    @get(guards=[viewer], summary="The tree: every node with its parent, ceiling and sums")
    async def list_territories(self, headend: TheHeadEnd, board: TheBoard) -> Page[TerritoryOut]:
        """All nodes, ids in order; `parentID` makes the tree."""
        await settled(headend)
        board.look()
        return whole(board.territories())

    @post(guards=[administrator], status_code=200, summary="Add or change a node, its ceiling included")
    async def define(
        self, headend: TheHeadEnd, board: TheBoard, caller: TheCaller, data: JSONBody[TerritoryIn]
    ) -> TerritoryOut:
        """The node is as said here: a ceiling that is left out is no ceiling. A loop is refused."""
        try:
            ZoneInfo(data.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadInput("timeZone", "use an IANA name, for example America/Los_Angeles") from error
        await headend.admin.define_territory(
            caller.actor,
            data.territory_id,
            parent_id=data.parent_id,
            kind=data.kind,
            ceiling_kw=data.ceiling_kw,
            ceiling_a=data.ceiling_amps,
            time_zone=data.time_zone,
        )
        board.look()
        return next(t for t in board.territories() if t.territory_id == data.territory_id)


def _heard(headend: HeadEnd, station: Station) -> Heard:
    evses = headend.state.evses_of(station.station_id)
    if any(e.powered and e.online for e in evses):
        return "online"
    if any(e.powered for e in evses):
        return "silent"
    return "off" if evses else "new"


def _last_heard(headend: HeadEnd, evse: Evse) -> datetime | None:
    live = headend.telemetry.live.get(evse.evse_id) if evse.online else None
    return evse.offline_since if live is None else live.heard_at


def _station(headend: HeadEnd, s: Station) -> StationOut:
    evses = headend.state.evses_of(s.station_id)
    return StationOut(
        station_id=s.station_id,
        customer_id=s.customer_id,
        protocol=s.protocol,
        revoked=s.revoked,
        access_url=s.access_url,
        added_at=s.added_at,
        powered_on_at=s.token_at,
        evses=len(evses),
        state=_heard(headend, s),
        heard_at=max((at for e in evses if (at := _last_heard(headend, e)) is not None), default=None),
    )


class Stations(Controller):
    """Stations and their secrets."""

    path = "/stations"
    tags = ("Stations",)

    @get(guards=[viewer], summary="Stations, without their secrets")
    async def list_stations(
        self,
        headend: TheHeadEnd,
        text: Text = None,
        revoked: FromQuery[bool | None] = None,
        only_state: Annotated[Heard | None, QueryParameter(name="state")] = None,
        limit: Limited = 100,
        offset: Offset = 0,
    ) -> Page[StationOut]:
        """`text` looks into stationID and customerID."""
        await settled(headend)
        words = (text or "").casefold()
        found = [
            s
            for s in headend.state.stations.values()
            if (revoked is None or s.revoked == revoked)
            and (words in s.station_id.casefold() or words in (s.customer_id or "").casefold())
            and only_state in {None, _heard(headend, s)}
        ]
        found.sort(key=lambda s: s.station_id)
        items = [_station(headend, s) for s in found[offset : offset + limit]]
        return Page(items=items, total=len(found), limit=limit, offset=offset)

    @post(guards=[administrator], summary="Enrol a station; its secret is shown once")
    async def add(self, headend: TheHeadEnd, caller: TheCaller, data: JSONBody[StationIn]) -> StationMade:
        """With `renew` a known station gets a new secret, and the old one dies."""
        secret = await headend.admin.add_station(
            caller.actor,
            data.station_id,
            customer_id=data.customer_id,
            renew=data.renew,
            in_hex=data.hex_secret,
            evses=EvseDefaults(
                territory_id=data.territory,
                max_a=data.max_amps,
                line_voltage_v=data.line_voltage,
                phases=data.phases,
                dc=None if data.current is None else data.current == "dc",
                may_pause=data.may_pause,
            ),
        )
        return StationMade(station_id=data.station_id, secret=secret)

    @post("/{station_id:str}/revoke", guards=[administrator], status_code=200, summary="Revoke a station")
    async def revoke(
        self, headend: TheHeadEnd, caller: TheCaller, station_id: FromPath[str], data: JSONBody[ReasonIn]
    ) -> Done:
        """Its secret and token die at once; its limits are let go."""
        await headend.admin.revoke_station(caller.actor, id_of(station_id), data.reason)
        return Done()


class Isos(Controller):
    """Grid operators and their tokens."""

    path = "/isos"
    tags = ("Grid operators",)

    @get(guards=[viewer], summary="Grid operators, without their tokens")
    async def list_isos(self, headend: TheHeadEnd) -> Page[IsoOut]:
        """All of them, ids in order."""
        await settled(headend)
        return whole(told(i, IsoOut) for i in sorted(headend.state.isos.values(), key=lambda i: i.iso_id))

    @post(guards=[administrator], summary="Give a grid operator a token; it is shown once")
    async def add(self, headend: TheHeadEnd, caller: TheCaller, data: JSONBody[IsoIn]) -> IsoMade:
        """With `renew` a known one gets a new token, and the old one dies."""
        token = await headend.admin.add_iso(
            caller.actor,
            data.iso_id,
            tuple(data.territories),
            certificate=data.certificate,
            renew=data.renew,
        )
        return IsoMade(iso_id=data.iso_id, token=token)

    @post("/{iso_id:str}/revoke", guards=[administrator], status_code=200, summary="Revoke a grid operator")
    async def revoke(
        self, headend: TheHeadEnd, caller: TheCaller, iso_id: FromPath[str], data: JSONBody[ReasonIn]
    ) -> Done:
        """It may ask no more; what runs goes on to its end."""
        await headend.admin.revoke_iso(caller.actor, id_of(iso_id), data.reason)
        return Done()


class Operators(Controller):
    """People who may log in."""

    path = "/operators"
    tags = ("Operators",)

    @get(guards=[administrator], summary="Who may log in")
    async def list_operators(self, headend: TheHeadEnd) -> Page[OperatorOut]:
        """All of them, names in order."""
        await settled(headend)
        people = sorted(headend.state.operators.values(), key=lambda o: o.name)
        return whole(told(o, OperatorOut) for o in people)

    @post(guards=[administrator], summary="Give a person a login, a new password or another role")
    async def add(
        self, headend: TheHeadEnd, auth: TheAuth, caller: TheCaller, data: JSONBody[OperatorIn]
    ) -> OperatorOut:
        """All earlier logins of this name end."""
        _keeps_an_administrator(headend, data.name, data.role)
        password_hash = await auth.passwords.hash(check_new_password(data.password, data.name))
        await headend.admin.add_operator(caller.actor, data.name, password_hash, data.role)
        return told(headend.state.operators[data.name], OperatorOut)

    @post("/{name:str}/disable", guards=[administrator], status_code=200, summary="Let a person in no more")
    async def disable(
        self, headend: TheHeadEnd, caller: TheCaller, name: FromPath[str], data: JSONBody[ReasonIn]
    ) -> Done:
        """All logins of this name end at once. The last administrator stays."""
        plain = id_of(name)
        _keeps_an_administrator(headend, plain, None)
        await headend.admin.disable_operator(caller.actor, plain)
        return Done()


def _keeps_an_administrator(headend: HeadEnd, name: str, role: Role | None) -> None:
    """Nobody may lock everybody out."""
    people = headend.state.operators.values()
    administrators = {o.name for o in people if o.role is Role.ADMINISTRATOR and not o.disabled}
    if role is not Role.ADMINISTRATOR and administrators == {name}:
        raise Conflict(f"{name!r} is the last administrator; make another one first", field="name")


class Tokens(Controller):
    """Keys for machines."""

    path = "/tokens"
    tags = ("API keys",)

    @get(guards=[administrator], summary="API keys, without the keys themselves")
    async def list_tokens(self, headend: TheHeadEnd) -> Page[TokenOut]:
        """All of them, newest first."""
        await settled(headend)
        keys = sorted(headend.state.api_keys.values(), key=lambda k: k.added_at, reverse=True)
        return whole(told(k, TokenOut) for k in keys)

    @post(guards=[administrator], summary="Make an API key; it is shown once")
    async def add(self, headend: TheHeadEnd, caller: TheCaller, data: JSONBody[TokenIn]) -> TokenMade:
        """Send it as `Authorization: Bearer <key>`."""
        scopes = tuple(sorted(set(data.scopes)))
        key_id, key = await headend.admin.add_key(
            caller.actor, data.name, data.role, scopes=scopes, days=data.days
        )
        known = headend.state.api_keys[key_id]
        return TokenMade(
            key_id=key_id,
            key=key,
            name=data.name,
            role=data.role,
            scopes=list(scopes),
            expires_at=known.expires_at,
        )

    @delete("/{key_id:str}", guards=[administrator], status_code=200, summary="Make a key worth nothing")
    async def revoke(self, headend: TheHeadEnd, caller: TheCaller, key_id: FromPath[str]) -> Done:
        """At once."""
        await headend.admin.revoke_key(caller.actor, id_of(key_id))
        return Done()


class Logins(Controller):
    """Who is logged in now."""

    path = "/logins"
    tags = ("Operators",)

    @get(guards=[administrator], summary="Who is logged in to the console now")
    async def list_logins(self, auth: TheAuth) -> Page[LoginOut]:
        """By password and by single sign-on; who used it last comes first."""
        now_s = elapsed_s()
        found = sorted(auth.logins.alive(), key=lambda x: -x[1].used_s)
        items = [
            LoginOut(
                login_id=login_id,
                name=s.name,
                role=role,
                single_sign_on=s.role is not None,
                address=s.address,
                began_seconds_ago=round(now_s - s.began_s, 1),
                used_seconds_ago=round(now_s - s.used_s, 1),
            )
            for login_id, s in found
            if (role := auth.role_of(s)) is not None
        ]
        return whole(items)

    @post("/{login_id:str}/end", guards=[administrator], status_code=200, summary="End one login at once")
    async def end(
        self,
        headend: TheHeadEnd,
        auth: TheAuth,
        caller: TheCaller,
        login_id: FromPath[str],
        data: JSONBody[ReasonIn],
    ) -> Done:
        """Whoever it is must log in again."""
        name = auth.logins.end(id_of(login_id))
        if name is None:
            raise NotFound("there is no such login", field="loginID")
        await headend.admin.note_login_ended(caller.actor, name, data.reason)
        return Done()


class BigRedStop(Controller):
    """Halt and resume."""

    tags = ("Halt",)

    @get("/halt", guards=[viewer], summary="Whether all dispatch is stopped")
    async def halted(self, headend: TheHeadEnd) -> HaltOut:
        """Since when and by whom."""
        return _halt(headend)

    @post(
        "/halt",
        guards=[operator],
        status_code=200,
        summary="Stop all dispatch, free every car along the ramp",
    )
    async def halt(self, headend: TheHeadEnd, caller: TheCaller, data: JSONBody[ReasonIn]) -> HaltOut:
        """Acts before it is written, and also when it can't be."""
        written = await headend.admin.halt(caller.actor, data.reason)
        halt = _halt(headend)
        halt.written = written
        return halt

    @post("/resume", guards=[operator], status_code=200, summary="Let dispatch go on")
    async def resume(self, headend: TheHeadEnd, caller: TheCaller, data: JSONBody[ReasonIn]) -> HaltOut:
        """After a halt."""
        await headend.admin.resume(caller.actor, data.reason)
        return _halt(headend)


def _halt(headend: HeadEnd) -> HaltOut:
    known = headend.state.halt["all"]
    halted = headend.dispatch.halted
    if known.halted != halted:  # stopped, but the log could not take it
        return HaltOut(halted=halted, written=False)
    return HaltOut(halted=halted, since=known.at, by=known.by, reason=known.reason)
