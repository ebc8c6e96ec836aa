"""The neutral interface: one JSON-like snapshot in, new limits out, so that anyone can measure the engine.

State is kept between the rounds of one `Allocator`. Units: A per phase, kW, kWh, minutes from local midnight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

from emw.engine.columns import Columns, Floats, Phase, Request
from emw.engine.loop import Controller, Tuning

PHASES: dict[str, Phase] = {"idle": "idle", "shed": "shed", "restore": "restore"}


class Allocator:
    """Rounds of one fleet, one snapshot each; a request with another id starts on what was learned before."""

    def __init__(self, tuning: Tuning | None = None) -> None:
        self.controller = Controller(tuning)
        self._rows: dict[tuple[str, float], int] = {}

    def round(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one snapshot: `set` (only changes), `est_kw` (estimated shed now), `sheddable_kw`.

        Raises ValueError naming the field that cannot be read. Nothing is changed by such a line.
        """
        if not isinstance(line, Mapping):
            raise ValueError("a line must be an object")
        if line.get("v", 1) != 1:
            raise ValueError(f"v must be 1, got {line.get('v')!r}")
        request = _request(line.get("request"))
        now_min = _number(line, "now_min", "now_min")
        evses = line.get("evses")
        if not isinstance(evses, Sequence) or isinstance(evses, str):
            raise ValueError("evses must be a list")
        ids = [_id(e, i) for i, e in enumerate(evses)]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        ordered = [evses[i] for i in order]
        names = [ids[i] for i in order]
        seen, rows = self._columns(now_min, names, ordered)
        moved, limit_a = self.controller.round(seen, request)
        self._rows = rows
        return {
            "set": [
                {"id": ordered[row]["id"], "amps": round(float(a), 6)}
                for row, a in zip(moved.tolist(), limit_a, strict=True)
            ],
            "est_kw": round(self.controller.est_kw, 3),
            "sheddable_kw": round(self.controller.sheddable_kw, 3),
        }

    def _columns(
        self, now_min: float, names: Sequence[str], evses: Sequence[Mapping[str, Any]]
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

        plug_min = column("plug_min", now_min, least=-np.inf)
        rows = {(name, plug): i for i, (name, plug) in enumerate(zip(names, plug_min.tolist(), strict=True))}
        if len(rows) < n or len(set(names)) < n:
            raise ValueError("evses: an id is there twice")
        was = self._rows
        step_a = column("step_a", 1.0, least=1e-3)
        max_a = column("max_a")
        # Limits lie on whole steps; a step of 8 with a floor of 6 begins at 8.
        floor_a = np.round(np.ceil(column("min_a", 6.0) / step_a - 1e-6) * step_a, 6)
        columns = Columns(
            now_min=now_min,
            was=np.array([was.get(key, -1) for key in rows], dtype=np.int64).reshape(n),
            kw_per_a=column("kw_per_a"),
            max_a=max_a,
            floor_a=floor_a,
            step_a=step_a,
            limit_a=np.minimum(column("limit_a", nan, least=-np.inf), max_a),
            draw_a=np.maximum(column("draw_a", 0.0, least=-np.inf), 0.0),
            got_kwh=np.maximum(column("got_kwh", 0.0, least=-np.inf), 0.0),
            req_kwh=column("req_kwh", nan, least=-np.inf),
            plug_min=plug_min,
            depart_min=column("depart_min", nan, least=-np.inf),
            opted_out=np.array([bool(e.get("opt_out", False)) for e in evses], dtype=np.bool_).reshape(n),
            online=np.array([bool(e.get("online", True)) for e in evses], dtype=np.bool_).reshape(n),
        )
        unlimited = np.isnan(columns.limit_a)
        columns.limit_a[unlimited] = max_a[unlimited]
        return columns, rows


def _request(given: object) -> Request:
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
    return Request(phase=phase, kw=kw, start_min=start, end_min=_number(given, "end", "request.end", start))


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
