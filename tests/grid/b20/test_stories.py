"""emw as a VEN of 2.0b on virtual time; every message either side writes is held against the official schema."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from emw.domain import facts as f
from emw.grid.openadr2b.build import ven_of
from emw.grid.openadr2b.ven import Ven2b
from emw.grid.openadr3.settings import Amount, Meaning, TargetRule, VtnSettings
from tests.grid.b20.vtn import HOUR, KW_UNIT, Vtn2b, signal
from tests.grid.house import EVSES, KW, START, House, story

ALL_KW = EVSES * KW
MINUTE = timedelta(minutes=1)


def ven(h: House, vtn: Vtn2b, **more: Any) -> Ven2b:
    """A VEN of 2.0b, running."""
    settings = VtnSettings(
        name="utility",
        url="https://vtn.example",
        version="2.0b",
        meaning=more.pop(
            "meaning",
            Meaning(
                territory_id="East",
                targets=(TargetRule(target="feeder-17", territory_id="F17"),),
                levels={1: Amount(share=0.1), 3: Amount(kw=150.0)},
            ),
        ),
        **more,
    )
    made = ven_of(settings, vtn, h.headend, Random(5))
    h.run(made)
    return made


def test_a_delta_of_minus_100_kw_now_is_answered_opt_in_and_sheds() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        ven(h, vtn)
        await h.until(5)
        vtn.event("e1", START + 5 * MINUTE, [signal([(HOUR, -100.0)])])
        await h.until(5.6)
        assert h.brief() == [("e1", "active", 100.0, 5.0, 65.0)]
        assert vtn.opts() == [("e1", 0, "optIn")]
        await h.until(10)
        assert ALL_KW - 115 < h.load_kw() < ALL_KW - 95
        await h.until(65.05)
        assert h.requests()[0].state in {"restoring", "closed"}
        await h.until(100)
        assert h.load_kw() == pytest.approx(ALL_KW)

    story(tell)


@pytest.mark.parametrize(
    ("scale", "said", "kw"), [("none", -90_000.0, 90.0), ("k", -90.0, 90.0), ("M", -0.09, 90.0)]
)
def test_the_scale_is_honoured(scale: str, said: float, kw: float) -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(HOUR, said)], unit={**KW_UNIT, "scale": scale})])
        ven(h, vtn)
        await h.until(1)
        assert h.brief() == [("e1", "active", kw, 0.0, 60.0)]

    story(tell)


def test_a_setpoint_and_a_multiplier_mean_load_below_the_baseline() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        await h.until(2)
        vtn.event("half", START, [signal([(HOUR, 0.5)], kind="multiplier", unit=None)])
        ven(h, vtn)
        await h.until(3)
        assert h.brief()[0][2] == pytest.approx(ALL_KW / 2, rel=0.02)
        vtn.event("half", START, [signal([(HOUR, 300.0)], kind="setpoint")])
        await h.until(4)
        assert h.brief()[0][2] == pytest.approx(ALL_KW - 300, rel=0.02)

    story(tell)


def test_simple_levels_count_where_nothing_says_kw_and_stand_back_where_something_does() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("levels", START, [signal([(HOUR, 3.0)], name="SIMPLE", kind="level", unit=None)])
        ven(h, vtn)
        await h.until(1)
        assert h.brief() == [("levels", "active", 150.0, 0.0, 60.0)]
        both = [signal([(HOUR, 3.0)], name="SIMPLE", kind="level", unit=None), signal([(HOUR, -40.0)])]
        vtn.event("levels", START, both)
        await h.until(2)
        assert h.brief()[0][2] == 40.0

    story(tell)


def test_a_change_of_modification_number_changes_the_request_and_an_old_one_does_not() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START + 30 * MINUTE, [signal([(HOUR, -100.0)])])
        ven(h, vtn)
        await h.until(5)
        vtn.event("e1", START + 30 * MINUTE, [signal([(30 * MINUTE, -60.0)])])
        await h.until(6)
        assert h.brief() == [("e1", "pending", 60.0, 30.0, 60.0)]
        vtn.events["e1"]["event_descriptor"]["modification_number"] = 0
        vtn.events["e1"]["event_signals"] = [signal([(HOUR, -250.0)])]
        vtn.news = True
        await h.until(7)
        assert h.brief() == [("e1", "pending", 60.0, 30.0, 60.0)]
        assert vtn.opts()[-1][:2] == ("e1", 1)

    story(tell)


@pytest.mark.parametrize("how", ["cancelled", "missing"])
def test_an_event_is_cancelled_by_its_status_or_by_being_absent(how: str) -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(2 * HOUR, -100.0)])])
        vtn.event("e2", START + HOUR, [signal([(HOUR, -50.0)])])
        ven(h, vtn)
        await h.until(10)
        assert [b[:2] for b in h.brief()] == [("e1", "active"), ("e2", "pending")]
        if how == "cancelled":
            vtn.cancel("e1")
        else:
            del vtn.events["e1"]
            vtn.news = True
        await h.until(10.5)
        assert [b[:2] for b in h.brief()] == [("e1", "restoring"), ("e2", "pending")]
        await h.until(45)
        assert h.load_kw() == pytest.approx(ALL_KW)

    story(tell)


def test_an_open_ended_event_lasts_until_it_is_taken_back() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(timedelta(0), -80.0)])], length=timedelta(0))
        ven(h, vtn)
        await h.until(40)
        assert h.brief() == [("e1", "active", 80.0, 0.0, None)]
        vtn.cancel("e1")
        await h.until(41)
        assert h.brief()[0][1] == "restoring"

    story(tell)


def test_a_random_start_lies_within_the_tolerance_and_never_before_the_told_one() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        for i in range(6):
            start = START + (10 + 2 * i) * HOUR
            vtn.event(f"e{i}", start, [signal([(HOUR, -10.0)])], start_after=10 * MINUTE)
        ven(h, vtn)
        await h.until(5)
        late = [b[3] - (10 + 2 * i) * 60 for i, b in enumerate(h.brief())]
        assert len(late) == 6
        assert all(0 <= x <= 10 for x in late)
        assert max(late) - min(late) > 1

    story(tell)


def test_a_test_event_is_answered_and_not_served() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(HOUR, -100.0)])], test_event=True)
        ven(h, vtn)
        await h.until(5)
        assert h.brief() == []
        assert vtn.opts() == [("e1", 0, "optIn")]
        assert h.load_kw() == pytest.approx(ALL_KW)

    story(tell)


def test_targets_name_territories_and_a_foreign_one_is_declined() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("ours", START, [signal([(HOUR, -20.0)])], targets=[{"group_id": "feeder-17"}])
        vtn.event("not", START, [signal([(HOUR, -20.0)])], targets=[{"group_id": "elsewhere"}])
        ven(h, vtn)
        await h.until(1)
        assert [(r.request_id, r.territory_id) for r in h.requests()] == [("ours", "F17")]
        codes = {
            str(r["event_id"]): (r["response_code"], r["opt_type"])
            for r in vtn.said("oadrCreatedEvent")[0]["event_responses"]
        }
        assert codes == {"ours": (200, "optIn"), "not": (462, "optOut")}

    story(tell)


def test_what_has_no_unit_is_declined_and_shown_with_its_reason() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(HOUR, -20.0)], unit=None)])
        vtn.event("price", START, [signal([(HOUR, 0.3)], name="ELECTRICITY_PRICE", kind="price", unit=None)])
        made = ven(h, vtn)
        await h.until(1)
        assert h.brief() == []
        assert {o[0]: o[2] for o in vtn.opts()} == {"e1": "optOut", "price": "optOut"}
        reasons = {
            s.event_id: h.headend.signals.segments(s)[0].why_not for s in h.headend.signals.of("vtn:utility")
        }
        assert "unit" in (reasons["e1"] or "")
        assert "trade" in (reasons["price"] or "")
        assert made.standing.why is None

    story(tell)


def test_far_more_than_can_be_shed_is_declined_and_accepted_once_it_can_be() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(3 * HOUR, -9_000.0)])])
        ven(h, vtn, opt_in_share=0.5)
        await h.until(2)
        assert vtn.opts() == [("e1", 0, "optOut")]
        assert h.brief() == []
        vtn.event("e1", START, [signal([(3 * HOUR, -200.0)])])
        await h.until(3)
        assert vtn.opts()[-1] == ("e1", 1, "optIn")
        assert h.brief()[0][1] == "active"

    story(tell)


def test_a_late_change_of_mind_goes_by_ei_opt_after_five_minutes_and_back_at_once() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(4 * HOUR, -150.0)])])
        ven(h, vtn, opt_in_share=0.5)
        await h.until(10)
        assert h.brief()[0][1] == "active"
        for i in range(17):
            await h.headend.admin.opt_out("tester", f"c{i:02d}", 20.0, "leaves soon")
        await h.until(13)
        assert vtn.said("oadrCreateOpt") == []
        await h.until(17)
        assert [(o["event_id"], o["opt_type"]) for o in vtn.said("oadrCreateOpt")] == [("e1", "optOut")]
        assert h.brief()[0][1] in {"restoring", "closed"}
        await h.until(32)
        assert [o["opt_type"] for o in vtn.said("oadrCreateOpt")] == ["optOut", "optIn"]

    story(tell)


def test_a_vtn_without_ei_opt_hears_a_change_of_mind_as_another_answer() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.no_opts = True
        for i in range(EVSES):
            await h.headend.admin.opt_out("tester", f"c{i:02d}", 3.0, "not yet")
        vtn.event("e1", START, [signal([(HOUR, -150.0)])])
        made = ven(h, vtn)
        await h.until(1)
        assert vtn.opts() == [("e1", 0, "optOut")]
        await h.until(5)
        assert vtn.opts() == [("e1", 0, "optOut"), ("e1", 0, "optIn")]
        assert h.brief()[0][1] == "active"
        assert made.standing.why is None

    story(tell)


def test_reports_come_in_kw_as_often_as_asked_and_wait_while_the_vtn_is_away() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.report_requests = [vtn.ask_report(["East:load", "East:change"], MINUTE, 5 * MINUTE)]
        ven(h, vtn)
        await h.until(6)
        offered = vtn.said("oadrRegisterReport")[0]["reports"][0]
        assert offered["report_name"] == "METADATA_TELEMETRY_USAGE"
        assert {
            d["r_id"]: (d["measurement"]["unit"], d["measurement"]["scale"])
            for d in offered["report_descriptions"]
        }["East:load"] == ("W", "k")
        first = vtn.said("oadrUpdateReport")[0]["reports"][0]
        loads = [
            i["report_payload"]["value"]
            for i in first["intervals"]
            if i["report_payload"]["r_id"] == "East:load"
        ]
        assert len(loads) == 5
        assert loads[-1] == pytest.approx(ALL_KW, rel=0.01)
        vtn.down = True
        await h.until(18)
        vtn.down = False
        await h.until(21)
        values = [
            i["dtstart"]
            for u in vtn.said("oadrUpdateReport")
            for i in u["reports"][0]["intervals"]
            if i["report_payload"]["r_id"] == "East:load"
        ]
        assert len(values) == len(set(values))
        assert len(values) >= 10

    story(tell)


def test_a_vtn_that_forgot_us_hears_from_us_again_and_the_shed_goes_on() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(2 * HOUR, -100.0)])])
        ven(h, vtn)
        await h.until(5)
        vtn.forgot = True
        await h.until(6)
        assert len(vtn.said("oadrCreatePartyRegistration")) == 2
        assert h.brief()[0][1] == "active"

    story(tell)


@pytest.mark.parametrize("how", ["down", "garbage", "bomb"])
def test_a_lost_vtn_ends_nothing_and_is_found_again(how: str) -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(2 * HOUR, -100.0)])])
        ven(h, vtn)
        await h.until(5)
        vtn.down = how == "down"
        if how != "down":
            bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
            vtn.garbage = bomb if how == "bomb" else b"<html>"
        await h.until(30)
        assert h.brief()[0][1] == "active"
        lost = [x.connected for x in h.facts(f.GridLinkChanged) if isinstance(x, f.GridLinkChanged)]
        assert lost == [True, False]
        vtn.down, vtn.garbage = False, None
        vtn.cancel("e1")
        await h.until(45)
        assert h.brief()[0][1] in {"restoring", "closed"}

    story(tell)


def test_a_restart_in_mid_event_goes_on_and_answers_again() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn2b()
        vtn.event("e1", START, [signal([(2 * HOUR, -100.0)])])
        ven(h, vtn)
        await h.until(10)
        again = await h.again()
        ven(again, vtn)
        await again.until(15)
        assert again.brief() == [("e1", "active", 100.0, 0.0, 120.0)]
        assert ALL_KW - 120 < again.load_kw() < ALL_KW - 90
        assert vtn.opts()[-1] == ("e1", 0, "optIn")
        await again.close()

    story(tell)
