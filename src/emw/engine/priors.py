"""What is known of drivers before they are seen: hazards. Made by bench/engine_priors.py.

Learned from charging sessions at Caltech and JPL, 2019 and 2020: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last. Corrected while the engine runs (need.py).
"""

from typing import Final

USUAL: Final = -3.0
"""A log hazard of finishing per kWh in the middle."""
LEAST_STAY_H: Final = 0.2
"""A stay told is taken to be at least so long."""
TELL: Final = 0.92
"""Share of these drivers who told their need."""
# fmt: off
PART_EDGES: Final = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
    0.95, 0.97, 0.98, 0.99, 1, 1.01, 1.02, 1.03, 1.05, 1.1, 1.2, 1.3, 1.45,
)
"""Edges of energy delivered over energy told."""
GOT_EDGES: Final = (
    0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 25, 30, 40,
)
"""Edges of energy delivered, kWh."""
TOLD_EDGES: Final = (
    4, 6, 8.5, 10.5, 12.5, 16.5, 20.5, 25, 32, 42, 60, 80,
)
"""Edges of energy told, kWh."""
DUE_EDGES: Final = (
    -8, -6, -4, -3, -2, -1, -0.5, 0, 1, 2, 4,
)
"""Edges of the time since the departure told, h, for finishing."""
SINCE_EDGES: Final = (
    0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8,
)
"""Edges of the time since plug-in, h, for finishing."""
SHARE_EDGES: Final = (
    0.2, 0.4, 0.6, 0.8, 0.95, 1.05, 1.3,
)
"""Edges of energy delivered over energy told, for pairs."""
SIZE_EDGES: Final = (
    6, 10.5, 16.5, 25, 42,
)
"""Edges of energy told, kWh, for pairs."""
SPELL_EDGES: Final = (
    0.5, 1, 1.5, 2, 3, 4, 6,
)
"""Edges of the time since plug-in, h, for pairs."""
TIGHT_EDGES: Final = (
    0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.3, 1.7, 2.5,
)
"""Edges of energy told over what the vehicle could take in the stay told."""
KIND_EDGES: Final = (
    5,
)
"""Edge of the draw, kW: slow vehicles and fast ones."""
HOUR_EDGES: Final = (
    8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 17.5, 18, 19, 21,
)
"""Edges of local time, h, for pairs."""
CAME_EDGES: Final = (
    8, 10, 12, 15,
)
"""Edges of the local time of plug-in, h, for pairs."""
TOOK_EDGES: Final = (
    1, 2, 4, 6, 8, 12, 16, 24,
)
"""Edges of energy delivered, kWh, for pairs."""
FINISH_BY_PART: Final = (
    0.88, 0.71, 0.99, 0.79, 0.70, 0.91, 1.11, 1.04, 0.82, 1.08, 1.06, 1.26, 0.91, 1.13, 1.12, 1.33, 1.25,
    1.06, 1.16, 0.56, 0.95, 1.46, 2.37, 1.62, 0.74, 0.72, 0.54, 1.24, 0.99, 0.80, 1.09, 0.56,
)
"""Log hazard of finishing per unit of delivered over told, by the same."""
FINISH_BY_GOT: Final = (
    -0.52, 0.18, 0.11, 0.03, -0.18, -0.21, 0.15, 0.06, -0.03, -0.10, 0.07, 0.28, 0.07, 0.06, -0.14, -0.13,
    0.08, 0.22,
)
"""Added to it, by energy delivered."""
FINISH_BY_KIND_TOLD: Final = (
    (0.02, -0.18, -0.04, 0.05, 0.19, -0.25, -0.19, 0.01, -0.21, 0.04, -0.18, 0.19, 0.65),
    (0.03, -0.35, 0.03, 0.27, 0.24, -0.11, 0.00, 0.02, -0.23, -0.20, -0.43, 0.02, 0.62),
)
"""Added to it, by kind (rows) and energy told."""
FINISH_BY_SINCE: Final = (
    -0.81, -0.10, -0.12, -0.05, -0.01, 0.02, 0.09, 0.11, 0.16, 0.15, 0.54,
)
"""Added to it, by the time since plug-in."""
FINISH_BY_SHARE_SIZE: Final = (
    (-0.10, -0.38, 0.03, -0.23, -0.13, -0.23),
    (0.26, -0.21, -0.21, -0.24, -0.02, -0.07),
    (0.12, 0.00, 0.06, -0.07, -0.12, -0.20),
    (-0.26, 0.12, 0.15, 0.08, -0.17, 0.07),
    (0.09, 0.14, 0.11, -0.09, -0.05, 0.28),
    (0.37, 0.34, 0.29, 0.35, 0.32, 0.12),
    (-0.26, -0.23, -0.07, 0.17, 0.07, 0.26),
    (-0.89, -0.08, -0.02, 0.17, 0.38, -0.00),
)
"""Added to it, by delivered over told (rows) and energy told."""
FINISH_BY_SHARE_SPELL: Final = (
    (-0.54, -0.26, -0.13, -0.05, -0.19, 0.25, 0.08, 0.19),
    (-0.46, -0.28, -0.15, -0.11, -0.11, 0.06, 0.18, 0.50),
    (-0.35, -0.29, -0.17, -0.14, 0.11, 0.08, 0.17, 0.29),
    (0.05, -0.33, -0.14, -0.08, 0.16, 0.06, 0.14, 0.11),
    (-0.03, 0.10, -0.21, 0.10, 0.10, 0.16, 0.13, -0.14),
    (-0.05, 0.10, 0.22, 0.18, 0.31, 0.22, 0.29, 0.40),
    (0.00, -0.19, -0.11, -0.16, -0.00, -0.09, 0.07, 0.42),
    (-0.01, -0.08, -0.11, 0.01, -0.09, -0.16, -0.05, 0.01),
)
"""Added to it, by delivered over told (rows) and time since plug-in."""
FINISH_BY_KIND_TIGHT: Final = (
    (-0.07, -0.01, 0.20, -0.13, -0.13, -0.12, -0.07, 0.04, 0.06, 0.09),
    (0.07, -0.03, 0.01, 0.02, -0.12, -0.14, -0.20, 0.03, 0.20, 0.30),
)
"""Added to it, by kind (rows) and energy told over what it could take in the stay told."""
FINISH_BY_KIND_SHARE: Final = (
    (-0.25, -0.22, -0.07, 0.01, 0.09, 0.52, 0.03, -0.18),
    (-0.36, -0.09, 0.00, 0.05, 0.12, 0.73, -0.09, -0.29),
)
"""Added to it, by kind (rows) and delivered over told."""
FINISH_BY_KIND_SPELL: Final = (
    (-0.52, -0.09, -0.03, 0.05, -0.02, 0.09, 0.29, 0.22),
    (-0.29, -0.11, -0.03, -0.04, 0.08, 0.11, 0.07, 0.23),
)
"""Added to it, by kind (rows) and time since plug-in."""
FINISH_BY_KIND_HOUR: Final = (
    (-0.30, -0.01, -0.10, 0.12, -0.12, -0.05, 0.04, -0.00, 0.07, 0.16, 0.17, 0.29, 0.08, -0.02, -0.08),
    (-0.05, -0.07, 0.01, -0.12, -0.05, -0.04, -0.06, -0.05, -0.12, -0.02, 0.19, 0.22, -0.07, 0.02, -0.03),
)
"""Added to it, by kind (rows) and local time."""
FINISH_BY_KIND_DUE: Final = (
    (-0.36, -0.03, -0.11, -0.01, 0.08, 0.07, 0.11, 0.08, 0.08, 0.03, 0.12, -0.01),
    (-0.19, -0.16, -0.10, -0.11, -0.13, 0.12, 0.20, 0.35, 0.10, 0.13, -0.10, -0.15),
)
"""Added to it, by kind (rows) and the time since the departure told."""
FINISH_BY_SHARE_HOUR: Final = (
    (-1.00, -0.56, -0.17, -0.01, 0.02, 0.03, 0.20, 0.14, 0.05, 0.18, 0.49, 0.44, 0.13, -0.27, -0.19),
    (-0.61, -0.32, -0.23, -0.12, -0.11, 0.21, 0.03, -0.05, 0.03, 0.15, 0.29, 0.56, 0.26, 0.11, -0.22),
    (0.18, -0.05, -0.10, -0.07, -0.10, -0.22, -0.05, -0.09, 0.01, 0.02, 0.08, -0.13, 0.10, 0.26, 0.30),
    (0.17, 0.19, 0.02, -0.01, -0.03, -0.11, -0.01, 0.03, -0.01, 0.06, -0.02, -0.04, -0.02, -0.01, 0.07),
    (0.55, 0.28, 0.05, 0.16, -0.09, 0.13, 0.07, 0.07, -0.08, -0.01, -0.13, -0.17, -0.21, -0.14, -0.12),
    (-0.06, -0.20, 0.09, 0.20, 0.31, 0.20, 0.12, -0.04, 0.04, -0.01, -0.22, -0.14, -0.20, 0.22, 0.06),
    (0.11, -0.12, -0.11, -0.15, -0.15, 0.11, 0.07, 0.10, 0.03, 0.11, -0.06, 0.05, -0.07, 0.08, -0.07),
    (-0.14, -0.08, -0.04, -0.10, -0.09, -0.03, -0.06, -0.03, -0.04, 0.09, -0.03, 0.04, -0.00, -0.00,
    0.02),
)
"""Added to it, by delivered over told (rows) and local time."""
FINISH_BY_KIND_CAME_TOOK: Final = (
    (0.12, -0.58, -0.42, -0.24, 0.04, -0.03, 0.27, -0.06, 0.06),
    (0.02, 0.16, 0.08, 0.36, -0.04, 0.11, 0.16, 0.32, 0.01),
    (-0.10, 0.20, 0.12, -0.21, -0.11, 0.03, 0.14, 0.03, 0.01),
    (0.03, 0.25, 0.00, -0.31, 0.24, 0.03, 0.17, 0.02, 0.03),
    (-0.20, -0.08, 0.07, 0.12, 0.07, -0.25, 0.07, -0.02, -0.30),
    (0.08, -0.52, -0.20, -0.07, 0.04, -0.05, 0.13, -0.12, -0.08),
    (0.09, 0.31, 0.22, 0.44, -0.07, 0.17, 0.21, 0.08, -0.02),
    (-0.14, 0.32, -0.00, -0.11, -0.18, -0.00, -0.22, -0.12, 0.05),
    (0.04, 0.38, 0.00, -0.22, 0.08, -0.07, -0.13, -0.00, 0.30),
    (-0.22, -0.17, -0.14, 0.03, -0.16, -0.09, 0.05, -0.14, -0.17),
)
"""Added to it, by kind and local time of plug-in (rows) and energy delivered."""
DAY_EDGES: Final = (
    10, 13, 16, 19,
)
"""Edges of local time, h, for how sure the tables are."""
FINISH_LEVEL: Final = (
    (-3.09, -2.98, -2.77, -2.67, -3.29),
    (-3.05, -3.03, -3.03, -2.82, -2.97),
)
"""Log hazard per kWh where the tables say USUAL, by kind (rows) and local time."""
FINISH_SLOPE: Final = (
    (1.03, 0.99, 0.85, 0.81, 1.08),
    (1.02, 1.01, 1.04, 0.84, 0.96),
)
"""How much of what the tables say beside that comes true, on days they know and on others."""
UNTOLD_CAME_EDGES: Final = (
    7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
)
"""Edges of the local time of plug-in, h, for who told nothing."""
UNTOLD_DAY_EDGES: Final = (
    10, 12, 14, 16, 18,
)
"""Edges of local time, h, for who told nothing."""
FINISH_UNTOLD_BY_GOT: Final = (
    -3.08, -0.88, -2.52, -2.52, -2.44, -2.36, -1.95, -2.05, -2.14, -2.34, -2.10, -1.93, -2.26, -2.39,
    -2.58, -2.54, -2.25, -2.31,
)
"""Log hazard of finishing per kWh of any driver, for who told nothing, by energy delivered."""
FINISH_UNTOLD_BY_SINCE: Final = (
    -0.64, 0.15, -0.07, -0.03, -0.01, 0.02, 0.02, 0.05, 0.03, 0.06, 0.41,
)
"""Added to it, by the time since plug-in."""
FINISH_UNTOLD_BY_KIND_HOUR: Final = (
    (-0.74, -0.23, -0.05, 0.12, -0.01, 0.06, 0.26, 0.30, 0.34, 0.32, 0.37, 0.46, 0.25, 0.25, -0.16),
    (-0.44, -0.20, -0.06, -0.27, -0.16, -0.20, -0.14, -0.21, -0.24, -0.15, 0.13, 0.28, 0.13, 0.09, -0.12),
)
"""Added to it, by kind (rows) and local time."""
FINISH_UNTOLD_BY_KIND_SPELL: Final = (
    (-0.13, 0.04, 0.03, 0.15, 0.07, 0.15, 0.32, 0.14),
    (-0.33, -0.13, -0.08, -0.15, -0.05, -0.06, -0.14, 0.17),
)
"""Added to it, by kind (rows) and time since plug-in."""
FINISH_UNTOLD_BY_SPELL_DAY: Final = (
    (-0.50, -0.05, 0.13, -0.18, -0.07, -0.12),
    (-0.25, 0.04, -0.03, -0.11, 0.11, 0.18),
    (-0.16, 0.19, -0.24, -0.01, 0.10, 0.01),
    (-0.13, 0.01, -0.12, -0.15, 0.18, 0.23),
    (-0.11, 0.01, -0.06, -0.00, 0.20, 0.11),
    (-0.12, -0.17, 0.21, 0.10, 0.14, 0.05),
    (-0.20, -0.10, 0.00, 0.11, 0.30, 0.05),
    (-0.01, -0.30, 0.05, 0.24, 0.40, 0.03),
)
"""Added to it, by time since plug-in (rows) and local time."""
FINISH_UNTOLD_BY_KIND_CAME_TOOK: Final = (
    (-0.11, -0.59, -0.37, -0.01, 0.30, -0.05, 0.33, -0.18, -0.15),
    (-0.12, -0.50, -0.53, -0.30, -0.17, -0.13, 0.10, -0.01, -0.21),
    (0.34, 0.12, 0.04, 0.35, -0.17, -0.09, 0.06, 0.18, -0.12),
    (0.26, 0.27, 0.18, 0.25, -0.04, 0.06, -0.07, 0.01, -0.00),
    (0.00, 0.11, -0.05, -0.15, -0.01, 0.16, 0.21, 0.05, 0.06),
    (0.12, 0.07, 0.19, -0.23, -0.12, -0.05, 0.05, 0.06, -0.05),
    (0.04, 0.10, 0.09, -0.34, 0.30, -0.04, 0.07, 0.06, -0.05),
    (0.29, 0.21, 0.02, -0.13, 0.22, 0.15, 0.07, 0.02, 0.02),
    (0.07, -0.01, -0.01, 0.08, 0.25, -0.05, -0.07, -0.09, 0.06),
    (0.02, -0.09, -0.14, -0.07, 0.15, 0.03, 0.05, -0.09, 0.01),
    (0.03, -0.01, 0.20, 0.16, 0.13, 0.07, -0.04, 0.00, -0.07),
    (0.14, 0.16, 0.30, -0.07, -0.02, -0.18, -0.11, -0.08, -0.06),
    (0.23, -0.23, 0.03, 0.47, -0.09, 0.04, 0.07, 0.01, -0.12),
    (-0.17, -0.52, -0.27, 0.09, 0.26, -0.06, 0.20, -0.25, -0.04),
    (-0.18, -0.54, -0.44, -0.27, -0.36, -0.31, -0.32, -0.30, -0.22),
    (0.50, 0.18, 0.11, 0.59, -0.07, 0.06, 0.14, -0.01, -0.17),
    (0.45, 0.53, 0.42, 0.38, -0.11, 0.25, 0.17, -0.06, 0.02),
    (0.23, 0.25, 0.02, -0.09, -0.18, 0.23, 0.09, -0.25, -0.16),
    (0.19, 0.04, -0.24, -0.27, -0.04, -0.00, -0.30, -0.06, -0.07),
    (0.14, 0.12, -0.33, -0.34, 0.16, 0.03, -0.15, 0.11, 0.15),
    (0.42, 0.46, -0.07, -0.13, 0.07, -0.07, -0.08, 0.07, 0.21),
    (0.12, -0.09, 0.11, -0.07, -0.10, -0.10, -0.09, -0.26, 0.10),
    (-0.25, -0.13, -0.31, -0.15, -0.10, 0.26, 0.04, -0.15, -0.00),
    (-0.23, -0.03, 0.04, 0.13, -0.13, -0.08, 0.19, 0.02, -0.09),
    (0.12, 0.12, 0.17, 0.09, 0.02, -0.14, -0.22, -0.03, -0.06),
    (-0.01, -0.15, -0.06, 0.19, 0.17, -0.14, 0.00, -0.13, 0.01),
)
"""Added to it, by kind and local time of plug-in (rows) and energy delivered."""
FINISH_UNTOLD_LEVEL: Final = (
    (-3.13, -2.88, -2.94, -2.84, -3.55),
    (-3.01, -3.02, -2.98, -2.99, -2.92),
)
"""Log hazard per kWh where these tables say USUAL, by kind (rows) and local time."""
FINISH_UNTOLD_SLOPE: Final = (
    (1.18, 0.91, 1.00, 0.95, 1.44),
    (1.08, 1.01, 0.93, 1.01, 0.90),
)
"""How much of what they say beside that comes true, on days they know and on others."""
FINISH_SILENT_BY_GOT: Final = (
    -1.74, 0.80, -0.01, -0.55, -0.54, -0.47, -0.43, -0.53, -0.49, -0.44, -0.41, -0.44, -0.44, -0.44,
    -0.44, -0.44, -0.44, -0.44,
)
"""Log hazard per kWh in place of all that where as many tell as here, by energy delivered."""
