"""What msgspec says of a body, as people say it: held against msgspec itself, which may change its words."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from emw.misfit import decoded
from emw.service.errors import BadInput


class Colour(StrEnum):
    RED = "red"


class Body(msgspec.Struct, forbid_unknown_fields=True):
    kw: Annotated[float, Meta(gt=0, le=10)] = 1.0
    name: Annotated[str, Meta(min_length=2, max_length=4)] = "East"
    at: Annotated[datetime, Meta(tz=True)] | None = None
    colour: Colour = Colour.RED
    inner: Inner | None = None


class Inner(msgspec.Struct):
    id: Annotated[str, Meta(min_length=1)]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"kw": 11}', "kw: must be at most 10"),
        ('{"kw": 0}', "kw: must be more than 0"),
        ('{"kw": "5"}', "kw: must be a number, not text"),
        ('{"name": "x"}', "name: must have at least 2 characters"),
        ('{"inner": {"id": ""}}', "inner.id: must not be empty"),
        ('{"kw": 1e400}', "kw: is too large a number"),
        ('{"name": 5}', "name: must be text, not a whole number"),
        ('{"at": "soon"}', "at: must be a time like 2026-05-04T17:00:00Z"),
        ('{"at": "2026-05-04T17:00:00"}', "at: must say its offset, as in 2026-05-04T17:00:00Z"),
        ('{"colour": "blue"}', "colour: 'blue' is none of its values"),
        ('{"inner": {}}', "inner.id: is missing"),
        ('{"typo": 1}', "typo: is not a field here"),
        ("[]", "must be an object, not a list"),
        ('{"kw": NaN}', "kw: this is not JSON: JSON is malformed: invalid character (byte 7)"),
    ],
)
def test_a_misfit_is_told_with_its_field_in_words(said: str, why: str) -> None:
    decode: Any = msgspec.json.Decoder(Body).decode
    with pytest.raises(BadInput) as refused:
        decoded(decode, said.encode())
    assert refused.value.detail == why
