"""One station's half of the station protocol: what to say next, and what the answers mean. Sans I/O.

    shell                       Station                       hardware
      | next_request(now) --------> looks ----- read ----------->|
      | <------- Request            |                            |
      |  (sends it)                 |                            |
      | answered / failed --------> obeys ----- set_limit ------>|
      | due(now) -----> when to ask again                        |

One request is in flight at a time, so what the server hears has the order in which it happened.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from emw.simulator import wire
from emw.simulator.backoff import BackOff
from emw.simulator.control import Control, Reply, offer_a
from emw.simulator.hardware import Hardware, Reading, Vehicle
from emw.simulator.identity import Identity
from emw.simulator.orders import Violation

_KEPT: Final = 512
"""Plug and unplug messages kept for a server that is away: months of it. Then the oldest go."""

_UNCONFIRMED: Final = 16
_KNOB: Final = ""
"""Among the outcomes to tell: the turn of a knob, which no command caused."""
_MIN_HEARTBEAT_S: Final = 1.0
_MAX_HEARTBEAT_S: Final = 3600.0
_RETRY_STATUS: Final = frozenset({408, 425, 429})
_UNKNOWN_SESSION: Final = frozenset({404, 409})


@dataclass(frozen=True, slots=True)
class Request:
    """One message to POST. `bearer` is the enrolment secret for powerOn, the session token for the rest."""

    said: wire.Said
    bearer: str = field(repr=False)

    @property
    def path(self) -> str:
        """Where it goes on the server."""
        return wire.PATHS[type(self.said)]

    @property
    def body(self) -> bytes:
        """The JSON to send."""
        return wire.encode(self.said)


class Station:
    """Powers on, reports vehicles, beats while one is plugged, obeys limits, and says what it did.

    `silent`: never beats, the fault of a station that hangs. All times are true time; the hardware's own
    clock (in its readings) is what the station believes and sends.
    """

    def __init__(
        self,
        identity: Identity,
        hardware: Hardware,
        rng: Random,
        *,
        backoff: BackOff | None = None,
        silent: bool = False,
    ) -> None:
        """Powered off: the first `next_request` powers it on."""
        self.identity = identity
        self.control = Control(identity.evse_id, hardware)
        self.silent = silent
        self.refusals = 0
        self._hardware = hardware
        self._rng = rng
        self._backoff = backoff or BackOff()
        self._token: str | None = None
        self._heartbeat_s = 60.0
        self._heartbeat_at: datetime | None = None
        self._retry_at: datetime | None = None
        self._failures = 0
        self._in_flight = False
        self._leaving = False
        self._off = False
        self._told: Vehicle | None = None
        self._told_knob_a = 0.0
        self._energy_kwh = 0.0
        self._events: deque[wire.PlugIntoVehicle | wire.Unplugged] = deque(maxlen=_KEPT)
        self._outcomes: dict[str, wire.AdjustedMaxAmps] = {}

    # --- what the shell drives ------------------------------------------------------------------------------

    @property
    def powered(self) -> bool:
        """Whether the server knows us: a session token is held."""
        return self._token is not None

    @property
    def off(self) -> bool:
        """Whether it has said goodbye; it will say nothing more."""
        return self._off

    @property
    def violations(self) -> list[Violation]:
        """Every broken promise that this station saw."""
        return self.control.violations

    @property
    def commands(self) -> int:
        """Commands that this station was given."""
        return self.control.commands

    @property
    def unsaid(self) -> int:
        """Plug and unplug messages the server has not acknowledged."""
        return len(self._events)

    def next_request(self, now: datetime) -> Request | None:
        """What to send now; None: nothing, ask again at `due`. Each one must be followed by `answered` or `failed`."""
        reading = self._look(now)  # Also while the server is away: limits end, whoever died.
        if self._off or self._in_flight or (self._retry_at is not None and now < self._retry_at):
            return None
        request = self._choose(reading, now)
        self._in_flight = request is not None
        return request

    def answered(
        self, request: Request, status: int, body: bytes, now: datetime, retry_after_s: float | None = None
    ) -> None:
        """The server answered. Anything that is not an answer of the protocol counts as a failure."""
        if status == 401:
            self._in_flight = False
            self._not_known(request, now)
        elif status >= 500 or status in _RETRY_STATUS:
            self.failed(request, now, retry_after_s)
        elif 200 <= status < 300:
            try:
                self._accepted(request.said, body, now)
            except msgspec.MsgspecError:
                self.failed(request, now)
        else:
            self._in_flight = False
            self._refused(request.said, status, now)

    def failed(self, request: Request, now: datetime, retry_after_s: float | None = None) -> None:
        """No answer, or none that helps: leave the server alone for a while. Nothing said is lost but heartbeats."""
        self._in_flight = False
        if isinstance(request.said, wire.PowerOff):
            self._off = True
        self._leave_alone(now, retry_after_s)

    def due(self, now: datetime) -> datetime | None:
        """When `next_request` may have something; None: only when something happens or an answer comes."""
        if self._off or self._in_flight:
            return None
        if self._token is None or self._events or self._outcomes or self._leaving:
            return now if self._retry_at is None else max(now, self._retry_at)
        if self._told is None or self.silent or self._heartbeat_at is None:
            return None
        return self._heartbeat_at if self._retry_at is None else max(self._heartbeat_at, self._retry_at)

    def called(self, path: str, bearer: str | None, body: bytes, now: datetime) -> Reply:
        """The server calls a control path; also ends a limit that is over."""
        self.control.end_if_over(self._hardware.read(now), now)
        return self.control.call(path, bearer, body, now)

    def power_off(self) -> None:
        """Say what is unsaid, then goodbye."""
        self._leaving = True

    def reboot(self, now: datetime, boots_s: float = 30.0) -> None:
        """The station's computer restarts: tokens, commands and limits are gone, unsaid plug messages are not."""
        self.control.forget()
        self._token = self._heartbeat_at = self._told = None
        self._outcomes.clear()
        self._in_flight = False
        self._failures = 0
        self._retry_at = now + timedelta(seconds=boots_s)

    # --- what to say ----------------------------------------------------------------------------------------

    def _look(self, now: datetime) -> Reading:
        """See what changed at the hardware, and queue what must be said about it."""
        reading = self._hardware.read(now)
        self.control.end_if_over(reading, now)
        vehicle = reading.vehicle
        told = self._told
        if told is not None and (vehicle is None or vehicle.since != told.since):
            energy_kwh = max(self._energy_kwh, reading.energy_kwh) if vehicle is None else self._energy_kwh
            self._events.append(wire.Unplugged(self.identity.evse_id, energy_kwh))
            self._told = None
        if vehicle is not None and self._told is None:
            self._events.append(self._plug(vehicle, reading))
            self._told = vehicle
            self._energy_kwh = 0.0
        if vehicle is not None:
            self._energy_kwh = reading.energy_kwh
        turned = wire.AdjustedMaxAmps(self.identity.evse_id, reading.knob_a)
        if self.powered and reading.knob_a != self._told_knob_a and self._outcomes.get(_KNOB) != turned:
            self._outcomes[_KNOB] = turned
        return reading

    def _choose(self, reading: Reading, now: datetime) -> Request | None:
        if self._token is None:
            if self._leaving:
                self._off = True
                return None
            self.control.trust_next()
            return Request(self._power_on(reading), self.identity.secret)
        if self._events:
            return Request(self._events[0], self._token)
        if self._outcomes:
            return Request(next(iter(self._outcomes.values())), self._token)
        if self._leaving:
            return Request(wire.PowerOff(self.identity.evse_id, "off"), self._token)
        if reading.vehicle is None or self.silent or self._heartbeat_at is None or now < self._heartbeat_at:
            return None
        self._heartbeat_at = max(self._heartbeat_at + timedelta(seconds=self._heartbeat_s), now)
        return Request(self._heartbeat(reading, reading.vehicle), self._token)

    def _power_on(self, reading: Reading) -> wire.PowerOn:
        who = self.identity
        return wire.PowerOn(
            evse_id=who.evse_id,
            evse_model=who.model,
            customer_id=who.customer_id,
            line_voltage_v=reading.voltage_v,
            phases=who.phases,
            may_pause=who.may_pause,
            status="available" if reading.vehicle is None else "occupied",
            location=wire.Location(who.territory, who.latitude, who.longitude, who.site),
            access_url=who.access_url,
            evse_max_a=reading.knob_a,
        )

    def _plug(self, vehicle: Vehicle, reading: Reading) -> wire.PlugIntoVehicle:
        return wire.PlugIntoVehicle(
            evse_id=self.identity.evse_id,
            line_voltage_v=reading.voltage_v,
            evse_max_a=reading.knob_a,
            car_max_a=vehicle.max_a,
            vehicle=vehicle.model,
            energy_requested_kwh=vehicle.requested_kwh or None,  # A placeholder of 0 is no request.
            departure_time=vehicle.departure,
        )

    def _heartbeat(self, reading: Reading, vehicle: Vehicle) -> wire.PlugInHeartBeat:
        return wire.PlugInHeartBeat(
            evse_id=self.identity.evse_id,
            timestamp=reading.at,
            line_voltage_v=reading.voltage_v,
            current_a=reading.current_a,
            evse_max_a=reading.knob_a,
            car_max_a=vehicle.max_a,
            limit_a=reading.limit_a,
            energy_kwh=reading.energy_kwh,
        )

    # --- what the answers mean ------------------------------------------------------------------------------

    def _accepted(self, said: wire.Said, body: bytes, now: datetime) -> None:
        """Take a good answer; a malformed one raises before anything is changed."""
        if isinstance(said, wire.PowerOn):
            answer = wire.read_power_on_answer(body)
            self._powered_on(answer, now)
            order = answer.limit
        else:
            order = wire.read_answer(body).limit
            self._acknowledged(said, now)
            self._failures = 0
        self._in_flight = False
        self._retry_at = None
        if isinstance(said, wire.PowerOn | wire.PlugIntoVehicle | wire.PlugInHeartBeat):
            self._knob_told(said.evse_max_a, now)
        if order is not None:
            self._take(order, now)

    def _acknowledged(self, said: wire.Said, now: datetime) -> None:
        match said:
            case wire.PowerOff():
                self._token, self._off = None, True
            case wire.PlugIntoVehicle() | wire.Unplugged():
                self._drop(said)
                self._heartbeat_at = self._some_time_within_a_beat(now)
            case wire.AdjustedMaxAmps():
                self._say_no_more(said, now)

    def _powered_on(self, answer: wire.PowerOnAnswer, now: datetime) -> None:
        self._token = answer.token
        self._heartbeat_s = min(max(answer.heartbeat_s, _MIN_HEARTBEAT_S), _MAX_HEARTBEAT_S)
        self._heartbeat_at = self._some_time_within_a_beat(now)

    def _some_time_within_a_beat(self, now: datetime) -> datetime:
        """Spread, so that a fleet that started together does not beat together."""
        return now + timedelta(seconds=self._heartbeat_s * self._rng.random())

    def _take(self, order: wire.LimitOrder, now: datetime) -> None:
        """Obey a limit that came in an answer, and say so: also what was not obeyed, by the amps we stay at."""
        outcome = self.control.obey(order, now)
        amps = offer_a(self._hardware.read(now)) if isinstance(outcome, wire.Problem) else outcome
        self._outcomes[order.command_id] = wire.AdjustedMaxAmps(self.identity.evse_id, amps, order.command_id)
        while len(self._outcomes) > _UNCONFIRMED:
            del self._outcomes[next(iter(self._outcomes))]

    def _not_known(self, request: Request, now: datetime) -> None:
        """401: power on again, at once the first time; a server that says it again and again is left alone."""
        if request.bearer == self._token:
            self._token = None
        if isinstance(request.said, wire.PowerOn) or self._failures > 0:
            self._leave_alone(now, None)
        else:
            self._failures += 1

    def _refused(self, said: wire.Said, status: int, now: datetime) -> None:
        """The server will never take this message: saying it again would not help, so it is dropped and counted."""
        self.refusals += 1
        match said:
            case wire.PowerOn():
                self._leave_alone(now, None)
            case wire.PowerOff():
                self._off = True
            case wire.PlugIntoVehicle() | wire.Unplugged():
                self._drop(said)
            case wire.AdjustedMaxAmps():
                self._say_no_more(said, now)
            case wire.PlugInHeartBeat() if status in _UNKNOWN_SESSION:
                self._told = None

    def _say_no_more(self, said: wire.AdjustedMaxAmps, now: datetime) -> None:
        """This outcome, or this turn of the knob, was heard; or it will never be taken."""
        key = said.command_id or _KNOB
        if self._outcomes.get(key) is said:
            del self._outcomes[key]
        if said.command_id is None:
            self._knob_told(said.new_max_a, now)

    def _knob_told(self, knob_a: float, now: datetime) -> None:
        self._told_knob_a = knob_a
        self.control.told_knob(knob_a, now)

    def _drop(self, said: wire.PlugIntoVehicle | wire.Unplugged) -> None:
        """Done with this message; it may have been pushed out by newer ones meanwhile."""
        if self._events and self._events[0] is said:
            self._events.popleft()

    def _leave_alone(self, now: datetime, retry_after_s: float | None) -> None:
        self._failures += 1
        delay_s = self._backoff.delay_s(self._failures, self._rng)
        if retry_after_s is not None:
            delay_s = max(delay_s, min(retry_after_s, _MAX_HEARTBEAT_S) * self._rng.uniform(1.0, 1.25))
        self._retry_at = now + timedelta(seconds=delay_s)
