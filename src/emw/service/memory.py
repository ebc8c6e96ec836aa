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

from emw.engine.arrivals import Arrivals, Seen
from emw.engine.columns import Ints
from emw.engine.learn import Belief, Learner
from emw.engine.past import Habits, Past
from emw.engine.taper import Taper
from emw.service.ports import Memory

log = structlog.get_logger()
LASTS = timedelta(minutes=15)
"""After this what was known of single vehicles says nothing any more: limits have ended, and cars went on charging."""


@dataclass(slots=True)
class Known:
    """What is known of a tree."""

    habits: Habits
    places: dict[str, int]
    """Sessions, and where each lies in `past`."""
    past: Past
    got_kwh: dict[str, float]
    """What sessions were given whose stations do not tell it: summed up from readings."""
    peaks_kw: dict[str, float]
    """Per node, the load that a return may come up to."""
    arrivals: Arrivals | None = None
    """Who came to its sites; None: nobody looked yet."""
    at: datetime | None = None
    """When it was written down; None: it is about to be."""

    def take(self, sessions: Sequence[str]) -> Past:
        """The past of these sessions, in their order, where it is known; it is told once."""
        places: Ints = np.array([self.places.pop(s, -1) for s in sessions], dtype=np.int64)
        return self.past.pick(places)

    def beliefs(self, sessions: Sequence[str]) -> list[Belief]:
        """What to go by until these sessions have been looked at."""
        past = self.past.pick(np.array([self.places[s] for s in sessions], dtype=np.int64))
        columns = (
            np.where(past.done, 0.0, past.would_a).tolist(),
            np.where(past.done, 0.0, np.exp(-past.fade) * Taper(self.habits.tapers).left(past.due)).tolist(),
            np.nan_to_num(past.gap_a).tolist(),
            past.learned.tolist(),
        )
        return [
            Belief(would_a=would_a, alive=alive, gap_a=gap_a, learned=learned)
            for would_a, alive, gap_a, learned in zip(*columns, strict=True)
        ]


class _Arrivals(msgspec.Struct):
    sites: list[str]
    day: int | None
    seen: dict[str, list[float]]


class _Body(msgspec.Struct):
    habits: dict[str, list[list[float]]]
    sessions: list[str]
    past: dict[str, list[float]]
    got_kwh: dict[str, float]
    peaks_kw: dict[str, float]
    arrivals: _Arrivals | None = None


def written(root: str, known: Known, at: datetime) -> Memory:
    """What is known now, to be kept."""
    body = _Body(
        habits={f.name: np.atleast_2d(getattr(known.habits, f.name)).tolist() for f in fields(Habits)},
        sessions=list(known.places),
        past={f.name: getattr(known.past, f.name).astype(np.float64).tolist() for f in fields(Past)},
        got_kwh=known.got_kwh,
        peaks_kw=known.peaks_kw,
        arrivals=None if known.arrivals is None else _kept(known.arrivals),
    )
    return Memory(root, at, msgspec.msgpack.encode(body))


def read(memory: Memory, now: datetime) -> Known | None:
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
        arrivals = None if body.arrivals is None else _again(body.arrivals)
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        log.warning("learning.memory_not_readable", root=memory.root, why=str(error))
        return None
    if now - memory.at > LASTS:
        return Known(habits, {}, Past.nothing(0), body.got_kwh, {}, arrivals, memory.at)
    places = {session_id: place for place, session_id in enumerate(body.sessions)}
    return Known(habits, places, Past.of(columns), body.got_kwh, body.peaks_kw, arrivals, memory.at)


def _kept(arrivals: Arrivals) -> _Arrivals:
    seen = {f.name: getattr(arrivals.seen, f.name).ravel().tolist() for f in fields(Seen)}
    return _Arrivals(sites=list(arrivals.sites), day=arrivals.day, seen=seen)


def _again(kept: _Arrivals) -> Arrivals:
    """Raises KeyError, ValueError where it has another shape."""
    like = Seen.nothing(len(kept.sites))
    columns = {f.name: np.array(kept.seen[f.name]).reshape(getattr(like, f.name).shape) for f in fields(Seen)}
    return Arrivals(kept.sites, Seen(**columns), kept.day)
