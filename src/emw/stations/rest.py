"""The station protocol over REST (docs/reference/station-protocol): stations' doors, and how stations are called.

Field names are the wire's own; the service hears amps, kW and aware times. A station is one EVSE here: the station's
identity is its `evseID`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.outgoing import CallFailed, CallTimedOut, Outgoing, UrlRefused, our_token
from emw.plane import Caller, Door, utc
from emw.service.admin import any_text
from emw.service.errors import BadInput
from emw.service.headend import HeadEnd
from emw.service.intake import PlugIn, PowerOn
from emw.service.ports import Answer, HeartBeat

Text = Annotated[str, Meta(max_length=255)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Knob = Annotated[float, Meta(gt=0, le=2000)]
Current = Annotated[float, Meta(ge=0, le=2000)]
Line = Annotated[float, Meta(ge=50, le=1500)]
Measured = Annotated[float, Meta(ge=0, le=1500)]
Energy = Annotated[float, Meta(ge=0, le=1e7)]
Instant = Annotated[datetime, Meta(tz=True)]

OVER_KNOB = 1.25
"""A meter may read somewhat above the knob; beyond this (and 2 A) it is not believed."""
WHY_MOST = 150
"""Characters of a station's reason for a refusal that are kept."""
DEPARTURE_AHEAD = timedelta(days=90)


class Location(Struct):
    """Where a station is."""

    territory: Name
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    site: Text | None = None


class PowerOnIn(Struct):
    """`POST /evse/powerOn`."""

    evseID: Name
    evseModel: Text
    customerID: Text
    lineVoltage: Line
    status: Text
    location: Location
    evseMaxAmps: Knob
    phases: Annotated[int, Meta(ge=1, le=3)] = 1
    mayPause: bool = False
    accessURL: Annotated[str, Meta(max_length=1024)] | None = None


class PowerOffIn(Struct):
    """`POST /evse/powerOff`."""

    evseID: Name
    status: Text | None = None


class PlugInIn(Struct):
    """`POST /evse/plugIntoVehicle`."""

    evseID: Name
    lineVoltage: Line
    evseMaxAmps: Knob
    carMaxAmps: Knob
    vehicle: Text | None = None
    energyRequestedKWh: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    departureTime: Instant | None = None


class HeartBeatIn(Struct):
    """`POST /evse/plugInHeartBeat`."""

    evseID: Name
    timestamp: Instant
    lineVoltage: Measured
    currentAmps: Current
    evseMaxAmps: Knob
    carMaxAmps: Knob
    limitAmps: Current | None = None
    energyKWh: Energy | None = None


class AdjustedIn(Struct):
    """`POST /evse/adjustedMaxAmps`."""

    evseID: Name
    newMaxAmps: Current
    commandID: Text | None = None


class UnpluggedIn(Struct):
    """`POST /evse/unplugged`."""

    evseID: Name
    energyKWh: Energy | None = None


class LimitOut(Struct):
    """A limit told in an answer. `maxAmps` at the knob is the return to normal."""

    commandID: str
    maxAmps: float
    until: datetime


class WelcomeOut(Struct, omit_defaults=True):
    """The answer to a power-on."""

    token: str
    heartbeatSeconds: int
    serverTime: datetime
    limit: LimitOut | UnsetType = UNSET


class SessionOut(Struct, omit_defaults=True):
    """The answer to a plug-in."""

    sessionID: str
    limit: LimitOut | UnsetType = UNSET
    driverURL: str | UnsetType = UNSET
    driverCode: str | UnsetType = UNSET


class LimitAnswer(Struct, omit_defaults=True):
    """The answer to a heartbeat."""

    limit: LimitOut | UnsetType = UNSET


class Nothing(Struct):
    """`{}`."""


class WentTo(Struct):
    """What a station says it went to."""

    maxAmps: Annotated[float, Meta(ge=0, le=2000)]


NOTHING = Nothing()
QUIET = LimitAnswer()


