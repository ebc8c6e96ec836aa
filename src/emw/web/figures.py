"""How a page writes numbers, shares and times: by its reader's language and the territory's clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from markupsafe import Markup, escape

from emw.domain.model import Outcome
from emw.web.log_words import reason
from emw.web.tongue import Tongue
from emw.web.words import ANSWERS

MISSING: Final = "\u2013"


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers and times as this page's reader writes them; a missing one is a dash."""

    tongue: Tongue
    zone: tzinfo

    def number(self, value: float | None, digits: int = 1) -> str:
        """A number with the language's own marks."""
        if value is None:
            return MISSING
        return self.tongue.number(f"{round(value, digits) + 0.0:,.{digits}f}")  # never -0.0

    def axis(self, value: float) -> str:
        """A round number beside a plot."""
        return self.tongue.number(f"{value + 0.0:,.12g}")

    def why(self, note: str) -> str:
        """What stands beside a method's figures."""
        return "; ".join(reason(part, self.tongue) for part in note.split("; "))

    def outcome(self, outcome: Outcome) -> str:
        """What became of a command."""
        return self.tongue.t(ANSWERS[outcome])

    def share(self, value: float | None) -> str:
        """A share of one, in per cent."""
        return MISSING if value is None else f"{self.number(100 * value)}\N{NO-BREAK SPACE}%"

    def time(self, at: datetime | None, form: str = "%Y-%m-%d %H:%M") -> Markup:
        """A time by the territory's clock, UTC on hover."""
        if at is None:
            return escape(MISSING)
        there, utc = at.astimezone(self.zone), at.astimezone(UTC)
        return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
            utc.isoformat(), utc.strftime("%Y-%m-%d %H:%M:%S"), there.strftime(form)
        )

    def linked(self, text: str, path: str | None) -> Markup:
        """A number that leads to the rows it came from."""
        return escape(text) if path is None else Markup('<a href="{}">{}</a>').format(path, text)
