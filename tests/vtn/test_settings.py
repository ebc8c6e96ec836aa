"""The `[openadr.server]` part of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emw.app.config import Config, ConfigError, load_config


def of(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "emw.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, {})


def test_there_is_no_vtn_by_default(tmp_path: Path) -> None:
    assert of(tmp_path, "").vtn_server() is None


def test_what_is_said_is_what_the_vtn_does(tmp_path: Path) -> None:
    text = """
        [openadr.server]
        enabled = true
        public_url = "https://dr.example.org/"
        token_minutes = 5
        territory = "East"
        levels = {1 = "10 %"}
        callback_networks = ["203.0.113.0/24"]
        [[openadr.server.program]]
        name = "Shed"
        territory = "West"
    """
    parts = of(tmp_path, text).vtn_server()
    assert parts is not None
    settings = parts.settings
    assert settings.public_url == settings.ours.url == "https://dr.example.org/openadr3/3.1.0"
    assert settings.token_life_s == 300
    assert settings.ours.source_id == "vtn:own"
    assert settings.ours.meaning.territory_id == "East"
    assert settings.ours.programs["Shed"].territory_id == "West"
    assert settings.ours.programs["Shed"].levels == settings.ours.meaning.levels
    assert [str(n) for n in parts.rules.networks] == ["203.0.113.0/24"]
    assert not parts.rules.plain_http


def test_the_environment_can_say_it_too() -> None:
    told: Any = {"EMW_OPENADR_SERVER": '{enabled = true, name = "here"}'}
    parts = load_config(None, told).vtn_server()
    assert parts is not None
    assert parts.settings.ours.source_id == "vtn:here"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('public_url = "dr.example.org"', "openadr.server.public_url"),
        ('public_url = "https://dr.example.org/?x=1"', "openadr.server.public_url"),
        ('callback_networks = ["everywhere"]', "openadr.server.callback_networks"),
        ('callback_ca_file = "/nowhere.pem"', "openadr.server.callback_ca_file"),
        ('levels = {1 = "much"}', "level 1"),
        ('time_zone = "Mars/East"', "Mars/East"),
        ('[[openadr.vtn]]\nname = "own"\nurl = "https://vtn.example.org"', "openadr.server.name"),
    ],
)
def test_what_can_not_be_used_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        of(tmp_path, f"[openadr.server]\nenabled = true\n{text}\n").vtn_server()
