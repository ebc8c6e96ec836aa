"""The quick way to change a record gives what the library's gives."""

import dataclasses
from typing import Any

import pytest

from emw.domain.changed import replace
from emw.domain.model import RECORDS


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_changed_record_is_what_the_library_would_make(kind: type[Any]) -> None:
    names = [f.name for f in dataclasses.fields(kind)]
    record = kind(**{name: f"{name} before" for name in names})
    assert not hasattr(kind, "__post_init__"), "it would be left out"
    for name in names:
        changed = replace(record, **{name: "after"})
        assert changed == dataclasses.replace(record, **{name: "after"})
        assert hash(changed) == hash(dataclasses.replace(record, **{name: "after"}))
        assert type(changed) is kind
    assert replace(record) == record
    assert record == kind(**{name: f"{name} before" for name in names})
    with pytest.raises(TypeError, match="colour"):
        replace(record, colour="red")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(replace(record), names[0], "after")
