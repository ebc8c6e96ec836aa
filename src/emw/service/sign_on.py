"""The seam of single sign-on: somebody else checks a password, emw hears who it was. Knows no protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emw.domain.people import Role


class NotVouchedFor(Exception):
    """The provider's word can't be taken; the text says why, and holds nothing secret."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What only the browser that began a login knows: it comes back with it, or somebody else began."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who the provider says it was. `name` is for people and the log; `subject` is the provider's own, for ever."""

    name: str
    subject: str
    issuer: str
    role: Role


class SignOn(Protocol):
    """A provider that people log in at."""

    label: str

    async def begin(self, flow: Flow, redirect_url: str) -> str:
        """The provider's URL to send the browser to. Raises NotVouchedFor."""
        ...

    async def finish(self, flow: Flow, code: str, redirect_url: str) -> Person:
        """Who logged in there. Raises NotVouchedFor."""
        ...
