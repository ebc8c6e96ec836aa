"""The grid operator's half of the grid protocol: ask for a shed, watch it, end it, and receive its reports."""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
import msgspec

from emw.simulator.link import base_of, no_answer, open_http
from emw.simulator.serving import Listener, Receive, Scope, Send, bearer_of, read_body, send_json

Json = dict[str, Any]

OVER: Final = frozenset({"closed", "cancelled"})
"""States after which a request changes no more."""

_REPORTS: Final = 1000
_LIMIT_BYTES: Final = 16 * 1024 * 1024
_WAITS_S: Final = 30.0


class IsoError(Exception):
    """The root of what can go wrong between a grid operator and the server.

    IsoError
      IsoRefused      the server said no, and why
      IsoUnreachable  no answer came, or none that could be read
    """


class IsoRefused(IsoError):
    """The server refused. `status` and `problem` (problem+json, perhaps empty) say why; `field` what to mend."""

    def __init__(self, status: int, problem: Json) -> None:
        self.status = status
        self.problem = problem
        self.field: str | None = problem.get("field")
        words = problem.get("detail") or problem.get("title") or "no reason given"
        super().__init__(f"{status}: {words}")


class IsoUnreachable(IsoError):
    """The server gave no answer that could be read; a request may be sent again with the same id."""


class IsoClient:
    """Speaks the grid protocol with one server, as one grid operator.

    Answers are the server's JSON as dicts, with the protocol's own names. A `requestID` may be sent again: it is the
    same request.
    """

    def __init__(self, server_url: str, credential: str) -> None:
        """`credential` is this operator's own, shown as a bearer token. Raises BadAddress."""
        self._base = base_of(server_url)
        self._headers = {"Authorization": f"Bearer {credential}"}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = open_http(deadline_s=_WAITS_S, connections=8)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def connected(self, access_url: str | None = None) -> Json:
        """Say that we are here, and where reports go. Answers `serverTime` and `territories`."""
        return await self._post("/iso/connected", {"accessURL": access_url})

    async def decrease(
        self,
        request_id: str,
        territory: str,
        kw: float,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        duration_minutes: float | None = None,
        respond_async: bool = False,
    ) -> Json:
        """Ask for `kw` below baseline in a territory; now, if no start is given.

        `respond_async`: do not wait for the stations, the answer is 202 at once.
        """
        body = {
            "requestID": request_id,
            "territory": territory,
            "kW": kw,
            "start": _iso(start),
            "end": _iso(end),
            "durationMinutes": duration_minutes,
        }
        return await self._post("/iso/decrease", body, {"Prefer": "respond-async"} if respond_async else {})

    async def return_to_normal(self, request_id: str) -> Json:
        """End a request before its time; its cars come back along the ramp."""
        return await self._post("/iso/returnToNormal", {"requestID": request_id})

    async def get(self, request_id: str) -> Json:
        """The request as it stands."""
        answer = await self._say("GET", f"/iso/requests/{quote(request_id, safe='')}")
        return _object(answer)

    async def list(self) -> list[Json]:
        """All requests of this operator that the server tells of."""
        items = _object(await self._say("GET", "/iso/requests")).get("requests")
        if not isinstance(items, list):
            raise IsoUnreachable("a list of requests was expected")
        return [_object(item) for item in items]

    async def follow(self, request_id: str, *, every_s: float = 1.0) -> AsyncIterator[Json]:
        """The request each time something about it changed, until it is over. A server that is away is waited for."""
        before: Json | None = None
        while True:
            request = before
            with contextlib.suppress(IsoUnreachable):
                request = await self.get(request_id)
            if request is not None and request != before:
                yield request
                before = request
                if request.get("state") in OVER:
                    return
            await asyncio.sleep(every_s)

    async def _post(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Json:
        said = {name: value for name, value in body.items() if value is not None}
        return _object(await self._say("POST", path, msgspec.json.encode(said), headers or {}))

    async def _say(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        if self._http is None:
            raise IsoUnreachable("use the client inside `async with`")
        shown = self._headers | {"Content-Type": "application/json"} | dict(headers or {})
        try:
            async with self._http.request(
                method, self._base + path, data=body, headers=shown, allow_redirects=False
            ) as response:
                raw = await _read(response)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise IsoUnreachable(f"{method} {path}: {no_answer(error)}") from error
        try:
            decoded = msgspec.json.decode(raw) if raw else {}
        except msgspec.MsgspecError as error:
            decoded = None
            if status < 300:
                raise IsoUnreachable(f"{method} {path}: {status} without JSON") from error
        if status >= 300:
            raise IsoRefused(status, decoded if isinstance(decoded, dict) else {})
        return decoded


class ReportReceiver:
    """Takes the server's reports while its `async with` lasts; iterate over it to see them as they come.

    Tell the server `url` in `connected`. At most 1,000 wait to be read; then the oldest are dropped and counted.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, access_url: str | None = None) -> None:
        """`access_url`: by which name the server reaches us, when it is not the address we listen on."""
        self.dropped = 0
        self.token: str | None = None
        """What the server's reports must show (`reportToken` of its answer to `connected`); None: anything goes."""
        self._waiting: asyncio.Queue[Json] = asyncio.Queue(_REPORTS)
        self._listener = Listener(self._app, host=host, port=port)
        self.url = access_url or self._listener.url

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._listener.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Json:
        return await self._waiting.get()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "POST" or not scope["path"].endswith("/reductionReport"):
            await send_json(send, 404, b"{}")
            return
        shown = bearer_of(scope) or ""
        if self.token is not None and not hmac.compare_digest(shown.encode(), self.token.encode()):
            await send_json(send, 401, b'{"title":"not the token told at connected","status":401}')
            return
        body = await read_body(receive)
        try:
            report = _object(msgspec.json.decode(body or b""))
        except (msgspec.MsgspecError, IsoUnreachable):
            await send_json(send, 400, b'{"title":"a report is a JSON object","status":400}')
            return
        if self._waiting.full():
            self._waiting.get_nowait()
            self.dropped += 1
        self._waiting.put_nowait(report)
        await send_json(send, 200, b"{}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for chunk in response.content.iter_any():
        parts += chunk
        if len(parts) > _LIMIT_BYTES:
            raise IsoUnreachable("an answer longer than any request could be")
    return bytes(parts)


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise IsoUnreachable("a JSON object was expected")
    return value


def _iso(at: datetime | None) -> str | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no offset: the grid's times always say which")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
