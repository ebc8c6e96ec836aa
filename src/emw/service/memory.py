"""What a tree's learner knows and no meter will say again, written down now and then and read after a start.

Without it a start in the middle of a request would take every held vehicle for one that still charges. A memory that
can't be read, or that another version wrote in another shape, is none: what it said is learned again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import msgspec
import numpy as np
import structlog

from emw.engine.columns import Ints
from emw.engine.learn import Belief, Learner
from emw.engine.past import Habits, Past
from emw.engine.taper import Taper
from emw.service.ports import Memory

log = structlog.get_logger()
LASTS = timedelta(minutes=15)
"""After this what was known of single vehicles says nothing any more: limits have ended, and cars went on charging."""


class _Body(msgspec.Struct):
    habits: dict[str, list[list[float]]]
    sessions: list[str]
    past: dict[str, list[float]]
    got_kwh: dict[str, float]


@dataclass(slots=True)
class Remembered:
    """What was read: the fleet's habits, and the past of sessions, each told once."""

    habits: Habits
    places: dict[str, int]
    past: Past
    got_kwh: dict[str, float]
    """What sessions were given whose stations do not tell it: summed up from readings."""

    def beliefs(self, sessions: Sequence[str]) -> list[Belief]:
        """What to go by until these sessions have been looked at."""
        past = self.past.pick(np.array([self.places[s] for s in sessions], dtype=np.int64))
        would_a = np.where(past.done, 0.0, past.would_a)
        alive = np.where(past.done, 0.0, np.exp(-past.fade) * Taper(self.habits.tapers).left(past.due))
        gap_a = np.nan_to_num(past.gap_a)
        return [
            Belief(would_a=a, alive=p, gap_a=g, learned=known)
            for a, p, g, known in zip(
                would_a.tolist(), alive.tolist(), gap_a.tolist(), past.learned.tolist(), strict=True
            )
        ]

    def take(self, sessions: Sequence[str]) -> Past:
        """The past of these sessions, in their order, where it is known and has not been told yet."""
        places: Ints = np.array([self.places.pop(s, -1) for s in sessions], dtype=np.int64)
        return self.past.pick(places)


def written(
    root: str, learner: Learner, sessions: Sequence[str], got_kwh: dict[str, float], at: datetime
) -> Memory:
    """What a learner knows now. `sessions`: by row of its last look."""
    habits = learner.habits
    rows, past = learner.past()
    body = _Body(
        habits={f.name: np.atleast_2d(getattr(habits, f.name)).tolist() for f in fields(Habits)},
        sessions=[sessions[row] for row in rows.tolist()],
        past={f.name: getattr(past, f.name).astype(np.float64).tolist() for f in fields(Past)},
        got_kwh=got_kwh,
    )
    return Memory(root, at, msgspec.msgpack.encode(body))


def read(memory: Memory, now: datetime) -> Remembered | None:
    """What was written, as far as it still holds."""
    like = Learner().habits
    try:
        body = msgspec.msgpack.decode(memory.body, type=_Body)
        habits = Habits(
            **{
                f.name: np.array(body.habits[f.name]).reshape(getattr(like, f.name).shape)
                for f in fields(Habits)
            }
        )
        columns = {f.name: np.array(body.past[f.name], dtype=np.float64) for f in fields(Past)}
        if any(len(column) != len(body.sessions) for column in columns.values()):
            raise ValueError("columns of different lengths")
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        log.warning("learning.memory_not_readable", root=memory.root, why=str(error))
        return None
    if now - memory.at > LASTS:
        return Remembered(habits, {}, Past.nothing(0), body.got_kwh)
    return Remembered(habits, {s: i for i, s in enumerate(body.sessions)}, Past.of(columns), body.got_kwh)
