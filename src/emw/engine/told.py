"""What drivers told when they plugged in, read in the light of what their vehicles draw. Columns, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emw.engine import priors
from emw.engine.columns import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What drivers told, as the hazards need it; one row per EVSE."""

    req_kwh: Floats
    """NaN where nothing was told."""
    scale: Floats
    """Log factor of the finish hazard that does not change during a session."""
    size: Ints
    """Bin of the energy told."""
    came: Ints
    """Bin of the local time of plug-in."""
    kind: Ints
    """0: slow, 1: fast."""
    plug_h: Floats
    depart_h: Floats
    """Departure told, h; NaN where nothing was told."""

    def pick(self, rows: Ints) -> Told:
        """The same for some rows."""
        return Told(
            req_kwh=self.req_kwh[rows],
            scale=self.scale[rows],
            size=self.size[rows],
            came=self.came[rows],
            kind=self.kind[rows],
            plug_h=self.plug_h[rows],
            depart_h=self.depart_h[rows],
        )

    def wide(self) -> Told:
        """As columns of a table with one row per EVSE."""
        return Told(
            req_kwh=self.req_kwh[:, None],
            scale=self.scale[:, None],
            size=self.size[:, None],
            came=self.came[:, None],
            kind=self.kind[:, None],
            plug_h=self.plug_h[:, None],
            depart_h=self.depart_h[:, None],
        )


def told(req_kwh: Floats, plug_h: Floats, depart_h: Floats, full_kw: Floats) -> Told:
    """Prepare the energies told (kWh, NaN or ≤ 0: nothing told), plug-in and departure (h), and what they draw."""
    known = np.isfinite(req_kwh) & (req_kwh > 0)
    kwh = np.where(known, req_kwh, 1.0)
    stay_h = np.maximum(depart_h - plug_h, priors.LEAST_STAY_H)
    kind = np.digitize(full_kw, priors.KIND_EDGES)
    by_told = np.asarray(priors.FINISH_BY_KIND_TOLD)[kind, np.digitize(kwh, priors.TOLD_EDGES)]
    tight = np.digitize(kwh / stay_h / np.maximum(full_kw, 0.1), priors.TIGHT_EDGES)
    by_tight = np.asarray(priors.FINISH_BY_KIND_TIGHT)[kind, tight]
    by_tight = np.where(np.isfinite(stay_h), by_tight, 0.0)
    return Told(
        req_kwh=np.where(known, req_kwh, np.nan),
        scale=np.where(known, by_told + by_tight - np.log(kwh), 0.0),
        size=np.digitize(kwh, priors.SIZE_EDGES),
        kind=kind,
        came=np.digitize(plug_h % 24, priors.CAME_EDGES),
        plug_h=plug_h,
        depart_h=depart_h,
    )
