"""The short way for what stations send most: asked in one piece, answered at once, with nothing in between.

A task, a scope and two channels per request cost more than all that a heartbeat asks of emw. So where a request has
arrived as a whole, at a door that answers at once, on a connection that owes no other answer, the door is asked here
and now. Everything else goes the ordinary way, also a request that began like one of these.
"""

from __future__ import annotations

from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, ClassVar, cast

from emw.app.guarded import Corked, GuardedHttp
from emw.plane import JSON_HEADERS, UNDER_WAY, Answered, Headers, Plane


class Usual:
    """How an answer with status 200 begins: made once a second, when the date in it changes."""

    __slots__ = ("_begins", "_lines")

    def __init__(self) -> None:
        self._lines: Headers = []
        self._begins = b""

    def begins(self, lines: Headers) -> bytes:
        """Status, `lines` and the headers of JSON, up to the length. Uvicorn makes another list for another date."""
        if lines is not self._lines:
            self._lines, self._begins = lines, _begins(HTTPStatus.OK, lines, JSON_HEADERS)
        return self._begins


def _begins(status: int, lines: Headers, headers: Headers) -> bytes:
    told = b"".join(b"%b: %b\r\n" % line for line in (*lines, *headers))
    return b"HTTP/1.1 %d %b\r\n%bcontent-length: " % (status, HTTPStatus(status).phrase.encode(), told)


class StraightHttp(GuardedHttp):
    """Asks a plane's doors without ASGI, where that can be done."""

    plane: ClassVar[Plane]
    usual: ClassVar[Usual]
    _whole: bytes | None = None
    """What is here of the body of a request that goes the short way; None: there is none."""

    def data_received(self, data: bytes) -> None:
        """Read on. A request that is not whole by the end of this piece goes the ordinary way."""
        super().data_received(data)
        self._ordinary_if_begun()
        cast("Corked", self.transport).let_go()

    def on_message_begin(self) -> None:
        """A new request's head. Nobody knows yet which way it goes."""
        self._await_head()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """The head is whole: which way?"""
        cycle, parser = cast("Any", self.cycle), self.parser
        if (
            self.url in self.plane.at_once
            and parser.get_method() == b"POST"
            and (cycle is None or cycle.response_complete)
            and parser.should_keep_alive()
            and not (self.expect_100_continue or parser.should_upgrade() or self.flow.write_paused)
        ):
            self._await_body()
            self._whole = b""
        else:
            self._ordinary()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._whole is None:
            super().on_body(body)
        else:
            self._whole += body

    def on_message_complete(self) -> None:
        """The request is whole: ask the door."""
        body, self._whole = self._whole, None
        if body is None:
            super().on_message_complete()
            return
        plane = self.plane
        told = plane.ask(plane.at_once[self.url], self.headers, self.client, self._names, body)
        if isinstance(told, tuple):
            self.server_state.total_requests += 1
            cast("Corked", self.transport).hold(self._written(told))
            self._wait_for_next()
        else:
            self._ordinary(told)
            super().on_message_complete()

    def _written(self, answered: Answered) -> bytes:
        status, headers, body = answered
        lines = self.server_state.default_headers
        usual = headers is JSON_HEADERS and status == HTTPStatus.OK
        begins = self.usual.begins(lines) if usual else _begins(status, lines, headers)
        return b"%b%d\r\n\r\n%b" % (begins, len(body), body)

    def _refuse(self) -> None:
        self._ordinary_if_begun()
        super()._refuse()

    def _ordinary_if_begun(self) -> None:
        if self._whole is not None:
            self._ordinary()

    def _ordinary(self, under_way: Coroutine[Any, Any, Any] | None = None) -> None:
        """Go on with this request by ASGI, as if it had never gone another way."""
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        self._begin_scope()
        self.url, self.expect_100_continue = url, expect
        self.headers += headers
        if under_way is not None:
            cast("dict[str, Any]", self.scope)[UNDER_WAY] = under_way
        super().on_headers_complete()
        body, self._whole = self._whole, None
        if body:
            super().on_body(body)
