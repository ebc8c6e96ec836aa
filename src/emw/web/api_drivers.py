"""What the driver plane answers: one charge, for whoever holds its link. Nothing else is served there.

The token travels in a header, never in a URL: no log, history or referrer has it. A link carries it in its fragment,
which browsers keep to themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from emw.service.drivers import Drivers, Stay
from emw.service.errors import NotFound, TooMany
from emw.service.gate import Guesses
from emw.service.headend import HeadEnd
from emw.web.auth import (
    address_of,
    administrator,
    check_body,
    check_media,
    check_origin,
    operator,
    people_now,
)
from emw.web.extras import Extras
from emw.web.given import id_of
from emw.web.wire import Done, In, Instant, Minutes, Out

HEADER: Final = "emw-charge"
"""The header with a link's token."""
FREE_TRIES: Final = 10
TheDrivers = NamedDependency[Drivers]
TheGuesses = NamedDependency[Guesses]
AnyRequest = Request[Any, Any, Any]


class CodeIn(In):
    """The code that the station showed, or the token of a sticker."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]


class LinkOut(Out):
    """The token of the charge's link: send it as `emw-charge`."""

    link: str


class OptOutByDriver(In):
    """No limits for so many minutes; without: for this stay."""

    minutes: Minutes | None = None


class NeedIn(In):
    """What the vehicle needs, and until when; left out: not known."""

    energy_requested_kwh: Annotated[float, Meta(gt=0, le=500)] | None = None
    departure_time: Instant | None = None


class HappenedOut(Out):
    """What happened to this charge: limited (to so many amps), freed, opted_out, opted_in."""

    at: datetime
    what: str
    amps: float | None


class ChargeOut(Out):
    """One charge, as its driver may see it. kW are real power, A are per phase, times carry their offset."""

    evse_id: str
    site: str | None
    time_zone: str
    now: datetime
    state: str
    started_at: datetime
    ended_at: datetime | None
    load_kw: float | None
    read_at: datetime | None
    energy_kwh: float | None
    limit_amps: float | None
    limit_kw: float | None
    full_kw: float
    protects_wires: bool
    returns_at: datetime | None
    deferred_kwh: float
    opted_out_until: datetime | None
    opted_out_for_stay: bool
    energy_requested_kwh: float | None
    departure_time: datetime | None
    told_by_driver: bool
    history: list[HappenedOut]


async def stay_of(request: AnyRequest, drivers: TheDrivers, guesses: TheGuesses) -> Stay:
    """The stay that the caller's link opens. A right link always passes, whoever has guessed from the same address."""
    try:
        return await drivers.by_link(request.headers.get(HEADER, ""))
    except NotFound:
        _wrong(request, guesses)
        raise


def _wrong(request: AnyRequest, guesses: Guesses) -> None:
    address = address_of(request)
    wait_s = guesses.wait_s(address, people_now())
    guesses.wrong(address, people_now())
    if wait_s:
        raise TooMany("too many wrong codes from here; wait and try again", retry_after_s=wait_s) from None


async def from_our_page(connection: Any, handler: Any) -> None:
    """The guard of changing calls: JSON, and from this very page where a browser says so."""
    check_media(connection)
    check_origin(connection)
    check_body(connection, handler)


async def _told(headend: HeadEnd, drivers: Drivers, stay: Stay) -> ChargeOut:
    told: Mapping[str, Any] = await drivers.told(stay, headend.clock.now())
    return ChargeOut(**{**told, "history": [HappenedOut(**h) for h in told["history"]]})


