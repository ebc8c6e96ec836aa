"""The neutral interface: one JSON-like snapshot in, new limits out, so that anyone can measure the engine.

State is kept between the rounds of one `Allocator`. Units: A per phase, kW, kWh, minutes from local midnight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

from emw.engine.absent import Absent
from emw.engine.columns import Bools, Columns, Floats, Phase, Request
from emw.engine.loop import Controller, Tuning
from emw.engine.minutes import Minutes, came_before, leaves_after

OVER_KNOB = 1.25
OVER_KNOB_A = 2.0
"""A draw so far above the station's own maximum is no reading: the last one stands."""

PHASES: dict[str, Phase] = {"idle": "idle", "shed": "shed", "restore": "restore"}


class Allocator:
    """Rounds of one fleet, one snapshot each; a request with another id starts on what was learned before."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.controller = Controller(tuning)
        self._rows: dict[tuple[str, float], int] = {}
        self._draw_a: Floats = np.zeros(0)
        """Of each row, the last reading that could be true."""
        self._minutes = Minutes()
        self._absent = Absent()

    def round(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one snapshot: `set` (only changes), `est_kw` (estimated shed now), `sheddable_kw`.

        Raises ValueError naming the field that cannot be read. Nothing is changed by such a line.
        """
        if not isinstance(line, Mapping):
            raise ValueError("a line must be an object")
        if line.get("v", 1) != 1:
            raise ValueError(f"v must be 1, got {line.get('v')!r}")
        told_min = _number(line, "now_min", "now_min")
        shift_min = self._minutes.shift(told_min)
        request = _request(line.get("request"), told_min, shift_min)
        evses = line.get("evses")
        if not isinstance(evses, Sequence) or isinstance(evses, str):
            raise ValueError("evses must be a list")
        ids = [_id(e, i) for i, e in enumerate(evses)]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        ordered = [evses[i] for i in order]
        names = [ids[i] for i in order]
        seen, rows = self._columns(told_min, shift_min, names, ordered)
        self._minutes.passed(told_min)
        self._absent.note(self._rows, rows, self.controller.est, seen.now_min)
        past = self._absent.recall(list(rows), seen.was.tolist())
        moved, limit_a = self.controller.round(seen, request, past)
        self._rows, self._draw_a = rows, seen.draw_a
        return {
            "set": [
                {"id": ordered[row]["id"], "amps": round(float(a), 6)}
                for row, a in zip(moved.tolist(), limit_a, strict=True)
            ],
            "est_kw": round(self.controller.est_kw, 3),
            "sheddable_kw": round(self.controller.sheddable_kw, 3),
        }

    def _columns(
        self, told_min: float, shift_min: float, names: Sequence[str], evses: Sequence[Mapping[str, Any]]
    ) -> tuple[Columns, dict[tuple[str, float], int]]:
        n = len(evses)

        def column(field: str, default: float | None = None, *, least: float = 0.0) -> Floats:
            values = np.array(
                [
                    _number(e, field, f"evses[{name!r}].{field}", default)
                    for name, e in zip(names, evses, strict=True)
                ],
                dtype=np.float64,
            ).reshape(n)
            if bool((values < least).any()):
                row = int(np.flatnonzero(values < least)[0])
                raise ValueError(
                    f"evses[{names[row]!r}].{field} must be at least {least:g}, got {values[row]:g}"
                )
            return values

        told_plug_min = column("plug_min", told_min, least=-np.inf)
        rows = {
            (name, plug): i for i, (name, plug) in enumerate(zip(names, told_plug_min.tolist(), strict=True))
        }
        if len(rows) < n or len(set(names)) < n:
            raise ValueError("evses: an id is there twice")
        was = np.array([self._rows.get(key, -1) for key in rows], dtype=np.int64).reshape(n)
        now_min = told_min + shift_min
        plug_min = came_before(told_plug_min + shift_min, now_min)
        step_a, max_a = column("step_a", 1.0, least=1e-3), column("max_a")
        floor_a, top_a, no_limit = _on_steps(column("min_a", 6.0), max_a, step_a)
        limit_a = column("limit_a", nan, least=-np.inf)
        draw_a = np.maximum(column("draw_a", 0.0, least=-np.inf), 0.0)
        wild = draw_a > max_a * OVER_KNOB + OVER_KNOB_A
        if wild.any():
            draw_a[wild] = np.where(was >= 0, np.append(self._draw_a, 0.0)[was], 0.0)[wild]
        columns = Columns(
            now_min=now_min,
            was=was,
            kw_per_a=column("kw_per_a"),
            max_a=top_a,
            floor_a=floor_a,
            step_a=step_a,
            limit_a=np.where(np.isnan(limit_a), top_a, np.minimum(limit_a, top_a)),
            draw_a=draw_a,
            got_kwh=np.maximum(column("got_kwh", 0.0, least=-np.inf), 0.0),
            req_kwh=column("req_kwh", nan, least=-np.inf),
            plug_min=plug_min,
            depart_min=leaves_after(column("depart_min", nan, least=-np.inf) + shift_min, plug_min),
            # Who has no step between its floor and its knob can't be limited: once paused, nothing would free it.
            opted_out=no_limit
            | np.array([bool(e.get("opt_out", False)) for e in evses], dtype=np.bool_).reshape(n),
            online=np.array([bool(e.get("online", True)) for e in evses], dtype=np.bool_).reshape(n),
        )
        return columns, rows


def _on_steps(min_a: Floats, max_a: Floats, step_a: Floats) -> tuple[Floats, Floats, Bools]:
    """The lowest and the highest limit, and who has none; limits lie on whole steps.

    A step of 8 with a floor of 6 begins at 8, and with a knob of 30 it ends at 24.
    """
    floor_a = np.round(np.ceil(min_a / step_a - 1e-6) * step_a, 6)
    top_a = np.round(np.floor(max_a / step_a + 1e-6) * step_a, 6)
    none = top_a < floor_a
    top_a[none] = max_a[none]
    return floor_a, top_a, none


def _request(given: object, told_min: float, shift_min: float) -> Request:
    if given is None:
        return Request(phase="idle", kw=0.0, start_min=0.0, end_min=0.0)
    if not isinstance(given, Mapping):
        raise ValueError("request must be an object")
    phase = PHASES.get(str(given.get("phase", "idle")))
    if phase is None:
        raise ValueError(f"request.phase must be one of {', '.join(PHASES)}, got {given.get('phase')!r}")
    # Nothing to shed is the least that can be asked; a negative request asks nobody for more load.
    kw = max(_number(given, "kw", "request.kw", 0.0), 0.0)
    start = _number(given, "start", "request.start", 0.0)
    end = _number(given, "end", "request.end", start)
    if phase != "idle":
        start = float(came_before(np.array(start), told_min))
    end = float(leaves_after(np.array(end), np.array(start)))
    return Request(phase=phase, kw=kw, start_min=start + shift_min, end_min=end + shift_min)


def _id(evse: object, place: int) -> str:
    if not isinstance(evse, Mapping) or "id" not in evse:
        raise ValueError(f"evses[{place}].id is missing")
    return str(evse["id"])


def _number(given: Mapping[str, Any], field: str, name: str, default: float | None = None) -> float:
    value = given.get(field)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError(f"{name} is out of range") from error
    if not isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number