class RestStations:
    """The doors of the REST stations."""

    def __init__(self, headend: HeadEnd, outgoing: Outgoing) -> None:
        self._headend = headend
        self._gate = headend.gate
        self._intake = headend.intake
        self._state = headend.state
        self._guard = outgoing.guard

    def doors(self) -> dict[str, Door]:
        """Path to door."""
        return {
            "/evse/powerOn": Door("POST", PowerOnIn, self.power_on),
            "/evse/powerOff": Door("POST", PowerOffIn, self.power_off),
            "/evse/plugIntoVehicle": Door("POST", PlugInIn, self.plug_in),
            "/evse/plugInHeartBeat": Door("POST", HeartBeatIn, self.heartbeat, at_once=True),
            "/evse/adjustedMaxAmps": Door("POST", AdjustedIn, self.adjusted),
            "/evse/unplugged": Door("POST", UnpluggedIn, self.unplugged),
        }

    async def power_on(self, caller: Caller, said: PowerOnIn) -> WelcomeOut:
        """A station introduces itself with its enrolment secret."""
        station = self._gate.enrolled(said.evseID, caller.token, caller.address)
        for field, text in (
            ("evseModel", said.evseModel),
            ("status", said.status),
            ("customerID", said.customerID),
        ):
            any_text(field, text)
        if said.location.site is not None:
            any_text("location.site", said.location.site)
        if said.accessURL is not None:
            try:
                self._guard.check(said.accessURL)
            except UrlRefused as error:
                raise BadInput("accessURL", str(error)) from error
        welcome = await self._intake.power_on(
            station,
            PowerOn(
                evse_id=said.evseID,
                model=said.evseModel,
                customer_id=said.customerID,
                line_voltage_v=said.lineVoltage,
                phases=said.phases,
                may_pause=said.mayPause,
                status=said.status,
                territory_id=said.location.territory,
                site=said.location.site,
                latitude=said.location.latitude,
                longitude=said.location.longitude,
                access_url=said.accessURL,
                max_a=said.evseMaxAmps,
            ),
        )
        return WelcomeOut(welcome.token, welcome.heartbeat_s, welcome.now, self._limit(welcome.limit))

    async def power_off(self, caller: Caller, said: PowerOffIn) -> Nothing:
        """A station says goodbye."""
        station = self._gate.station(said.evseID, caller.token, caller.address)
        if said.status is not None:
            any_text("status", said.status)
        await self._intake.power_off(station, said.evseID, said.status)
        return NOTHING

    async def plug_in(self, caller: Caller, said: PlugInIn) -> SessionOut:
        """A vehicle came."""
        station = self._gate.station(said.evseID, caller.token, caller.address)
        if said.vehicle is not None:
            any_text("vehicle", said.vehicle)
        now = self._headend.clock.now()
        if said.departureTime is not None and said.departureTime > now + DEPARTURE_AHEAD:
            raise BadInput("departureTime", f"is more than {DEPARTURE_AHEAD.days} days ahead")
        session_id, limit = await self._intake.plugged_in(
            station,
            said.evseID,
            PlugIn(
                line_voltage_v=said.lineVoltage,
                evse_max_a=said.evseMaxAmps,
                car_max_a=said.carMaxAmps,
                vehicle=said.vehicle,
                energy_requested_kwh=said.energyRequestedKWh,
                departure_at=None if said.departureTime is None else utc("departureTime", said.departureTime),
            ),
        )
        shown = self._headend.invite(session_id)
        if shown is None:
            return SessionOut(session_id, self._limit(limit))
        return SessionOut(session_id, self._limit(limit), shown.url, shown.code)

    def heartbeat(self, caller: Caller, said: HeartBeatIn) -> LimitAnswer | Coroutine[Any, Any, LimitAnswer]:
        """A reading, once a minute or as the server asked. Hot: answered at once unless it shows something new."""
        station = self._gate.station(said.evseID, caller.token, caller.address)
        if said.currentAmps > said.evseMaxAmps * OVER_KNOB + 2:
            raise BadInput("currentAmps", f"{said.currentAmps:g} A is more than the station's own maximum")
        reading = HeartBeat(
            utc("timestamp", said.timestamp),
            said.lineVoltage,
            said.currentAmps,
            said.evseMaxAmps,
            said.carMaxAmps,
            said.limitAmps,
            said.energyKWh,
        )
        waits = self._intake.heard(station, said.evseID, reading)
        if waits is not None:
            return self._after(waits, said.evseID)
        return QUIET if said.evseID not in self._state.limits else self._quiet_or_limit(said.evseID)

    async def _after(self, waits: Coroutine[Any, Any, None], evse_id: str) -> LimitAnswer:
        await waits
        return self._quiet_or_limit(evse_id)

    def _quiet_or_limit(self, evse_id: str) -> LimitAnswer:
        limit = self._headend.dispatch.commands.limit_to_tell(evse_id)
        return QUIET if limit is None else LimitAnswer(self._limit(limit))

    async def adjusted(self, caller: Caller, said: AdjustedIn) -> Nothing:
        """A command confirmed, or a knob turned."""
        station = self._gate.station(said.evseID, caller.token, caller.address)
        if said.commandID is None and said.newMaxAmps <= 0:
            raise BadInput("newMaxAmps", "a station's own maximum must be more than 0")
        await self._intake.adjusted(station, said.evseID, said.newMaxAmps, said.commandID)
        return NOTHING

    async def unplugged(self, caller: Caller, said: UnpluggedIn) -> Nothing:
        """The vehicle left."""
        station = self._gate.station(said.evseID, caller.token, caller.address)
        await self._intake.unplugged(station, said.evseID, said.energyKWh)
        return NOTHING

    def _limit(self, limit: Limit | None) -> LimitOut | UnsetType:
        if limit is None:
            return UNSET
        if limit.max_a is not None:
            return LimitOut(limit.command_id, limit.max_a, limit.until)
        # Back to normal, said as an absolute limit: the station's own maximum.
        knob_a = self._state.evses[limit.evse_id].max_a
        until = (
            self._headend.clock.now() + self._headend.settings.rules.lease
        )  # it may have waited long to be heard
        return LimitOut(limit.command_id, knob_a, until)


