"""The messages that emw sends as a VEN of OpenADR 2.0b, in the order of elements that the schema wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from emw.grid.openadr2b.xml import EI, Node, ei, emix, oadr, power, pyld, scale, strm, xcal

VERSION: Final = {f"{{{EI}}}schemaVersion": "2.0b"}
OK: Final = 200
SIGNAL_NOT_SUPPORTED: Final = 460
TARGET_MISMATCH: Final = 462


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAnswer:
    """What emw says to one event. `code` 200, or why it can't be served."""

    event_id: str
    modification_number: int
    request_id: str
    opt_in: bool
    code: int = OK
    why: str = "OK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A series of numbers that emw can report, kW. `report_type` and the rest are words of the schema."""

    r_id: str
    report_type: str
    resource_id: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of a series, kW; None: nothing was measured."""

    r_id: str
    at: datetime
    kw: float | None


def when(at: datetime) -> str:
    """A time as the schema writes it: UTC, whole milliseconds at most."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span(length: timedelta) -> str:
    """A duration in whole seconds."""
    return f"PT{round(length.total_seconds())}S"


def create_party_registration(
    request_id: str, ven_name: str, *, ven_id: str | None, registration_id: str | None, signs: bool
) -> Node:
    """Here we are."""
    return oadr.oadrCreatePartyRegistration(
        pyld.requestID(request_id),
        *_some(ei.registrationID, registration_id),
        *_some(ei.venID, ven_id),
        oadr.oadrProfileName("2.0b"),
        oadr.oadrTransportName("simpleHttp"),
        oadr.oadrReportOnly("false"),
        oadr.oadrXmlSignature("true" if signs else "false"),
        oadr.oadrVenName(ven_name),
        oadr.oadrHttpPullModel("true"),
        VERSION,
    )


def canceled_party_registration(request_id: str, registration_id: str | None, ven_id: str | None) -> Node:
    """The VTN has put us out, and we know."""
    return oadr.oadrCanceledPartyRegistration(
        _response(request_id), ei.registrationID(registration_id or ""), *_some(ei.venID, ven_id), VERSION
    )


def poll(ven_id: str) -> Node:
    """Is there anything?"""
    return oadr.oadrPoll(ei.venID(ven_id), VERSION)


def request_event(request_id: str, ven_id: str) -> Node:
    """All events, please."""
    return oadr.oadrRequestEvent(pyld.eiRequestEvent(pyld.requestID(request_id), ei.venID(ven_id)), VERSION)


def created_event(ven_id: str, request_id: str, answers: Iterable[EventAnswer]) -> Node:
    """What emw does about each event."""
    return oadr.oadrCreatedEvent(
        pyld.eiCreatedEvent(
            _response(request_id),
            ei.eventResponses(
                *(
                    ei.eventResponse(
                        ei.responseCode(str(a.code)),
                        ei.responseDescription(a.why[:200]),
                        pyld.requestID(a.request_id),
                        ei.qualifiedEventID(
                            ei.eventID(a.event_id), ei.modificationNumber(str(a.modification_number))
                        ),
                        ei.optType("optIn" if a.opt_in else "optOut"),
                    )
                    for a in answers
                )
            ),
            ei.venID(ven_id),
        ),
        VERSION,
    )


def create_opt(
    ven_id: str,
    request_id: str,
    opt_id: str,
    *,
    opt_in: bool,
    event_id: str,
    modification_number: int,
    now: datetime,
) -> Node:
    """Another mind about an event that was answered before."""
    return oadr.oadrCreateOpt(
        ei.optID(opt_id),
        ei.optType("optIn" if opt_in else "optOut"),
        ei.optReason("participating" if opt_in else "notParticipating"),
        ei.venID(ven_id),
        ei.createdDateTime(when(now)),
        pyld.requestID(request_id),
        ei.qualifiedEventID(ei.eventID(event_id), ei.modificationNumber(str(modification_number))),
        ei.eiTarget(),
        VERSION,
    )


def response(request_id: str, ven_id: str | None, code: int = OK, why: str = "OK") -> Node:
    """Understood, or why not."""
    return oadr.oadrResponse(_response(request_id, code, why), *_some(ei.venID, ven_id), VERSION)


