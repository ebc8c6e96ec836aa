"""What is shipped beside the code says only what exists: settings, ports, metrics, commands."""

from __future__ import annotations

import configparser
import json
import re
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

from emw.app.config import ConfigError, load_config
from emw.app.serving import refuse_plain
from emw.cli.main import app_for
from emw.domain.people import Role
from tests.docs.pages import ROOT
from tests.web.world import stations, world

DASHBOARD: Final = ROOT / "examples/grafana/emw.json"
ALERTS: Final = ROOT / "examples/grafana/alerts.yml"
METRICS: Final = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
COMPOSE: Final = ROOT / "deploy/compose.yaml"
CONTAINER: Final = (ROOT / "deploy/Containerfile").read_text(encoding="utf-8")

IMAGE: Final = dict(re.findall(r"(?<!-e )(EMW_\w+)=(\S+)", CONTAINER))
"""What the image sets by itself."""


NAME: Final = r"\b(?:emw|process)_\w+"


def _panels() -> list[Any]:
    told: Any = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return list(told["panels"])


def _alerts() -> list[Any]:
    told: Any = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return [rule for group in told["groups"] for rule in group["rules"]]


async def _scraped() -> str:
    async with world() as w:
        await stations(w, ["E1"])
        key = await w.key(Role.VIEWER)
        await w.call("GET", "/metrics", key=key)
        return (await w.call("GET", "/metrics", key=key)).body.decode()


async def test_every_metric_of_the_dashboard_and_the_alerts_exists() -> None:
    panels, alerts = _panels(), _alerts()
    of_panels = [t["expr"] for panel in panels for t in panel["targets"]]
    expressions = [*of_panels, *(a["expr"] for a in alerts)]
    told = await _scraped()
    there = set(re.findall(r"^# TYPE (\w+) ", told, re.MULTILINE))
    named = {name for e in expressions for name in re.findall(NAME, e)}
    assert named - there == set()
    labels = {label for e in expressions for label in re.findall(r"[{,](\w+)=", e)}
    labels |= {
        x for p in panels for t in p["targets"] for x in re.findall(r"\{\{(\w+)\}\}", t["legendFormat"])
    }
    labels |= {x for a in alerts for x in re.findall(r"\$labels\.(\w+)", a["annotations"]["summary"])}
    # `job` comes from Prometheus; the other two from certificates and VTNs, of which this world has none.
    assert all(f'{label}="' in told for label in labels - {"job", "setting", "source"})
    ids = [p["id"] for p in panels]
    assert len(set(ids)) == len(ids)


def test_every_metric_has_its_panel_and_no_panel_lies_on_another() -> None:
    panels = _panels()
    shown = {name for p in panels for t in p["targets"] for name in re.findall(NAME, t["expr"])}
    assert set(re.findall(r"^\| `(emw_\w+)` \|", METRICS, re.MULTILINE)) <= shown
    squares = [
        (x, y)
        for g in (p["gridPos"] for p in panels)
        for x in range(g["x"], g["x"] + g["w"])
        for y in range(g["y"], g["y"] + g["h"])
    ]
    assert len(set(squares)) == len(squares)
    assert max(x for x, _ in squares) < 24


def test_the_alerts_are_those_of_the_reference() -> None:
    """Each rule's metrics stand together in one line of the reference, and no line there is without its rule."""
    alarms = METRICS.partition("## Worth an alarm")[2].partition("\n## ")[0]
    lines = {frozenset(re.findall(NAME, line)) for line in re.findall(r"^- `([^`]+)`", alarms, re.MULTILINE)}
    rules = {frozenset(re.findall(NAME, a["expr"])) for a in _alerts()}
    assert rules - {frozenset()} == lines - {frozenset()}
    assert len({a["alert"] for a in _alerts()}) == len(_alerts()) >= len(rules)
    assert {a["labels"]["severity"] for a in _alerts()} == {"page", "ticket"}


def test_the_compose_file_says_settings_that_exist_and_ports_that_are_there() -> None:
    told: Any = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    emw = told["services"]["emw"]
    environment = {**IMAGE, **emw["environment"], "EMW_STORE_URL": "postgresql://emw@postgres/emw"}
    config = load_config(None, environment)
    listening = {
        plane.listen.rpartition(":")[2]
        for plane in (config.stations, config.operator, config.drivers)
        if plane.listen is not None
    }
    assert {p.split(":")[-1] for p in emw["ports"]} == listening
    assert all(p.startswith("127.0.0.1:") for p in emw["ports"])
    assert config.data_dir == "/data"
    assert emw["volumes"][0].endswith(":/data")
    assert (COMPOSE.parent / emw["build"]["context"] / emw["build"]["dockerfile"]).exists()
    for service in told["services"].values():
        assert set(service.get("secrets", ())) <= set(told["secrets"])
        assert {v.partition(":")[0] for v in service["volumes"]} <= set(told["volumes"])
        assert "healthcheck" in service


def test_the_image_is_made_of_files_that_are_there_and_opens_the_ports_it_listens_on() -> None:
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*", CONTAINER, re.MULTILINE)]
    assert {"src", "pyproject.toml", "LICENSE"} <= {path for line in copied for path in line}
    assert all((ROOT / path).exists() for line in copied for path in line)
    config = load_config(None, IMAGE)
    listening = {p.listen.rpartition(":")[2] for p in (config.stations, config.operator)}
    assert set(re.findall(r"^EXPOSE (.*)", CONTAINER, re.MULTILINE)[0].split()) == listening
    with pytest.raises(ConfigError, match="without TLS"):
        refuse_plain(config)


def test_the_image_starts_with_the_flags_that_stand_beside_it_and_in_the_compose_file() -> None:
    by_hand = dict(re.findall(r"-e (EMW_\w+)=(\S+)", CONTAINER))
    composed: Any = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    for said in (by_hand, composed["services"]["emw"]["environment"]):
        refuse_plain(load_config(None, IMAGE | said))


def test_the_unit_starts_commands_that_are_there_over_the_example_s_folder() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # names as they are written
    unit.read(ROOT / "deploy/emw.service", encoding="utf-8")
    service = unit["Service"]
    for key in ("ExecStartPre", "ExecStart"):
        assert CliRunner().invoke(app_for(""), [*service[key].split()[1:], "--help"]).exit_code == 0
    home = load_config(ROOT / "examples/emw.toml", {}).data_dir
    assert service["WorkingDirectory"] == home == f"/var/lib/{service['StateDirectory']}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the shell asks, after `emw --install-completion`: what begins with `re`?"""
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    asked = {"COMP_WORDS": "emw re", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "emw re"}
    asked["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    asked["_EMW_COMPLETE"] = f"complete_{shell}"
    told = CliRunner().invoke(app_for(""), [], prog_name="emw", env=asked).output
    assert "report" in told
    assert "resume" in told
    assert "serve" not in told
