"""What becomes of each command, for logs and for traces: a line with its ids, and a span under its request's.

It stands between the service and the stations, so neither knows of it. Spans are made by OpenTelemetry's own SDK and
encoded by its own encoder; they leave by the guarded client like everything else, in groups, and are dropped and
counted where the collector can't keep up: dispatch never waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from emw import __version__
from emw.app.config import ConfigError
from emw.domain import facts as f
from emw.domain.model import Evse, Limit, Outcome, RequestState, Station
from emw.outgoing import CallFailed, Outgoing, OutgoingRules, UrlRefused
from emw.service.headend import HeadEnd
from emw.service.ports import Answer, StationLink

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import Tracer

log = structlog.get_logger()
MOST_WAITING: Final = 20_000
MOST_REQUESTS: Final = 1_000
GROUP: Final = 500
EVERY_S: Final = 5.0
PATH: Final = "/v1/traces"


class Traces:
    """Requests and their commands as spans. Needs the extra `emw[otel]`."""

    def __init__(self, http: Outgoing, url: str) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider  # noqa: PLC0415

        waiting: deque[ReadableSpan] = deque()
        dropped = [0]

        class Keep(SpanProcessor):
            """Ended spans wait in memory for the next group."""

            def on_end(self, span: ReadableSpan) -> None:
                if len(waiting) < MOST_WAITING:
                    waiting.append(span)
                else:
                    dropped[0] += 1

        provider = TracerProvider(
            resource=Resource.create({"service.name": "emw", "service.version": __version__}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(Keep())
        self.tracer: Tracer = provider.get_tracer("emw", __version__)
        self._http, self._url, self._waiting, self._dropped = http, url, waiting, dropped
        self._requests: OrderedDict[str, Span] = OrderedDict()

    def heard(self, _: int, facts: Sequence[f.Fact]) -> None:
        """A request's span lasts from its receipt until the last EVSE is free."""
        for fact in facts:
            match fact:
                case f.RequestReceived():
                    self._begin(fact)
                case f.RequestMoved(request_key=key, state=RequestState.CLOSED | RequestState.CANCELLED):
                    self._end(key)
                case _:
                    pass

    def _begin(self, fact: f.RequestReceived) -> None:
        about: dict[str, str | float] = {
            "emw.request": fact.request_key,
            "emw.territory": fact.territory_id,
            "emw.kw": fact.kw,
        }
        span = self.tracer.start_span("request", attributes=about)
        self._requests[fact.request_key] = span  # type: ignore[assignment]  # the SDK's own kind of span
        while len(self._requests) > MOST_REQUESTS:
            self._requests.popitem(last=False)[1].end()

    def _end(self, key: str) -> None:
        span = self._requests.pop(key, None)
        if span is not None:
            span.end()

    def command(self, station: Station, evse: Evse, limit: Limit) -> Callable[[Answer], None]:
        """Begin a command's span; call what comes back with its answer."""
        from opentelemetry.trace import Status, StatusCode, set_span_in_context  # noqa: PLC0415

        parent = self._requests.get(limit.request_key or "")
        span = self.tracer.start_span(
            "command",
            context=None if parent is None else set_span_in_context(parent),
            attributes={
                "emw.command": limit.command_id,
                "emw.station": station.station_id,
                "emw.evse": evse.evse_id,
                "emw.request": limit.request_key or "",
                "emw.cause": str(limit.cause),
                "emw.limit_amps": -1.0 if limit.max_a is None else limit.max_a,
            },
        )

        def answered(answer: Answer) -> None:
            span.set_attribute("emw.outcome", str(answer.outcome))
            if answer.outcome not in {Outcome.APPLIED, Outcome.PENDING}:
                span.set_status(Status(StatusCode.ERROR, answer.reason or ""))
            span.end()

        return answered

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Send what waits. What the collector does not take is lost, and said."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415

        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            body = encode_spans(group).SerializeToString()
            headers = {"Content-Type": "application/x-protobuf"}
            try:
                told = await self._http.request("POST", self._url, PATH, body=body, headers=headers)
            except (UrlRefused, CallFailed) as error:
                log.warning("traces.lost", spans=len(group), why=str(error))
                return
            if told.status >= 300:
                log.warning("traces.lost", spans=len(group), why=f"the collector answered {told.status}")
                return
        if self._dropped[0]:
            log.warning("traces.dropped", spans=self._dropped[0])
            self._dropped[0] = 0


class Told:
    """A StationLink that says what becomes of each command: one line in the log, one span where there are traces.

    A command that is done is said at debug level (there are as many as stations), any other at info.
    """

    def __init__(self, link: StationLink, seconds: Callable[[], float]) -> None:
        self._link = link
        self._seconds = seconds
        self._log = log.bind()  # once: a command is sent in a few microseconds
        self._says_all = self._log.is_enabled_for(logging.DEBUG)
        self.traces: Traces | None = None

    async def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        """Send one command."""
        began_s = self._seconds()
        answered = None if self.traces is None else self.traces.command(station, evse, limit)
        answer = await self._link.send(station, evse, limit, now)
        if answered is not None:
            answered(answer)
        done = answer.outcome is Outcome.PENDING or answer.outcome is Outcome.APPLIED
        if done and not self._says_all:
            return answer
        (self._log.debug if done else self._log.info)(
            "command.sent",
            command_id=limit.command_id,
            station_id=station.station_id,
            evse_id=evse.evse_id,
            request_key=limit.request_key,
            limit_a=limit.max_a,
            cause=str(limit.cause),
            outcome=str(answer.outcome),
            why=answer.reason,
            seconds=round(self._seconds() - began_s, 4),
        )
        return answer

    async def greet(self, station: Station) -> None:
        """Give the station the token that our calls will carry."""
        await self._link.greet(station)


@contextlib.asynccontextmanager
async def traces_of(
    url: str | None, rules: OutgoingRules | None, headend: HeadEnd
) -> AsyncGenerator[Traces | None, None]:
    """Traces while the block lasts, and what waits at its end; None: they go nowhere."""
    if url is None or rules is None:
        yield None
        return
    async with Outgoing(rules, deadline_s=10.0, connections=2) as http:
        try:
            traces = Traces(http, url)
        except ImportError as error:
            raise ConfigError(
                "traces.url: needs the extra emw[otel]; install it or leave traces out"
            ) from error
        headend.ledger.listen(traces.heard)
        running = asyncio.create_task(traces.run(), name="traces")
        try:
            yield traces
        finally:
            running.cancel()
            await traces.flush()
