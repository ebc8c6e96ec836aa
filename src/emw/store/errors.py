"""What makes a store unfit to start on. What may pass by itself is `service.errors.Unavailable` instead."""

from __future__ import annotations

from emw.service.errors import EmwError, Unavailable


class StoreUnusable(EmwError):
    """emw must not start on this database; the text says why and what to do. It is never repaired in silence."""

    title = "The database can't be used"


class Trouble(Unavailable):
    """The database said no; the transaction is not there."""

    def __init__(self, detail: str, *, retry_after_s: int, keeps: bool, clash: bool = False) -> None:
        """`keeps`: the same connection may be tried again. `clash`: a row with that key is there already."""
        super().__init__(detail, retry_after_s=retry_after_s)
        self.keeps = keeps
        self.clash = clash
