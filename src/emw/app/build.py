"""Real parts plugged into ports: from a configuration to a running head-end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import signal
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from random import SystemRandom
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from emw import __version__
from emw.app import tls
from emw.app.clock import RandomIds, SystemClock
from emw.app.config import Config, ConfigError, split_address
from emw.app.drivers import driver_servers, invite
from emw.app.lock import only_one
from emw.app.oidc_config import OidcParts
from emw.app.renewal import watch_certificates
from emw.app.secrets_file import server_key
from emw.app.server import PlaneServer, Upgrade, bind, bind_local, server_for
from emw.app.traces import Told, traces_of
from emw.app.vens import forget_unknown, ven_of, vtn_of
from emw.app.watchdog import watch_loop
from emw.grid.iso import IsoDoors, IsoLink
from emw.grid.openadr3.settings import ROOM
from emw.grid.vtn.settings import BASE
from emw.outgoing import Outgoing
from emw.plane import App, Plane
from emw.service.dispatch import REST
from emw.service.drivers import Drivers
from emw.service.headend import HeadEnd
from emw.stations.links import Links
from emw.stations.ocpp.central import central
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.limits import OcppLink
from emw.stations.ocpp.settings import ProxySettings
from emw.stations.rest import RestLink, RestStations
from emw.store import SqlStore
from emw.store.reports import write as write_table
from emw.web.app import WebSettings, operator_app
from emw.web.extras import Extras
from emw.web.places import NoMap, read_ground, tiles_origin

if TYPE_CHECKING:
    from emw.grid.openadr2b.ven import Ven2b
    from emw.grid.openadr3.ven import Ven
    from emw.grid.vtn.server import VtnServer
    from emw.identity.oidc import Provider
    from emw.stations.ocpp.proxy import Proxy

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """A head-end and what hangs on it, not yet serving."""

    headend: HeadEnd
    outgoing: Outgoing
    station_plane: Plane
    clock: SystemClock
    ids: RandomIds
    ocpp: Hub | None
    vens: Sequence[Ven | Ven2b] = ()
    sign_on: Provider | None = None
    vtn: VtnServer | None = None
    drivers: Drivers | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a running server can be reached. `setup_url`: the one-time link of a first start."""

    stations_url: str
    operator_url: str
    setup_url: str | None
    parts: Parts
    drivers_url: str | None = None


