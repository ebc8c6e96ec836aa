"""Cars and transactions at an OCPP station: who may charge, how it stands, when to meter. Sans I/O."""

from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from emw.simulator.control import offer_a
from emw.simulator.hardware import FLOOR_A, Reading, Vehicle
from emw.simulator.ocpp.bay import Bay
from emw.simulator.ocpp.outbox import Outbox
from emw.simulator.ocpp.settings import SAMPLE, Settings
from emw.simulator.ocpp.voice import Cause, ConnectorState, Sampling, Transaction, Voice

_CHARGING_A: Final = 0.5
"""Below this a car does not charge: the rest is a meter's noise."""


class _Standing(msgspec.Struct):
    status: str = "Accepted"


class _Allowed(msgspec.Struct):
    """What every answer about a tag has: idTagInfo in 1.6, idTokenInfo in 2.0.1; a transaction's number in 1.6."""

    idTagInfo: _Standing | None = None
    idTokenInfo: _Standing | None = None
    transactionId: int | None = None

    @property
    def accepted(self) -> bool:
        told = self.idTagInfo or self.idTokenInfo
        return told is None or told.status == "Accepted"


_allowed: Final = msgspec.json.Decoder(_Allowed)


class Charging:
    """What happens at the one EVSE of a station.

    `online`: whether the central system hears us. `alone`: whether it is known to be away, so that cars charge without
    asking. `mute`: no meter values. `tag`: what every driver here shows.
    """

    def __init__(
        self, bay: Bay, outbox: Outbox, voice: Voice, settings: Settings, tag: str, rng: Random
    ) -> None:
        """Nothing plugged."""
        self.transaction: Transaction | None = None
        self.online = self.alone = self.mute = False
        self.state = ConnectorState.AVAILABLE
        self.per_phase = False
        self._bay = bay
        self._outbox = outbox
        self._voice = voice
        self._settings = settings
        self._tag = tag
        self._rng = rng
        self._meter_at: datetime | None = None
        self._plugged: Vehicle | None = None
        self._asks_tag = False
        self._finished = False

    def look(self, now: datetime) -> None:
        """See what changed at the hardware, keep limits as they should be, and queue what must be said."""
        reading = self._bay.read(now)
        vehicle, told = reading.vehicle, self._plugged
        if told is not None and (vehicle is None or vehicle.since != told.since):
            self._end(reading, Cause.UNPLUGGED)
            self._plugged = None
            self._asks_tag = self._finished = self._bay.barred = False
        if vehicle is not None and self._plugged is None:
            self._plugged, self._asks_tag = vehicle, True
        if self._asks_tag:
            self._ask_tag(reading, now)
        self._bay.apply(now)
        self._follow_state(now)
        if self.transaction is not None and self._meter_at is not None and self._meter_at <= now:
            self._meter_at = self._next_sample(self._meter_at, now)
            self.say_meter(now, "Sample.Periodic")

    def due(self, now: datetime) -> datetime | None:
        """When `look` has something to do, if nothing happens before."""
        times = [self._bay.change_at(now), self._meter_at if self.transaction else None]
        times.append(now if self._asks_tag and (self.online or self.alone) else None)
        return min((at for at in times if at is not None), default=None)

    def say_meter(self, now: datetime, context: str) -> None:
        """Say what the meter shows, unless it has gone silent."""
        if self.mute:
            return
        sampling = Sampling(self._settings.measurands(), self.per_phase)
        metered = self._bay.metered(self._bay.read(now))
        offline = not self.online
        self._outbox.say(self._voice.measured(self.transaction, metered, sampling, context, offline=offline))

    def remote_start(self, tag: str, now: datetime, remote_start_id: int | None = None) -> bool:
        """Begin a transaction from afar; only where a car waits for one."""
        if self._plugged is None or self.transaction is not None:
            return False
        self._asks_tag = False
        self._begin(self._bay.read(now), Cause.REMOTE, now, tag, remote_start_id)
        return True

    def remote_stop(self, transaction: str, now: datetime) -> bool:
        """End the transaction from afar: the car stays and gets nothing."""
        if self.transaction is None or self.transaction.id != transaction:
            return False
        self._stop(Cause.REMOTE, now)
        return True

    def reboot(self, cause: Cause, now: datetime) -> None:
        """Power lost: the transaction is over, and a car that stays is one that comes."""
        self._end(self._bay.read(now), cause)
        self._bay.reboot()
        self._asks_tag = self._finished = False
        self.online = self.alone = self.mute = False
        self._plugged, self.state = None, ConnectorState.AVAILABLE

    def sample_anew(self, now: datetime) -> None:
        """The rhythm of meter values was changed."""
        if self.transaction is not None:
            self._meter_at = some_time(self._settings.seconds(SAMPLE), now, self._rng)

    def tag_told(self, *, allowed: bool, now: datetime) -> None:
        """The central system said whether the driver may charge."""
        if self._plugged is None or self.transaction is not None:
            return
        if allowed:
            self._begin(self._bay.read(now), Cause.TAG, now)
        else:
            self._bay.barred = True
            self._bay.apply(now)

    # --- transactions ---------------------------------------------------------------------------------------

    def _ask_tag(self, reading: Reading, now: datetime) -> None:
        """A car waits: ask whether it may charge, or let it where nobody can be asked."""
        if self.online:
            self._asks_tag = False
            self._outbox.say(self._voice.authorize(self._tag, self._authorized))
        elif self.alone:
            self._asks_tag = False
            self._begin(reading, Cause.TAG, now)

    def unanswered(self) -> None:
        """The connection is gone: who was asked about will be asked about again, or let."""
        self._asks_tag = self._plugged is not None and self.transaction is None and not self._refused

    @property
    def _refused(self) -> bool:
        return self._finished or self._bay.barred

    def _authorized(self, payload: bytes, now: datetime) -> None:
        self.tag_told(allowed=_allowed.decode(payload).accepted, now=now)

    def _begin(
        self, reading: Reading, cause: Cause, now: datetime, tag: str | None = None, remote: int | None = None
    ) -> None:
        named = self._voice.transaction_id(self._rng)
        begun = Transaction(reading.at, tag or self._tag, named, remote_start_id=remote)
        self.transaction, self._finished, self._bay.barred = begun, False, False
        self._bay.begin(begun.began, named)

        def heard(payload: bytes, at: datetime) -> None:
            self._begun(begun, _allowed.decode(payload), at)

        metered = self._bay.metered(reading)
        self._outbox.say(self._voice.began(begun, metered, cause, heard, offline=not self.online))
        self._meter_at = some_time(self._settings.seconds(SAMPLE), now, self._rng)

    def _begun(self, begun: Transaction, answer: _Allowed, now: datetime) -> None:
        """The central system knows the transaction; in 1.6 it has a number from here on."""
        if answer.transactionId is not None:
            begun.id = str(answer.transactionId)
        if begun is self.transaction:
            self._bay.transaction = begun.id
            if not answer.accepted:
                self._stop(Cause.NOT_ALLOWED, now)

    def _stop(self, cause: Cause, now: datetime) -> None:
        """End the transaction while the car stays: nothing is offered any more."""
        self._end(self._bay.read(now), cause)
        self._finished = self._bay.barred = True
        self._bay.apply(now)

    def _end(self, reading: Reading, cause: Cause) -> None:
        if self.transaction is None:
            return
        metered = self._bay.metered(reading)
        self._outbox.say(self._voice.ended(self.transaction, metered, cause, offline=not self.online))
        self.transaction = self._meter_at = None
        self._bay.end()

    # --- how it stands --------------------------------------------------------------------------------------

    def _follow_state(self, now: datetime) -> None:
        reading = self._bay.read(now)
        state = self._state_of(reading)
        if state is self.state:
            return
        old, self.state = self.state, state
        metered, offline = self._bay.metered(reading), not self.online
        for saying in self._voice.changed(old, state, self.transaction, metered, offline=offline):
            self._outbox.say(saying)

    def _state_of(self, reading: Reading) -> ConnectorState:
        if reading.vehicle is None:
            return ConnectorState.AVAILABLE
        if self.transaction is None:
            return ConnectorState.FINISHING if self._finished else ConnectorState.PREPARING
        if reading.current_a >= _CHARGING_A:
            return ConnectorState.CHARGING
        return ConnectorState.SUSPENDED_EVSE if offer_a(reading) < FLOOR_A else ConnectorState.SUSPENDED_EV

    def _next_sample(self, last: datetime, now: datetime) -> datetime | None:
        every_s = self._settings.seconds(SAMPLE)
        return max(last + timedelta(seconds=every_s), now) if every_s > 0 else None


def some_time(within_s: float, now: datetime, rng: Random) -> datetime | None:
    """Spread, so that a fleet that started together does not speak together. 0: never."""
    return now + timedelta(seconds=within_s * rng.random()) if within_s > 0 else None
