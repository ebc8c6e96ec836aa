"""Times of OpenADR 3: instants and durations as servers really write them. Pure; `None` is "no end", never year 9999.

Sources: Definition 3.1.0 (intervalPeriod), RFC 3339, ISO 8601 durations; what real servers send beside them.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

DURATION: Final = re.compile(
    r"(?P<sign>[-+]?)P(?=\d|T\d)(?:(?P<y>\d+)Y)?(?:(?P<mo>\d+)M)?(?:(?P<w>\d+)W)?(?:(?P<d>\d+)D)?"
    r"(?:T(?:(?P<h>\d+)H)?(?:(?P<mi>\d+)M)?(?:(?P<s>\d+(?:[.,]\d+)?)S)?)?"
)
INSTANT: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[Tt ](?P<time>\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s*(?P<zone>[Zz]|[+-]\d\d:?\d\d)?)?"
)
ENDLESS_YEARS: Final = 1_000
"""Nobody means a thousand years: P9999Y and its like are "no end"."""
NOW: Final = "now"
LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""What would end after this has no end: arithmetic up to year 9999 overflows in some zone."""


FIRST_YEAR: Final = 1970


class BadTime(ValueError):
    """This text is no instant or no duration; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Span:
    """A duration. Months and days are the calendar's (a day has 23 or 25 hours twice a year), seconds are exact."""

    months: int = 0
    days: int = 0
    seconds: float = 0.0
    endless: bool = False

    @property
    def empty(self) -> bool:
        """Whether it is no time at all."""
        return not (self.endless or self.months or self.days or self.seconds)

    def after(self, at: datetime, zone: tzinfo = UTC) -> datetime | None:
        """`at` and this much later, UTC; days are counted in `zone`. None: never."""
        if self.endless:
            return None
        try:
            if self.months or self.days:
                at = self._calendar(at.astimezone(zone)).astimezone(UTC)
            at += timedelta(seconds=self.seconds)
        except OverflowError:
            return None
        return None if at >= LAST else at

    def _calendar(self, local: datetime) -> datetime:
        """The local clock that many months and days on; a day of the month that is not there is its last one."""
        month = local.month - 1 + self.months
        year = local.year + month // 12
        if year > LAST.year:
            raise OverflowError
        month = month % 12 + 1
        day = min(local.day, monthrange(year, month)[1])
        return local.replace(year=year, month=month, day=day) + timedelta(days=self.days)


EMPTY: Final = Span()


def span_of(text: str) -> Span:
    """The duration a text says. Raises BadTime for negative ones and for what is none."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise BadTime(f"{text!r} is no ISO 8601 duration")
    part = {k: v or "0" for k, v in match.groupdict().items() if k != "sign"}
    if any(len(v) > 12 for v in part.values()):
        return Span(endless=True)
    if int(part["y"]) >= ENDLESS_YEARS:
        return Span(endless=True)
    span = Span(
        months=12 * int(part["y"]) + int(part["mo"]),
        days=7 * int(part["w"]) + int(part["d"]),
        seconds=3600 * int(part["h"]) + 60 * int(part["mi"]) + float(part["s"].replace(",", ".")),
    )
    if match["sign"] == "-" and not span.empty:
        raise BadTime(f"{text!r} is a negative duration")
    if span.months >= 12 * ENDLESS_YEARS or span.days > 366 * ENDLESS_YEARS:
        return Span(endless=True)
    return span


@dataclass(frozen=True, slots=True)
class Instant:
    """A start as it was written: `at` None means "now". `doubt`: what had to be assumed, in words."""

    at: datetime | None
    doubt: str | None = None


def instant_of(text: str) -> Instant:
    """The instant a text says, UTC: RFC 3339, a blank for `T`, no offset (UTC is assumed), or the "now" of OpenADR.

    Raises BadTime for anything else, a time without a day included.
    """
    match = INSTANT.fullmatch(text.strip())
    if match is None:
        raise BadTime(f"{text!r} is no date and time")
    if match["day"] in {"0001-01-01", "0000-00-00"}:
        return Instant(None)
    zone = match["zone"]
    told = f"{match['day']}T{match['time'] or '00:00:00'}{zone or ''}"
    try:
        at = datetime.fromisoformat(told.upper())
        if not FIRST_YEAR <= at.year < LAST.year:
            raise BadTime(f"{text!r} lies outside the years {FIRST_YEAR} to {LAST.year}")
        if at.tzinfo is None:
            return Instant(at.replace(tzinfo=UTC), f"{text!r} has no offset: UTC is assumed")
        return Instant(at.astimezone(UTC))
    except BadTime:
        raise
    except (ValueError, OverflowError) as error:
        raise BadTime(f"{text!r} is no date and time") from error
