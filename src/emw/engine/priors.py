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
RATE_EDGES: Final = (
    1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15,
)
"""Edges of energy told over stay told, kW."""
DUSK_EDGES: Final = (
    16, 17, 17.5, 18,
)
"""Edges of local time, h, for finishing."""
CAME_EDGES: Final = (
    8, 10, 12, 15,
)
"""Edges of the local time of plug-in, h, for pairs."""
TOOK_EDGES: Final = (
    1, 2, 4, 6, 8, 12, 16, 24,
)
"""Edges of energy delivered, kWh, for pairs."""
FINISH_BY_PART: Final = (
    0.70, 0.59, 1.09, 0.85, 0.75, 1.01, 1.23, 1.12, 1.01, 1.18, 1.21, 1.51, 1.19, 1.38, 1.32, 1.52, 1.58,
    1.27, 1.36, 1.05, 2.22, 0.66, 0.62, 0.84,
)
"""Log hazard of finishing per unit of delivered over told, by the same."""
FINISH_BY_GOT: Final = (
    -0.86, 0.17, 0.02, -0.01, -0.11, -0.24, 0.24, 0.14, 0.04, -0.04, 0.15, 0.28, 0.15, 0.21, -0.17, -0.22,
    0.06, 0.20,
)
"""Added to it, by energy delivered."""
FINISH_BY_TOLD: Final = (
    0.08, -0.07, 0.04, 0.18, 0.25, -0.12, -0.05, 0.05, -0.16, -0.11, -0.26, 0.18,
)
"""Added to it, by energy told."""
FINISH_BY_DUE: Final = (
    -0.17, -0.10, -0.09, -0.07, -0.01, 0.09, 0.20, 0.31, 0.14, 0.10, -0.16, -0.24,
)
"""Added to it, by the time since the departure told."""
FINISH_BY_SINCE: Final = (
    -0.95, -0.20, -0.10, -0.05, -0.05, 0.01, 0.07, 0.05, 0.19, 0.26, 0.77,
)
"""Added to it, by the time since plug-in."""
FINISH_BY_SHARE_SIZE: Final = (
    (-0.36, -0.95, -0.01, -0.36, -0.50, -0.55),
    (0.06, -0.49, -0.36, -0.31, -0.16, -0.16),
    (0.11, -0.04, -0.09, -0.15, -0.09, -0.33),
    (-0.56, -0.03, 0.22, 0.15, -0.06, -0.11),
    (0.05, 0.12, 0.22, -0.04, 0.12, 0.26),
    (0.47, 0.41, 0.62, 0.73, 0.86, 0.44),
    (-0.34, -0.19, -0.11, 0.51, 0.20, 1.02),
    (-1.16, -0.22, -0.12, 0.64, 0.66, 0.00),
)
"""Added to it, by delivered over told (rows) and energy told."""
FINISH_BY_SHARE_SPELL: Final = (
    (-0.87, -0.61, -0.64, -0.13, -0.39, 0.72, 0.96, 0.70),
    (-0.76, -0.53, -0.48, -0.36, -0.35, 0.16, 0.46, 1.18),
    (-0.66, -0.48, -0.32, -0.27, -0.17, -0.08, 0.15, 0.56),
    (0.04, -0.41, -0.25, -0.22, -0.04, -0.13, 0.19, 0.26),
    (0.02, 0.08, -0.37, 0.11, -0.02, 0.18, 0.11, -0.14),
    (-0.18, 0.21, 0.48, 0.48, 0.39, 0.48, 0.64, 0.56),
    (-0.00, -0.39, -0.16, -0.12, 0.15, -0.03, 0.50, 0.95),
    (-0.10, -0.12, -0.07, -0.25, -0.18, -0.18, -0.18, -0.09),
)
"""Added to it, by delivered over told (rows) and time since plug-in."""
FINISH_BY_RATE: Final = (
    0.02, 0.19, -0.06, -0.03, -0.00, -0.08, -0.11, -0.11, -0.14, -0.20, 0.18, 0.34,
)
"""Added to it, by energy told over stay told: who needs much soon, and who has all day."""
FINISH_BY_DUSK: Final = (
    -0.24, -0.06, 0.15, 0.23, -0.07,
)
"""Added to it, by local time: at the end of a working day cars are taken."""
FINISH_BY_CAME_TOOK: Final = (
    (-0.46, -1.73, -0.74, -0.17, 0.05, 0.01, 0.25, -0.02, -0.10),
    (-0.15, 0.45, 0.27, 0.56, 0.01, 0.09, 0.29, 0.32, -0.10),
    (0.00, 0.56, 0.16, -0.28, -0.08, 0.08, 0.13, -0.08, -0.07),
    (0.36, 0.80, 0.34, -0.27, 0.37, 0.15, 0.01, -0.04, 0.08),
    (-0.20, -0.05, 0.05, 0.08, -0.04, -0.18, -0.04, -0.16, -0.52),
)
"""Added to it, by the local time of plug-in (rows) and energy delivered."""
FINISH_UNTOLD_BY_GOT: Final = (
    -4.46, -1.94, -3.24, -3.07, -2.92, -2.72, -2.19, -2.22, -2.31, -2.54, -2.24, -1.99, -2.24, -2.45,
    -2.80, -2.87, -2.49, -2.11,
)
"""Log hazard of finishing per kWh of any driver, for who told nothing, by energy delivered."""
LEAVE_BY_CLOCK: Final = (
    -2.25, -2.71, -2.74, -2.37, -2.86, -2.72, -2.86, -3.28, -3.48, -3.30, -3.15, -3.12, -3.15, -2.52,
    -2.16, -2.35, -2.77, -2.77, -2.52, -2.49, -2.50, -2.24, -1.81, -1.56, -1.41, -1.02, -0.87, -0.83,
    -1.01, -0.84, -1.05, -1.19, -1.15, -1.53, -1.59, -1.63, -1.68, -2.28, -2.14,
)
"""Log hazard of leaving per hour, by local time."""
LEAVE_BY_PAST: Final = (
    -1.22, -1.15, -0.95, -0.75, -0.74, -0.54, -0.29, -0.37, -0.05, 0.17, 0.69, 0.94, 0.87, 0.73, 0.59,
    0.54, 0.37, 0.33, 0.32, 0.28, 0.18, 0.04,
)
"""Added to it, by the time since the departure told."""
LEAVE_BY_STAY: Final = (
    -0.59, -1.09, -0.51, 0.21, 0.29, 0.21, 0.14, 0.04, -0.12, -0.23, -0.18, 0.12, 0.82, 0.78, 0.61, -0.52,
)
"""Added to it, by the time since plug-in."""
FINISH_SILENT_BY_GOT: Final = (
    -2.21, 0.84, -0.17, -0.65, -0.82, -0.57, -0.65, -0.98, -0.84, -0.55, -0.49, -0.65, -0.65, -0.65,
    -0.65, -0.65, -0.65, -0.65,
)
"""The same of who told nothing where others told."""
LEAVE_UNTOLD_BY_CLOCK: Final = (
    -2.28, -2.78, -2.82, -2.60, -3.21, -3.14, -3.37, -3.76, -3.98, -3.78, -3.59, -3.45, -3.48, -2.85,
    -2.48, -2.59, -2.89, -2.92, -2.65, -2.56, -2.52, -2.18, -1.68, -1.37, -1.21, -0.84, -0.70, -0.66,
    -0.87, -0.69, -0.96, -1.09, -1.05, -1.46, -1.57, -1.55, -1.68, -2.26, -2.00,
)
"""Log hazard of leaving per hour of any driver, for who told nothing, by local time."""
LEAVE_UNTOLD_BY_STAY: Final = (
    -1.08, -1.36, -0.58, 0.08, 0.21, 0.15, 0.16, 0.10, -0.06, -0.15, -0.01, 0.29, 1.05, 0.98, 0.82, -0.60,
)
"""Added to it, by the time since plug-in."""
