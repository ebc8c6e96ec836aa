"""A station's obedience: control calls and limits in answers, judged, carried out once, and remembered. Sans I/O."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from emw.simulator import wire
from emw.simulator.hardware import Hardware, Reading, Refused
from emw.simulator.orders import GRACE, Memory, Violation, faults_in

AUTH: Final = "/control/authWithControl"
SET_MAX: Final = "/control/setMaxAmps"
RETURN_TO_NORMAL: Final = "/control/returnToNormalAmps"

_DONE: Final = b"{}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a control call is answered with."""

    status: int
    body: bytes


class Control:
    """Carries out limits on one EVSE's hardware, whichever way they came.

    The server must show the token it left with authWithControl. The first one after a power-on is taken on
    trust (the station has nothing to compare it with); a later one only from whoever holds the old one.
    """

    def __init__(self, evse_id: str, hardware: Hardware) -> None:
        """`evse_id` names this station in violations."""
        self.violations: list[Violation] = []
        self.commands = 0
        self._evse_id = evse_id
        self._hardware = hardware
        self._memory = Memory()
        self._server_token: str | None = None
        self._trusts_next = False
        self._ends: datetime | None = None
        self._told_knob_a = 0.0
        self._old_knob: tuple[float, datetime] | None = None

    def trust_next(self) -> None:
        """We are powering on: the next authWithControl is the server's, whatever token it had before."""
        self._trusts_next = True

    def forget(self) -> None:
        """A reboot: commands, tokens and limits are gone."""
        self._memory = Memory()
        self._server_token, self._trusts_next, self._ends = None, False, None

    def told_knob(self, knob_a: float, now: datetime) -> None:
        """The server acknowledged this knob; commands made for a higher one may be on their way a little longer."""
        if knob_a < self._told_knob_a:
            self._old_knob = (self._told_knob_a, now + GRACE)
        self._told_knob_a = knob_a

    def end_if_over(self, reading: Reading, now: datetime) -> None:
        """End a limit whose time has come by the station's own clock: the promise that outlives the server."""
        if self._ends is not None and self._ends <= reading.at:
            self._ends = None
            self._hardware.clear_limit(now)

    @property
    def ends(self) -> datetime | None:
        """When the limit in force ends, by the station's own clock."""
        return self._ends

    def call(self, path: str, bearer: str | None, body: bytes, now: datetime) -> Reply:
        """Answer one control call. `bearer` is the token shown, without the word Bearer."""
        try:
            if path == AUTH:
                return self._auth(bearer, wire.read_auth(body).token)
            if path not in (SET_MAX, RETURN_TO_NORMAL):
                return _refuse(wire.Problem("no such control call", 404))
            if not _same(bearer, self._server_token):
                return _refuse(wire.Problem("not the server's token for this station", 401))
            if path == SET_MAX:
                outcome = self.obey(wire.read_order(body), now)
            else:
                outcome = self._return_to_normal(wire.read_return(body).command_id, now)
        except msgspec.MsgspecError as error:
            if path != AUTH:
                self._record("", "malformed", str(error), now)
            return _refuse(wire.Problem(str(error), 400, _field_of(error)))
        if isinstance(outcome, wire.Problem):
            return _refuse(outcome)
        return Reply(200, wire.encode(wire.WentTo(outcome)))

    def obey(self, order: wire.LimitOrder, now: datetime) -> float | wire.Problem:
        """Carry out one order, at most once. Answers the amps the station went to, never above its knob."""
        reading = self._hardware.read(now)
        went_to = self._memory.went_to(order.command_id)
        if went_to is not None:
            return self._again(order, went_to, reading, now)
        self.commands += 1
        faults = faults_in(order, self._believed_knob_a(reading.knob_a, now), now)
        for fault in faults:
            self._record(order.command_id, fault.rule, f"{fault.field}: {fault.detail}", now)
        fatal = next((fault for fault in faults if fault.fatal), None)
        if fatal is not None or order.until is None:
            field = fatal.field if fatal else "until"
            return wire.Problem(f"an order that can't be obeyed: {field}", 400, field)
        if order.until <= reading.at:
            return self._went(order.command_id, offer_a(reading))
        if order.max_a >= self._normal_a(reading.knob_a):
            return self._return_to_normal(order.command_id, now, counted=True)
        outcome = self._hardware.set_limit(order.max_a, order.until, now)
        if isinstance(outcome, Refused):
            return wire.Problem(outcome.reason, 409)
        self._ends = order.until
        return self._went(order.command_id, outcome)

    def _again(
        self, order: wire.LimitOrder, went_to: float, reading: Reading, now: datetime
    ) -> float | wire.Problem:
        """A command that was carried out before. Where the hardware has lost what the latest one set (it restarts on
        its own, too), that is set again: as it is said now, since a server caps it by the knob it knows of.
        """
        lost = self._memory.is_latest(order.command_id) and offer_a(reading) > went_to
        if not lost or order.until is None or order.until <= reading.at:
            return min(went_to, reading.knob_a)  # the knob may have been turned down since
        outcome = self._hardware.set_limit(order.max_a, order.until, now)
        if isinstance(outcome, Refused):
            return wire.Problem(outcome.reason, 409)
        self._ends = order.until  # one that was "no limit" under a lower knob had no end to remember
        return self._went(order.command_id, outcome)

    def _return_to_normal(
        self, command_id: str, now: datetime, *, counted: bool = False
    ) -> float | wire.Problem:
        went_to = self._memory.went_to(command_id)
        if went_to is not None:
            return went_to
        self.commands += not counted
        outcome = self._hardware.clear_limit(now)
        if isinstance(outcome, Refused):
            return wire.Problem(outcome.reason, 409)
        self._ends = None
        return self._went(command_id, outcome)

    def _auth(self, bearer: str | None, token: str) -> Reply:
        if not token:
            return _refuse(wire.Problem("an empty token protects nobody", 400, "token"))
        if not self._trusts_next and not _same(bearer, self._server_token):
            return _refuse(
                wire.Problem("the old token, or a fresh power-on, is needed to set a new one", 401)
            )
        self._server_token, self._trusts_next = token, False
        return Reply(200, _DONE)

    def _went(self, command_id: str, amps: float) -> float:
        self._memory.remember(command_id, amps)
        return amps

    def _believed_knob_a(self, knob_a: float, now: datetime) -> float:
        """The highest knob the server may in good faith still reckon with."""
        believed = max(knob_a, self._told_knob_a)
        if self._old_knob is not None and now <= self._old_knob[1]:
            believed = max(believed, self._old_knob[0])
        return believed

    def _normal_a(self, knob_a: float) -> float:
        """From here on an order means "no limit": a knob turned up is not known to the server at once."""
        return min(knob_a, self._told_knob_a) if self._told_knob_a > 0.0 else knob_a

    def _record(self, command_id: str, rule: str, detail: str, now: datetime) -> None:
        self.violations.append(
            Violation(at=now, evse_id=self._evse_id, command_id=command_id, rule=rule, detail=detail)
        )


def offer_a(reading: Reading) -> float:
    """What the station offers the car now, A: its limit, never above its knob."""
    return reading.knob_a if reading.limit_a is None else min(reading.limit_a, reading.knob_a)


def _same(shown: str | None, held: str | None) -> bool:
    """Compare tokens in constant time; nothing is never the same as nothing."""
    if shown is None or held is None:
        return False
    return hmac.compare_digest(shown.encode(), held.encode())


def _refuse(problem: wire.Problem) -> Reply:
    return Reply(problem.status, wire.encode(problem))


def _field_of(error: Exception) -> str | None:
    """The field a decoder complains about: msgspec names missing ones in backticks and wrong ones by path."""
    text = str(error)
    if " - at `$." in text:
        return text.rsplit("$.", 1)[1].rstrip("`")
    if "field `" in text:
        return text.split("field `", 1)[1].split("`", 1)[0]
    return None
