"""`emw doctor`: says what is wrong with a configuration before the server starts."""

from __future__ import annotations

import socket
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from emw.app import tls
from emw.app.config import Config, ConfigError, file_of, split_address
from emw.app.lock import DataDirBusy, only_one
from emw.cli.serve import ConfigPath, DataDir, configured
from emw.cli.show import AsJson, print_json, say


def doctor(
    config_path: ConfigPath = None,
    data_dir: DataDir = None,
    log: bool = typer.Option(False, "--log", help="Also check every row of the activity log and its chain."),
    as_json: AsJson = False,
) -> None:
    """Check configuration, ports, data folder and database; exit 1 if something must be mended."""
    findings: list[dict[str, Any]] = []

    def found(level: str, what: str) -> None:
        findings.append({"level": level, "what": what})

    try:
        config = configured(config_path, data_dir)
        _check_secrets(config, file_of(config_path), found)
        _check(config, found, whole_log=log)
    except ConfigError as error:
        found("error", str(error))
    bad = any(f["level"] == "error" for f in findings)
    if as_json:
        print_json({"ok": not bad, "findings": findings})
    else:
        for f in findings:
            say(f"{f['level']:<8}{f['what']}")
        say("emw can start" if not bad else "emw can't start like this")
    if bad:
        sys.exit(1)


def _check(config: Config, found: Any, *, whole_log: bool) -> None:
    from emw.app.serving import refuse_plain, web_settings  # heavy, and `emw --help` needs this module
    from emw.store import maintenance

    config.service_settings()
    config.oidc()
    web_settings(config)
    refuse_plain(config)
    rules = config.outgoing_rules()
    if not rules.networks:
        found("notice", "outgoing.networks is empty: stations are not called, they hear limits in answers")
    for network in rules.networks:
        if network.prefixlen == 0:
            found("warning", f"outgoing.networks: {network} lets emw call the whole internet")
    if config.speed != 1.0:
        found("warning", "speed is not 1: this clock is for demonstrations, never for real stations")
    _check_tls(config, found)
    if config.dispatch.confirm_above_kw is None:
        found("notice", "dispatch.confirm_above_kw is not set: no request waits for a second person")
    running = False
    try:
        with only_one(config.data):
            found("ok", f"no other emw runs on the data folder {config.data}")
            if config.data.stat().st_mode & 0o022:
                found(
                    "warning", f"others on this machine can write in {config.data}: chmod 700 {config.data}"
                )
            for field in ("stations", "operator", "drivers"):
                if (listen := getattr(config, field).listen) is not None:
                    _check_port(listen, f"{field}.listen", found)
    except DataDirBusy:
        running = True
        found("notice", f"a server runs on {config.data}; its ports are not tried")
    _check_database(maintenance.check(config.store_url(), whole_log=whole_log), found, whole_log=whole_log)
    if not running and config.operator.listen == config.stations.listen:
        found(
            "error",
            "operator.listen: stations must not reach the operator's plane; give it a port of its own",
        )


def _check_database(told: dict[str, Any], found: Any, *, whole_log: bool) -> None:
    """What `maintenance.check` found; what the start mends by itself is no error."""
    if not told["problems"] and not told["exists"]:
        found("ok", "the database will be made at the start")
    elif not told["problems"]:
        part = "" if whole_log else ", as far as its pages and the log's newest rows tell (--log: all of it)"
        found("ok", f"the database is whole{part}")
    for problem in told["problems"]:
        if told.get("older") and len(told["problems"]) == 1:
            found("notice", "the start will bring the database to this version: `emw db backup` before it")
        else:
            found("error", f"database: {problem}")


def _check_secrets(config: Config, file: Path, found: Any) -> None:
    """Passwords for the CSMS may stand in the configuration itself: then it is a secret, too."""
    proxy = config.ocpp.proxy
    told = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    written = told.get("ocpp", {}).get("proxy", {}).keys() & {"password", "passwords"}
    if (proxy.password or proxy.passwords) and written and file.stat().st_mode & 0o077:
        found(
            "warning", f"{file}: others on this machine can read the CSMS' passwords in it; chmod 600 {file}"
        )


def _check_tls(config: Config, found: Any) -> None:
    for field in ("stations", "operator"):
        if getattr(config, field).plain_http_beyond_loopback:
            found(
                "warning",
                f"{field}.plain_http_beyond_loopback: credentials can be read on the way unless a proxy does TLS",
            )
    if config.stations.tls_without_forward_secrecy:
        found(
            "warning",
            "stations.tls_without_forward_secrecy: who records today and gets the key tomorrow reads it all",
        )
    for level, what in tls.complaints(tls.ends_of(config), datetime.now(UTC)):
        found(level, what)


def _check_port(listen: str, field: str, found: Any) -> None:
    host, port = split_address(listen, field)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            found("error", f"{field}: can't listen on {listen}: {error.strerror}; choose another port")
        else:
            found("ok", f"{field}: {listen} is free")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)
