"""Where the whole service's error comes from: what it believes of whom, or what it does about it.

Once a minute what the service says that each EVSE sheds is held against what it truly sheds: its unmanaged twin's
draw less its own. What is left of the error is the control's: what the service says in sum, less what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from emw.domain.model import RequestState
from emw.replay.run import Replayed
from emw.replay.street import Street
from emw.service.headend import HeadEnd
from emw.service.tally import Part, parts_of, seen_of, standing_of

PARTS = ("held", "came during it, held", "let go, twin ahead", "not answering", "all others")


class Watched:
    """What the service said too much (+) or too little (-) of each part, kW, a line per minute of the request."""

    def __init__(self) -> None:
        self.gaps_kw: list[list[float]] = []

    def __call__(self, now: datetime, headend: HeadEnd, street: Street) -> None:
        state, live = headend.state, headend.telemetry.live
        active = [r for r in state.requests.values() if r.state is RequestState.ACTIVE]
        if not active:
            return
        began = min(r.start_at for r in active)
        gaps = dict.fromkeys(PARTS, 0.0)
        asking = headend.dispatch.picture.asking
        for evse in state.evses.values():
            session, bay = state.session_of(evse), street.bays[evse.evse_id]
            if session is None or not bay.hardware.plugged:
                continue
            limit = state.limits.get(evse.evse_id)
            held = limit is not None and limit.max_a is not None and limit.in_force(now)
            seen = seen_of(live.get(evse.evse_id), evse, session)
            standing = standing_of(evse, session, limit, now)
            said_kw = Part(*parts_of(np.array([standing]), np.array([seen]))[0].tolist()).shed_kw
            true_kw = bay.twin.load_kw - bay.hardware.load_kw
            if asking.why_not(evse, now) is not None:
                part = "not answering"
            elif held:
                part = "came during it, held" if session.started_at > began else "held"
            else:
                part = "let go, twin ahead" if limit is not None and seen[0] > seen[1] else "all others"
            gaps[part] += said_kw - true_kw
        self.gaps_kw.append(list(gaps.values()))


def decomposed(played: Sequence[tuple[Replayed, Watched]]) -> str:
    """Means over feasible intervals, in percent of what was asked; the service's belief by part, and its control."""
    rows = []
    for replayed, watched in played:
        for n, i in enumerate(replayed.intervals):
            gaps = np.array(watched.gaps_kw[5 * n : 5 * n + 5])
            if i.feasible and i.told_kw is not None and len(gaps) == 5:
                belief, control = i.told_kw - i.shed_kw, i.told_kw - i.asked_kw
                rows.append(np.array([*gaps.mean(axis=0), belief, control]) / i.asked_kw)
    if not rows:
        return "no feasible interval"
    table = 100 * np.array(rows)
    names = (*(f"  {p}" for p in PARTS), "belief: said less shed", "control: said less asked")
    return "\n".join(
        f"{name:26} mean {part.mean():+6.2f}%  absolute {np.abs(part).mean():5.2f}%"
        for name, part in zip(names, table.T, strict=True)
    )
