"""Uvicorn's HTTP as all planes use it: bounds on what is sent, and a clock on requests that never end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, ClassVar, NoReturn, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from emw.plane import NAMES, names_of

HEAD_DEADLINE_S = 15.0
BODY_DEADLINE_S = 10.0
NEXT_DEADLINE_S = 75.0
"""How long a connection may stay without a request: more than a heartbeat's interval."""
MOST_HEADER_BYTES = 32_768
MOST_HEADERS = 100
MOST_WAITING_BYTES = 65_536
READ_DEADLINE_S = 30.0
"""How long a peer may leave its answers unread once no more of them can be sent."""
MOST_WAITING_REQUESTS = 64
"""Requests sent ahead on one connection, while earlier ones are not answered yet."""
NOT_OURS = (b"upgrade", b"http2-settings")


def _refusal(status: int, title: str, detail: str) -> bytes:
    """A whole answer for a request that never gets as far as the application."""
    body = f'{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}'
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/problem+json\r\n"
        f"x-content-type-options: nosniff\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    ).encode()


LATE = _refusal(408, "Bad input", "the body did not arrive in time")
MALFORMED = _refusal(400, "Bad input", "this is not HTTP/1.1 as RFC 9112 has it")
NO_HOST = _refusal(400, "Bad input", "a request needs one Host header")
TOO_MANY = _refusal(
    429,
    "Too many requests",
    f"{MOST_WAITING_REQUESTS} may be sent ahead on one connection; these were not read",
)
LARGE_HEAD = _refusal(
    431, "Too large", f"a head may have {MOST_HEADERS} lines, {MOST_HEADER_BYTES} bytes in all"
)


