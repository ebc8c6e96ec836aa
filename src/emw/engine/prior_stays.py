"""What is known of how long drivers stay after the finish: hazards. Made by bench/engine_stays.py.

Learned from charging sessions at Caltech and JPL, 2019 and 2020: ACN-Data (Lee, Li, Low 2019), CC BY 4.0.
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
    -1.15, -1.85, -1.57, -0.99, -1.19, -1.33, -1.17, -0.92, -0.69, -0.44, -0.09, 0.10, 0.13, -0.15, 0.01,
    -0.08, -0.44, -0.47,
)
"""Log hazard of leaving per hour in the first quarter of an hour after the finish, by local time."""
FIRST_BY_CAME_PAST: Final = (
    (-1.02, -0.74, -0.56, -0.58, -0.37, -0.40, -0.09, -0.15, -0.26, -0.15),
    (-0.20, -0.22, -0.09, -0.20, -0.13, 0.09, 0.26, 0.07, 0.05, -0.03),
    (0.01, -0.12, 0.04, 0.27, -0.01, 0.43, 0.27, 0.17, -0.06, 0.08),
    (0.12, 0.02, 0.19, 0.10, 0.40, 0.20, 0.10, 0.37, 0.33, 0.13),
    (0.39, 0.24, 0.20, 0.14, -0.02, -0.08, 0.29, 0.25, 0.29, 0.15),
    (0.06, 0.13, -0.05, 0.07, -0.12, -0.24, -0.16, 0.01, 0.17, -0.10),
    (0.08, -0.05, 0.14, -0.25, -0.20, 0.09, 0.03, 0.32, -0.08, -0.03),
)
"""Added to it, by the local time of plug-in (rows) and the time since the departure told."""
FIRST_BY_KIND_PAST: Final = (
    (-0.71, -0.83, -0.55, -0.69, -0.59, -0.23, -0.15, 0.01, -0.07, -0.39),
    (0.13, 0.13, 0.43, 0.26, 0.20, 0.31, 0.75, 1.03, 0.53, 0.44),
)
"""Added to it, by kind (rows) and the time since the departure told."""
FIRST_BY_SHARE: Final = (
    0.84, 0.38, -0.02, -0.22, -0.24, -0.51, -0.08, -0.16,
)
"""Added to it, by delivered over told."""
FIRST_UNTOLD_BY_CLOCK: Final = (
    -1.07, -1.79, -1.60, -1.04, -1.28, -1.47, -1.30, -1.06, -0.83, -0.61, -0.24, -0.08, -0.11, -0.35,
    -0.21, -0.24, -0.45, -0.61,
)
"""The same of any driver, for who told nothing, by local time."""
FIRST_UNTOLD_BY_CAME: Final = (
    -1.02, -0.22, 0.15, 0.38, 0.39, 0.19, 0.12,
)
"""Added to it, by the local time of plug-in."""
FIRST_UNTOLD_BY_KIND: Final = (
    -0.48, 0.48,
)
"""Added to it, by kind."""
LATER_BY_CLOCK: Final = (
    -1.68, -1.97, -1.98, -1.67, -1.92, -1.77, -1.71, -2.10, -2.25, -2.29, -2.29, -2.23, -2.20, -1.65,
    -1.44, -1.60, -1.97, -2.05, -1.90, -1.90, -1.95, -1.64, -1.33, -0.95, -0.77, -0.45, -0.34, -0.33,
    -0.44, -0.24, -0.49, -0.66, -0.69, -1.03, -1.05, -1.13, -1.29, -1.55, -1.68,
)
"""Log hazard of leaving per hour after that, by local time."""
LATER_BY_CAME_PAST: Final = (
    (-0.39, -0.77, -0.81, -0.84, -0.62, -0.43, -0.51, -0.44, -0.05, 0.11, 0.02, 0.01, 0.02, 0.08),
    (-0.10, -0.30, -0.78, -0.46, -0.68, -0.56, -0.45, -0.58, -0.23, -0.05, -0.29, -0.44, -0.24, -0.39),
    (-0.13, 0.23, -0.02, -0.18, -0.24, -0.30, -0.04, -0.12, 0.01, 0.33, 0.19, 0.12, -0.12, -0.19),
    (0.01, 0.20, 0.28, 0.18, 0.03, 0.24, 0.28, 0.17, 0.16, 0.30, 0.09, 0.03, -0.28, 0.35),
    (0.25, 0.07, 0.48, 0.68, 0.40, 0.09, 0.16, 0.13, 0.26, 0.21, 0.28, 0.39, 0.29, 0.02),
    (0.33, 0.30, 0.31, 0.28, 0.45, 0.39, 0.14, 0.09, 0.45, 0.32, 0.28, 0.29, 0.13, -0.53),
    (-0.17, -0.13, 0.17, -0.11, 0.03, -0.09, 0.08, 0.47, 0.51, 0.64, 0.53, 0.23, -0.15, -0.36),
)
"""Added to it, by the local time of plug-in (rows) and the time since the departure told."""
LATER_BY_KIND_PAST: Final = (
    (-0.13, -0.33, -0.42, -0.39, -0.43, -0.40, -0.23, -0.20, 0.13, 0.42, 0.35, 0.25, 0.17, 0.05),
    (-0.07, -0.12, -0.12, -0.13, -0.11, -0.06, -0.01, 0.03, 0.33, 0.54, 0.38, 0.27, 0.16, 0.05),
)
"""Added to it, by kind (rows) and the time since the departure told."""
LATER_BY_STAY: Final = (
    0.26, 0.63, 0.16, -0.17, -0.23, -0.39, -0.42, 0.31, 0.42, 0.23, -0.79,
)
"""Added to it, by the time since plug-in."""
CHARGING_BY_KIND: Final = (
    0.02, 0.14,
)
"""What is left of that hazard while the vehicle charges: slow ones, fast ones."""
LATER_UNTOLD_BY_CLOCK: Final = (
    -1.74, -2.04, -1.98, -1.74, -2.00, -1.78, -1.88, -2.21, -2.44, -2.46, -2.47, -2.31, -2.26, -1.76,
    -1.48, -1.63, -1.87, -1.94, -1.80, -1.74, -1.75, -1.39, -1.02, -0.60, -0.41, -0.11, -0.03, -0.05,
    -0.20, 0.01, -0.29, -0.46, -0.50, -0.85, -0.85, -0.88, -1.14, -1.44, -1.48,
)
"""The same of any driver, for who told nothing, by local time."""
LATER_UNTOLD_BY_CAME: Final = (
    -0.26, -0.49, -0.10, 0.06, 0.26, 0.28, 0.25,
)
"""Added to it, by the local time of plug-in."""
LATER_UNTOLD_BY_KIND: Final = (
    -0.04, 0.04,
)
"""Added to it, by kind."""
LATER_UNTOLD_BY_STAY: Final = (
    1.28, 0.26, 0.08, -0.25, -0.30, -0.49, -0.48, 0.33, 0.52, 0.31, -1.27,
)
"""Added to it, by the time since plug-in."""
