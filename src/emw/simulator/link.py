"""The station's way to its server: HTTP out, shared by all stations of a process."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from emw.simulator.serving import LIMIT_BYTES
from emw.simulator.station import Request

_DEADLINE_S: Final = 10.0


class BadAddress(ValueError):
    """A server's address that nothing can be said to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from the server."""

    status: int
    body: bytes
    retry_after_s: float | None = None

    @property
    def why_not(self) -> str | None:
        """Why the server refuses, in its own words; None: it doesn't."""
        if self.status < 400:
            return None
        try:
            problem = json.loads(self.body)
        except ValueError:
            problem = None
        told = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
        return f"{self.status}: {told or 'no reason given'}"


def open_http(deadline_s: float = _DEADLINE_S, connections: int = 200) -> aiohttp.ClientSession:
    """A client for many stations: kept-alive connections, no cookies, no proxy from the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=60.0),
        timeout=aiohttp.ClientTimeout(total=deadline_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
    )


def base_of(server_url: str) -> str:
    """What the paths of the protocol are added to. Raises BadAddress."""
    if not server_url.startswith(("http://", "https://")):
        raise BadAddress(f"{server_url!r} is no address of a server: http(s)://HOST:PORT")
    return server_url.rstrip("/")


class Link:
    """Says a station's requests to one server. Counts, for whoever watches."""

    def __init__(self, server_url: str, http: aiohttp.ClientSession) -> None:
        """`server_url` is the base, without the paths of the protocol. Raises BadAddress."""
        self.messages = 0
        self.errors = 0
        self._base = base_of(server_url)
        self._http = http
        self._urls: dict[str, URL] = {}

    async def say(self, request: Request) -> Answer | str:
        """POST one request. Text is why no answer came in time, or none that a station could read."""
        url = self._urls.get(request.path)
        if url is None:
            url = self._urls[request.path] = URL(self._base + request.path)
        headers = {"Authorization": f"Bearer {request.bearer}", "Content-Type": "application/json"}
        self.messages += 1
        try:
            async with self._http.post(
                url, data=request.body, headers=headers, allow_redirects=False
            ) as response:
                body = await _read(response)
                answer = Answer(response.status, body, _retry_after_s(response))
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError, ValueError) as error:
            self.errors += 1
            return no_answer(error)
        if answer.status >= 400:
            self.errors += 1
        return answer


def no_answer(error: Exception) -> str:
    """Why there is none, for people. The same fault has the same words."""
    return f"no answer: {str(error) or type(error).__name__}"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, as long as it is no longer than any message of the protocol."""
    parts = bytearray()
    async for chunk in response.content.iter_any():
        parts += chunk
        if len(parts) > LIMIT_BYTES:
            raise ValueError("an answer far longer than any message of the protocol")
    return bytes(parts)


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    """Seconds of a Retry-After header; the form with a date is not used between machines."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdecimal() and len(value) < 8 else None
