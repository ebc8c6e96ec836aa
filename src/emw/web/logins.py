"""Who is logged in: random cookies, kept hashed, in memory only (a restart logs everybody out, and that is fine)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from emw.domain.people import Role
from emw.service.gate import hash_of
from emw.service.ports import Ids

COOKIE: Final = "emw_session"
MOST: Final = 10_000
"""So many logins are kept; then the one that was idle longest goes."""


@dataclass(slots=True)
class Login:
    """One login. `password_hash` is what the person's was then: a new password or role ends all older logins.

    `role`: what the sign-on provider's word gave, for this login; None: the person is known here.
    """

    name: str
    password_hash: str
    csrf: str
    began_s: float
    used_s: float
    address: str = ""
    role: Role | None = None


class Logins:
    """Opens, finds and ends logins. `elapsed` gives seconds of the running loop."""

    def __init__(self, ids: Ids, elapsed: Callable[[], float], *, life_s: float, idle_s: float) -> None:
        self._ids = ids
        self._elapsed = elapsed
        self._life_s = life_s
        self._idle_s = idle_s
        self._kept: dict[str, Login] = {}

    def __len__(self) -> int:
        return sum(self._alive(s) for s in self._kept.values())

    def open(
        self, name: str, password_hash: str, *, address: str = "", role: Role | None = None
    ) -> tuple[str, Login]:
        """Begin a login: its cookie (two ids: 256 random bits and more) and the login."""
        self._sweep()
        cookie = self._ids.new("os") + self._ids.new("")
        now_s = self._elapsed()
        login = Login(name, password_hash, self._ids.new("csrf"), now_s, now_s, address, role)
        self._kept[hash_of(cookie)] = login
        return cookie, login

    def find(self, cookie: str, *, touch: bool = True) -> Login | None:
        """The live login of a cookie. `touch`: this call counts as use."""
        digest = hash_of(cookie)
        login = self._kept.get(digest)
        if login is None:
            return None
        if not self._alive(login):
            del self._kept[digest]
            return None
        if touch:
            login.used_s = self._elapsed()
        return login

    def close(self, cookie: str) -> None:
        """End a login."""
        self._kept.pop(hash_of(cookie), None)

    def alive(self) -> list[tuple[str, Login]]:
        """Every live login with a name that ends it and opens nothing."""
        return [(digest[:16], s) for digest, s in self._kept.items() if self._alive(s)]

    def end(self, login_id: str) -> str | None:
        """End the login of that id and say whose it was; None: there is none."""
        for digest, login in self._kept.items():
            if digest[:16] == login_id and self._alive(login):
                del self._kept[digest]
                return login.name
        return None

    def _alive(self, login: Login) -> bool:
        now_s = self._elapsed()
        return now_s - login.began_s <= self._life_s and now_s - login.used_s <= self._idle_s

    def _sweep(self) -> None:
        """Forget what has ended before something new is kept."""
        if len(self._kept) < MOST:
            return
        self._kept = {k: s for k, s in self._kept.items() if self._alive(s)}
        while len(self._kept) >= MOST:
            del self._kept[min(self._kept, key=lambda k: self._kept[k].used_s)]