class Corked:
    """A transport that sends what was written in one turn of the loop at once, when the loop turns.

    Uvicorn writes head and body of an answer apart, and each write wakes the peer. Here an answer is one packet, and
    the answers of all requests that came together go out together.
    """

    __slots__ = ("_loop", "_transport", "_waiting")

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting = b""

    def write(self, data: bytes) -> None:
        """Write when the loop turns, or now where it is much: the transport then slows its writer down."""
        if not self._waiting:
            self._loop.call_soon(self.let_go)
        self._waiting += data
        if len(self._waiting) > MOST_WAITING_BYTES:
            self.let_go()

    def close(self) -> None:
        """Write what waits, then close."""
        self.let_go()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return bool(self._transport.is_closing())

    def bare(self) -> Any:
        """The transport itself, with everything written that waited."""
        self.let_go()
        return self._transport

    def hold(self, data: bytes) -> None:
        """Write when `let_go` is called, which whoever holds has to do, or now where it is much."""
        self._waiting += data
        if len(self._waiting) > MOST_WAITING_BYTES:
            self.let_go()

    def let_go(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, b""
        if waiting and not self._transport.is_closing():
            self._transport.write(waiting)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    NEXT = auto()


class GuardedHttp(HttpToolsProtocol):
    """Cuts off heads that come too slowly or are too large, and bodies that do not come (fault F19).

    Timers armed and stopped for each request cost as much as all that a heartbeat asks of emw. Here a connection only
    notes by when it must have gone on, and the server looks at all of them twice a second.
    """

    upgrade: ClassVar[Any] = None
    """Who takes over connections that become WebSockets; None: nobody."""
    _last_words: bytes | None = None
    """What is said once all answers that are owed are given, before hanging up; None: it goes on."""

    def data_received(self, data: bytes) -> None:
        """Read on. What can't be read is answered as everything else is, and ends the connection."""
        if self._last_words is not None:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as wanted:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._read_as_plain(data[wanted.args[0] :])
        except httptools.HttpParserError:
            self._refuse()

    def _read_as_plain(self, rest: bytes) -> None:
        """Who may speak another protocol may go on in this one: some clients offer HTTP/2 on each first request.

        The parser reads no body behind such an offer, so the same request is read again without it.
        """
        if self.parser.get_method() == b"CONNECT":
            self._refuse()
            return
        head = self._head([(n, v) for n, v in self.headers if n not in NOT_OURS])
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _head(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head of the request as it was read, with these headers."""
        lines = [b"%b: %b\r\n" % line for line in headers]
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(lines))

    def _refuse(self) -> None:
        """Say what is wrong and hang up; first those answers that are owed, for what they are about has been done."""
        cycle: Any = self.cycle  # None before the first request
        nothing_owed = cycle is None or cycle.response_complete
        if self._phase is Phase.BODY and self.pipeline:
            self.pipeline.popleft()  # the one that broke off
        elif nothing_owed or self._phase is Phase.BODY:
            if nothing_owed or not cycle.response_started:
                self.transport.write(self._why)
            self._cut()
            return
        self._last_words = self._why
        self._due = math.inf
        self.flow.pause_reading()

    def _should_upgrade_to_ws(self) -> bool:
        return self.upgrade is not None

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, as if its new owner had read the request itself.

        Of the options of this hop the upgrade alone is left: the new owner reads no lists of them, though they are
        usual (`keep-alive, Upgrade`; RFC 6455, 4.2.1).
        """
        others = [line for line in self.headers if line[0] != b"connection"]
        head = self._head([*others, (b"connection", b"Upgrade")])
        self.connections.discard(self)
        self._due = math.inf
        if self.upgrade is not None and not self.transport.is_closing():
            self.upgrade(cast("Corked", self.transport).bare(), head)

    def connection_made(self, transport: Any) -> None:
        """A connection: its first request's head has a deadline."""
        super().connection_made(cast("asyncio.Transport", Corked(transport, self.loop)))
        self._read_by = math.inf
        self._names = names_of(transport.get_extra_info("peercert"))
        self._head_bytes = self._hosts = 0
        self._why = MALFORMED
        self._phase = Phase.HEAD
        self._due = self.loop.time() + HEAD_DEADLINE_S

    def on_message_begin(self) -> None:
        """A new request's head."""
        self._await_head()
        self._begin_scope()

    def _await_head(self) -> None:
        self._head_bytes = self._hosts = 0
        self._phase = Phase.HEAD
        self._due = self.loop.time() + HEAD_DEADLINE_S

    def _begin_scope(self) -> None:
        super().on_message_begin()
        if self._names:
            cast("dict[str, Any]", self.scope)[NAMES] = self._names

    def on_url(self, url: bytes) -> None:
        """The path counts as head."""
        self._head_bytes += len(url)
        if self._head_bytes > MOST_HEADER_BYTES:
            self._too_large()
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line. Hot, so it is uvicorn's own two lines and ours at one go."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MOST_HEADER_BYTES or len(self.headers) > MOST_HEADERS:
            self._too_large()
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole: the body has a deadline of its own."""
        if self.parser.should_upgrade() and not self._should_upgrade():
            return  # it is read again, as a plain request
        self._await_body()
        super().on_headers_complete()
        if len(self.pipeline) > MOST_WAITING_REQUESTS:
            self._why = TOO_MANY
            raise ValueError("more requests at once than one connection may send")

    def _await_body(self) -> None:
        if (version := self.parser.get_http_version()) not in {"1.0", "1.1"}:
            raise ValueError("another version of HTTP")
        if self._hosts != 1 and (self._hosts or version == "1.1"):  # RFC 9112, 3.2
            self._why = NO_HOST
            raise ValueError("no host, or two")
        self._phase = Phase.BODY
        self._due = self.loop.time() + BODY_DEADLINE_S

    def on_message_complete(self) -> None:
        """The request is whole: how long its answer takes is the application's business."""
        if self.parser.should_upgrade():
            return
        if self.cycle.response_complete:
            self._wait_for_next()
        else:
            self._phase = Phase.ANSWER
            self._due = math.inf
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on as uvicorn does, but without its timer for connections that stay idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            # Nothing more is read before all that was sent ahead is answered: who asks faster than that has to wait.
            self._start_asgi_task(*self.pipeline.pop())
            return
        if self._last_words is not None:
            self.transport.write(self._last_words)
            self._cut()
            return
        self.flow.resume_reading()
        if self._phase is Phase.ANSWER:
            self._wait_for_next()

    def look(self, now: float) -> None:
        """End what is overdue, with an answer where this request is the one to be answered next."""
        if not self.flow.write_paused:
            self._read_by = math.inf
        elif self._read_by == math.inf:
            self._read_by = now + READ_DEADLINE_S
        elif now >= self._read_by:
            self.transport.abort()  # a close would wait for what nobody reads
            return
        if now < self._due:
            return
        if self._phase is Phase.BODY and not self.pipeline and not self.cycle.response_started:
            self.transport.write(LATE)
        self._cut()

    def _wait_for_next(self) -> None:
        self._phase = Phase.NEXT
        self._due = self.loop.time() + NEXT_DEADLINE_S

    def _too_large(self) -> NoReturn:
        self._why = LARGE_HEAD
        raise ValueError("the head of this request is too large")

    def _cut(self) -> None:
        self._due = math.inf
        if not self.transport.is_closing():
            self.transport.close()
