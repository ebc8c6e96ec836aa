"""Plots as SVG, made on the server: they print, need no script, and colour comes from the page's own style sheet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from html import escape
from math import ceil, floor, log10

from markupsafe import Markup

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 30
LEAST_SPAN = 1e-6
"""Values closer together than this are one value: no meter tells them apart."""


@dataclass(frozen=True, slots=True)
class Step:
    """A mean over [start, end)."""

    start: datetime
    end: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """A line of steps: `name` is its class in the style sheet (`s-load`)."""

    name: str
    steps: Sequence[Step]
    filled: bool = False


def nice_step(span: float, about: int = 5) -> float:
    """A round distance between grid lines: 1, 2 or 5 times a power of ten."""
    if span < LEAST_SPAN:
        return 1.0
    raw = span / about
    power = 10.0 ** floor(log10(raw))
    return next((m * power for m in (1, 2, 5) if raw <= m * power), 10 * power)


def plot(
    title: str, series: Sequence[Series], zone: tzinfo, number: Callable[[float], str] = "{:,.12g}".format
) -> Markup:
    """The series over their common time, with axes in the zone's own clock. Empty where nothing has a value.

    `number` writes the values of the axis; their unit stands in the caption.
    """
    known = [(s.start, s.end, s.value) for line in series for s in line.steps if s.value is not None]
    if not known:
        return Markup("")
    first, last = min(k[0] for k in known), max(k[1] for k in known)
    low, high = min(0.0, *(k[2] for k in known)), max(0.0, *(k[2] for k in known))
    step = nice_step(high - low)
    low, high = floor(low / step) * step, max(ceil(high / step) * step, step)
    seconds = max((last - first).total_seconds(), 1.0)

    def x(at: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (at - first).total_seconds() / seconds, 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(title)}</title>",
    ]
    for i in range(round((high - low) / step) + 1):
        value = low + i * step
        at = y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        told = escape(number(value))
        parts.append(f'<text class="axis" x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{told}</text>')
    for at_time in _ticks(first, last, zone):
        at = x(at_time)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        label = f"{at_time.astimezone(zone):%H:%M}"
        anchor = "end" if at > WIDTH - RIGHT - 20 else "middle"  # the last one would stick out
        parts.append(f'<text class="axis" x="{at}" y="{HEIGHT - 10}" text-anchor="{anchor}">{label}</text>')
    for line in series:
        parts += [f'<path class="{escape(line.name)}" d="{path}"/>' for path in _paths(line, x, y)]
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text in it is escaped above


def _ticks(first: datetime, last: datetime, zone: tzinfo) -> list[datetime]:
    """Round times of the local clock, at most eight."""
    hours = (last - first).total_seconds() / 3600
    minutes = next((m for m in (5, 10, 15, 30, 60, 120, 180, 360, 720) if hours * 60 / m <= 8), 1440)
    local = first.astimezone(zone)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    since = (local - day).total_seconds() / 60
    at = first + timedelta(minutes=ceil(since / minutes) * minutes - since)
    found = []
    while at <= last:
        found.append(at)
        at += timedelta(minutes=minutes)
    return found


def _paths(line: Series, x: Callable[[datetime], float], y: Callable[[float], float]) -> list[str]:
    """One path per stretch without a gap: a missing mean is a hole, never a line over it."""
    found: list[str] = []
    path: list[str] = []
    begun = 0.0
    before: datetime | None = None
    for step in [*line.steps, None]:
        broken = step is None or step.value is None or (before is not None and step.start != before)
        if broken and path:
            if line.filled:
                path.append(f"V{y(0.0)}H{begun}Z")
            found.append("".join(path))
            path = []
        before = None
        if step is None or step.value is None:
            continue
        if path:
            path.append(f"V{y(step.value)}")
        else:
            begun = x(step.start)
            path.append(f"M{begun} {y(0.0)}V{y(step.value)}" if line.filled else f"M{begun} {y(step.value)}")
        path.append(f"H{x(step.end)}")
        before = step.end
    return found