def station_plane(
    headend: HeadEnd,
    outgoing: Outgoing,
    key: bytes,
    vens: Sequence[Ven | Ven2b] = (),
    vtn: VtnServer | None = None,
) -> Plane:
    """Every door of the station plane. `key` is the server's."""
    doors = RestStations(headend, outgoing).doors() | IsoDoors(headend, outgoing, key).doors()
    rooms: dict[str, App] = {}
    if vens:
        from emw.grid.openadr3.notices import Webhooks  # noqa: PLC0415 - who listens to no VTN waits for none of it
        from emw.grid.openadr3.ven import Ven  # noqa: PLC0415

        told = (v for v in vens if isinstance(v, Ven))
        callbacks = {v.settings.name: callback for v in told if (callback := v.callback()) is not None}
        if callbacks:
            rooms[ROOM] = Webhooks(callbacks)
    if vtn is not None:
        rooms[BASE] = vtn.doors
    return Plane(doors, SystemRandom(), rooms=rooms)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """While the live view is loaded: hundreds of thousands of objects come, and all stay.

    Nor does a later collection look through them again: it would stop the loop for as long as a fleet is large.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@contextlib.asynccontextmanager
async def parts_of(config: Config) -> AsyncGenerator[Parts, None]:
    """Open the store and wire the service; the caller runs it. Only one at a time per data folder."""
    settings = config.service_settings()
    rules = config.outgoing_rules()
    vtns, server = config.vtns(), config.vtn_server()
    oidc, tracing = config.oidc(), config.traces_rules()
    with only_one(config.data), contextlib.ExitStack() as loading:
        loading.enter_context(no_collection())
        clock = SystemClock(
            speed=config.speed, start=datetime.fromisoformat(config.start) if config.start else None
        )
        ids = RandomIds()
        store = SqlStore(
            config.store_url(),
            telemetry_days=config.store.telemetry_days,
            interval_days=config.store.interval_days,
        )
        loaded = await store.load()
        clock.not_before(loaded.newest_at)
        deadline_s = settings.command_deadline_s
        async with Outgoing(
            rules, deadline_s=deadline_s, connections=settings.commands_in_flight
        ) as outgoing:
            link, key = OcppLink(), server_key(config.data / "server.key")
            said = Told(Links(RestLink(outgoing, key, deadline_s=deadline_s), link), time.perf_counter)
            headend = HeadEnd(
                store=store,
                loaded=loaded,
                clock=clock,
                ids=ids,
                chance=SystemRandom(),
                stations=said,
                reports=IsoLink(outgoing, key),
                settings=settings,
                version=__version__,
            )
            headend.clock_off_s = lambda: clock.off_s
            loading.close()
            ocpp = config.ocpp_settings()
            hub = None if ocpp is None else central(headend, link, SystemRandom(), ocpp)
            headend.dispatch.stopwatch, headend.dispatch.rest = time.perf_counter, REST
            proxy = config.proxy_settings()
            if hub is not None and proxy is not None:
                hub.proxy = await _proxy(hub, proxy, outgoing, store)
            async with contextlib.AsyncExitStack() as clients:
                vens = [await clients.enter_async_context(ven_of(v, headend, key)) for v in vtns]
                said.traces = await clients.enter_async_context(
                    traces_of(config.traces.url, tracing, headend)
                )
                sign_on = None if oidc is None else await clients.enter_async_context(provider_of(oidc))
                vtn = None
                if server is not None:
                    vtn = await clients.enter_async_context(vtn_of(server, headend, ids, key))
                    vens.append(vtn.ven)
                headend.grids = vens
                plane = station_plane(headend, outgoing, key, vens, vtn)
                d = config.drivers
                drivers = None if d.listen is None else Drivers(headend, key, stickers=d.stickers)
                try:
                    yield Parts(headend, outgoing, plane, clock, ids, hub, vens, sign_on, vtn, drivers)
                finally:
                    await headend.close()
                    gc.unfreeze()


@contextlib.asynccontextmanager
async def provider_of(parts: OidcParts) -> AsyncGenerator[Provider, None]:
    """The sign-on provider with its own guarded client. Its tokens' times are the world's: the real clock.

    Loaded here: its cryptography is for who has a provider.
    """
    from emw.identity.oidc import Provider  # noqa: PLC0415

    async with Outgoing(parts.rules, deadline_s=10.0, connections=10, tls=parts.tls) as http:
        yield Provider(parts.settings, http, lambda: datetime.now(UTC))


async def _proxy(hub: Hub, settings: ProxySettings, outgoing: Outgoing, store: SqlStore) -> Proxy:
    """What stands before another CSMS. Loaded here: without it no socket library is needed that calls out."""
    from emw.stations.ocpp.owing import Owing  # noqa: PLC0415
    from emw.stations.ocpp.proxy import Proxy  # noqa: PLC0415
    from emw.stations.ocpp.upstream import connect  # noqa: PLC0415

    owing = Owing(store, hub.clock, hub.spawn)
    await owing.load()
    return Proxy(hub, settings, functools.partial(connect, outgoing.guard), owing)


@contextlib.asynccontextmanager
async def reader_of(config: Config) -> AsyncGenerator[SqlStore, None]:
    """The store for reading only, also beside a running server."""
    store = SqlStore(config.store_url(), read_only=True)
    try:
        yield store
    finally:
        await store.close()


def local_app(parts: Parts) -> Any:
    """The operator's API for whoever owns this machine's data folder."""
    return operator_app(parts.headend, WebSettings(local=True), parts.ids, Extras(write_table=write_table))


async def define_territories(config: Config, headend: HeadEnd) -> None:
    """The territories of the configuration file are there from the first start; parents first."""
    left = list(config.territory)
    while left:
        ready = [t for t in left if t.parent is None or t.parent not in {x.name for x in left}]
        if not ready:
            raise ConfigError(f"territory: {', '.join(t.name for t in left)} lie under each other in a loop")
        for t in ready:
            await headend.admin.define_territory(
                "emw", t.name, parent_id=t.parent, kind=t.kind, ceiling_kw=t.ceiling_kw, time_zone=t.time_zone
            )
            left.remove(t)


async def serve(config: Config, *, on_ready: Callable[[Serving], Any] | None = None) -> None:
    """Serve both planes and the local control socket until SIGTERM, SIGINT or cancellation."""
    refuse_plain(config)
    async with parts_of(config) as parts, asyncio.TaskGroup() as tasks:
        headend = parts.headend
        tls.note(config, headend)
        tasks.create_task(headend.run(), name="head-end")
        await headend.ready.wait()
        await define_territories(config, headend)
        if parts.ocpp is not None:
            tasks.create_task(parts.ocpp.run(), name="ocpp")
        await forget_unknown(headend, [v.settings for v in parts.vens])
        background = [tasks.create_task(v.run(), name=f"ven {v.settings.name}") for v in parts.vens]
        if parts.vtn is not None:
            background.append(tasks.create_task(parts.vtn.run(), name="vtn"))
        servers = _servers(config, parts)
        for server, sock in servers:
            tasks.create_task(server.serve(sockets=[sock]), name="server")
        for server, _ in servers:
            await server.serving.wait()
        (stations, stations_sock), (operator, operator_sock), _, *driver = servers
        background += [
            tasks.create_task(parts.clock.watch(), name="clock"),
            tasks.create_task(watch_loop(), name="watchdog"),
            tasks.create_task(
                watch_certificates([s for s, _ in servers], functools.partial(tls.note, config, headend)),
                name="certificates",
            ),
        ]
        operator_url = config.operator.public_url or _url(operator, operator_sock)
        setup = setup_url(operator.config.app, operator_url)
        drivers_url = config.drivers.public_url or (_url(*driver[0]) if driver else None)
        if parts.drivers is not None and drivers_url is not None:
            invite(headend, parts.drivers, drivers_url)
        if on_ready is not None:
            on_ready(Serving(_url(stations, stations_sock), operator_url, setup, parts, drivers_url))
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
        for task in asyncio.all_tasks():
            if task.get_name() in {"head-end", "ocpp"}:
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
                operator_app(parts.headend, web, parts.ids, _extras(parts)),
                certificate=o.tls_certificate,
                key=o.tls_key,
            ),
            bind(*split_address(o.listen, "operator.listen"), "operator.listen"),
        ),
        (server_for(local_app(parts)), bind_local(config.data / "control.sock")),
        *driver_servers(config.drivers, parts.headend, parts.drivers),
    ]


def _extras(parts: Parts) -> Extras:
    """What the operator's plane is given beside the head-end."""
    return Extras(sign_on=parts.sign_on, write_table=write_table, drivers=parts.drivers)


def upgrade_of(parts: Parts) -> Upgrade | None:
    """Who takes the station plane's WebSockets. Loaded here: a command that serves nothing needs no socket library."""
    if parts.ocpp is None:
        return None
    from emw.stations.ocpp.socket import Doorman, hand_over  # noqa: PLC0415

    return hand_over(Doorman(parts.ocpp))


def setup_url(app: Any, base_url: str) -> str | None:
    """The one-time link with which the first administrator sets a password; None once there is one."""
    path = getattr(app, "state", {}).get("setup_path") if hasattr(app, "state") else None
    return None if path is None else base_url + path


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


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop)