# --- reports


def register_report(
    request_id: str,
    ven_id: str,
    specifier_id: str,
    points: Sequence[Point],
    *,
    shortest: timedelta,
    longest: timedelta,
    context: str,
    now: datetime,
) -> Node:
    """The series that emw can report."""
    return oadr.oadrRegisterReport(
        pyld.requestID(request_id),
        oadr.oadrReport(
            xcal.duration(xcal.duration("PT1H")),
            *(_described(p, shortest, longest, context) for p in points),
            ei.reportRequestID("0"),
            ei.reportSpecifierID(specifier_id),
            ei.reportName("METADATA_TELEMETRY_USAGE"),
            ei.createdDateTime(when(now)),
        ),
        ei.venID(ven_id),
        VERSION,
    )


def _described(point: Point, shortest: timedelta, longest: timedelta, context: str) -> Node:
    return oadr.oadrReportDescription(
        ei.rID(point.r_id),
        ei.reportDataSource(ei.resourceID(point.resource_id)),
        ei.reportType(point.report_type),
        power.powerReal(
            power.itemDescription("RealPower"),
            power.itemUnits("W"),
            scale.siScaleCode("k"),
            power.powerAttributes(power.hertz("50"), power.voltage("230"), power.ac("true")),
        ),
        ei.readingType("Direct Read"),
        *_some(emix.marketContext, context),
        oadr.oadrSamplingRate(
            oadr.oadrMinPeriod(span(shortest)), oadr.oadrMaxPeriod(span(longest)), oadr.oadrOnChange("false")
        ),
    )


def created_report(request_id: str, ven_id: str, pending: Iterable[str]) -> Node:
    """The reports that will come from now on."""
    return oadr.oadrCreatedReport(_response(request_id), _pending(pending), ei.venID(ven_id), VERSION)


def canceled_report(request_id: str, ven_id: str, pending: Iterable[str]) -> Node:
    """The reports that still come."""
    return oadr.oadrCanceledReport(_response(request_id), _pending(pending), ei.venID(ven_id), VERSION)


def registered_report(request_id: str, ven_id: str) -> Node:
    """The VTN's own reports: emw asks for none."""
    return oadr.oadrRegisteredReport(_response(request_id), ei.venID(ven_id), VERSION)


def update_report(
    request_id: str,
    ven_id: str,
    *,
    report_id: str,
    report_request_id: str,
    specifier_id: str,
    samples: Sequence[Sample],
    length: timedelta,
    now: datetime,
) -> Node:
    """Numbers. What was not measured is said with its quality and the number 0, which stands for none."""
    return oadr.oadrUpdateReport(
        pyld.requestID(request_id),
        oadr.oadrReport(
            xcal.dtstart(getattr(xcal, "date-time")(when(min(s.at for s in samples)))),
            strm.intervals(*(_interval(s, length) for s in samples)),
            ei.eiReportID(report_id),
            ei.reportRequestID(report_request_id),
            ei.reportSpecifierID(specifier_id),
            ei.reportName("TELEMETRY_USAGE"),
            ei.createdDateTime(when(now)),
        ),
        ei.venID(ven_id),
        VERSION,
    )


def _interval(s: Sample, length: timedelta) -> Node:
    return ei.interval(
        xcal.dtstart(getattr(xcal, "date-time")(when(s.at))),
        xcal.duration(xcal.duration(span(length))),
        oadr.oadrReportPayload(
            ei.rID(s.r_id),
            ei.payloadFloat(ei.value(f"{0.0 if s.kw is None else s.kw:.3f}")),
            oadr.oadrDataQuality("No Quality - No Value" if s.kw is None else "Quality Good - Non Specific"),
        ),
    )


# --- parts


def _pending(ids: Iterable[str]) -> Node:
    return oadr.oadrPendingReports(*(ei.reportRequestID(i) for i in ids))


def _response(request_id: str, code: int = OK, why: str = "OK") -> Node:
    return ei.eiResponse(
        ei.responseCode(str(code)), ei.responseDescription(why[:200]), pyld.requestID(request_id)
    )


def _some(maker: Callable[[str], Node], text: str | None) -> list[Node]:
    return [maker(text)] if text else []
