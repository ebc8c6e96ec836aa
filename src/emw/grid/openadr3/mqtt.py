"""Wake-ups by the MQTT broker of a VTN (3.1): found by `/notifiers`, listened to, never believed. Needs `emw[mqtt]`.

The broker must lie where this VTN's guard lets emw call, and is connected to at the very address that was checked,
by TLS under its name. Any message is a reason to look; the truth is the next complete listing.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from random import Random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import structlog

from emw.grid.openadr3.client import Trouble, VtnClient, VtnFailed
from emw.grid.openadr3.notices import Notice, notice_of
from emw.grid.openadr3.settings import VtnSettings
from emw.outgoing import Guard, UrlRefused
from emw.service.ports import Clock

if TYPE_CHECKING:
    import aiomqtt

log = structlog.get_logger()
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
FIRST_RETRY_S: Final = 2.0
LONGEST_RETRY_S: Final = 600.0
DEADLINE_S: Final = 10.0
MOST_TOPICS: Final = 200
CLIENT_ID: Final = "{clientID}"


class NoBroker(Exception):
    """There is no broker to listen to; the text says why."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker as the VTN names it. `username` None: it lets anybody in."""

    host: str
    port: int
    tls: bool
    username: str | None = None


class _Named(ssl.SSLContext):
    """Checks certificates for the broker's name, though the connection goes to an address."""

    name: str = ""

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **{**kwargs, "server_hostname": self.name})


def broker_of(told: Any, client_id: str | None) -> Broker:
    """The first broker of a `/notifiers` answer that emw can use. Raises NoBroker."""
    binding = told.get("MQTT") if isinstance(told, dict) else None
    if not isinstance(binding, dict):
        raise NoBroker("the VTN has no MQTT broker")
    way = binding.get("authentication")
    method = way.get("method") if isinstance(way, dict) else None
    username: str | None = None
    if method == "OAUTH2_BEARER_TOKEN":
        username = str(way["username"] if isinstance(way, dict) and way.get("username") else CLIENT_ID)
        username = client_id or "" if username == CLIENT_ID else username
    elif method != "ANONYMOUS":
        raise NoBroker(f"the broker wants {method}: emw has ANONYMOUS and OAUTH2_BEARER_TOKEN")
    uris = binding.get("URIS")
    for uri in uris if isinstance(uris, list) else ():
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            parts = urlsplit(uri)
            if parts.scheme in PORTS and parts.hostname:
                port = parts.port or PORTS[parts.scheme]
                return Broker(parts.hostname, port, parts.scheme == "mqtts", username)
    raise NoBroker(f"the VTN names no broker by mqtt:// or mqtts:// ({uris!r})"[:200])


class MqttWake:
    """Listens to one VTN's broker. `run` until cancelled."""

    def __init__(
        self,
        settings: VtnSettings,
        client: VtnClient,
        guard: Guard,
        clock: Clock,
        chance: Random,
        programs: Callable[[], Iterable[str]],
        told: Callable[[Notice], None],
        said: Callable[[str | None], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`told` hears each message. `said`: why it is not listened to; None: it is."""
        self._settings = settings
        self._client = client
        self._guard = guard
        self._clock = clock
        self._chance = chance
        self._programs = programs
        self._told = told
        self._said = said

    async def run(self) -> None:
        """Listen, and come back after every loss, until cancelled."""
        failed = 0
        while True:
            began = self._clock.now()
            try:
                why = await self._listen()
            except VtnFailed as error:
                why = error.why
            except NoBroker as error:
                why = str(error)
            failed = 0 if (self._clock.now() - began).total_seconds() > LONGEST_RETRY_S else failed + 1
            self._said(why)
            log.warning("ven.mqtt_lost", vtn=self._settings.name, why=why)
            pause_s = (
                min(FIRST_RETRY_S * 2 ** min(failed - 1, 10), LONGEST_RETRY_S) if failed else FIRST_RETRY_S
            )
            await self._clock.sleep(pause_s * self._chance.uniform(0.5, 1.0))

    async def _listen(self) -> str:
        """Until it breaks; why it did."""
        try:
            import aiomqtt  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise NoBroker("MQTT needs the extra: pip install 'emw[mqtt]'") from error
        broker = broker_of(await self._client.fetch("/notifiers"), self._settings.client_id)
        topics = await self._topics()
        if not topics:
            raise NoBroker("the VTN names no topics of events")
        address = await self._address(broker)
        try:
            async with self._connected(aiomqtt, broker, address, await self._password(broker)) as connection:
                for topic in topics:
                    await connection.subscribe(topic, qos=1)
                self._said(None)
                self._told(Notice())  # what happened while nobody listened
                async for message in connection.messages:
                    self._told(notice_of(message.payload))
        except aiomqtt.MqttError as error:
            return f"the broker {broker.host}: {error}"
        except (OSError, ValueError) as error:
            return f"the broker {broker.host}: {error}"
        return f"the broker {broker.host} closed"

    def _connected(self, library: Any, broker: Broker, address: str, password: str | None) -> aiomqtt.Client:
        tls: _Named | None = None
        if broker.tls:
            tls = _Named(ssl.PROTOCOL_TLS_CLIENT)
            tls.name = broker.host
            tls.minimum_version = ssl.TLSVersion.TLSv1_2
            if self._settings.ca_file is None:
                tls.load_default_certs()
            else:
                tls.load_verify_locations(self._settings.ca_file)
        client: aiomqtt.Client = library.Client(
            address,
            broker.port,
            username=broker.username,
            password=password,
            timeout=DEADLINE_S,
            keepalive=60,
            tls_context=tls,
            max_queued_incoming_messages=100,
        )
        return client

    async def _password(self, broker: Broker) -> str | None:
        return None if broker.username is None else await self._client.token()

    async def _address(self, broker: Broker) -> str:
        """The broker's address, checked by this VTN's guard. Raises NoBroker."""
        host = f"[{broker.host}]" if ":" in broker.host else broker.host
        try:
            self._guard.check(f"{'https' if broker.tls else 'http'}://{host}:{broker.port}")
            infos = await asyncio.get_running_loop().getaddrinfo(broker.host, broker.port)
            for *_, target in infos:
                self._guard.check_address(ip_address(str(target[0])))
        except UrlRefused as error:
            raise NoBroker(f"emw may not call the broker {broker.host}: {error}") from error
        except OSError as error:
            raise NoBroker(f"the broker {broker.host} has no address: {error}") from error
        return str(infos[0][-1][0])

    async def _topics(self) -> list[str]:
        """The topics of events and programs that this VTN lets us have: all, or those of each program."""
        paths = ["/notifiers/mqtt/topics/events", "/notifiers/mqtt/topics/programs"]
        paths += [f"/notifiers/mqtt/topics/programs/{quote(p, safe='')}/events" for p in self._programs()]
        found: dict[str, None] = {}
        for path in paths[:MOST_TOPICS]:
            try:
                told = await self._client.fetch(path)
            except VtnFailed as error:
                if error.trouble in {Trouble.NOT_FOUND, Trouble.FORBIDDEN, Trouble.BAD_REQUEST}:
                    continue
                raise
            found.update(dict.fromkeys(_named(told)))
        return list(found)[:MOST_TOPICS]


def _named(told: Any) -> Iterator[str]:
    """Topics as told: each operation's own, for some servers never publish on the one they call ALL."""
    topics = told.get("topics") if isinstance(told, dict) else None
    for topic in topics.values() if isinstance(topics, dict) else ():
        if isinstance(topic, str) and 0 < len(topic) < 1_024:
            yield topic
