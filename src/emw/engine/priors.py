"""What is known of drivers before they are seen: hazards. Made by bench/engine_priors.py.

Learned from charging sessions at Caltech and JPL, 2019: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last. Corrected while the engine runs (need.py).
"""

from typing import Final

# fmt: off
PART_EDGES: Final = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
    0.95, 0.98, 1.02, 1.1, 1.3,
)
"""Edges of energy delivered over energy told."""
GOT_EDGES: Final = (
    0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 25, 30, 40,
)
"""Edges of energy delivered, kWh."""
TOLD_EDGES: Final = (
    4, 6, 8.5, 10.5, 12.5, 16.5, 20.5, 25, 32, 42, 60,
)
"""Edges of energy told, kWh."""
CLOCK_EDGES: Final = (
    5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5, 11, 11.5, 12, 12.5, 13, 13.5, 14, 14.5, 15, 15.5,
    16, 16.5, 17, 17.5, 18, 18.5, 19, 19.5, 20, 20.5, 21, 21.5, 22, 22.5, 23, 23.5,
)
"""Edges of local time, h."""
PAST_EDGES: Final = (
    -8, -6, -4, -3, -2, -1.5, -1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8,
)
"""Edges of the time since the departure told, h; negative before it."""
STAY_EDGES: Final = (
    0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15,
)
"""Edges of the time since plug-in, h."""
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
FINISH_BY_PART: Final = (
    0.48, 0.41, 0.98, 0.73, 0.62, 0.88, 1.10, 0.99, 0.89, 1.05, 1.09, 1.39, 1.06, 1.26, 1.20, 1.39, 1.44,
    1.15, 1.23, 0.83, 2.01, 0.40, 0.34, 0.78,
)
"""Log hazard of finishing per unit of delivered over told, by the same."""
FINISH_BY_GOT: Final = (
    -1.09, 0.10, 0.07, -0.05, -0.14, -0.18, 0.26, 0.24, 0.10, -0.03, 0.15, 0.45, 0.32, 0.20, -0.19, -0.30,
    -0.01, 0.11,
)
"""Added to it, by energy delivered."""
FINISH_BY_TOLD: Final = (
    0.40, -0.02, 0.01, 0.20, 0.27, -0.17, -0.11, 0.01, -0.19, -0.17, -0.34, 0.11,
)
"""Added to it, by energy told."""
FINISH_BY_DUE: Final = (
    -0.44, -0.17, -0.13, -0.14, -0.05, 0.06, 0.16, 0.29, 0.13, 0.14, 0.01, 0.14,
)
"""Added to it, by the time since the departure told."""
FINISH_BY_SINCE: Final = (
    -0.89, -0.15, -0.07, -0.02, -0.05, 0.02, 0.04, 0.04, 0.16, 0.22, 0.70,
)
"""Added to it, by the time since plug-in."""
FINISH_BY_SHARE_SIZE: Final = (
    (-0.51, -1.03, -0.12, -0.52, -0.54, -0.57),
    (0.08, -0.51, -0.43, -0.37, -0.18, -0.15),
    (0.06, -0.09, -0.10, -0.16, -0.11, -0.40),
    (-0.65, -0.06, 0.22, 0.14, -0.11, -0.18),
    (0.07, 0.10, 0.22, -0.06, 0.05, 0.25),
    (0.38, 0.39, 0.66, 0.75, 0.84, 0.52),
    (-0.38, -0.12, -0.07, 0.64, 0.14, 1.46),
    (-1.29, -0.15, -0.03, 0.82, 1.14, -0.00),
)
"""Added to it, by delivered over told (rows) and energy told."""
FINISH_BY_SHARE_SPELL: Final = (
    (-0.85, -0.66, -0.67, -0.07, -0.35, 0.94, 1.32, 1.38),
    (-0.78, -0.52, -0.48, -0.36, -0.36, 0.18, 0.46, 1.21),
    (-0.68, -0.49, -0.34, -0.28, -0.20, -0.07, 0.15, 0.55),
    (0.11, -0.42, -0.28, -0.23, -0.06, -0.12, 0.18, 0.25),
    (-0.21, 0.10, -0.42, 0.11, -0.04, 0.18, 0.11, -0.16),
    (-0.66, 0.35, 0.55, 0.57, 0.43, 0.55, 0.67, 0.58),
    (-0.00, -0.59, -0.11, -0.15, 0.24, -0.05, 0.66, 1.05),
    (-0.25, -0.23, -0.09, -0.36, -0.33, -0.31, -0.36, -0.32),
)
"""Added to it, by delivered over told (rows) and time since plug-in."""
FINISH_UNTOLD_BY_GOT: Final = (
    -4.62, -1.94, -3.24, -3.07, -2.92, -2.72, -2.19, -2.22, -2.31, -2.54, -2.24, -1.99, -2.24, -2.45,
    -2.80, -2.88, -2.49, -2.11,
)
"""Log hazard of finishing per kWh of any driver, for who told nothing, by energy delivered."""
LEAVE_BY_CLOCK: Final = (
    -2.27, -3.14, -3.14, -2.45, -3.15, -2.84, -2.99, -3.54, -3.79, -3.51, -3.29, -3.24, -3.27, -2.56,
    -2.19, -2.39, -2.83, -2.83, -2.55, -2.51, -2.53, -2.25, -1.83, -1.57, -1.42, -1.03, -0.87, -0.83,
    -1.00, -0.82, -1.02, -1.15, -1.09, -1.48, -1.53, -1.57, -1.61, -2.35, -2.16,
)
"""Log hazard of leaving per hour, by local time."""
LEAVE_BY_PAST: Final = (
    -1.28, -1.13, -0.94, -0.75, -0.74, -0.55, -0.30, -0.39, -0.05, 0.18, 0.70, 0.95, 0.88, 0.74, 0.61,
    0.55, 0.37, 0.33, 0.32, 0.28, 0.17, 0.07,
)
"""Added to it, by the time since the departure told."""
LEAVE_BY_STAY: Final = (
    -0.66, -1.23, -0.49, 0.25, 0.33, 0.24, 0.16, 0.05, -0.10, -0.22, -0.17, 0.13, 0.83, 0.79, 0.64, -0.56,
)
"""Added to it, by the time since plug-in."""
LEAVE_UNTOLD_BY_CLOCK: Final = (
    -2.29, -3.21, -3.19, -2.72, -3.55, -3.32, -3.56, -4.06, -4.33, -4.01, -3.75, -3.57, -3.60, -2.90,
    -2.51, -2.63, -2.94, -2.97, -2.68, -2.58, -2.54, -2.19, -1.69, -1.37, -1.22, -0.84, -0.70, -0.65,
    -0.86, -0.67, -0.93, -1.04, -0.99, -1.39, -1.50, -1.47, -1.61, -2.30, -1.96,
)
"""Log hazard of leaving per hour of any driver, for who told nothing, by local time."""
LEAVE_UNTOLD_BY_STAY: Final = (
    -1.22, -1.47, -0.55, 0.12, 0.25, 0.19, 0.19, 0.12, -0.04, -0.14, -0.00, 0.29, 1.06, 0.99, 0.85, -0.65,
)
"""Added to it, by the time since plug-in."""
