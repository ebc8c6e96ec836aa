"""One fact into the live view: `evolve` decides what changes, `State.put` puts it in."""

from __future__ import annotations

from emw.domain.evolve import evolve
from emw.domain.facts import Fact
from emw.domain.model import Record
from emw.domain.state import State, Undo


def apply(state: State, fact: Fact) -> tuple[tuple[Record, ...], list[Undo]]:
    """Evolve `state` by one fact: the records that changed (rows to write) and how to take it back."""
    records = evolve(state, fact)
    return records, [state.put(record) for record in records]
