"""The one guarded client for everything that goes out: nobody can make emw call what it should not.

A URL comes from a station, an ISO or a file; any of them may lie. It must be http(s), plain ASCII, without user,
fragment or tricks in the host; its address must lie in a configured network (none by default), whatever name leads
there, and the connection goes to the very address that was checked. No redirects, no proxies of the environment,
no compressed answers, 64 KB, a deadline. Safety A6 and F12.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MOST_BYTES: Final = 65_536
MOST_URL: Final = 1_024
MOST_KEPT: Final = 200_000
NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)
"""A host name whose last label starts with a letter: numbers in disguise (0x7f.1, 2130706433, 127.1) are no names."""
PLAIN: Final = re.compile(r"[!-~]+\Z")
AUTHORITY: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]{1,5})?")
"""Host and port and nothing else: a parser that takes more (`:+80`) might read it another way than the next one."""
EMBEDDED: Final = tuple(ip_network(n) for n in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
"""IPv6 ranges that carry an IPv4 address inside: never needed here, always a disguise."""
SPECIAL: Final[dict[str, tuple[Network, ...]]] = {
    "never": tuple(
        ip_network(n)
        for n in ("0.0.0.0/8", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")
    ),
    "loopback": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    "link-local": (ip_network("169.254.0.0/16"), ip_network("fe80::/10")),
    "private": tuple(
        ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
    ),
}
METADATA: Final = tuple(ip_address(a) for a in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200"))


def our_token(key: bytes, prefix: str, *whose: str) -> str:
    """What we show to one peer when we call it: made from our key, so that nothing is kept, and nobody else's (A7).

    The peer's own parts end in the hash of its credential: a new credential makes a new token.
    """
    text = "\x00".join(whose).encode("utf-8", "surrogatepass")
    return prefix + base64.urlsafe_b64encode(hmac.digest(key, text, "sha256")[:24]).decode().rstrip("=")


class UrlRefused(Exception):
    """This URL may not be called; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a status, at most as much as was allowed (64 KB), and when to come back, s, if it said so."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class CallFailed(Exception):
    """No usable answer: refused, reset, garbage, too large."""


