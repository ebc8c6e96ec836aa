"""A tick of the live feed: what one look found, as events in each viewer's language, each made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from emw.domain.facts import Fact
from emw.web.log_words import ENGLISH, fields_of, reason, sentence
from emw.web.packing import Event
from emw.web.tongue import Tongue

encode: Final = msgspec.json.Encoder().encode


class Tick:
    """What one look found, and the events made of it, each when the first viewer of its kind wants it."""

    def __init__(self, number: int, body: dict[str, Any], lines: list[tuple[int, Fact]]) -> None:
        self.number = number
        self._body = body
        self._lines = lines
        self._rows: dict[str, msgspec.Raw] = {}
        self._events: dict[tuple[str, bool], Event] = {}

    def with_rows(self, **rows: Sequence[Any]) -> None:
        """Lines of EVSEs, encoded once for all languages."""
        self._rows = {name: msgspec.Raw(encode(lines)) for name, lines in rows.items()}

    def event(self, tongue: Tongue, *, rows: bool) -> Event:
        """The event for viewers of this language, with lines of EVSEs or without."""
        key = (tongue.tag, rows)
        made = self._events.get(key)
        if made is None:
            body = in_words(self._body, tongue)
            body["log"] = [log_line(seq, fact, tongue) for seq, fact in self._lines]
            made = self._events[key] = Event("tick", encode(body | self._rows if rows else body))
        return made


def in_words(body: dict[str, Any], tongue: Tongue) -> dict[str, Any]:
    """The same, with the reasons in it in the reader's language."""
    if tongue is ENGLISH:
        return dict(body)
    requests = [
        {**r, **{name: reason(r[name], tongue) for name in ("whyShort", "held") if r[name] is not None}}
        for r in body["requests"]
    ]
    return {**body, "requests": requests}


def log_line(seq: int, fact: Fact, tongue: Tongue) -> dict[str, Any]:
    """A fact as a line of the log."""
    kind = type(fact).__name__
    text = sentence(kind, fields_of(fact), tongue)
    return {"seq": seq, "at": fact.at, "actor": fact.actor, "kind": kind, "text": text}
