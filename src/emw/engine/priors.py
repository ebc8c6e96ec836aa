"""What is known of drivers before they are seen: hazards. Made by bench/engine_priors.py.

Learned from charging sessions at Caltech and JPL, 2019 and 2020: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last. Corrected while the engine runs (need.py).
"""

from typing import Final

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
    0.86, 0.64, 0.92, 0.68, 0.67, 0.89, 1.09, 1.01, 0.84, 1.09, 1.08, 1.27, 0.94, 1.16, 1.16, 1.38, 1.30,
    1.11, 1.21, 0.65, 1.06, 1.61, 2.51, 1.80, 0.75, 0.73, 0.54, 1.24, 0.96, 0.74, 0.99, 0.51,
)
"""Log hazard of finishing per unit of delivered over told, by the same."""
FINISH_BY_GOT: Final = (
    -0.70, 0.17, 0.03, 0.03, -0.16, -0.20, 0.18, 0.10, -0.01, -0.07, 0.11, 0.31, 0.13, 0.15, -0.13, -0.15,
    0.04, 0.16,
)
"""Added to it, by energy delivered."""
FINISH_BY_TOLD: Final = (
    0.12, -0.23, 0.06, 0.22, 0.22, -0.13, -0.03, 0.08, -0.15, -0.07, -0.30, 0.20,
)
"""Added to it, by energy told."""
FINISH_BY_DUE: Final = (
    -0.24, -0.13, -0.15, -0.12, -0.10, 0.07, 0.16, 0.27, 0.15, 0.12, 0.03, -0.06,
)
"""Added to it, by the time since the departure told."""
FINISH_BY_SINCE: Final = (
    -0.94, -0.26, -0.13, -0.06, -0.06, -0.04, 0.06, 0.15, 0.24, 0.27, 0.79,
)
"""Added to it, by the time since plug-in."""
FINISH_BY_SHARE_SIZE: Final = (
    (-0.16, -0.52, -0.05, -0.33, -0.25, -0.37),
    (0.17, -0.32, -0.25, -0.27, -0.03, -0.14),
    (0.10, -0.04, 0.06, -0.05, -0.10, -0.33),
    (-0.33, 0.11, 0.18, 0.11, -0.14, -0.05),
    (0.13, 0.15, 0.16, -0.03, -0.01, 0.24),
    (0.59, 0.48, 0.50, 0.61, 0.62, 0.35),
    (-0.33, -0.28, -0.11, 0.20, -0.03, 0.37),
    (-1.02, -0.13, -0.12, 0.19, 0.47, -0.00),
)
"""Added to it, by delivered over told (rows) and energy told."""
FINISH_BY_SHARE_SPELL: Final = (
    (-0.85, -0.48, -0.29, -0.05, -0.10, 0.54, 0.39, 0.40),
    (-0.60, -0.43, -0.34, -0.30, -0.25, 0.10, 0.47, 0.89),
    (-0.50, -0.37, -0.29, -0.26, -0.06, 0.00, 0.29, 0.61),
    (0.02, -0.41, -0.25, -0.15, 0.05, -0.03, 0.16, 0.26),
    (-0.06, 0.05, -0.29, 0.04, 0.06, 0.15, 0.13, -0.08),
    (-0.05, 0.29, 0.47, 0.34, 0.47, 0.37, 0.41, 0.58),
    (0.00, -0.32, -0.18, -0.20, -0.02, -0.11, 0.12, 0.50),
    (-0.03, -0.16, -0.20, -0.09, -0.18, -0.18, -0.05, 0.05),
)
"""Added to it, by delivered over told (rows) and time since plug-in."""
FINISH_BY_RATE: Final = (
    -0.15, 0.15, -0.05, -0.03, 0.03, -0.04, -0.06, -0.04, -0.11, -0.14, 0.21, 0.23,
)
"""Added to it, by energy told over stay told: who needs much soon, and who has all day."""
FINISH_BY_SHARE_HOUR: Final = (
    (-1.22, -0.71, -0.32, -0.04, -0.07, -0.07, 0.12, 0.06, -0.03, 0.22, 0.74, 0.72, 0.17, -0.35, -0.23),
    (-0.73, -0.43, -0.36, -0.18, -0.24, 0.13, -0.05, -0.13, -0.04, 0.18, 0.50, 0.83, 0.28, 0.12, -0.25),
    (0.10, -0.10, -0.21, -0.11, -0.22, -0.31, -0.10, -0.14, -0.03, 0.05, 0.28, 0.07, 0.11, 0.29, 0.29),
    (0.08, 0.15, -0.04, -0.02, -0.15, -0.20, -0.06, -0.01, -0.04, 0.11, 0.15, 0.18, -0.03, -0.02, 0.07),
    (0.57, 0.30, 0.02, 0.18, -0.17, 0.05, 0.04, 0.07, -0.12, 0.03, 0.00, -0.02, -0.26, -0.15, -0.15),
    (-0.04, -0.14, 0.15, 0.33, 0.40, 0.26, 0.17, 0.03, 0.10, 0.13, -0.05, 0.11, -0.13, 0.37, 0.16),
    (0.14, -0.17, -0.17, -0.21, -0.23, 0.14, 0.09, 0.12, 0.00, 0.16, -0.06, 0.11, -0.12, 0.09, -0.12),
    (-0.25, -0.17, -0.08, -0.14, -0.14, -0.04, -0.06, -0.05, -0.05, 0.16, 0.03, 0.14, -0.04, -0.08,
    -0.00),
)
"""Added to it, by delivered over told (rows) and local time."""
FINISH_BY_CAME_TOOK: Final = (
    (0.14, -0.94, -0.36, -0.15, 0.06, -0.00, 0.29, -0.08, -0.10),
    (0.11, 0.38, 0.22, 0.48, -0.02, 0.16, 0.27, 0.27, -0.07),
    (-0.30, 0.39, 0.07, -0.16, -0.13, 0.07, 0.00, -0.07, 0.01),
    (0.04, 0.46, 0.02, -0.29, 0.20, -0.04, -0.02, -0.00, 0.26),
    (-0.44, -0.17, -0.10, 0.05, -0.09, -0.14, 0.13, -0.14, -0.29),
)
"""Added to it, by the local time of plug-in (rows) and energy delivered."""
FINISH_UNTOLD_BY_GOT: Final = (
    -4.23, -1.91, -3.28, -3.12, -2.96, -2.71, -2.24, -2.29, -2.34, -2.57, -2.30, -1.94, -2.24, -2.57,
    -2.82, -2.72, -2.45, -2.14,
)
"""Log hazard of finishing per kWh of any driver, for who told nothing, by energy delivered."""
LEAVE_BY_CLOCK: Final = (
    -2.14, -2.32, -2.40, -2.34, -2.58, -2.61, -2.75, -2.97, -3.06, -3.04, -2.93, -2.93, -2.80, -2.40,
    -2.17, -2.26, -2.53, -2.56, -2.40, -2.35, -2.33, -2.05, -1.74, -1.47, -1.33, -0.96, -0.80, -0.83,
    -1.00, -0.84, -1.06, -1.21, -1.24, -1.51, -1.57, -1.60, -1.71, -2.07, -2.03,
)
"""Log hazard of leaving per hour, by local time."""
LEAVE_BY_PAST: Final = (
    -1.03, -1.04, -0.86, -0.61, -0.64, -0.48, -0.25, -0.30, -0.00, 0.16, 0.63, 0.84, 0.75, 0.56, 0.51,
    0.47, 0.33, 0.28, 0.29, 0.23, 0.15, 0.01,
)
"""Added to it, by the time since the departure told."""
LEAVE_BY_STAY: Final = (
    -0.47, -0.97, -0.45, 0.11, 0.23, 0.15, 0.09, 0.00, -0.14, -0.27, -0.18, 0.13, 0.82, 0.80, 0.60, -0.43,
)
"""Added to it, by the time since plug-in."""
FINISH_SILENT_BY_GOT: Final = (
    -1.97, 0.82, 0.04, -0.61, -0.63, -0.54, -0.48, -0.65, -0.59, -0.49, -0.46, -0.51, -0.51, -0.51, -0.51,
    -0.51, -0.51, -0.51,
)
"""The same of who told nothing where others told."""
LEAVE_UNTOLD_BY_CLOCK: Final = (
    -2.21, -2.42, -2.50, -2.53, -2.86, -2.93, -3.15, -3.37, -3.48, -3.41, -3.32, -3.24, -3.10, -2.70,
    -2.43, -2.47, -2.66, -2.68, -2.53, -2.42, -2.37, -2.03, -1.65, -1.34, -1.18, -0.83, -0.68, -0.71,
    -0.91, -0.73, -1.02, -1.15, -1.21, -1.49, -1.58, -1.56, -1.75, -2.12, -2.01,
)
"""Log hazard of leaving per hour of any driver, for who told nothing, by local time."""
LEAVE_UNTOLD_BY_STAY: Final = (
    -0.85, -1.20, -0.52, 0.02, 0.14, 0.08, 0.10, 0.04, -0.10, -0.21, -0.03, 0.29, 1.01, 0.97, 0.78, -0.50,
)
"""Added to it, by the time since plug-in."""