class _Problem(Struct):
    """What a station says of its refusal, where it does: problem+json."""

    title: str = ""
    detail: str = ""


def _why(body: bytes) -> str:
    """A station's own words, as far as they can be shown: they are anybody's."""
    try:
        said = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    text = "".join(c for c in said.detail or said.title if c.isprintable())[:WHY_MOST].strip()
    return f": {text}" if text else ""


class RestLink:
    """How commands reach REST stations: at their `accessURL`, or in the answer to what they send next."""

    def __init__(self, outgoing: Outgoing, key: bytes, *, deadline_s: float) -> None:
        self._outgoing = outgoing
        self._key = key
        self._deadline_s = deadline_s
        self._encode = msgspec.json.Encoder().encode
        self._went_to = msgspec.json.Decoder(WentTo)

    def control_token(self, station: Station) -> str:
        """The token our calls to this station carry: its own, new at every power-on, never another's (A7)."""
        return our_token(self._key, "ct_", station.station_id, station.token_hash or "")

    async def greet(self, station: Station) -> None:
        """Tell the station the token that our calls will carry. A deaf one is told again at its first command."""
        try:
            await self._post(station, "/control/authWithControl", {"token": self.control_token(station)})
        except (UrlRefused, CallFailed):
            return

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        """Send one command and say what came of it, by the deadline."""
        if station.access_url is None:
            return Answer(Outcome.PENDING)
        if limit.max_a is None:
            path, body = "/control/returnToNormalAmps", {"commandID": limit.command_id}  # type: tuple[str, dict[str, Any]]
        else:
            path = "/control/setMaxAmps"
            body = {"commandID": limit.command_id, "maxAmps": limit.max_a, "until": limit.until}
        try:
            status, got = await self._post(station, path, body)
            if status == 401:  # it rebooted without telling, and has lost our token
                await self.greet(station)
                status, got = await self._post(station, path, body)
        except UrlRefused as error:
            return Answer(Outcome.OFFLINE, reason=f"its URL may not be called: {error}")
        except CallTimedOut:
            return Answer(Outcome.TIMED_OUT, reason="no answer in time")
        except CallFailed as error:
            return Answer(Outcome.OFFLINE, reason=str(error)[:200])
        if status == 401:  # it holds the token of another power-on; it can only be told in an answer
            return Answer(Outcome.OFFLINE, reason="it does not take our token")
        if not 200 <= status < 300:
            return Answer(Outcome.REJECTED, reason=f"it answered {status}{_why(got)}")
        try:
            return Answer(Outcome.APPLIED, self._went_to.decode(got).maxAmps)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Answer(Outcome.REJECTED, reason="it answered without a maxAmps between 0 and 2000")

    async def _post(self, station: Station, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        if station.access_url is None:
            raise CallFailed("it has no accessURL")
        token = None if path == "/control/authWithControl" else self.control_token(station)
        reply = await self._outgoing.post(
            station.access_url, path, self._encode(body), token=token, deadline_s=self._deadline_s
        )
        return reply.status, reply.body
