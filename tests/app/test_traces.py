"""A request and its commands as spans at a collector of our own, and each command as a line with its ids."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from emw.app.config import Config, ConfigError, TracesSection
from emw.app.traces import Told, traces_of
from emw.domain import facts as f
from emw.domain.model import Cause, Limit, Outcome, RequestState, Station
from emw.outgoing import OutgoingRules
from emw.service.ports import Answer
from tests.web.world import START, Obeying, stations, world


@pytest.fixture
def collector() -> Generator[tuple[str, list[Any]], None, None]:
    """A collector on loopback: its URL and the spans it was sent."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            told = ExportTraceServiceRequest.FromString(body)
            spans.extend(s for r in told.resource_spans for x in r.scope_spans for s in x.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", spans
    server.shutdown()
    thread.join(5)
    server.server_close()


class Refusing(Obeying):
    """A station that will not."""

    async def send(self, *_: Any) -> Answer:
        return Answer(Outcome.REJECTED, reason="not now")


def limit(evse_id: str, command_id: str) -> Limit:
    return Limit(
        evse_id=evse_id,
        command_id=command_id,
        max_a=10.0,
        until=START + timedelta(hours=1),
        cause=Cause.SHED,
        issued_at=START,
        request_key="ISO:R1",
    )


async def test_a_request_is_a_trace_and_its_commands_are_in_it(collector: tuple[str, list[Any]]) -> None:
    url, spans = collector
    rules = Config(traces=TracesSection(url=url)).traces_rules()
    async with world() as w:
        await stations(w, ["E1"])
        evse, station = w.headend.state.evses["E1"], w.headend.state.stations["E1"]
        async with traces_of(url, rules, w.headend) as traces:
            await w.headend.ledger.record(
                f.RequestReceived(
                    at=START, actor="iso:ISO", request_key="ISO:R1", iso_id="ISO", request_id="R1",
                    territory_id="East", kw=5.0, start_at=START + timedelta(hours=5), end_at=None,
                )
            )  # fmt: skip
            obeying, refusing = Told(Obeying(), lambda: 0.0), Told(Refusing(), lambda: 0.0)
            obeying.traces = refusing.traces = traces
            await obeying.send(station, evse, limit("E1", "co_1"), START)
            await refusing.send(station, evse, limit("E1", "co_2"), START)
            await w.headend.ledger.record(
                f.RequestMoved(at=START, actor="emw", request_key="ISO:R1", state=RequestState.CLOSED)
            )
    (request,) = [s for s in spans if s.name == "request"]
    commands = [s for s in spans if s.name == "command"]
    told = [{a.key: a.value.string_value for a in s.attributes} for s in commands]
    assert [t["emw.command"] for t in told] == ["co_1", "co_2"]
    assert [t["emw.outcome"] for t in told] == ["applied", "rejected"]
    assert {t["emw.request"] for t in told} == {"ISO:R1"}
    assert {s.trace_id for s in commands} == {request.trace_id}
    assert {s.parent_span_id for s in commands} == {request.span_id}
    assert [s.status.code for s in commands] == [0, 2]
    assert "customer" not in str(spans)


async def test_a_collector_that_is_gone_holds_nothing_up() -> None:
    async with world() as w:
        await stations(w, ["E1"])
        evse, station = w.headend.state.evses["E1"], w.headend.state.stations["E1"]
        rules = OutgoingRules.of(["127.0.0.0/8"], [(1, 65_535)])
        with structlog.testing.capture_logs() as said:
            async with traces_of("http://127.0.0.1:9", rules, w.headend) as traces:
                link = Told(Obeying(), lambda: 0.0)
                link.traces = traces
                assert (await link.send(station, evse, limit("E1", "co_1"), START)).outcome is Outcome.APPLIED
        assert "traces.lost" in {x["event"] for x in said}


async def test_each_command_is_a_line_with_its_ids() -> None:
    async with world() as w:
        await stations(w, ["E1"])
        evse = w.headend.state.evses["E1"]
        station: Station = w.headend.state.stations["E1"]
        with structlog.testing.capture_logs() as said:
            await Told(Refusing(), lambda: 0.0).send(station, evse, limit("E1", "co_7"), START)
            await Told(Obeying(), lambda: 0.0).send(station, evse, limit("E1", "co_8"), START)
        refused, obeyed = (x for x in said if x["event"] == "command.sent")
        ids = ("command_id", "station_id", "evse_id", "request_key", "outcome", "log_level")
        assert [refused[k] for k in ids] == ["co_7", "E1", "E1", "ISO:R1", "rejected", "info"]
        assert [obeyed[k] for k in ids] == ["co_8", "E1", "E1", "ISO:R1", "applied", "debug"]
        assert "customer" not in json.dumps(said, default=str)


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"traces\.url"):
        Config(traces=TracesSection(url="ftp://collector")).traces_rules()
