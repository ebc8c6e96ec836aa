"""The request bodies of OpenADR 3.1.0, as its OpenAPI file has them: strict in what is said, tolerant in how.

What is required is required, and every bound of the file is kept, so that whatever is stored is valid when it is told
again. Taken besides: `null` for what is not said, fields that no version knows (dropped), and times as real clients
write them (a blank for `T`, no offset, a day without a time), which are told again as RFC 3339.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from emw.domain.vtn import VtnKind
from emw.grid.openadr3.times import INSTANT

ObjectId = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+\Z", max_length=128)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Url = Annotated[
    str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f]+\Z", min_length=2, max_length=8000)
]
Duration = Annotated[
    str,
    Meta(
        pattern=r"^-?P(?=\d|T\d)(?:\d+Y)?(?:\d+M)?(?:\d+[DW])?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?\Z"
    ),
]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Priority = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Targets = list[Name]
NOW: Final = "0001-01-01T00:00:00Z"
RFC3339: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt](?P<hour>[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)


def rfc3339(text: str) -> str:
    """A time as RFC 3339 wants it, whatever a client wrote. Raises ValueError for what is no time."""
    text = text.strip()
    match = RFC3339.fullmatch(text)
    if match is not None:
        try:
            datetime.fromisoformat(match["day"])
        except ValueError:
            raise ValueError(f"{text!r} is no day of the calendar") from None
        return text
    loose = INSTANT.fullmatch(text)
    if loose is None:
        raise ValueError(f"{text!r} is no date and time: write it like 2026-07-01T17:00:00Z")
    if loose["day"] in {"0001-01-01", "0000-00-00"}:
        return NOW
    try:
        at = datetime.fromisoformat(
            f"{loose['day']}T{loose['time'] or '00:00'}{loose['zone'] or '+00:00'}".upper()
        )
        told = at.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no date and time: write it like 2026-07-01T17:00:00Z") from None
    return told.replace("+00:00", "Z")


class Body(Struct, omit_defaults=True):
    """What all have in common: what was not said is not told."""


class Period(Body):
    """`intervalPeriod`."""

    start: str | None = None
    duration: Duration | None = None
    randomizeStart: Duration | None = None

    def __post_init__(self) -> None:
        """Times in one form."""
        if self.start is not None:
            self.start = rfc3339(self.start)


class Point(Struct):
    """A pair of numbers. Both are always told."""

    x: float
    y: float


class Values(Struct):
    """`valuesMap`."""

    type: Name
    values: list[float | int | str | bool | Point]


class Interval(Struct, omit_defaults=True):
    """A slice of an event or a report."""

    id: Int32
    payloads: list[Values]
    intervalPeriod: Period | None = None


class EventDescriptor(Body, tag_field="objectType", tag="EVENT_PAYLOAD_DESCRIPTOR", kw_only=True):
    """`eventPayloadDescriptor`."""

    payloadType: Name
    units: Name | None = None
    currency: str | None = None


class ReportPayloadDescriptor(Body, tag_field="objectType", tag="REPORT_PAYLOAD_DESCRIPTOR", kw_only=True):
    """`reportPayloadDescriptor`."""

    payloadType: Name
    readingType: Name | None = None
    units: Name | None = None
    accuracy: float | None = None
    confidence: Annotated[int, Meta(ge=0, le=100)] | None = None


class OnlyEventDescriptor(Body, kw_only=True):
    """`eventPayloadDescriptor`, where no other may stand."""

    objectType: Literal["EVENT_PAYLOAD_DESCRIPTOR"]
    payloadType: Name
    units: Name | None = None
    currency: str | None = None


class OnlyReportDescriptor(Body, kw_only=True):
    """`reportPayloadDescriptor`, where no other may stand."""

    objectType: Literal["REPORT_PAYLOAD_DESCRIPTOR"]
    payloadType: Name
    readingType: Name | None = None
    units: Name | None = None
    accuracy: float | None = None
    confidence: Annotated[int, Meta(ge=0, le=100)] | None = None


class Asked(Body, kw_only=True):
    """`reportDescriptor`: a report that is wanted."""

    payloadType: Name
    readingType: Name | None = None
    units: Name | None = None
    targets: Targets | None = None
    aggregate: bool | None = None
    startInterval: Int32 | None = None
    numIntervals: Int32 | None = None
    historical: bool | None = None
    frequency: Int32 | None = None
    repeat: Int32 | None = None
    reportIntervals: Literal["INTERVALS", "SUB_INTERVALS", "OPEN_INTERVALS"] | None = None


class Description(Struct):
    """An item of `programDescriptions`."""

    URL: Url


class ProgramIn(Body, kw_only=True):
    """`programRequest`."""

    programName: Name
    intervalPeriod: Period | None = None
    programDescriptions: list[Description] | None = None
    payloadDescriptors: list[EventDescriptor | ReportPayloadDescriptor] | None = None
    attributes: list[Values] | None = None
    targets: Targets | None = None


class EventIn(Body, kw_only=True):
    """`eventRequest`."""

    programID: ObjectId
    eventName: str | None = None
    duration: Duration | None = None
    priority: Priority | None = None
    targets: Targets | None = None
    reportDescriptors: list[Asked] | None = None
    payloadDescriptors: list[OnlyEventDescriptor] | None = None
    intervalPeriod: Period | None = None
    intervals: list[Interval] | None = None


class ReportResource(Struct, omit_defaults=True, kw_only=True):
    """What a report says of one resource."""

    resourceName: Name
    intervalPeriod: Period | None = None
    intervals: list[Interval]


class ReportIn(Body, kw_only=True):
    """`reportRequest`."""

    eventID: ObjectId
    clientName: Name
    reportName: str | None = None
    payloadDescriptors: list[OnlyReportDescriptor] | None = None
    resources: list[ReportResource]


class Operation(Struct, omit_defaults=True, kw_only=True):
    """What to be told of, and where."""

    objects: list[Literal["PROGRAM", "EVENT", "REPORT", "SUBSCRIPTION", "VEN", "RESOURCE"]]
    operations: list[Literal["READ", "CREATE", "UPDATE", "DELETE"]]
    callbackUrl: Url
    bearerToken: str | None = None

    def __post_init__(self) -> None:
        """A token that could break out of its header is none."""
        token = self.bearerToken
        if token is not None and not re.fullmatch(r"[!-~]{1,4096}", token):
            raise ValueError("bearerToken: use 1 to 4,096 visible ASCII characters")


class SubscriptionIn(Body, kw_only=True):
    """`subscriptionRequest`."""

    clientName: Name
    programID: ObjectId | None = None
    objectOperations: Annotated[list[Operation], Meta(max_length=20)]
    targets: Targets | None = None


class BlVenIn(Body, tag_field="objectType", tag="BL_VEN_REQUEST", kw_only=True):
    """`BlVenRequest`."""

    clientID: Name
    venName: Name
    targets: Targets | None = None
    attributes: list[Values] | None = None


class VenVenIn(Body, tag_field="objectType", tag="VEN_VEN_REQUEST", kw_only=True):
    """`VenVenRequest`."""

    venName: Name
    attributes: list[Values] | None = None


class BlResourceIn(Body, tag_field="objectType", tag="BL_RESOURCE_REQUEST", kw_only=True):
    """`BlResourceRequest`."""

    clientID: Name
    resourceName: Name
    venID: ObjectId
    targets: Targets | None = None
    attributes: list[Values] | None = None


class VenResourceIn(Body, tag_field="objectType", tag="VEN_RESOURCE_REQUEST", kw_only=True):
    """`VenResourceRequest`."""

    resourceName: Name
    venID: ObjectId
    attributes: list[Values] | None = None


TAKES: Final[dict[VtnKind, msgspec.json.Decoder[Any]]] = {
    VtnKind.PROGRAM: msgspec.json.Decoder(ProgramIn),
    VtnKind.EVENT: msgspec.json.Decoder(EventIn),
    VtnKind.REPORT: msgspec.json.Decoder(ReportIn),
    VtnKind.SUBSCRIPTION: msgspec.json.Decoder(SubscriptionIn),
    VtnKind.VEN: msgspec.json.Decoder(BlVenIn | VenVenIn),
    VtnKind.RESOURCE: msgspec.json.Decoder(BlResourceIn | VenResourceIn),
}
"""What a POST or PUT of each kind must look like."""