class Charge(Controller):
    """One charge."""

    path = "/drive/api/charge"
    tags = ("Drivers",)

    @post("/find", guards=[from_our_page], status_code=200, summary="From a code to the charge's link")
    async def find(
        self,
        request: AnyRequest,
        headend: NamedDependency[HeadEnd],
        drivers: TheDrivers,
        guesses: TheGuesses,
        data: JSONBody[CodeIn],
    ) -> LinkOut:
        """By the code that the station showed, or by a sticker's token shortly after the plug-in. Guesses are slow."""
        address = address_of(request)
        wait_s = guesses.wait_s(address, people_now())
        if wait_s:
            raise TooMany("too many wrong codes from here; wait and try again", retry_after_s=wait_s)
        try:
            if len(data.code) == 23 and data.code.startswith("s"):
                return LinkOut(link=drivers.link_of_sticker(data.code, headend.clock.now()))
            return LinkOut(link=drivers.link_of_code(data.code))
        except NotFound:
            guesses.wrong(address, people_now())
            raise

    @get(summary="How the charge goes, and what requests did to it")
    async def charge(
        self, headend: NamedDependency[HeadEnd], drivers: TheDrivers, stay: NamedDependency[Stay]
    ) -> ChargeOut:
        """Limits, kWh put off, when it returns."""
        return await _told(headend, drivers, stay)

    @post("/optOut", guards=[from_our_page], status_code=200, summary="No limits, for a time or this stay")
    async def opt_out(
        self, drivers: TheDrivers, stay: NamedDependency[Stay], data: JSONBody[OptOutByDriver]
    ) -> Done:
        """A limit that is in force is lifted within seconds; one that protects wires is not."""
        await drivers.opt_out(stay, data.minutes, on=True)
        return Done()

    @post("/optIn", guards=[from_our_page], status_code=200, summary="Take the opt-out back")
    async def opt_in(self, drivers: TheDrivers, stay: NamedDependency[Stay], data: JSONBody[In]) -> Done:
        """The vehicle may be limited again."""
        await drivers.opt_out(stay, None, on=False)
        return Done()

    @post("/need", guards=[from_our_page], status_code=200, summary="Say what is needed, and until when")
    async def need(self, drivers: TheDrivers, stay: NamedDependency[Stay], data: JSONBody[NeedIn]) -> Done:
        """It counts as of the next round: who needs it most is limited least."""
        await drivers.need(stay, data.energy_requested_kwh, data.departure_time)
        return Done()


class InvitationOut(Out):
    """A charge's link and code, to hand to its driver. Who has one may refuse limits for this stay."""

    evse_id: str
    session_id: str
    url: str
    code: str


class StickerOut(Out):
    """What a sticker on the station says: its link opens a stay shortly after the plug-in."""

    evse_id: str
    url: str


class Invitations(Controller):
    """Links and codes, for operators who hand them on: by an app, by message, on a sticker."""

    tags = ("Drivers",)

    @get(
        "/evses/{evse_id:str}/driverLink",
        guards=[operator],
        summary="The link and code of the charge at an EVSE",
    )
    async def link(self, headend: NamedDependency[HeadEnd], evse_id: FromPath[str]) -> InvitationOut:
        """Of the vehicle that is plugged in now. Stations that can show it are told at the plug-in."""
        found = id_of(evse_id)
        evse = headend.state.evses.get(found)
        if evse is None or evse.session_id is None:
            raise NotFound(f"there is no vehicle at {found!r}", field="evseID")
        shown = headend.invite(evse.session_id)
        if shown is None:
            raise NotFound("there is no page for drivers here; see drivers.listen")
        return InvitationOut(evse_id=found, session_id=evse.session_id, url=shown.url, code=shown.code)

    @get("/evses/{evse_id:str}/sticker", guards=[administrator], summary="What an EVSE's sticker says")
    async def sticker(
        self, headend: NamedDependency[HeadEnd], extras: NamedDependency[Extras], evse_id: FromPath[str]
    ) -> StickerOut:
        """For stations without a display; it is the same for as long as the server's key is."""
        found = id_of(evse_id)
        if found not in headend.state.evses:
            raise NotFound(f"there is no EVSE {found!r}", field="evseID")
        shown = headend.invite("")
        if shown is None or extras.drivers is None or not extras.drivers.stickers:
            raise NotFound("there are no stickers here; see drivers.stickers")
        base = shown.url.partition("#")[0]
        return StickerOut(evse_id=found, url=f"{base}#{extras.drivers.sticker(found)}")
