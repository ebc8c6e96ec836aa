"""Named seams where the simulation kills, delays or fails. In production each is a call to nothing."""

from __future__ import annotations

from collections.abc import Callable


def _nothing(_: str) -> None:
    return


hook: Callable[[str], None] = _nothing


def fault_point(seam: str) -> None:
    """Execution passes `seam`: `commit.before|after`, `answer.before`, `command.before|sent`, `report.before`."""
    hook(seam)
