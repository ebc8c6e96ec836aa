"""One OCPP station: its connection, its boots and beats, and who answers what it is asked. Sans I/O.

    shell                        OcppStation                 charging, bay
      | opened / closed ------------>|                           |
      | received(frame) -----------> | answers ---- profiles --->|
      | next_frame(now) -----------> looks ------- read -------->|
      | <------- frame               |                           |
      | due(now) -----> when to ask again                        |

It keeps what belongs to a transaction until it is acknowledged, over lost connections and reboots, and it keeps and
ends its limits whoever is away. All times are true time; what it writes on the wire is by the hardware's own clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import msgspec

from emw.simulator.backoff import BackOff
from emw.simulator.hardware import Hardware
from emw.simulator.identity import Identity
from emw.simulator.ocpp import framing
from emw.simulator.ocpp.bay import Bay
from emw.simulator.ocpp.charging import Charging, some_time
from emw.simulator.ocpp.framing import Call, Failure, Refuse, Result
from emw.simulator.ocpp.habits import NORMAL, Habits, Version
from emw.simulator.ocpp.outbox import Outbox, Saying
from emw.simulator.ocpp.settings import HEARTBEAT, SAMPLE, SECRET, Settings
from emw.simulator.ocpp.voice import Cause, Voice
from emw.simulator.orders import Violation

_BOOTS_S: Final = 30.0
_BOOT_AGAIN_S: Final = 30.0
_MOST_BEAT_S: Final = 86_400


class _Boot(msgspec.Struct):
    status: str
    interval: int = 0


_boot: Final = msgspec.json.Decoder(_Boot)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How one station is: its version, its habits, the tag of its drivers, its patience with answers, s, and what it
    says is the most it can give, W.
    """

    version: Version = Version.V16
    habits: Habits = NORMAL
    tag: str = "simulated"
    patience_s: float = 30.0
    most_w: float = 0.0


