"""What goes back to the VTN: reports asked for or not, corrected, kept until delivered; valid by the contract."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.domain import facts as f
from emw.grid.openadr3.asked import Ask, Span
from emw.grid.openadr3.telling import Figures, body_of
from emw.grid.openadr3.wants import CAN_TELL, READING
from tests.grid.contract import check_report
from tests.grid.house import EVSES, KW, START, House, at, story
from tests.grid.vtn import Vtn

ALL_KW = EVSES * KW
Json = dict[str, Any]


def asks(kind: str, **more: Any) -> Json:
    return {"payloadType": kind, **more}


def reports(vtn: Vtn, kind: str) -> list[Json]:
    """The VTN's reports of a type, as they stand, by name; each of them valid."""
    for report in vtn.reports.values():
        body = {k: v for k, v in report.items() if k not in {"id", "createdDateTime"}}
        check_report(vtn.version, body)
    own = (r for r in vtn.reports.values() if r["reportName"].split("-")[0] == kind)
    return sorted(own, key=lambda r: r["reportName"])


def values(report: Json, resource: str = "AGGREGATED_REPORT") -> list[tuple[Any, ...]]:
    """Per interval: id, value, quality."""
    (found,) = [r for r in report["resources"] if r["resourceName"] == resource]
    told = []
    for interval in found["intervals"]:
        said = {p["type"]: p["values"][0] for p in interval["payloads"]}
        quality = said.pop("DATA_QUALITY", None)
        (value,) = said.values() or (None,)
        told.append((interval["id"], round(value, 1) if isinstance(value, float) else value, quality))
    return told


@pytest.mark.parametrize("version", ["3.1.0", "3.0.1"])
def test_load_and_baseline_of_a_shed_come_back_interval_by_interval(version: str) -> None:
    """The worked example: 100 kW less, DEMAND and BASELINE after each interval, as a sum over all."""

    async def tell(h: House) -> None:
        vtn = Vtn(version=version)
        every = {"readingType": "MEAN", "units": "KW", "aggregate": True, "frequency": 1, "repeat": -1}
        vtn.shed(
            "e1",
            100,
            start=at(10),
            intervals=[
                {"id": i, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-100]}]}
                for i in (7, 3)
            ],
            intervalPeriod={"start": at(10), "duration": "PT15M"},
            reportDescriptors=[asks("DEMAND", **every), asks("BASELINE", **every)],
        )
        h.ven(vtn)
        await h.until(25.2)
        assert [r["reportName"] for r in vtn.reports.values()] == ["BASELINE-0", "DEMAND-0"]
        await h.until(40.2)
        demand, baseline = reports(vtn, "DEMAND"), reports(vtn, "BASELINE")
        assert [values(r)[0][0] for r in demand] == [7, 3]
        for load, free in zip(demand, baseline, strict=True):
            (_, load_kw, quality), (_, free_kw, _) = values(load)[0], values(free)[0]
            assert quality == "OK"
            assert free_kw == pytest.approx(ALL_KW, rel=0.02)
            assert free_kw - load_kw == pytest.approx(100, rel=0.08)  # it takes a minute to get there
        assert demand[0]["payloadDescriptors"] == [
            {
                "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
                "payloadType": "DEMAND",
                "readingType": "MEAN",
                "units": "KW",
            }
        ]
        assert demand[0].get("programID") == ("p1" if version == "3.0.1" else None)
        assert [b[0] for b in vtn.bodies] == ["POST"] * 4
        assert demand[0]["clientName"] == "emw"

    story(tell)


def test_energy_by_default_once_when_all_is_over_and_per_resource() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed(
            "e1", 100, start=at(10), duration="PT30M", reportDescriptors=[asks("USAGE"), asks("DELTA_USAGE")]
        )
        h.ven(vtn, resources={"feeder": "F17", "west": "West"})
        await h.until(39.9)
        assert not vtn.reports
        await h.until(41)
        (usage,), (delta,) = reports(vtn, "USAGE"), reports(vtn, "DELTA_USAGE")
        assert [r["resourceName"] for r in usage["resources"]] == ["feeder"]
        (_, used_kwh, _), (_, less_kwh, _) = values(usage, "feeder")[0], values(delta, "feeder")[0]
        assert less_kwh < 0
        assert used_kwh - less_kwh == pytest.approx(5 * KW / 2, rel=0.02)

    story(tell)


