"""The profiles that a station holds: which replaces which, which are cleared, and what outlives a reboot. Sans I/O."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from emw.simulator.ocpp import profiles
from emw.simulator.ocpp.profiles import Profile, Purpose

MOST_PROFILES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Which profiles are meant: all those of which every given part is true. `id` alone decides where it is given."""

    id: int | None = None
    purpose: Purpose | None = None
    stack: int | None = None
    evse: int | None = None

    def meets(self, profile: Profile, evse: int) -> bool:
        """Whether this one is meant; `evse` is where it was put."""
        if self.id is not None:
            return profile.id == self.id
        return (
            self.purpose in {None, profile.purpose}
            and self.stack in {None, profile.stack}
            and self.evse in {None, evse}
        )


@dataclass(frozen=True, slots=True)
class Shelved:
    """A profile, where it was put (0: the whole station), and its own words for those who ask."""

    profile: Profile
    evse: int
    told: dict[str, Any]


class Shelf:
    """The profiles of a station with one EVSE; station maximum and defaults lie in flash."""

    def __init__(self) -> None:
        """Nothing held."""
        self.held: list[Shelved] = []

    @property
    def profiles(self) -> list[Profile]:
        """Without where they lie."""
        return [one.profile for one in self.held]

    @property
    def full(self) -> bool:
        """Whether one more, that replaces none, has no room."""
        return len(self.held) >= MOST_PROFILES

    def put(self, profile: Profile, evse: int, told: dict[str, Any]) -> None:
        """Hold a profile. It replaces the one with its id, and the one in its place (purpose, stack level, EVSE)."""
        place = (profile.purpose, profile.stack, evse)
        self.held = [
            one
            for one in self.held
            if one.profile.id != profile.id and (one.profile.purpose, one.profile.stack, one.evse) != place
        ]
        self.held.append(Shelved(profile, evse, told))

    def rival(self, profile: Profile, evse: int) -> Profile | None:
        """Another profile in this one's place, which 2.0.1 does not let it push out (K01.FR.39, for transactions)."""
        if profile.purpose is not Purpose.TRANSACTION:
            return None
        place = (profile.purpose, profile.stack, evse)
        rivals = (one for one in self.held if (one.profile.purpose, one.profile.stack, one.evse) == place)
        return next((one.profile for one in rivals if one.profile.id != profile.id), None)

    def clear(self, criteria: Criteria) -> int:
        """Drop those that are meant; returns how many they were."""
        before = len(self.held)
        self.held = [one for one in self.held if not criteria.meets(one.profile, one.evse)]
        return before - len(self.held)

    def find(self, criteria: Criteria) -> list[Shelved]:
        """Those that are meant."""
        return [one for one in self.held if criteria.meets(one.profile, one.evse)]

    def drop_over(self, at: datetime, began: datetime | None) -> None:
        """Forget what will never count again."""
        if any(one.profile.over(at, began) for one in self.held):
            self.held = [one for one in self.held if not one.profile.over(at, began)]

    def transaction_ended(self) -> None:
        """Profiles for a transaction die with it."""
        self.held = [one for one in self.held if one.profile.purpose is not Purpose.TRANSACTION]

    def in_force(self, at: datetime, began: datetime | None) -> tuple[float, datetime | None] | None:
        """The limit in force, A, and when there is none any more; None: no limit."""
        mine = self.profiles
        limit_a = profiles.in_force(mine, at, began)
        return None if limit_a is None else (limit_a, profiles.limited_until(mine, at, began))

    def next_change(self, at: datetime, began: datetime | None) -> datetime | None:
        """When another limit may be in force."""
        return profiles.next_change(self.profiles, at, began) if self.held else None
