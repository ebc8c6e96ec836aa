"""Why something is refused, in the reader's language: what people meet is known to the letter, the rest stays English.

The sentences are in the catalogues, as `refusal.<key>`. Machines name no language and get English.
"""

from __future__ import annotations

import re
from typing import Final

from emw.web.tongue import DEFAULT, TONGUES, Tongue

ENGLISH: Final = TONGUES[DEFAULT]
NUMBER: Final = re.compile(r"[\d.,]*\d")


def _pattern(text: str) -> re.Pattern[str]:
    """The sentence with anything in its places."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(text)), re.DOTALL)


_KNOWN: Final = [(_pattern(v), k) for k, v in ENGLISH.says.items() if k.startswith("refusal.")]
MOST: Final = 500
"""No refusal of ours is longer: what is, holds what somebody sent, and is not looked through."""


def refusal(detail: str, field: str | None, tongue: Tongue) -> str:
    """`detail`, which begins with the field at fault where there is one, in the reader's language."""
    if tongue is ENGLISH or len(detail) > MOST:
        return detail
    before = f"{field}: " if field and detail.startswith(f"{field}: ") else ""
    why = detail.removeprefix(before)
    for pattern, key in _KNOWN:
        if found := pattern.fullmatch(why):
            given = found.groupdict()
            said = {n: tongue.number(x) if NUMBER.fullmatch(x) else x for n, x in given.items()}
            return before + tongue.t(key, **said)
    return detail
