"""What handlers are given: parts by name (`app.py` says where they come from), and what callers say in a URL."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import unquote

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, SkipValidation

from emw.plane import utc
from emw.service.errors import BadInput, Unavailable
from emw.service.headend import HeadEnd
from emw.service.ports import Ids
from emw.web.auth import Auth, Caller
from emw.web.board import Board
from emw.web.extras import Extras
from emw.web.live import Feed
from emw.web.metrics import Metrics
from emw.web.places import Ground
from emw.web.readiness import Readiness
from emw.web.settings import WebSettings
from emw.web.tongue import Tongue

TheHeadEnd = NamedDependency[HeadEnd]
TheBoard = NamedDependency[Board]
TheAuth = NamedDependency[Auth]
TheCaller = NamedDependency[Caller]
TheSettings = NamedDependency[WebSettings]
TheFeed = NamedDependency[Feed]
TheMetrics = NamedDependency[Metrics]
ThePlaces = NamedDependency[Ground]
TheReadiness = NamedDependency[Readiness]
TheIds = NamedDependency[SkipValidation[Ids]]
"""A protocol: there is nothing to check at run time."""
TheTongue = NamedDependency[Tongue]
TheExtras = NamedDependency[Extras]

Limited = Annotated[int, QueryParameter(ge=1, le=10_000, description="At most so many.")]
Offset = Annotated[int, QueryParameter(ge=0, le=10_000_000, description="Leave out so many first.")]
EvseQuery = Annotated[str | None, QueryParameter(name="evseID", max_length=255)]
Text = Annotated[str | None, QueryParameter(max_length=255, description="Rows with this text in them.")]
Since = FromQuery[datetime | None]
"""From this time on, with its offset."""
Until = FromQuery[datetime | None]
"""Up to this time, with its offset."""


def id_of(segment: str) -> str:
    """Any id, out of a path segment as it was sent."""
    return unquote(segment, errors="strict")


def aware(at: datetime | None, field: str) -> datetime | None:
    """A time with its offset, or nothing."""
    if at is not None and at.tzinfo is None:
        raise BadInput(field, "give the offset too, for example 2026-05-04T07:00:00Z ('+' in a URL is %2B)")
    return None if at is None else utc(field, at)


async def settled(headend: HeadEnd) -> None:
    """Wait until what can be seen is durable. What could not be written has been taken back: then it can't be seen."""
    try:
        await headend.ledger.settled()
    except Unavailable:
        return
