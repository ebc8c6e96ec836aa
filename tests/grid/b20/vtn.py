"""A VTN of OpenADR 2.0b in memory: written and read by `openleadr`'s templates, schema and parser, not by ours.

What emw sends is checked against the official schema on its way in, in every story.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from openleadr import objects
from openleadr.messaging import create_message, parse_message, validate_xml_schema

from emw.outgoing import CallFailed, Reply

VEN: Final = "ven-1"
HOUR: Final = timedelta(hours=1)
KW_UNIT: Final = {"name": "powerReal", "description": "RealPower", "unit": "W", "scale": "k"}


def signal(
    values: Sequence[tuple[timedelta, float]],
    *,
    name: str = "LOAD_DISPATCH",
    kind: str = "delta",
    unit: Mapping[str, str] | None = KW_UNIT,
) -> dict[str, Any]:
    """One signal: how long which value."""
    measured = None
    if unit is not None:
        measured = {**unit, "ns": "power", "power_attributes": {"hertz": 50, "voltage": 230, "ac": True}}
    return {
        "intervals": [{"duration": d, "signal_payload": v, "uid": i} for i, (d, v) in enumerate(values)],
        "signal_name": name,
        "signal_type": kind,
        "signal_id": "s1",
        "measurement": measured,
    }


class Vtn2b:
    """Its events as openleadr has them, and what the VEN said."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.news = False
        self.poll_s = 30
        self.queue: list[tuple[str, dict[str, Any]]] = []
        """Messages that ride on the next polls."""
        self.report_requests: list[Any] = []
        """Asked for when the VEN registers its reports."""
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.down = False
        self.forgot = False
        self.refuses = False
        self.no_opts = False
        """It has no service EiOpt."""
        self.garbage: bytes | None = None

    # --- business

    def event(
        self,
        event_id: str,
        start: datetime,
        signals: Sequence[dict[str, Any]],
        *,
        length: timedelta | None = None,
        **descriptor: Any,
    ) -> None:
        """Publish an event, or another version of it."""
        targets = descriptor.pop("targets", [{"ven_id": VEN}])
        tolerance = descriptor.pop("start_after", None)
        required = descriptor.pop("response_required", "always")
        known = self.events.get(event_id)
        version = known["event_descriptor"]["modification_number"] + 1 if known else 0
        if length is None:
            length = sum((i["duration"] for i in signals[0]["intervals"]), timedelta(0))
        self.events[event_id] = {
            "event_descriptor": {
                "event_id": event_id,
                "modification_number": version,
                "market_context": "http://market.example/dr",
                "event_status": "far",
                "created_date_time": start,
                "priority": 0,
                "test_event": False,
                **descriptor,
            },
            "active_period": {
                "dtstart": start,
                "duration": length,
                "tolerance": None if tolerance is None else {"startafter": tolerance},
            },
            "event_signals": list(signals),
            "targets": targets,
            "response_required": required,
        }
        self.news = True

    def cancel(self, event_id: str) -> None:
        """Take an event back, as 2.0b does."""
        descriptor = self.events[event_id]["event_descriptor"]
        descriptor["event_status"] = "cancelled"
        descriptor["modification_number"] += 1
        self.news = True

    def ask_report(self, r_ids: Sequence[str], every: timedelta, back: timedelta, name: str = "rr1") -> Any:
        """A report request."""
        return objects.ReportRequest(
            report_request_id=name,
            report_specifier=objects.ReportSpecifier(
                report_specifier_id="emw-telemetry",
                granularity=every,
                report_back_duration=back,
                specifier_payloads=[
                    objects.SpecifierPayload(r_id=r, reading_type="Direct Read") for r in r_ids
                ],
            ),
        )

    def said(self, kind: str) -> list[dict[str, Any]]:
        """What the VEN said in messages of one kind."""
        return [body for name, body in self.heard if name == kind]

    def opts(self) -> list[tuple[str, int, str]]:
        """Every answer to an event."""
        return [
            (str(r["event_id"]), r["modification_number"], r["opt_type"])
            for body in self.said("oadrCreatedEvent")
            for r in body["event_responses"]
        ]

    # --- the wire

    async def request(self, method: str, base_url: str, path: str = "", **_: Any) -> Reply:
        """The port that `Outgoing` is in the field."""
        if self.down:
            raise CallFailed("connection refused")
        if self.garbage is not None:
            return Reply(200, self.garbage)
        if self.no_opts and path == "/EiOpt":
            return Reply(404, b"404: Not Found")
        body = _["body"]
        validate_xml_schema(body)
        kind, payload = parse_message(body)
        assert f"/{_service(kind)}" == path
        self.heard.append((kind, payload))
        name, said = self._answer(kind, payload)
        if name == "":
            return Reply(200, b"")
        return Reply(200, create_message(name, **said).encode())

    def _answer(self, kind: str, payload: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        ok = {
            "response_code": 200,
            "response_description": "OK",
            "request_id": payload.get("request_id") or "0",
        }
        common = {"response": ok, "ven_id": VEN, "vtn_id": "VTN", "request_id": "rq"}
        if kind == "oadrCreatePartyRegistration":
            self.forgot = False
            named = {} if self.refuses else {"registration_id": "reg-1"}
            return "oadrCreatedPartyRegistration", {
                **common,
                **named,
                "ven_id": None if self.refuses else VEN,
                "profiles": [{"profile_name": "2.0b", "transports": [{"transport_name": "simpleHttp"}]}],
                "requested_oadr_poll_freq": timedelta(seconds=self.poll_s),
            }
        if self.forgot and kind == "oadrPoll":
            return "oadrRequestReregistration", {"ven_id": VEN}
        if kind == "oadrRegisterReport":
            return "oadrRegisteredReport", {
                **common,
                "report_requests": [asdict(r) for r in self.report_requests],
            }
        if kind == "oadrRequestEvent" or (kind == "oadrPoll" and self.news):
            self.news = False
            return "oadrDistributeEvent", {**common, "events": list(self.events.values())}
        if kind == "oadrPoll" and self.queue:
            name, said = self.queue.pop(0)
            return name, {**common, **said}
        if kind == "oadrUpdateReport":
            return "oadrUpdatedReport", common
        if kind == "oadrCreateOpt":
            return "oadrCreatedOpt", {**common, "opt_id": payload["opt_id"]}
        if kind == "oadrResponse":
            return "", {}
        return "oadrResponse", common


def _service(kind: str) -> str:
    if "Registration" in kind or "Reregistration" in kind or kind == "oadrResponse":
        return "EiRegisterParty"
    if "Event" in kind:
        return "EiEvent"
    if "Opt" in kind:
        return "EiOpt"
    return "OadrPoll" if kind == "oadrPoll" else "EiReport"
