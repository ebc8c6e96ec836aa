"""Story 1, first minute: on a machine with nothing configured, one command shows a whole request."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def test_demo_once_runs_a_whole_request_and_its_numbers_add_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emw", "demo", "--once", "--json", "--operator", "127.0.0.1:0"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    parts = told["confirmedKW"] + told["shortKW"]
    assert told["problems"] == []
    assert told["requestedKW"] >= parts - 0.001
    assert told["measuredKW"] == pytest.approx(told["requestedKW"], rel=0.1)
    assert told["errorPercent"] < 10
    assert told["affectedEVSEs"] > 20
    assert told["commands"] >= told["affectedEVSEs"]
    assert told["facts"] > 1000
    assert told["seconds"] < 60
