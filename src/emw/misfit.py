"""What is wrong with somebody's JSON: the field, and why in words a person can act on. The same at every door."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Final, TypeVar

import msgspec

from emw.service.errors import BadInput

WHERE: Final = re.compile(r" - at `\$?\.?(?P<path>[^`]*)`")
NAMED: Final = re.compile(r"(?P<how>missing required|contains unknown) field `(?P<name>[^`]*)`")
BOUND: Final = re.compile(r"Expected `(?:int|float)` (?P<op><=|>=|<|>) (?P<bound>\S+)")
LENGTH: Final = re.compile(r"Expected `(?P<kind>str|array)` of length (?P<op><=|>=) (?P<bound>\d+)")
OTHER: Final = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>\w+)`")
VALUE: Final = re.compile(r"Invalid enum value (?P<value>.+)", re.DOTALL)
BOUNDS: Final = {
    "<=": "must be at most {most}",
    ">=": "must be at least {least}",
    "<": "must be less than {most}",
    ">": "must be more than {least}",
}
KINDS: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "datetime": "a time like 2026-05-04T17:00:00Z",
    "date": "a day like 2026-05-25",
    "null": "null",
}
AT_BYTE: Final = re.compile(r"\(byte (\d+)\)")
LAST_NAME: Final = re.compile(rb'"([^"\\\x00-\x1f]{1,64})"\s*:\s*(?:"[^"]*|[^",{}\[\]]*)\Z')
"""The name of the value that a text breaks off in."""


T = TypeVar("T")


def decoded(decode: Callable[[bytes], T], body: bytes) -> T:
    """The body as `decode` reads it. Raises BadInput naming the field."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise misfit(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(body, error) from error


def misfit(error: msgspec.ValidationError) -> BadInput:
    """What of a body does not fit its type, with the field as the wire names it."""
    where = WHERE.search(str(error))
    why = WHERE.sub("", str(error))
    path = where["path"] if where else ""
    named = NAMED.search(why)
    if named is None:
        return BadInput(path, in_words(why))
    path = f"{path}.{named['name']}".lstrip(".")
    return BadInput(path, "is missing" if named["how"].startswith("missing") else "is not a field here")


def meant(name: str, known: Iterable[str]) -> str:
    """Which of the `known` names one that is none of them may stand for, as a question; empty where none is near."""
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def in_words(why: str) -> str:
    """What msgspec says, as people say it; what is not known here stays as it is."""
    if found := BOUND.fullmatch(why):
        bound = found["bound"].removesuffix(".0")
        return BOUNDS[found["op"]].format(most=bound, least=bound)
    if found := LENGTH.fullmatch(why):
        if (found["op"], found["bound"]) == (">=", "1"):
            return "must not be empty"
        most = "most" if found["op"] == "<=" else "least"
        return f"must have at {most} {found['bound']} {'characters' if found['kind'] == 'str' else 'items'}"
    if found := OTHER.fullmatch(why):
        wanted = " or ".join(KINDS.get(kind, kind) for kind in found["wanted"].split(" | "))
        return f"must be {wanted}, not {KINDS.get(found['got'], found['got'])}"
    if found := VALUE.fullmatch(why):
        return f"{found['value']} is none of its values"
    if why == "Number out of range":
        return "is too large a number"
    if "RFC3339" in why:
        return f"must be {KINDS['date' if why.endswith('date') else 'datetime']}"
    if why == "Expected `datetime` with a timezone component":
        return "must say its offset, as in 2026-05-04T17:00:00Z"
    return why


def _no_json(body: bytes, error: Exception) -> BadInput:
    """What is not JSON, with the field in which the reading ended (`NaN` and its like)."""
    if isinstance(error, RecursionError):
        return BadInput("", "the body is nested too deeply")
    at = AT_BYTE.search(str(error))
    why = f"this is not JSON: {error}"
    if isinstance(error, UnicodeDecodeError):  # it counts from where that text began
        end = _text_ends(body)
        why = f"this is not JSON: byte {end} is not UTF-8"
    else:  # without a byte it breaks off at the end
        end = int(at[1]) if at else len(body.rstrip(b'"}] \t\r\n'))
    name = LAST_NAME.search(body[max(0, end - 512) : end])
    return BadInput(name[1].decode("utf-8", "replace") if name else "", why)


def _text_ends(body: bytes) -> int:
    """Up to which byte it is UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(body)
