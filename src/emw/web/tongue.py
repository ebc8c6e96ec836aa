"""In which language a page speaks: one catalogue per language, the same for templates and for the browser's modules.

A key stands for one sentence and says where it is used (`live.load`); `{name}` in it is filled in. English is what
the others are measured by: a test holds that every catalogue has the same keys and the same places to fill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Request

DEFAULT: Final = "en"
COOKIE: Final = "emw_language"
"""The user's own choice; it holds a language's tag and nothing else, and the page's script may set it."""
COMMA_FIRST: Final = frozenset({"de"})
"""Languages that write 1.234,5."""
COMMAS: Final = str.maketrans(",.", ".,")
Catalogue = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language: its tag, what its speakers call it, and its sentences."""

    tag: str
    name: str
    says: Catalogue
    module: bytes
    """What of it the console's own modules say, as a module for the browser."""

    def t(self, key: str, **given: Any) -> str:
        """The sentence of `key`, filled in. An unknown key is a bug, and is shown as itself in no page."""
        return self.says[key].format(**given)

    def number(self, english: str) -> str:
        """A number written the English way, as this language writes it."""
        return english.translate(COMMAS) if self.tag in COMMA_FIRST else english


SERVERS: Final = frozenset({
    "drive", "drive_field", "drive_happened", "drive_state", "reason", "reasons", "refusal", "report", "report_kind",
    "says", "why",
})  # fmt: skip
"""Beginnings of the keys that the server alone speaks, or drivers' pages: half of a catalogue."""


def _load() -> dict[str, Tongue]:
    """Every catalogue of `messages/`; English first."""
    found = {}
    for file in sorted(files("emw.web").joinpath("messages").iterdir(), key=lambda x: x.name):
        if file.name.endswith(".json"):
            says = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
            tag = file.name.removesuffix(".json")
            shipped = {k: v for k, v in says.items() if k.partition(".")[0] not in SERVERS}
            module = b"export default " + msgspec.json.encode(shipped) + b";\n"
            found[tag] = Tongue(tag, says["language"], says, module)
    return {DEFAULT: found.pop(DEFAULT), **found}


TONGUES: Final = _load()


def choose(cookie: str | None, accepted: str | None) -> Tongue:
    """The user's own choice, else the best of what the browser asks for (`Accept-Language`), else English."""
    if cookie in TONGUES:
        return TONGUES[str(cookie)]
    for tag in _by_weight(accepted or ""):
        known = TONGUES.get(tag.partition("-")[0])
        if known is not None:
            return known
    return TONGUES[DEFAULT]


def _by_weight(accepted: str) -> list[str]:
    """The tags of an Accept-Language header, the most wanted first; what can't be read weighs nothing."""
    weighed: list[tuple[float, str]] = []
    for part in accepted.lower().split(",")[:20]:
        tag, _, q = part.strip().partition(";")
        try:
            weight = float(q.strip().removeprefix("q=")) if q else 1.0
        except ValueError:
            continue
        if 0 < weight <= 1:
            weighed.append((weight, tag.strip()))
    return [tag for _, tag in sorted(weighed, key=lambda w: -w[0])]


def tongue_of(request: Request[Any, Any, Any]) -> Tongue:
    """The language of whoever asks; machines that name none get English."""
    return choose(request.cookies.get(COOKIE), request.headers.get("accept-language"))
