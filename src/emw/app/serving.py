"""From parts to a running server: planes on their sockets, what runs beside them, and how it all stops."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import structlog

from emw.app import tls
from emw.app.build import Parts, define_territories, local_app, parts_of
from emw.app.config import Config, ConfigError, split_address
from emw.app.drivers import driver_servers, invite
from emw.app.renewal import watch_certificates
from emw.app.server import PlaneServer, Upgrade, bind, bind_local, server_for
from emw.app.standby import Waits
from emw.app.vens import forget_unknown
from emw.app.watchdog import watch_loop
from emw.store.reports import write as write_table
from emw.web.app import WebSettings, operator_app
from emw.web.extras import Extras
from emw.web.places import NoMap, read_ground, tiles_origin

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a running server can be reached. `setup_url`: the one-time link of a first start."""

    stations_url: str
    operator_url: str
    setup_url: str | None
    parts: Parts
    drivers_url: str | None = None


async def serve(
    config: Config, *, on_ready: Callable[[Serving], Any] | None = None, waits: Waits | None = None
) -> None:
    """Serve both planes and the local control socket until SIGTERM, SIGINT or cancellation.

    `waits`: this is a spare, and is told what for. While it waits no port is open.
    """
    refuse_plain(config)
    _end_by_signals(spare=waits is not None)
    async with parts_of(config, waits) as parts, asyncio.TaskGroup() as tasks:
        headend = parts.headend
        tls.note(config, headend)
        core = [tasks.create_task(headend.run(), name="head-end")]
        await headend.ready.wait()
        await define_territories(config, headend)
        if parts.ocpp is not None:
            core.append(tasks.create_task(parts.ocpp.run(), name="ocpp"))
        await forget_unknown(headend, [v.settings for v in parts.vens])
        background = [tasks.create_task(v.run(), name=f"ven {v.settings.name}") for v in parts.vens]
        if parts.vtn is not None:
            background.append(tasks.create_task(parts.vtn.run(), name="vtn"))
        servers = _servers(config, parts)
        for server, sock in servers:
            tasks.create_task(server.serve(sockets=[sock]), name="server")
        for server, _ in servers:
            await server.serving.wait()
        background += [
            tasks.create_task(parts.clock.watch(), name="clock"),
            tasks.create_task(watch_loop(), name="watchdog"),
            tasks.create_task(
                watch_certificates([s for s, _ in servers], functools.partial(tls.note, config, headend)),
                name="certificates",
            ),
        ]
        reached = _reached(config, parts, servers)
        if parts.drivers is not None and reached.drivers_url is not None:
            invite(headend, parts.drivers, reached.drivers_url)
        if on_ready is not None:
            on_ready(reached)
        stop = asyncio.Event()
        _on_signals(stop.set)
        try:
            await stop.wait()
        finally:
            log.info("server.stopping")
            if parts.ocpp is not None:
                parts.ocpp.close()
            for server, _ in servers:
                server.should_exit = True
            (config.data / "control.sock").unlink(missing_ok=True)
            for task in background:
                task.cancel()
        await asyncio.sleep(0.3)  # answers that are on their way
        for task in core:
            task.cancel()


def web_settings(config: Config) -> WebSettings:
    """How the operator's plane meets people. Raises ConfigError for a map that can't be drawn."""
    o = config.operator
    public = urlsplit(o.public_url or "")
    try:
        tiles_origin(o.map_tiles)
        read_ground(o.map_file)
    except NoMap as error:
        raise ConfigError(f"operator: {error}") from error
    return WebSettings(
        allowed_hosts=(*o.allowed_hosts, *([public.hostname] if public.hostname else [])),
        secure=o.tls_certificate is not None or public.scheme == "https",
        open_metrics=o.open_metrics,
        public_url=o.public_url,
        map_file=o.map_file,
        map_tiles=o.map_tiles,
    )


def _servers(config: Config, parts: Parts) -> list[tuple[PlaneServer, Any]]:
    """Station plane, operator plane, local control, each with its bound socket."""
    s, o = config.stations, config.operator
    web = web_settings(config)
    extras = Extras(
        sign_on=parts.sign_on, write_table=write_table, drivers=parts.drivers, beside=parts.beside
    )
    return [
        (
            server_for(
                parts.station_plane,
                certificate=s.tls_certificate,
                key=s.tls_key,
                client_ca=config.ocpp.client_ca,
                old_suites=s.tls_without_forward_secrecy,
                upgrade=upgrade_of(parts),
            ),
            bind(*split_address(s.listen, "stations.listen"), "stations.listen"),
        ),
        (
            server_for(
                operator_app(parts.headend, web, parts.ids, extras),
                certificate=o.tls_certificate,
                key=o.tls_key,
            ),
            bind(*split_address(o.listen, "operator.listen"), "operator.listen"),
        ),
        (server_for(local_app(parts)), bind_local(config.data / "control.sock")),
        *driver_servers(config.drivers, parts.headend, parts.drivers),
    ]


def upgrade_of(parts: Parts) -> Upgrade | None:
    """Who takes the station plane's WebSockets. Loaded here: a command that serves nothing needs no socket library."""
    if parts.ocpp is None:
        return None
    from emw.stations.ocpp.socket import hand_over  # noqa: PLC0415

    return hand_over(parts.ocpp)


def setup_url(app: Any, base_url: str) -> str | None:
    """The one-time link with which the first administrator sets a password; None once there is one."""
    path = getattr(app, "state", {}).get("setup_path") if hasattr(app, "state") else None
    return None if path is None else base_url + path


def _reached(config: Config, parts: Parts, servers: Sequence[tuple[PlaneServer, Any]]) -> Serving:
    stations, operator, _, *driver = servers
    operator_url = config.operator.public_url or _url(*operator)
    drivers_url = config.drivers.public_url or (_url(*driver[0]) if driver else None)
    setup = setup_url(operator[0].app, operator_url)
    return Serving(_url(*stations), operator_url, setup, parts, drivers_url)


def _url(server: PlaneServer, sock: Any) -> str:
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if server.config.is_ssl else 'http'}://{shown}:{port}"


def refuse_plain(config: Config) -> None:
    """Plain HTTP beyond loopback only behind a flag that everybody complains about (safety A19)."""
    planes = (("stations", config.stations), ("operator", config.operator), ("drivers", config.drivers))
    for field, plane in planes:
        if plane.listen is None:
            continue
        host, _ = split_address(plane.listen, f"{field}.listen")
        try:
            loopback = ip_address(host).is_loopback
        except ValueError:
            loopback = host == "localhost"
        if loopback or plane.tls_certificate is not None:
            continue
        if not plane.plain_http_beyond_loopback:
            raise ConfigError(
                f"{field}.listen: {host} is open to the network without TLS; set {field}.tls_certificate and "
                f"{field}.tls_key, or put a TLS proxy in front and set {field}.plain_http_beyond_loopback = true"
            )
        log.warning("server.plain_http", listen=plane.listen, risk="credentials can be read on the way")


def _end_by_signals(*, spare: bool) -> None:
    """A spare may be told to stop long before it serves: process 1 of a container does not hear it by itself."""
    task = asyncio.current_task()
    if spare and task is not None:
        _on_signals(task.cancel)


def _on_signals(stop: Callable[[], Any]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows' loop takes none, nor does one outside the main thread: Ctrl-C still ends it.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
