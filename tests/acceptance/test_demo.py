"""Story 1, first minute: on a machine with nothing configured, one command shows a whole request."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from emw.cli.demo import _Story
from tests.loop import waited_s


@pytest.mark.alone  # an hour passes in a minute: who waits for a processor there waits for minutes
def test_demo_once_runs_a_whole_request_and_its_numbers_add_up() -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "emw", "demo", "--once", "--json", "--operator", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    starved_s, ends = 0.0, time.monotonic() + 300
    while demo.poll() is None and time.monotonic() < ends:
        starved_s = max(starved_s, waited_s(demo.pid))
        time.sleep(0.1)
    demo.kill()  # if it never ends
    stdout, stderr = demo.communicate()
    assert demo.returncode == 0, stdout + stderr
    told = json.loads(stdout)
    parts = told["confirmedKW"] + told["shortKW"]
    assert told["problems"] == []
    assert told["requestedKW"] >= parts - 0.001
    assert told["measuredKW"] == pytest.approx(told["requestedKW"], rel=0.1)
    assert told["errorPercent"] < 10
    assert told["stillLimited"] == 0, "also those that hear of it at their next heartbeat only"
    assert told["affectedEVSEs"] > 20
    assert told["commands"] >= told["affectedEVSEs"]
    assert told["facts"] > 1000
    assert told["seconds"] - starved_s < 60, "with a processor to itself"


def test_a_demo_begins_with_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "emw.db").touch()
    done = subprocess.run(
        [sys.executable, "-m", "emw", "demo", "--once", "--keep", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is not empty" in done.stderr


async def test_in_the_evening_the_demo_asks_for_nothing_and_goes_on() -> None:
    class Night(Exception):
        """Far enough."""

    class Clock:
        slept = 0

        async def sleep(self, _: float) -> None:
            self.slept += 1
            if self.slept > 1_000:
                raise Night

    story: Any = _Story(
        cast("Any", SimpleNamespace(parts=SimpleNamespace(headend=None, clock=Clock()))),
        stations=1,
        seed=0,
        once=False,
        quiet=True,
    )
    fleet = SimpleNamespace(
        stats=lambda: SimpleNamespace(powered=1, stations=1, charging=0, load_kw=0.4, limited=0)
    )
    with pytest.raises(Night):  # and not because a grid operator, of which there is none here, was asked
        await story._go_on(None, fleet)
    assert "asks for nothing" in story._step