def test_what_could_be_shed_is_told_before_the_start_and_again_when_it_begins() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        wanted = asks("LOAD_SHED_DELTA_AVAILABLE", aggregate=True)
        vtn.shed("e1", 100, start=at(30), reportDescriptors=[wanted])
        h.ven(vtn)
        await h.until(1.2)
        (first,) = reports(vtn, "LOAD_SHED_DELTA_AVAILABLE")
        ((_, available_kw, quality),) = values(first)
        assert quality == "ESTIMATED"
        assert 100 < available_kw < ALL_KW
        await h.until(31)
        assert [b[0] for b in vtn.bodies] == ["POST", "PUT"]
        assert len(vtn.reports) == 1

    story(tell)


def test_unasked_reports_grow_by_put_and_states_say_what_is_done() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed(
            "e1",
            100,
            start=at(10),
            intervals=[
                {"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [0]}]},
                {"id": 1, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-100]}]},
            ],
            intervalPeriod={"start": at(10), "duration": "PT10M"},
        )
        vtn.event("price", ("PRICE", 0.3, None), start=at(10))
        h.ven(vtn, reports=("DEMAND", "OPERATING_STATE"))
        await h.until(31)
        assert {r["eventID"] for r in vtn.reports.values()} == {"e1"}
        (state,), (demand,) = reports(vtn, "OPERATING_STATE"), reports(vtn, "DEMAND")
        assert values(state) == [(0, "NORMAL", None), (1, "RUNNING_CURTAILED", None)]
        assert [v[2] for v in values(demand)] == ["OK", "OK"]
        assert [b[0] for b in vtn.bodies].count("PUT") == 2

    story(tell)


def test_an_event_that_emw_can_not_follow_is_an_error_and_one_a_person_ended_is_opted_out() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        state = asks("OPERATING_STATE", aggregate=True)
        vtn.event(
            "odd", ("CONTROL_SETPOINT", 5, "KW"), start=at(1), duration="PT5M", reportDescriptors=[state]
        )
        vtn.shed("e1", 100, start=at(10), duration="PT10M", reportDescriptors=[state])
        h.ven(vtn)
        await h.until(9)
        await h.headend.requests.return_to_normal("vtn:utility", "e1", actor="operator:ann")
        await h.until(21)
        told = {r["eventID"]: values(r)[0][1] for r in reports(vtn, "OPERATING_STATE")}
        assert told == {"odd": "ERROR", "e1": "RUNNING_OPTED_OUT"}

    story(tell)


def test_a_report_of_an_event_that_changed_is_corrected_under_its_id() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        wanted = [asks("DEMAND", aggregate=True)]
        vtn.shed("e1", 100, start=at(10), duration="PT10M", reportDescriptors=wanted)
        h.ven(vtn)
        await h.until(21)
        ((_, first_kw, _),) = values(reports(vtn, "DEMAND")[0])
        vtn.shed("e1", 100, start=at(10), duration="PT20M", reportDescriptors=wanted)
        await h.until(31)
        assert [(b[0], b[1]) for b in vtn.bodies] == [("POST", "/reports"), ("PUT", "/reports/r1")]
        ((_, then_kw, _),) = values(reports(vtn, "DEMAND")[0])
        assert then_kw != first_kw

    story(tell)


def test_an_open_ended_shed_is_told_when_it_is_taken_back() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        wanted = [asks("DEMAND", aggregate=True)]
        vtn.shed("e1", 100, start=at(5), duration="P9999Y", reportDescriptors=wanted)
        h.ven(vtn)
        await h.until(30)
        assert not vtn.reports
        vtn.shed("e1", 100, start="0001-01-01", duration="PT0S", reportDescriptors=wanted)
        await h.until(31)
        told = values(reports(vtn, "DEMAND")[0])
        assert len(told) == 2
        assert all(kw == pytest.approx(ALL_KW - 100, rel=0.06) for _, kw, _ in told)

    story(tell)


def test_a_report_on_an_event_that_was_deleted_is_dropped_with_its_reason() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(5), reportDescriptors=[asks("DEMAND")])
        h.ven(vtn)
        await h.until(20)
        vtn.gone("e1")
        await h.until(22)
        (dropped,) = h.facts(f.GridReportDropped)
        assert isinstance(dropped, f.GridReportDropped)
        assert "gone" in dropped.reason
        assert not h.headend.state.grid_reports
        tries = len(vtn.bodies)
        await h.until(60)
        assert len(vtn.bodies) == tries

    story(tell)


