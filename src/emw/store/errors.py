"""What makes a store unfit to start on. What may pass by itself is `service.errors.Unavailable` instead."""

from __future__ import annotations

from emw.service.errors import EmwError, Unavailable


class StoreUnusable(EmwError):
    """emw must not start on this database; the text says why and what to do. It is never repaired in silence."""

    title = "The database can't be used"


class Claimed(Unavailable):
    """Another emw writes to this database; it can be had once that one has ended."""

    title = "Another emw works with the database"

    def __init__(self, holder: str) -> None:
        """`holder`: who it is, in words."""
        self.holder = holder
        super().__init__(
            f"{holder} works with this database: stop it, or run this where it runs; "
            "`emw serve --standby` waits for its end",
            retry_after_s=10,
        )


class Trouble(Unavailable):
    """The database said no; the transaction is not there."""

    def __init__(self, detail: str, *, retry_after_s: int, keeps: bool, clash: bool = False) -> None:
        """`keeps`: the same connection may be tried again. `clash`: a row with that key is there already."""
        super().__init__(detail, retry_after_s=retry_after_s)
        self.keeps = keeps
        self.clash = clash