class CallTimedOut(CallFailed):
    """No answer by the deadline; what was asked may still have happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRules:
    """Where emw may call. An empty list of networks: nowhere."""

    networks: tuple[Network, ...] = ()
    ports: tuple[tuple[int, int], ...] = ((80, 80), (443, 443), (1024, 65_535))
    plain_http: bool = True

    @classmethod
    def of(
        cls, networks: Sequence[str], ports: Sequence[tuple[int, int]], *, plain_http: bool = True
    ) -> OutgoingRules:
        """From the texts of a configuration file. Raises ValueError for what is no network."""
        return cls(networks=tuple(ip_network(n) for n in networks), ports=tuple(ports), plain_http=plain_http)


def kind_of(where: Address | Network) -> str | None:
    """What is special about an address or a whole network; None: ordinary.

    A configured network opens special addresses only if it lies wholly among them: 0.0.0.0/0 is the public
    internet, not the loopback interface. (The standard library's own `is_private` of a network is no help here.)
    """
    first = where if isinstance(where, IPv4Address | IPv6Address) else where.network_address
    last = where if isinstance(where, IPv4Address | IPv6Address) else where.broadcast_address
    for kind, networks in SPECIAL.items():
        if any(first.version == n.version and first in n and last in n for n in networks):
            return kind
    return None


def _hides_another(address: IPv6Address) -> bool:
    """IPv4 in an IPv6 coat, or a zone of this machine."""
    compatible = address.packed[:12] == bytes(12) and not address.is_loopback and not address.is_unspecified
    return bool(
        compatible
        or address.ipv4_mapped is not None
        or address.scope_id
        or any(address in n for n in EMBEDDED)
    )


class Guard:
    """Decides which URLs and addresses may be called."""

    def __init__(self, rules: OutgoingRules) -> None:
        self._rules = rules
        self._literals: dict[str, URL] = {}

    def check(self, text: str) -> URL:
        """The URL, if its form and (for a literal) its address are allowed. Raises UrlRefused with the reason."""
        known = self._literals.get(text)
        if known is not None:
            return known
        url = self._parse(text)
        host = url.host or ""
        try:
            literal = ip_address(host)
        except ValueError:
            if not NAME.fullmatch(host.lower()):
                raise UrlRefused("its host is neither a plain address nor a plain name") from None
            if not self._rules.networks:
                raise UrlRefused(
                    "calls to the outside are switched off here (no network is configured)"
                ) from None
            return url
        self.check_address(literal)
        if len(self._literals) > MOST_KEPT:
            self._literals.clear()
        self._literals[text] = url
        return url

    def _parse(self, text: str) -> URL:
        if len(text) > MOST_URL or not PLAIN.match(text) or "\\" in text or "#" in text:
            raise UrlRefused("it must be a plain ASCII URL of at most 1,024 characters, without '\\' or '#'")
        try:
            url = URL(text, encoded=True)
            port = url.port
        except ValueError as error:
            raise UrlRefused("it is not a URL") from error
        if url.scheme not in {"http", "https"} or (url.scheme == "http" and not self._rules.plain_http):
            raise UrlRefused(
                "it must begin with https://" + (" or http://" if self._rules.plain_http else "")
            )
        authority = text.split("//", 1)[-1].split("/", 1)[0].split("?", 1)[0]
        if "@" in authority or url.user is not None or url.password is not None or "%" in authority:
            raise UrlRefused("it must not carry a user, a password or '%' in its host")
        if not AUTHORITY.fullmatch(authority):
            raise UrlRefused("it must name a plain host and, where needed, a port")
        if url.host is None or port is None or not any(a <= port <= b for a, b in self._rules.ports):
            raise UrlRefused("its port is not allowed here")
        if "?" in text:
            raise UrlRefused("it must not carry a query")
        return url

    def check_address(self, address: Address) -> None:
        """Raise UrlRefused unless the address lies in a configured network of its own kind."""
        if isinstance(address, IPv6Address) and _hides_another(address):
            raise UrlRefused("its address hides another one")
        kind = kind_of(address)
        allowed = (
            kind != "never"
            and address not in METADATA
            and any(
                address.version == n.version and address in n and (kind is None or kind_of(n) == kind)
                for n in self._rules.networks
            )
        )
        if not allowed:
            raise UrlRefused("its address lies outside the networks configured here")


class _Resolver(AbstractResolver):
    """Names to addresses, every one of them checked; the connection then goes to these and no others."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        infos = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family
        )
        found: list[ResolveResult] = []
        for got_family, _, proto, _, sockaddr in infos:
            self._guard.check_address(ip_address(str(sockaddr[0])))
            found.append(
                ResolveResult(
                    hostname=host,
                    host=str(sockaddr[0]),
                    port=port,
                    family=got_family,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        if not found:
            raise OSError(f"{host} has no address")
        return found

    async def close(self) -> None:
        return


class Outgoing:
    """Posts JSON to checked URLs. One per process; open it inside the event loop."""

    def __init__(
        self,
        rules: OutgoingRules,
        *,
        deadline_s: float = 3.0,
        connections: int = 1_000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: whom to trust and who we are, where that is not the machine's own list and nobody."""
        self.guard = Guard(rules)
        self._deadline_s = deadline_s
        self._connections = connections
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[tuple[str, str], URL] = {}

    async def __aenter__(self) -> Self:
        """Open the session."""
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self.guard),
            use_dns_cache=False,
            limit=self._connections,
            keepalive_timeout=75,
            ssl=True if self._tls is None else self._tls,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"Accept-Encoding": "identity", "User-Agent": "emw"},
            read_bufsize=MOST_BYTES,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _url(self, base_url: str, path: str) -> URL:
        """The checked URL with a path of ours; the check itself is never skipped, only the building is."""
        checked = self.guard.check(base_url)
        url = self._urls.get((base_url, path))
        if url is None:
            if len(self._urls) > MOST_KEPT:
                self._urls.clear()
            url = self._urls[base_url, path] = URL(str(checked).rstrip("/") + path, encoded=True)
        return url

    async def post(
        self,
        base_url: str,
        path: str,
        body: bytes,
        *,
        token: str | None = None,
        deadline_s: float | None = None,
    ) -> Reply:
        """Post JSON to `base_url` + `path`. Raises UrlRefused, CallTimedOut or CallFailed, nothing else."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.request("POST", base_url, path, body=body, headers=headers, deadline_s=deadline_s)

    async def request(
        self,
        method: str,
        base_url: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> Reply:
        """Call `base_url` + `path`. Raises UrlRefused, CallTimedOut or CallFailed, nothing else."""
        if self._session is None:
            raise CallFailed("the client is not open")
        url = self._url(base_url, path)
        if query:
            url = url.with_query(query)
        try:
            async with asyncio.timeout(deadline_s or self._deadline_s):
                async with self._session.request(
                    method, url, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    if 300 <= answer.status < 400:
                        raise CallFailed("it answered with a redirect")
                    if answer.headers.get("Content-Encoding", "identity") != "identity":
                        raise CallFailed("it answered with a compressed body")
                    got = await _read(answer.content, most_bytes)
                    return Reply(answer.status, got, _seconds(answer.headers.get("Retry-After")))
        except TimeoutError as error:
            raise CallTimedOut("no answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CallFailed(str(error) or type(error).__name__) from error


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; as a date it is not looked at."""
    return min(float(text), 86_400.0) if text is not None and text.isdecimal() and len(text) < 10 else None


async def _read(content: aiohttp.StreamReader, most_bytes: int) -> bytes:
    """The body, if it is no larger than it may be."""
    got = bytearray()
    async for chunk in content.iter_any():
        got += chunk
        if len(got) > most_bytes:
            raise CallFailed(f"it answered with more than {most_bytes // 1024} KB")
    return bytes(got)