def test_reports_are_kept_over_a_lost_vtn_and_a_restart_and_never_told_twice() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        every = {"aggregate": True, "frequency": 1, "repeat": -1}
        vtn.shed("e1", 100, start=at(5), duration="PT10M", reportDescriptors=[asks("DEMAND", **every)])
        h.ven(vtn)
        await h.until(14.9)
        vtn.takes_reports = False
        await h.until(20)
        assert vtn.bodies
        assert not vtn.reports
        again = await h.again()
        again.ven(vtn)
        await again.until(25)
        # It got through, but emw never heard so: the next try finds it by its name.
        lost = dict(vtn.bodies[-1][2])
        vtn.reports["r1"] = {**lost, "id": "r1"}
        vtn.takes_reports = True
        await again.until(40)
        assert list(vtn.reports) == ["r1"]
        assert [values(r)[0][2] for r in reports(vtn, "DEMAND")] == ["OK"]
        assert len(again.facts(f.GridReportQueued)) == 1
        assert len(again.facts(f.GridReportDelivered)) == 1

    story(tell)


def test_what_was_metered_before_a_restart_counts() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(5), duration="PT40M", reportDescriptors=[asks("DEMAND", aggregate=True)])
        h.ven(vtn)
        await h.until(32)
        again = await h.again()
        again.ven(vtn)
        await again.until(46)
        ((_, kw, quality),) = values(reports(vtn, "DEMAND")[0])
        assert kw == pytest.approx(ALL_KW - 100, rel=0.06)
        assert quality in {"OK", "ESTIMATED"}

    story(tell)


def test_a_report_only_event_asks_for_nothing_but_reports() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.event(
            "look",
            start=at(10),
            duration="PT5M",
            intervals=None,
            reportDescriptors=[
                asks(
                    "LOAD_SHED_DELTA_AVAILABLE",
                    startInterval=0,
                    numIntervals=4,
                    historical=False,
                    frequency=1,
                    repeat=-1,
                )
            ],
        )
        h.ven(vtn)
        await h.until(16)
        told = reports(vtn, "LOAD_SHED_DELTA_AVAILABLE")
        assert [r["reportName"][-2:] for r in told] == ["-0", "-1"]
        assert len(values(told[0], "East")) == 4
        assert not h.requests()

    story(tell)


def test_what_emw_can_not_tell_is_said() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        wanted = [asks("STORAGE_CHARGE_LEVEL"), asks("DEMAND", units="KVA"), {"payLoadType": "USAGE"}, 7]
        vtn.shed("e1", 100, start=at(5), duration="PT5M", reportDescriptors=wanted)
        h.ven(vtn)
        await h.until(12)
        notes = h.headend.state.signals["vtn:utility", "e1"].notes
        assert [("STORAGE_CHARGE_LEVEL" in n, "KVA" in n) for n in notes] == [(True, False), (False, True)]
        assert [r["reportName"] for r in vtn.reports.values()] == ["USAGE-0"]

    story(tell)


def test_a_program_asks_by_its_descriptors_and_what_was_not_metered_whole_is_an_estimate() -> None:
    async def tell(h: House) -> None:
        descriptor = {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "DEMAND", "units": "W"}
        vtn = Vtn(programs=[{"id": "p1", "programName": "Shed", "payloadDescriptors": [descriptor]}])
        vtn.shed("e1", 9, start=at(-5), duration="PT25M")
        h.ven(vtn)
        await h.until(21)
        ((_, watts, quality),) = values(reports(vtn, "DEMAND")[0], "East")
        assert watts == pytest.approx(1_000 * (ALL_KW - 9), rel=0.05)
        assert quality == "ESTIMATED"

    story(tell)


@given(
    kind=st.sampled_from(sorted(CAN_TELL)),
    load=st.floats(0, 1e6),
    baseline=st.floats(0, 1e6),
    covered=st.floats(0, 1),
    available=st.one_of(st.none(), st.floats(0, 1e6)),
    seconds=st.floats(0.001, 1e6),
    version=st.sampled_from(["3.1.0", "3.0.1"]),
)
def test_whatever_is_told_is_valid_and_says_how_good_it_is(
    kind: str,
    load: float,
    baseline: float,
    covered: float,
    available: float | None,
    seconds: float,
    version: str,
) -> None:
    known = Figures(load, baseline, load, covered, available_kw=available)
    span = Span(START, START + timedelta(seconds=seconds), 0, 5)
    ask = Ask(
        payload_type=kind, name=kind, units=(CAN_TELL[kind] or (None,))[0], reading_type=READING.get(kind)
    )
    body = json.loads(body_of("n", ask, "e", "emw", {"East": [(span, known)]}))
    check_report(version, {"programID": "p", **body} if version == "3.0.1" else body)
    ((_, value, quality),) = values(body, "East")
    if kind == "OPERATING_STATE":
        assert (value, quality) == ("NORMAL", None)
    else:
        assert (value is None) == (quality == "MISSING")
    if kind == "DELTA_USAGE" and value is not None:
        assert value == pytest.approx((load - baseline) * seconds / 3600, abs=0.06)
