"""The hazard of finishing by the tables: a sum of what each thing known of a session says, as a log chance per kWh.

The tables are `priors`, laid out on even grids so that a hazard is a few look-ups. Who told a need is read by that;
who told nothing by what can be seen: when the vehicle came, how long it has been here, what it took, what time it is.
"""

from __future__ import annotations

import numpy as np

from emw.engine import priors
from emw.engine.columns import Floats
from emw.engine.tables import bins, look, place
from emw.engine.told import Told

GOT_STEP_KWH, GOT_HIGH_KWH = 0.5, 45.0
PART_STEP, PART_HIGH = 0.01, 1.5
SINCE_STEP_H, SINCE_HIGH_H = 0.25, 8.25
DAY_STEP_H, DAY_H = 0.5, 24.0
DUE_STEP_H, DUE_LOW_H, DUE_HIGH_H = 0.5, -8.5, 4.5
NOT_DUE_H = -3.0
"""Time to the departure where none was told."""
SIGN = 4
"""Power of the share of drivers who tell: where half of them do, silence is hardly a sign yet."""


def _even(
    edges: tuple[float, ...], values: tuple[float, ...], step: float, high: float, low: float = 0.0
) -> Floats:
    """The binned table on an even grid, so that a look-up is one multiplication."""
    table: Floats = np.asarray(values, dtype=np.float64)[bins(edges, step, high, low)]
    return table


# The bins of each place of a grid, for what hangs on two things at once.
_TOOK = bins(priors.TOOK_EDGES, GOT_STEP_KWH, GOT_HIGH_KWH)
_SHARE = bins(priors.SHARE_EDGES, PART_STEP, PART_HIGH)
_SPELL = bins(priors.SPELL_EDGES, SINCE_STEP_H, SINCE_HIGH_H)
_HOUR = bins(priors.HOUR_EDGES, DAY_STEP_H, DAY_H)
_DAY = bins(priors.DAY_EDGES, DAY_STEP_H, DAY_H)
_PARTS, _GOTS, _SINCES, _HOURS = len(_SHARE), len(_TOOK), len(_SPELL), len(_HOUR)
_CAMES = len(priors.CAME_EDGES) + 1

# Who told. What shares its places is summed into one table.
_SIZE_PART = (
    _even(priors.PART_EDGES, priors.FINISH_BY_PART, PART_STEP, PART_HIGH)
    + np.asarray(priors.FINISH_BY_SHARE_SIZE).T[:, _SHARE]
).ravel()
_KIND_PART_SINCE = (
    _even(priors.SINCE_EDGES, priors.FINISH_BY_SINCE, SINCE_STEP_H, SINCE_HIGH_H)
    + np.asarray(priors.FINISH_BY_SHARE_SPELL)[np.ix_(_SHARE, _SPELL)]
    + np.asarray(priors.FINISH_BY_KIND_SHARE)[:, _SHARE, None]
    + np.asarray(priors.FINISH_BY_KIND_SPELL)[:, None, _SPELL]
).ravel()
_KIND_CAME_GOT = (
    _even(priors.GOT_EDGES, priors.FINISH_BY_GOT, GOT_STEP_KWH, GOT_HIGH_KWH)
    + np.asarray(priors.FINISH_BY_KIND_CAME_TOOK)[:, _TOOK]
).ravel()
_DUE = np.asarray(priors.FINISH_BY_KIND_DUE)[:, bins(priors.DUE_EDGES, DUE_STEP_H, DUE_HIGH_H, DUE_LOW_H)]
_DUES = _DUE.shape[1]
_KIND_DUE = _DUE.ravel()
_KIND_PART_HOUR = (
    np.asarray(priors.FINISH_BY_SHARE_HOUR)[np.ix_(_SHARE, _HOUR)]
    + np.asarray(priors.FINISH_BY_KIND_HOUR)[:, None, _HOUR]
).ravel()
_LEVEL = np.asarray(priors.FINISH_LEVEL)[:, _DAY].ravel()
_SLOPE = np.asarray(priors.FINISH_SLOPE)[:, _DAY].ravel()

