"""What can be refused, and why: one tree; each class carries the HTTP status its edge translates it to.

EmwError
├── Refused           the caller can mend it; nothing was changed
│   ├── BadInput      400  a named field is wrong
│   ├── Unauthorised  401  no or wrong credential (unknown and wrong look alike)
│   ├── Forbidden     403  known, but may not
│   ├── NotFound      404  not there, or another's
│   ├── Conflict      409  the same id with other contents
│   └── TooMany       429  slow down, and when to come back
└── Unavailable       503  emw can't write now; nothing was changed, try again
    └── Fenced             ... and never will: this process must end
"""

from __future__ import annotations

from typing import ClassVar


class EmwError(Exception):
    """The root of what emw raises on purpose."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "emw failed"

    def __init__(self, detail: str, *, field: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.retry_after_s = retry_after_s


class Refused(EmwError):
    """The caller can mend this; nothing was changed by it."""


class BadInput(Refused):
    """A field is missing, of the wrong kind or out of range."""

    status = 400
    title = "Bad input"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}" if field else why, field=field or None)


class Unauthorised(Refused):
    """The credential is missing, unknown, expired or belongs to somebody else."""

    status = 401
    title = "Not authorised"


class Forbidden(Refused):
    """The caller is known and may not do this."""

    status = 403
    title = "Forbidden"


class NotFound(Refused):
    """There is no such thing, or it belongs to another."""

    status = 404
    title = "Not found"


class Conflict(Refused):
    """The id is taken by something else."""

    status = 409
    title = "Conflict"


class TooMany(Refused):
    """Too many tries from here or for this id; come back later."""

    status = 429
    title = "Too many tries"


class Unavailable(EmwError):
    """The store can't take a fact now; nothing was changed and nothing is promised."""

    status = 503
    title = "Not available now"


class Fenced(Unavailable):
    """Another has written to this store: what this process believes is old, and it must end (faults F6, F8)."""
