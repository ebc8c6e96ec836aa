"""Who is speaking: credentials compared in constant time, bound to the id they were issued for, guesses counted.

Unknown and wrong look alike. A right credential of 128 random bits always passes, so that nobody is locked out by
another's guesses; wrong ones are refused more and more slowly, per id and per address. Behind one address there may
be a whole fleet: a token that has aged is no guess, and a right secret wipes the slate of its address.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Container
from datetime import datetime, timedelta
from hmac import compare_digest

from emw.domain.model import Iso, Station
from emw.domain.state import State
from emw.service.errors import TooMany, Unauthorised
from emw.service.ports import Clock
from emw.service.settings import ServiceSettings

NOBODY = "0" * 64
"""What is compared where there is nothing to compare with. No known text has this hash."""
NO_STATION = "the credential is missing, wrong or expired; power on again or ask the operator for one"
"""At all doors of stations the same, for ids that are known and for others (attack A2)."""
NO_ISO = "the token is missing or wrong; ask the operator for one"
WINDOW = timedelta(minutes=5)
FREE_TRIES = 10
MOST_KEPT = 10_000


def hash_of(secret: str) -> str:
    """How a random secret of 128 bits or more is kept: SHA-256, hex. (Passwords are another matter: argon2.)"""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class Guesses:
    """Counts wrong tries per name in a sliding window, in bounded memory."""

    def __init__(self, free: int = FREE_TRIES, window: timedelta = WINDOW) -> None:
        self._free = free
        self._window = window
        self._tries: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def wait_s(self, name: str, now: datetime) -> int:
        """Seconds until another try is taken; 0: now."""
        count, last = self._tries.get(name, (0, now))
        if count < self._free or now - last > self._window:
            return 0
        pause = timedelta(seconds=min(2 ** min(count - self._free, 9), self._window.total_seconds()))
        return max(0, int((last + pause - now).total_seconds() + 0.999))

    def wrong(self, name: str, now: datetime) -> int:
        """Count a wrong try; returns how many there were lately."""
        count, last = self._tries.pop(name, (0, now))
        count = 1 if now - last > self._window else count + 1
        self._tries[name] = (count, now)
        while len(self._tries) > MOST_KEPT:
            self._tries.popitem(last=False)
        return count

    def right(self, name: str) -> None:
        """A right try wipes the slate."""
        self._tries.pop(name, None)


class Gate:
    """Checks stations' and grid operators' credentials."""

    def __init__(self, state: State, clock: Clock, settings: ServiceSettings) -> None:
        self._state = state
        self._clock = clock
        self._life = timedelta(seconds=settings.token_life_s)
        self._by_id = Guesses()
        self._by_address = Guesses(free=50)
        self.refused = 0

    def enrolled(self, station_id: str, secret: str | None, address: str) -> Station:
        """The station whose enrolment secret this is (`powerOn`)."""
        station = self._state.stations.get(station_id)
        expected = NOBODY if station is None or station.revoked else station.secret_hash
        if secret is not None and compare_digest(hash_of(secret), expected) and station is not None:
            self._by_id.right(f"{station_id}@{address}")
            self._by_address.right(address)
            return station
        raise self._wrong(station_id, address)

    def station(self, station_id: str, token: str | None, address: str) -> Station:
        """The station whose session token this is (everything after `powerOn`)."""
        station = self._state.stations.get(station_id)
        expected = NOBODY if station is None or station.token_hash is None else station.token_hash
        if token is not None and compare_digest(hash_of(token), expected) and station is not None:
            if station.token_at is not None and self._clock.now() - station.token_at <= self._life:
                return station
            raise Unauthorised(NO_STATION)  # its own token, only too old
        raise self._wrong(station_id, address)

    def iso(self, token: str | None, address: str, names: Container[str] = ()) -> Iso:
        """The grid operator whose token this is. Every ISO is compared, so that time tells nothing.

        `names`: those of the client certificate that came with it. Where an ISO must show one, its token is not enough.
        """
        found: Iso | None = None
        digest = hash_of(token) if token is not None else ""
        for iso in self._state.isos.values():
            if compare_digest(digest, iso.token_hash) and not iso.revoked:
                found = iso
        if found is not None and (found.certificate is None or found.certificate in names):
            return found
        raise self._wrong("iso", address, NO_ISO)

    def _wrong(self, name: str, address: str, why: str = NO_STATION) -> Unauthorised | TooMany:
        now = self._clock.now()
        self.refused += 1
        pair = f"{name}@{address}"
        too_many = self._by_id.wait_s(pair, now) or self._by_address.wait_s(address, now)
        self._by_id.wrong(pair, now)
        self._by_address.wrong(address, now)
        if too_many:  # this one counts, too: the wait told is the one that begins now
            wait_s = max(self._by_id.wait_s(pair, now), self._by_address.wait_s(address, now))
            return TooMany("too many wrong credentials from here; wait and try again", retry_after_s=wait_s)
        return Unauthorised(why)