# Who told nothing.
_UNTOLD_CAMES = np.asarray(priors.FINISH_UNTOLD_BY_KIND_CAME_TOOK).reshape(len(_DUE), -1, _TOOK.max() + 1)
_UNTOLD_KIND_CAME_GOT = (
    _even(priors.GOT_EDGES, priors.FINISH_UNTOLD_BY_GOT, GOT_STEP_KWH, GOT_HIGH_KWH)
    + _UNTOLD_CAMES[:, bins(priors.UNTOLD_CAME_EDGES, DAY_STEP_H, DAY_H)][:, :, _TOOK]
).ravel()
_UNTOLD_KIND_SINCE = (
    _even(priors.SINCE_EDGES, priors.FINISH_UNTOLD_BY_SINCE, SINCE_STEP_H, SINCE_HIGH_H)
    + np.asarray(priors.FINISH_UNTOLD_BY_KIND_SPELL)[:, _SPELL]
).ravel()
_UNTOLD_HOUR_SINCE = (
    np.asarray(priors.FINISH_UNTOLD_BY_SPELL_DAY)
    .T[bins(priors.UNTOLD_DAY_EDGES, DAY_STEP_H, DAY_H)][:, _SPELL]
    .ravel()
)
_UNTOLD_KIND_HOUR = np.asarray(priors.FINISH_UNTOLD_BY_KIND_HOUR)[:, _HOUR].ravel()
_UNTOLD_LEVEL = np.asarray(priors.FINISH_UNTOLD_LEVEL)[:, _DAY].ravel()
_UNTOLD_SLOPE = np.asarray(priors.FINISH_UNTOLD_SLOPE)[:, _DAY].ravel()
_SILENT = _even(priors.GOT_EDGES, priors.FINISH_SILENT_BY_GOT, GOT_STEP_KWH, GOT_HIGH_KWH)


def of_told(who: Told, got_kwh: Floats, at_h: Floats | float) -> Floats:
    """Log chance of finishing per kWh, of cars whose drivers told their need, at `got_kwh` and local time `at_h`."""
    part = place(_PARTS, got_kwh / np.where(np.isfinite(who.req_kwh), who.req_kwh, 1.0), PART_STEP)
    since = place(_SINCES, at_h - who.plug_h, SINCE_STEP_H)
    past_h = np.where(np.isfinite(who.depart_h), at_h - who.depart_h, NOT_DUE_H)
    got = place(_GOTS, got_kwh, GOT_STEP_KWH)
    hour = place(_HOURS, np.atleast_1d(at_h) % 24, DAY_STEP_H)
    kind_part, kind_hour = who.kind * _PARTS + part, who.kind * _HOURS + hour
    logs = look(_SIZE_PART, who.size * _PARTS + part)
    logs += look(_KIND_PART_SINCE, kind_part * _SINCES + since)
    logs += look(_KIND_CAME_GOT, (who.kind * _CAMES + who.came) * _GOTS + got)
    logs += look(_KIND_DUE, who.kind * _DUES + place(_DUES, past_h, DUE_STEP_H, DUE_LOW_H))
    logs += look(_KIND_PART_HOUR, kind_part * _HOURS + hour)
    logs += who.scale - priors.USUAL
    logs *= look(_SLOPE, kind_hour)
    logs += look(_LEVEL, kind_hour)
    return logs


def of_untold(who: Told, got_kwh: Floats, at_h: Floats | float, tell: float) -> Floats:
    """The same of cars whose drivers told nothing, where the share `tell` of all did.

    Where nobody is asked nobody tells, and silence is anybody's; where nearly all tell, it is a sign of a small need.
    """
    since = place(_SINCES, at_h - who.plug_h, SINCE_STEP_H)
    got = place(_GOTS, got_kwh, GOT_STEP_KWH)
    hour = place(_HOURS, np.atleast_1d(at_h) % 24, DAY_STEP_H)
    came = place(_HOURS, who.plug_h % 24, DAY_STEP_H)
    kind_hour = who.kind * _HOURS + hour
    logs = look(_UNTOLD_KIND_CAME_GOT, (who.kind * _HOURS + came) * _GOTS + got)
    logs += look(_UNTOLD_KIND_SINCE, who.kind * _SINCES + since)
    logs += look(_UNTOLD_HOUR_SINCE, hour * _SINCES + since)
    logs += look(_UNTOLD_KIND_HOUR, kind_hour)
    logs -= priors.USUAL
    logs *= look(_UNTOLD_SLOPE, kind_hour)
    logs += look(_UNTOLD_LEVEL, kind_hour)
    logs += min(tell / priors.TELL, 1.0) ** SIGN * (look(_SILENT, got) - logs)
    return logs
