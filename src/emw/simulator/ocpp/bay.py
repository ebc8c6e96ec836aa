"""The EVSE behind an OCPP station: its register, the profiles it holds, and the limit it puts on its hardware.
Sans I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from emw.simulator.control import offer_a
from emw.simulator.hardware import FLOOR_A, Hardware, Reading, Refused
from emw.simulator.ocpp import orders, profiles
from emw.simulator.ocpp.habits import Habits, Smart
from emw.simulator.ocpp.meter import Metered
from emw.simulator.ocpp.orders import Profile16, Profile201, Supply, Unusable
from emw.simulator.ocpp.profiles import Period, Purpose
from emw.simulator.ocpp.shelf import Criteria, Shelf
from emw.simulator.orders import GRACE, Violation

EVSE: Final = 1
"""Every station here has one EVSE."""

_NO_END: Final = datetime(9000, 1, 1, tzinfo=UTC)
_TURNS: Final = 8


@dataclass(frozen=True, slots=True)
class Request:
    """A profile that somebody wants in force, where (0: the whole station), and its own words."""

    told: Profile16 | Profile201
    evse: int
    words: dict[str, Any]


class Bay:
    """One EVSE. `began`: when the transaction that runs on it did, by the station's own clock.

    `barred`: nothing is offered, for nobody may charge now. `freed`: no limits any more, whatever is held.
    `phases`: how many the hardware has.
    """

    def __init__(self, evse_id: str, hardware: Hardware, habits: Habits, phases: int) -> None:
        self.violations: list[Violation] = []
        self.commands = 0
        self.shelf = Shelf()
        self.began: datetime | None = None
        self.transaction: str | None = None
        self.barred = self.freed = False
        self._evse_id = evse_id
        self._hardware = hardware
        self._habits = habits
        self._phases = phases
        self._register_wh = 0.0
        self._session_kwh = 0.0
        self._since: datetime | None = None
        self._applied: tuple[float, datetime] | None = None
        self._knobs: list[tuple[datetime, float]] = []

    # --- the meter ------------------------------------------------------------------------------------------

    def read(self, now: datetime) -> Reading:
        """Look at the hardware, and count energy on: the hardware's register begins anew with each car."""
        reading = self._hardware.read(now)
        since = None if reading.vehicle is None else reading.vehicle.since
        if since is not None and since != self._since:
            self._since, self._session_kwh = since, 0.0
        self._register_wh += max(reading.energy_kwh - self._session_kwh, 0.0) * 1000.0
        self._session_kwh = reading.energy_kwh
        if not self._knobs or self._knobs[-1][1] != reading.knob_a:
            self._knobs = [*self._knobs, (now, reading.knob_a)][-_TURNS:]
        return reading

    def metered(self, reading: Reading) -> Metered:
        """What the meter shows, with the register that never goes back."""
        return Metered(
            at=reading.at,
            energy_wh=self._register_wh,
            current_a=reading.current_a,
            offered_a=offer_a(reading),
            voltage_v=reading.voltage_v,
            phases=self._phases,
        )

    def supply(self, reading: Reading) -> Supply:
        """What turns this EVSE's watts into amperes."""
        return Supply(reading.voltage_v, self._phases)

    # --- profiles -------------------------------------------------------------------------------------------

    def set_profile(
        self, request: Request, now: datetime, *, on: Callable[[Purpose], str | None] = lambda _: None
    ) -> str:
        """Take a profile. Answers what it becomes: an empty text, or why it is rejected.

        `on`: a last word on a purpose, from whoever knows the transaction.
        """
        self.commands += 1
        reading = self.read(now)
        supply, told = self.supply(reading), request.told
        try:
            if self._fatal(request, supply, reading, now):
                return "a limit below 0"
            if self._habits.smart is Smart.IGNORES:
                return ""
            heeds = (self._habits.heeds_duration, self._habits.heeds_valid_to)
            profile = orders.profile_of(told, supply, units=self._habits.units, heeds=heeds)
        except Unusable as error:
            return str(error)
        why = self._misplaced(profile, request) or on(profile.purpose)
        if why:
            return why
        self.shelf.put(profile, request.evse, request.words)
        refused = self.apply(now)
        if refused is not None:
            self.shelf.clear(Criteria(id=profile.id))
            return refused.reason
        return ""

    def clear(self, criteria: Criteria, now: datetime) -> int:
        """Drop profiles; the limit changes at once. Returns how many they were."""
        self.commands += 1
        dropped = self.shelf.clear(criteria)
        self.apply(now)
        return dropped

    def composite(self, span: timedelta, now: datetime) -> list[Period]:
        """What may be drawn from now on for `span`, A per phase."""
        reading = self._hardware.read(now)
        if self.barred:
            return [Period(timedelta(0), 0.0)]
        return profiles.composite(self.shelf.profiles, reading.at, span, self.began, reading.knob_a)

    def apply(self, now: datetime) -> Refused | None:
        """Put on the hardware what is in force, where that is not so yet. None: the hardware has it."""
        reading = self._hardware.read(now)
        self.shelf.drop_over(reading.at, self.began)
        wanted = (0.0, None) if self.barred else self.shelf.in_force(reading.at, self.began)
        wanted = None if self.freed else wanted
        if wanted is None:
            if self._applied is None:
                return None
            self._applied = None
            outcome = self._hardware.clear_limit(now)
        else:
            limit_a = wanted[0] if wanted[0] >= FLOOR_A else 0.0
            order = (limit_a, wanted[1] or _NO_END)
            if order == self._applied and reading.limit_a is not None:
                return None
            outcome = self._hardware.set_limit(*order, now)
            self._applied = None if isinstance(outcome, Refused) else order
        return outcome if isinstance(outcome, Refused) else None

    def change_at(self, now: datetime) -> datetime | None:
        """When the hardware needs another limit, by true time."""
        if not self.shelf.held:
            return None
        own = self._hardware.read(now).at
        change = self.shelf.next_change(own, self.began)
        return None if change is None else now + (change - own)

    def begin(self, began: datetime, transaction: str | None) -> None:
        """A transaction runs."""
        self.began, self.transaction = began, transaction

    def end(self) -> None:
        """No transaction runs any more; its profiles are gone with it."""
        self.began = self.transaction = None
        self.shelf.transaction_ended()

    def reboot(self) -> None:
        """Power lost: what lies in flash stays, the hardware knows no limit any more."""
        self.end()
        self.barred = False
        self._applied = None

    # --- judging --------------------------------------------------------------------------------------------

    def _fatal(self, request: Request, supply: Supply, reading: Reading, now: datetime) -> bool:
        """Record the promises that this profile breaks; whether it can't be taken at all."""
        knob_a = self._believed_knob_a(now)
        faults = orders.faults_in(request.told, supply, knob_a, now, self.began)
        named = str(request.words.get("chargingProfileId", request.words.get("id", "")))
        self.violations += [
            Violation(
                at=now,
                evse_id=self._evse_id,
                command_id=f"profile {named}",
                rule=fault.rule,
                detail=f"{fault.field}: {fault.detail}",
            )
            for fault in faults
        ]
        return any(fault.rule == "below 0" for fault in faults)

    def _believed_knob_a(self, now: datetime) -> float:
        """The highest knob of late: OCPP has no word for its turning, so the central system learns it afterwards."""
        turned = [knob_a for at, knob_a in self._knobs[1:] if now - at <= GRACE]
        older = self._knobs[len(self._knobs) - len(turned) - 1 :]
        return max(knob_a for _, knob_a in older)

    def _misplaced(self, profile: profiles.Profile, request: Request) -> str | None:
        """What is wrong with where the profile was put."""
        if request.evse not in {0, EVSE}:
            return f"there is no EVSE {request.evse} here"
        if profile.purpose is Purpose.STATION and request.evse != 0:
            return "a maximum of the station belongs on 0"
        if profile.purpose is Purpose.TRANSACTION:
            if request.evse == 0 or self.began is None:
                return "no transaction is running there"
            if profile.transaction is not None and profile.transaction != self.transaction:
                return f"transaction {profile.transaction} is not running"
        known = self.shelf.find(Criteria(id=profile.id))
        if not known and self.shelf.full:
            return "no room for another profile"
        if isinstance(request.told, Profile201) and self.shelf.rival(profile, request.evse) is not None:
            return "another profile has this purpose, stack level and transaction"
        return None
