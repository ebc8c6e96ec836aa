"""What makes a store unfit to start on. What may pass by itself is `service.errors.Unavailable` instead."""

from __future__ import annotations

from emw.service.errors import EmwError


class StoreUnusable(EmwError):
    """emw must not start on this database; the text says why and what to do. It is never repaired in silence."""

    title = "The database can't be used"
