"""Plots: what is measured is drawn, what is not is a hole, and no text can break out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from emw.web.figures import Figures
from emw.web.svg import HEIGHT, WIDTH, Series, Step, nice_step, plot
from emw.web.tongue import TONGUES

AT = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)
M5 = timedelta(minutes=5)


def steps(*values: float | None) -> list[Step]:
    return [Step(AT + M5 * i, AT + M5 * (i + 1), v) for i, v in enumerate(values)]


def test_a_missing_mean_is_a_hole_and_labels_are_in_local_time() -> None:
    text = str(plot("Load <b>&", [Series("s-load", steps(10, 12, None, 8))], ZoneInfo("America/Los_Angeles")))
    root = ET.fromstring(text)  # noqa: S314 - our own
    paths = [e.attrib["d"] for e in root.iter() if e.tag.endswith("path")]
    assert len(paths) == 2
    assert "<b>" not in text
    labels = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert "09:00" in labels
    assert "kW" not in labels  # it stands above, where no long number runs into it
    assert "style" not in text  # the page's style sheet colours it


def test_the_axis_is_written_as_the_page_writes_numbers() -> None:
    german = Figures(TONGUES["de"], UTC)
    text = str(plot("x", [Series("s-load", steps(12_000))], UTC, german.axis))
    labels = [e.text for e in ET.fromstring(text).iter() if e.tag.endswith("text")]  # noqa: S314 - our own
    assert "10.000" in labels
    assert [german.axis(v) for v in (0.5, -0.0, 1e6)] == ["0,5", "0", "1.000.000"]


def test_nothing_measured_is_no_plot() -> None:
    assert str(plot("x", [Series("s-load", steps(None, None))], UTC)) == ""
    assert str(plot("x", [], UTC)) == ""


@given(st.lists(st.none() | st.floats(-1e7, 1e7), min_size=1, max_size=50), st.booleans())
def test_every_plot_is_well_formed_and_inside_its_frame(values: list[float | None], filled: bool) -> None:
    text = str(plot("x", [Series("s-shed", steps(*values), filled=filled)], UTC))
    if all(v is None for v in values):
        assert text == ""
        return
    root = ET.fromstring(text)  # noqa: S314 - our own
    for path in (e.attrib["d"] for e in root.iter() if e.tag.endswith("path")):
        assert re.fullmatch(r"(M[-\d. ]+|V[-\d.]+|H[-\d.]+|Z)+", path)
        for x in re.findall(r"H([-\d.]+)", path):
            assert 0 <= float(x) <= WIDTH
        for y in re.findall(r"V([-\d.]+)", path):
            assert 0 <= float(y) <= HEIGHT


@given(st.floats(1e-6, 1e9))
def test_grid_lines_are_few_and_round(span: float) -> None:
    assert 1 <= span / nice_step(span) <= 5.0000001
