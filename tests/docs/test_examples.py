"""The examples work: the configuration loads, the hardware class is one, the walk-through walks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emw.app.config import Config, load_config
from emw.simulator.hardware import Hardware, Refused
from tests.docs.pages import DOCS, ROOT, fenced, name
from tests.needs import require

EXAMPLES = ROOT / "examples"
NOW = datetime(2030, 1, 1, 17, tzinfo=UTC)


def test_the_example_configuration_loads() -> None:
    config = load_config(EXAMPLES / "emw.toml", {})
    config.outgoing_rules()
    config.service_settings()
    assert [t.name for t in config.territory] == ["East", "feeder-17"]


@pytest.mark.parametrize(
    "path", [*sorted((DOCS / "howto").glob("*.md")), DOCS / "tutorial/first-shed.md"], ids=name
)
def test_configurations_on_the_pages_load(path: Path) -> None:
    for text in fenced(path, "toml"):
        msgspec.convert(tomllib.loads(text), Config).outgoing_rules()


@pytest.fixture
def wallbox(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = spec_from_file_location("hardware_template", EXAMPLES / "hardware_template.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hardware_template", module)
    spec.loader.exec_module(module)
    return module.Wallbox()


def test_the_hardware_template_fits_the_seam(wallbox: Any) -> None:
    assert isinstance(wallbox, Hardware)
    assert wallbox.read(NOW).vehicle is None
    assert wallbox.read(NOW).limit_a is None


def test_the_hardware_template_keeps_the_rules(wallbox: Any) -> None:
    until = NOW + timedelta(minutes=10)
    assert wallbox.set_limit(13.0, until, NOW) == 13.0
    assert wallbox.read(NOW).limit_a == 13.0
    assert wallbox.set_limit(80.0, until, NOW) == wallbox.read(NOW).knob_a
    assert isinstance(wallbox.set_limit(3.0, until, NOW), Refused)
    assert wallbox.set_limit(0.0, until, NOW) == 0.0
    assert wallbox.clear_limit(NOW) == wallbox.read(NOW).knob_a
    assert wallbox.read(NOW).limit_a is None


@pytest.mark.slow
@pytest.mark.curl
def test_the_walk_through_walks(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        require("curl", "the walk-through is a script for curl")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EMW_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "TMPDIR": str(tmp_path)}
    script = EXAMPLES / "walkthrough.sh"
    done = subprocess.run(
        ["sh", str(script)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "asked 2.0 kW, confirmed 2.0 kW, measured 2.07 kW"