class OcppStation:
    """Boots, tells of cars, meters, obeys profiles. `silent`: never meters, the fault of a station that hangs.

    `answer`: what a CALL is answered with; it raises `Refuse`.
    """

    def __init__(
        self,
        identity: Identity,
        hardware: Hardware,
        rng: Random,
        ways: Ways,
        voice: Voice,
        answer: "Answering",
        *,
        backoff: BackOff | None = None,
        silent: bool = False,
    ) -> None:
        """Without a connection; `due` says that it wants one."""
        phases = identity.phases or 1
        self.identity = identity
        self.secret = identity.secret
        self.ways = ways
        self.hang_up = False
        self.bay = Bay(identity.evse_id, hardware, ways.habits, phases)
        self.settings = Settings(ways.habits, phases=phases, most_w=ways.most_w)
        self.outbox = Outbox(ways.patience_s)
        self.charging = Charging(self.bay, self.outbox, voice, self.settings, ways.tag, rng)
        self.charging.per_phase = ways.habits.power_per_phase
        self.charging.mute = silent
        self._voice = voice
        self._answer = answer
        self._silent = silent
        self._rng = rng
        self._backoff = backoff or BackOff()
        self._connected = self._known = False
        self._off = self._leaving = False
        self._failures = 0
        self._retry_at: datetime | None = None
        self._boot_at: datetime | None = None
        self._beat_at: datetime | None = None
        self._asleep_until: datetime | None = None
        self._restarted = False
        self._reset_when_idle = False
        self._reset: tuple[datetime, Cause] | None = None

    # --- what a fleet looks at ------------------------------------------------------------------------------

    @property
    def powered(self) -> bool:
        """Whether the central system knows us and hears us."""
        return self.charging.online

    @property
    def off(self) -> bool:
        """Whether it has left for good."""
        return self._off

    @property
    def violations(self) -> list[Violation]:
        """Broken promises that this station saw."""
        return self.bay.violations

    @property
    def commands(self) -> int:
        """Profiles set and cleared by the central system."""
        return self.bay.commands

    # --- what the shell drives ------------------------------------------------------------------------------

    def wants_connection(self, now: datetime) -> bool:
        """Whether to dial now."""
        idle = not (self._connected or self._off or self._leaving or self._sleeps(now))
        return idle and (self._retry_at is None or now >= self._retry_at)

    def opened(self, now: datetime) -> None:
        """A connection stands. Who has been accepted before need not boot again, and some don't."""
        self._connected, self.hang_up = True, False
        if self._known and not self.ways.habits.boots_again:
            self._in(now)
        else:
            self.say_boot()

    def closed(self, now: datetime) -> None:
        """The connection is gone, or none came about."""
        if self.powered and self.ways.habits.silent_after_outage:
            self.charging.mute = True
        self._connected = self.hang_up = self.charging.online = False
        self._boot_at = self._beat_at = None
        self.outbox.closed()
        if self._leaving:
            self._off = True
        if self._sleeps(now):
            return
        self.charging.alone = True
        self.charging.unanswered()
        self._failures += 1
        self._retry_at = now + timedelta(seconds=self._backoff.delay_s(self._failures, self._rng))

    def next_frame(self, now: datetime) -> bytes | None:
        """What to send now; None: nothing, ask again at `due`. Also to be called without a connection: limits end."""
        if self._off or self._sleeps(now):
            return None
        if self._reset is not None and self._reset[0] <= now:
            self.reboot(now, cause=self._reset[1])
            return None
        self.charging.look(now)
        if self._reset_when_idle and self.charging.transaction is None:
            self._reset, self._reset_when_idle = (now, Cause.RESET), False
        if not self._connected:
            self._off = self._leaving
            return None
        if self.outbox.deadline is not None and self.outbox.deadline <= now:
            self.hang_up = True  # Half-open: nobody answers any more.
        elif self._leaving and (self.outbox.empty or not self.powered):
            self.hang_up = True
        if self.hang_up:
            return None
        self._keep_time(now)
        return self.outbox.next(now, accepted=self.powered)

    def received(self, frame: bytes, now: datetime) -> bytes | None:
        """The central system says something. The answer to send at once, if it wants one."""
        said = framing.read(frame)
        match said:
            case Call():
                return self._answered(said, now)
            case Result():
                self._heard(said, now)
            case Failure():
                self._failed(said, now)
            case _:
                return framing.error(said.id, self._voice.unreadable, said.why)
        return None

    def due(self, now: datetime) -> datetime | None:
        """When `next_frame` or a connection may have something; None: never again."""
        if self._off:
            return None
        if self._sleeps(now):
            return self._asleep_until
        times = [self.charging.due(now), self._reset[0] if self._reset else None]
        if not self._connected:
            times.append(now if self._leaving else self._retry_at or now)
        else:
            times += [
                self.outbox.due(now, accepted=self.powered),
                self.outbox.deadline,
                self._boot_at,
                self._beat_at,
            ]
            times.append(now if self._leaving and self.outbox.empty else None)
        return min((at for at in times if at is not None), default=None)

    def power_off(self) -> None:
        """Free the car, say what is unsaid, then hang up for good."""
        self._leaving = self.bay.freed = True

    def reboot(self, now: datetime, boots_s: float = _BOOTS_S, cause: Cause = Cause.POWER) -> None:
        """The station's computer restarts: the transaction is over; what lies in flash (messages, settings, profiles
        that are no transaction's) is not lost.
        """
        self.charging.reboot(cause, now)
        self.charging.mute = self._silent
        self.hang_up = self._connected
        self._known = self._reset_when_idle = False
        self._reset = None
        self._restarted = cause is not Cause.POWER
        self._boot_at = self._beat_at = None
        self.outbox.closed()
        self._failures = 0
        self._asleep_until = self._retry_at = now + timedelta(seconds=boots_s)

    # --- what may be asked of it ----------------------------------------------------------------------------

    def say_boot(self) -> None:
        """Say BootNotification, before all else."""
        who, self._boot_at = self.identity, None
        saying = self._voice.boot(who.model, who.evse_id, restarted=self._restarted, heard=self._booted)
        self.outbox.say(saying, first=True)

    def say_status(self, now: datetime) -> None:
        """Say how it stands."""
        for saying in self._voice.status(self.charging.state, self.bay.read(now).at):
            self.outbox.say(saying)

    def say_heartbeat(self) -> None:
        """Say Heartbeat out of turn."""
        self.outbox.say(self._voice.heartbeat())

    def reset(self, now: datetime, *, at_once: bool, when_idle: bool = False) -> bool:
        """Restart when the answer has surely been heard; True: only after the transaction that runs."""
        if when_idle and self.charging.transaction is not None:
            self._reset_when_idle = True
            return True
        heard = now + timedelta(seconds=self.ways.patience_s / 10)
        self._reset = (heard, Cause.HARD_RESET if at_once else Cause.RESET)
        return False

    def setting_changed(self, key: str | None, value: str, now: datetime) -> None:
        """A setting was changed: rhythms follow at once, a new secret with the next connection."""
        if key == HEARTBEAT and self.powered:
            self._beat_at = some_time(self.settings.seconds(HEARTBEAT), now, self._rng)
        elif key == SAMPLE:
            self.charging.sample_anew(now)
        elif key == SECRET:
            self.secret = value

    # --- within ---------------------------------------------------------------------------------------------

    def _sleeps(self, now: datetime) -> bool:
        return self._asleep_until is not None and now < self._asleep_until

    def _keep_time(self, now: datetime) -> None:
        if self._boot_at is not None and self._boot_at <= now:
            self.say_boot()
        if self._beat_at is not None and self._beat_at <= now:
            self._beat_at = now + timedelta(seconds=self.settings.seconds(HEARTBEAT))
            self.say_heartbeat()

    def _answered(self, call: Call, now: datetime) -> bytes:
        try:
            answer = self._answer(self, call, now)
        except Refuse as refusal:
            return framing.error(call.id, refusal.code, refusal.why)
        return framing.result(call.id, answer)

    def _heard(self, said: Result, now: datetime) -> None:
        saying = self.outbox.answered(said.id)
        if saying is None or saying.heard is None:
            return
        try:
            saying.heard(said.payload, now)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._unheard(saying, now)

    def _failed(self, said: Failure, now: datetime) -> None:
        saying = self.outbox.failed(said.id, now)
        if saying is not None:
            self._unheard(saying, now)

    def _unheard(self, saying: Saying, now: datetime) -> None:
        """What nobody could answer: asked again later, or taken as a no."""
        if saying.action == "BootNotification":
            self._boot_later(0, now)
        elif saying.action == "Authorize":
            self.charging.tag_told(allowed=False, now=now)

    def _booted(self, payload: bytes, now: datetime) -> None:
        answer = _boot.decode(payload)
        if answer.status != "Accepted":
            self._boot_later(answer.interval, now)
            return
        if 0 < answer.interval <= _MOST_BEAT_S:
            self.settings.change(HEARTBEAT, str(answer.interval))
        self._known = True
        self._restarted = False
        self._in(now)

    def _boot_later(self, interval_s: int, now: datetime) -> None:
        wait_s = min(max(interval_s, _BOOT_AGAIN_S), _MOST_BEAT_S) * self._rng.uniform(1.0, 1.25)
        self._boot_at = now + timedelta(seconds=wait_s)

    def _in(self, now: datetime) -> None:
        """The central system knows us: say how it stands, then beat."""
        self.charging.online, self.charging.alone = True, False
        self._failures = 0
        self.say_status(now)
        self._beat_at = some_time(self.settings.seconds(HEARTBEAT), now, self._rng)


Answering = Callable[[OcppStation, Call, datetime], dict[str, Any]]
