"""Real parts plugged into ports: from a configuration to a head-end that is not yet serving."""

from __future__ import annotations

import contextlib
import functools
import gc
import socket
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from emw import __version__
from emw.app.beside import Beside
from emw.app.clock import RandomIds, SystemClock
from emw.app.config import Config, ConfigError
from emw.app.lock import only_one
from emw.app.oidc_config import OidcParts
from emw.app.secrets_file import server_key
from emw.app.standby import PATIENCE_S, Waits, in_turn, key_id, same_key
from emw.app.traces import Told, traces_of
from emw.app.vens import ven_of, vtn_of
from emw.grid.iso import IsoDoors, IsoLink
from emw.grid.openadr3.settings import ROOM
from emw.grid.vtn.settings import BASE
from emw.outgoing import Outgoing
from emw.plane import App, Plane
from emw.service.dispatch import REST
from emw.service.drivers import Drivers
from emw.service.errors import Unavailable
from emw.service.headend import HeadEnd
from emw.service.ports import Loaded
from emw.stations.links import Links
from emw.stations.ocpp.central import central
from emw.stations.ocpp.doorman import PLAIN_DOORS
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.limits import OcppLink
from emw.stations.ocpp.settings import ProxySettings
from emw.stations.rest import RestLink, RestStations
from emw.store import SqlStore
from emw.store.errors import Claimed
from emw.store.reports import write as write_table
from emw.web.app import WebSettings, operator_app
from emw.web.extras import Extras

if TYPE_CHECKING:
    from emw.grid.openadr2b.ven import Ven2b
    from emw.grid.openadr3.ven import Ven
    from emw.grid.vtn.server import VtnServer
    from emw.identity.oidc import Provider
    from emw.stations.ocpp.proxy import Proxy


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
    beside: Beside = field(default_factory=Beside)


def station_plane(
    headend: HeadEnd,
    outgoing: Outgoing,
    key: bytes,
    vens: Sequence[Ven | Ven2b] = (),
    vtn: VtnServer | None = None,
    *,
    ocpp: bool = False,
) -> Plane:
    """Every door of the station plane. `key` is the server's. `ocpp`: it is spoken here."""
    doors = RestStations(headend, outgoing).doors() | IsoDoors(headend, outgoing, key).doors()
    if ocpp:
        doors |= PLAIN_DOORS
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
async def parts_of(config: Config, waits: Waits | None = None) -> AsyncGenerator[Parts, None]:
    """Open the store and wire the service; the caller runs it. Only one at a time per data folder and database.

    `waits`: where another is at work its end is waited for, and this is told why. Without it DataDirBusy or Claimed
    is raised.
    """
    settings = config.service_settings()
    rules = config.outgoing_rules()
    vtns, server = config.vtns(), config.vtn_server()
    oidc, tracing = config.oidc(), config.traces_rules()
    with contextlib.ExitStack() as folder, contextlib.ExitStack() as loading:
        await in_turn(functools.partial(_hold, folder, config), waits)
        key = server_key(config.data / "server.key")
        store = _store_of(config, patience_s=0.0 if waits is None else PATIENCE_S)
        loading.enter_context(no_collection())
        loaded = await in_turn(functools.partial(_load, store, key, spare=waits is not None), waits)
        clock, ids = _clock_of(config, loaded), RandomIds()
        deadline_s = settings.command_deadline_s
        async with Outgoing(
            rules, deadline_s=deadline_s, connections=settings.commands_in_flight
        ) as outgoing:
            link = OcppLink()
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
                host=socket.gethostname(),
                key_id=key_id(key),
            )
            headend.clock_off_s = lambda: clock.off_s
            loading.close()
            headend.dispatch.stopwatch, headend.dispatch.rest = time.perf_counter, REST
            hub = await _ocpp_of(config, headend, link, outgoing, store)
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
                plane = station_plane(headend, outgoing, key, vens, vtn, ocpp=hub is not None)
                d = config.drivers
                drivers = None if d.listen is None else Drivers(headend, key, stickers=d.stickers)
                try:
                    yield Parts(headend, outgoing, plane, clock, ids, hub, vens, sign_on, vtn, drivers)
                finally:
                    await headend.close()
                    gc.unfreeze()


def _store_of(config: Config, *, patience_s: float) -> SqlStore:
    kept = config.store
    return SqlStore(
        config.store_url(),
        telemetry_days=kept.telemetry_days,
        interval_days=kept.interval_days,
        patience_s=patience_s,
    )


def _clock_of(config: Config, loaded: Loaded) -> SystemClock:
    start = datetime.fromisoformat(config.start) if config.start else None
    clock = SystemClock(speed=config.speed, start=start)
    clock.not_before(loaded.newest_at)
    return clock


async def _ocpp_of(
    config: Config, headend: HeadEnd, link: OcppLink, outgoing: Outgoing, store: SqlStore
) -> Hub | None:
    """All stations that speak OCPP, those before another CSMS among them; None: it is not spoken here."""
    ocpp, proxy = config.ocpp_settings(), config.proxy_settings()
    if ocpp is None:
        return None
    hub = central(headend, link, SystemRandom(), ocpp)
    if proxy is not None:
        hub.proxy = await _proxy(hub, proxy, outgoing, store)
    return hub


async def _hold(folder: contextlib.ExitStack, config: Config) -> None:
    folder.enter_context(only_one(config.data))


async def _load(store: SqlStore, key: bytes, *, spare: bool) -> Loaded:
    try:
        return await store.load()
    except Claimed:
        if spare:
            with contextlib.suppress(Unavailable):  # as where the other's version has other tables
                await same_key(store, key_id(key))
        raise


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
    from emw.stations.ocpp.debt_book import DebtBook  # noqa: PLC0415
    from emw.stations.ocpp.proxy import Proxy  # noqa: PLC0415
    from emw.stations.ocpp.upstream import connect  # noqa: PLC0415

    book = DebtBook(store, hub.clock, hub.spawn)
    await book.load()
    return Proxy(hub, settings, functools.partial(connect, outgoing.guard), book)


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
    return operator_app(
        parts.headend,
        WebSettings(local=True),
        parts.ids,
        Extras(write_table=write_table, beside=parts.beside),
    )


async def define_territories(config: Config, headend: HeadEnd) -> None:
    """The territories of the configuration file are there from the first start; parents first."""
    left = list(config.territory)
    while left:
        ready = [t for t in left if t.parent is None or t.parent not in {x.name for x in left}]
        if not ready:
            raise ConfigError(f"territory: {', '.join(t.name for t in left)} lie under each other in a loop")
        for t in ready:
            await headend.admin.define_territory(
                "emw",
                t.name,
                parent_id=t.parent,
                kind=t.kind,
                ceiling_kw=t.ceiling_kw,
                ceiling_a=t.ceiling_a,
                time_zone=t.time_zone,
            )
            left.remove(t)
