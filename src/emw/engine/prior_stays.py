"""What is known of how long drivers stay after the finish: hazards. Made by bench/engine_stays.py.

Learned from charging sessions at Caltech and JPL, 2019: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
One value per bin: below the first edge, between edges, above the last.
"""

from typing import Final

FIRST_H: Final = 0.25
"""Who leaves within this time of the finish did not stay."""
# fmt: off
CAME_EDGES: Final = (
    8, 10, 12, 14, 16, 18,
)
"""Edges of the local time of plug-in, h."""
CLOCK_EDGES: Final = (
    5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5, 11, 11.5, 12, 12.5, 13, 13.5, 14, 14.5, 15, 15.5,
    16, 16.5, 17, 17.5, 18, 18.5, 19, 19.5, 20, 20.5, 21, 21.5, 22, 22.5, 23, 23.5,
)
"""Edges of local time, h."""
PAST_EDGES: Final = (
    -8, -6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 2, 4,
)
"""Edges of the time since the departure told, h; negative before it."""
STAY_EDGES: Final = (
    0.5, 1, 2, 3, 4, 6, 8, 10, 12, 15,
)
"""Edges of the time since plug-in, h."""
SHARE_EDGES: Final = (
    0.2, 0.4, 0.6, 0.8, 0.95, 1.05, 1.3,
)
"""Edges of energy delivered over energy told."""
FIRST_CLOCK_EDGES: Final = (
    8, 10, 11, 12, 13, 14, 15, 16, 16.5, 17, 17.5, 18, 18.5, 19, 20, 21, 22,
)
"""Edges of local time, h, for the first quarter of an hour."""
FIRST_PAST_EDGES: Final = (
    -6, -4, -3, -2, -1, -0.5, 0, 0.5, 1.5,
)
"""Edges of the time since the departure told, h, for the same."""
FIRST_BY_CLOCK: Final = (
    -0.97, -1.86, -1.88, -1.09, -1.27, -1.38, -1.23, -0.72, -0.62, -0.42, 0.02, 0.37, 0.29, 0.23, 0.27,
    0.40, -0.05, -0.37,
)
"""Log hazard of leaving per hour in the first quarter of an hour after the finish, by local time."""
FIRST_BY_CAME_PAST: Final = (
    (-1.50, -1.18, -0.79, -1.05, -0.88, -0.47, 0.39, 0.22, -0.37, -0.38),
    (-0.45, -0.41, -0.24, -0.72, -0.40, -0.15, 0.81, 0.69, 0.40, -0.34),
    (-0.12, -0.44, 0.07, 0.26, -0.13, 0.49, 0.88, 0.86, -0.16, -0.13),
    (-0.03, -0.14, 0.17, 0.25, 0.23, 0.30, 0.36, 1.01, 0.59, 0.03),
    (0.27, 0.15, 0.26, 0.13, -0.23, -0.09, 0.65, 0.66, 0.38, 0.47),
    (0.16, -0.14, -0.07, 0.23, -0.28, -0.14, 0.08, 0.53, 0.20, -0.39),
    (-0.01, -0.20, -0.18, -0.54, -0.33, 0.15, 0.11, 0.93, -0.18, -0.12),
)
"""Added to it, by the local time of plug-in (rows) and the time since the departure told."""
FIRST_BY_SHARE: Final = (
    0.64, 0.35, -0.01, -0.36, -0.22, -0.47, 0.12, -0.04,
)
"""Added to it, by delivered over told."""
FIRST_UNTOLD_BY_CLOCK: Final = (
    -0.98, -1.96, -1.98, -1.17, -1.38, -1.52, -1.31, -0.86, -0.72, -0.55, -0.07, 0.24, 0.10, 0.09, 0.11,
    0.23, 0.04, -0.45,
)
"""The same of any driver, for who told nothing, by local time."""
FIRST_UNTOLD_BY_CAME: Final = (
    -1.03, -0.22, 0.23, 0.39, 0.39, 0.18, 0.06,
)
"""Added to it, by the local time of plug-in."""
LATER_BY_CLOCK: Final = (
    -1.69, -2.33, -2.24, -1.58, -1.88, -1.59, -1.45, -1.96, -2.29, -2.17, -2.20, -2.11, -2.23, -1.53,
    -1.20, -1.54, -1.99, -2.11, -1.85, -1.97, -2.00, -1.75, -1.31, -0.94, -0.73, -0.40, -0.32, -0.25,
    -0.39, -0.20, -0.46, -0.63, -0.66, -1.00, -1.09, -1.22, -1.14, -1.70, -1.73,
)
"""Log hazard of leaving per hour after that, by local time."""
LATER_BY_CAME_PAST: Final = (
    (-0.74, -1.28, -1.33, -1.55, -1.20, -0.81, -0.74, -0.69, 0.19, 0.63, 0.37, 0.26, 0.15, 0.09),
    (-0.01, -0.59, -1.54, -0.86, -1.17, -0.99, -0.83, -0.93, -0.07, 0.41, 0.09, -0.30, -0.16, -0.32),
    (-0.11, 0.02, -0.26, -0.53, -0.69, -0.47, -0.22, -0.31, 0.20, 0.62, 0.52, 0.29, -0.03, -0.20),
    (-0.17, 0.04, -0.10, 0.11, -0.41, -0.06, 0.11, 0.07, 0.41, 0.67, 0.40, 0.18, -0.20, 0.36),
    (0.33, 0.19, 0.41, 0.59, 0.27, 0.14, 0.20, 0.14, 0.50, 0.76, 0.78, 0.70, 0.40, 0.19),
    (0.59, 0.42, 0.31, 0.02, 0.56, 0.59, 0.12, 0.13, 0.64, 0.90, 0.86, 0.62, 0.36, -0.71),
    (-0.08, -0.17, 0.16, -0.36, 0.05, -0.26, 0.15, 0.35, 0.75, 1.20, 1.02, 0.46, -0.17, -0.44),
)
"""Added to it, by the local time of plug-in (rows) and the time since the departure told."""
LATER_BY_STAY: Final = (
    0.52, 0.54, 0.12, -0.22, -0.27, -0.41, -0.37, 0.30, 0.40, 0.20, -0.82,
)
"""Added to it, by the time since plug-in."""
LATER_UNTOLD_BY_CLOCK: Final = (
    -1.72, -2.49, -2.33, -1.74, -2.10, -1.79, -1.88, -2.36, -2.73, -2.62, -2.58, -2.37, -2.45, -1.80,
    -1.44, -1.71, -1.99, -2.12, -1.82, -1.87, -1.83, -1.54, -1.01, -0.58, -0.38, -0.06, -0.02, 0.04,
    -0.14, 0.05, -0.23, -0.41, -0.40, -0.78, -0.91, -0.96, -0.97, -1.53, -1.43,
)
"""The same of any driver, for who told nothing, by local time."""
LATER_UNTOLD_BY_CAME: Final = (
    -0.21, -0.48, -0.12, 0.01, 0.28, 0.28, 0.24,
)
"""Added to it, by the local time of plug-in."""
LATER_UNTOLD_BY_STAY: Final = (
    1.74, 0.23, 0.08, -0.28, -0.32, -0.52, -0.49, 0.28, 0.46, 0.25, -1.42,
)
"""Added to it, by the time since plug-in."""
