"""emw as a VEN on virtual time: events now, later, open-ended, changed, cancelled and gone; servers as they are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.signals import SignalKind
from emw.grid.openadr3.settings import Amount, Meaning
from tests.grid.house import EVSES, KW, START, House, at, story
from tests.grid.vtn import Vtn

NOW = "0001-01-01T00:00:00"
ALL_KW = EVSES * KW


def test_an_event_now_becomes_a_request_within_one_poll_and_sheds() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        h.ven(vtn)
        await h.until(5)
        vtn.shed("e1", 100, start=NOW)
        await h.until(6 + 1 / 60)
        assert [b[:3] for b in h.brief()] == [("e1", "active", 100.0)]
        await h.until(10)
        assert ALL_KW - 115 < h.load_kw() < ALL_KW - 95
        await h.until(66)
        assert h.requests()[0].state in {"restoring", "closed"}
        await h.until(100)
        assert h.load_kw() == pytest.approx(ALL_KW)
        assert h.brief()[0][1] == "closed"

    story(tell)


def test_a_known_start_and_end_are_kept_within_a_second() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(30), duration="PT10M")
        h.ven(vtn)
        await h.until(29.98)
        assert h.brief() == [("e1", "pending", 100.0, 30.0, 40.0)]
        assert h.load_kw() == pytest.approx(ALL_KW)
        await h.until(30 + 1 / 60)
        assert h.brief()[0][1] == "active"
        await h.until(40 + 1 / 60)
        assert h.brief()[0][1] == "restoring"

    story(tell)


def test_intervals_are_steps_of_one_request_and_a_gap_ends_it() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        unit = [{"payloadType": "DISPATCH_SETPOINT_RELATIVE", "units": "KW"}]
        kws = (100, 200, 0, 50)
        vtn.event(
            "e1",
            start=at(30),
            duration="PT10M",
            payloadDescriptors=unit,
            intervals=[
                {"id": i, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-kw]}]}
                for i, kw in enumerate(kws)
            ],
        )
        h.ven(vtn)
        await h.until(35)
        assert h.brief() == [("e1", "active", 100.0, 30.0, 50.0), ("e1@East", "pending", 50.0, 60.0, 70.0)]
        await h.until(40 + 1 / 60)
        assert h.brief()[0] == ("e1", "active", 200.0, 30.0, 50.0)
        await h.until(61)
        assert h.brief()[1][1] == "active"

    story(tell)


def test_a_change_goes_on_under_the_same_request() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(10))
        h.ven(vtn)
        await h.until(20)
        vtn.shed("e1", 200, start=at(10), duration="PT2H")
        await h.until(20.3)
        assert h.brief() == [("e1", "active", 200.0, 10.0, 130.0)]
        await h.until(25)
        assert h.load_kw() < ALL_KW - 190
        vtn.shed("e1", 200, start=at(10), duration="PT20M")
        await h.until(30 + 1 / 60)
        assert h.brief() == [("e1", "restoring", 200.0, 10.0, 30.0)]
        assert len(h.facts(f.RequestReceived)) == 1

    story(tell)


def test_the_same_event_again_and_again_is_one_request_and_one_fact() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(10))
        ven = h.ven(vtn)
        for minute in range(1, 40):
            await h.until(minute)
            vtn.events[0]["modificationDateTime"] = f"12:00:{minute:02d}"  # a label, no change
            ven.wake()
        assert len(h.facts(f.SignalReceived)) == len(h.facts(f.RequestReceived)) == 1
        assert not h.facts(f.RequestChanged)

    story(tell)


@pytest.mark.parametrize("how", ["delete", "PT0S"])
def test_a_cancel_lets_go(how: str) -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(10))
        vtn.shed("e2", 50, start=at(300))
        h.ven(vtn)
        await h.until(20)
        for event_id in ("e1", "e2"):
            if how == "delete":
                vtn.gone(event_id)
            else:
                vtn.shed(event_id, 100, start="0001-01-01", duration="PT0S")
        await h.until(20.3)
        assert [b[:2] for b in h.brief()] == [("e1", "restoring"), ("e2", "cancelled")]
        assert h.headend.state.signals == {}
        assert {x.reason for x in h.facts(f.SignalEnded)} <= {  # type: ignore[union-attr]
            "it is gone from the VTN",
            "cancelled: it lasts no time",
        }
        await h.until(50)
        assert h.load_kw() == pytest.approx(ALL_KW)

    story(tell)


def test_an_event_now_that_is_over_and_still_listed_is_not_done_again() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=NOW, duration="PT10M")
        h.ven(vtn)
        await h.until(40)
        again = await h.again()
        again.ven(vtn)
        await again.until(60)
        assert len(again.brief()) == 1
        assert not again.facts(f.SignalEnded)
        vtn.gone("e1")
        await again.until(62)
        assert len(again.facts(f.SignalEnded)) == 1

    story(tell)


def test_an_open_ended_event_lasts_until_it_is_taken_back() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=NOW, duration="P9999Y")
        h.ven(vtn)
        await h.until(300)
        assert h.brief()[0][1:3] == ("active", 100.0)
        assert h.requests()[0].end_at is None
        vtn.gone("e1")
        await h.until(300.3)
        assert h.brief()[0][1] == "restoring"

    story(tell)


# --- servers as they are


@pytest.mark.parametrize(
    "odd",
    [
        {"page_cap": 3},
        {"page_cap": 1},
        {"only_basic": True},
        {"only_form": True},
        {"expires_in": None, "scope_list": True},
        {"expires_in": "3600"},
        {"expires_in": 30},
        {"bad_token_status": 403},
        {"version": "3.0.1"},
        {"no_auth": True},
        {"server_says": "/openadr3/3.1.0/auth/token"},
        {
            "programs": [
                {"id": "p1", "programName": "Shed", "intervalPeriod": None, "createdDateTime": "x"},
                7,
            ]
        },
    ],
    ids=str,
)
def test_odd_servers_are_understood(odd: dict[str, Any]) -> None:
    async def tell(h: House) -> None:
        vtn = Vtn(**odd)
        for i in range(7):
            vtn.shed(f"e{i}", 10 + i, start=at(60 + i))
        h.ven(vtn)
        await h.until(5)
        assert [b[0] for b in h.brief()] == [f"e{i}" for i in range(7)]
        vtn.tokens.clear()  # a restart without its store
        await h.until(8)
        assert h.headend.state.grid_links["vtn:utility"].connected
        assert len(h.facts(f.RequestReceived)) == 7
        assert not h.facts(f.SignalEnded)

    story(tell)


def test_a_server_that_ignores_paging_is_read_once() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn(ignores_skip=True)
        vtn.shed("e1", 10, start=at(60))
        h.ven(vtn)
        await h.until(0.5)
        assert len([c for c in vtn.calls if c[1] == "/events"]) == 2

    story(tell)


def test_half_a_listing_cancels_nothing() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn(page_cap=2)
        for i in range(6):
            vtn.shed(f"e{i}", 10, start=at(10))
        h.ven(vtn)
        await h.until(12)
        vtn.breaks_on_page = 1
        vtn.events.reverse()
        await h.until(20)
        assert not h.facts(f.SignalEnded)
        assert not h.headend.state.grid_links["vtn:utility"].connected
        assert all(b[1] == "active" for b in h.brief())
        vtn.breaks_on_page = None
        await h.until(22)
        assert h.headend.state.grid_links["vtn:utility"].connected

    story(tell)


def test_what_slips_out_of_a_listing_is_asked_for_by_name() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 10, start=at(10))
        h.ven(vtn)
        await h.until(12)
        vtn.forgets_in_list.add("e1")
        await h.until(15)
        assert h.brief()[0][1] == "active"
        vtn.gone("e1")
        await h.until(16)
        assert h.brief()[0][1] in {"restoring", "closed"}

    story(tell)


@pytest.mark.parametrize(
    "trouble",
    [
        {"down": True},
        {"silent": True},
        {"status": 500},
        {"status": 503},
        {"status": 429, "retry_after_s": 20.0},
        {"status": 403},
        {"garbage": b"<html>"},
        {"garbage": b'{"not": "a list"}'},
        {"garbage": b"[" * 100_000},
        {"garbage": b""},
    ],
    ids=lambda x: str(x)[:40],
)
def test_a_lost_vtn_changes_nothing_until_an_event_ends_by_itself(trouble: dict[str, Any]) -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(10), duration="PT30M")
        vtn.shed("e2", 80, start=at(35), duration="PT30M")
        h.ven(vtn)
        await h.until(12)
        for name, value in trouble.items():
            setattr(vtn, name, value)
        await h.until(15)
        link = h.headend.state.grid_links["vtn:utility"]
        assert (link.connected, bool(link.why)) == (False, True)
        await h.until(36)
        assert [b[:2] for b in h.brief()] == [("e1", "active"), ("e2", "active")]
        for name in trouble:
            setattr(vtn, name, getattr(Vtn(), name))
        await h.until(38)
        assert h.headend.state.grid_links["vtn:utility"].connected
        await h.until(64)
        assert h.brief()[1][1] == "active"
        await h.until(70)
        assert h.brief()[1][1] in (
            "restoring",
            "closed",
        )  # let go: how long the way back takes is the ramp's affair

    story(tell)


def test_an_open_ended_event_of_a_lost_vtn_is_let_go_after_its_time() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=NOW, duration="P9999Y")
        h.ven(vtn, lost_open_ended_s=3_600.0)
        await h.until(10)
        vtn.down = True
        await h.until(69)
        assert h.brief()[0][1] == "active"
        await h.until(71)
        assert h.brief()[0][1] == "restoring"

    story(tell)


def test_one_unreadable_event_hides_no_other_and_lets_nothing_go() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(10))
        vtn.shed("e2", 10, start=at(10))
        ven = h.ven(vtn)
        await h.until(12)
        vtn.events = [{**vtn.events[0], "intervals": "none"}, vtn.events[1], "what?", {"id": "x\n"}]
        with capture_logs() as said:
            await h.until(15)
        told = [line["event_id"] for line in said if line["event"] == "ven.event_unreadable"]
        assert told == ["e1", None, "x\n"], "each once, however often it is polled"
        assert [b[:2] for b in h.brief()] == [("e1", "active"), ("e2", "active")]
        assert [u[0] for u in ven.standing.unreadable] == ["e1", None, "x\n"]

    story(tell)


# --- several at once


def test_events_of_other_programs_are_shown_and_not_served() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn(programs=[{"id": "p1", "programName": "Shed"}, {"id": "p2", "programName": "Tariff"}])
        vtn.shed("e1", 100, start=at(10))
        vtn.shed("e2", 100, start=at(10), programID="p2")
        h.ven(vtn, programs={"Shed": Meaning(territory_id="East")})
        await h.until(12)
        assert [b[0] for b in h.brief()] == ["e1"]
        other = h.headend.state.signals["vtn:utility", "e2"]
        assert "not one of those configured" in other.segments

    story(tell)


def test_a_priority_that_no_database_holds_comes_last_and_stops_nothing() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("huge", 200, start=at(1), duration="PT60M", priority=2**70)
        vtn.shed("first", 50, start=at(1), duration="PT60M", priority=1)
        h.ven(vtn)
        await h.until(3)
        assert ("first", "active", 50.0, 1.0, 61.0) in h.brief()
        assert {s.event_id: s.priority for s in h.headend.signals.of("vtn:utility")} == {
            "huge": None,
            "first": 1,
        }

    story(tell)


def test_in_one_program_the_lower_priority_number_wins_while_it_lasts() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("big", 200, start=at(10), duration="PT60M", priority=5)
        vtn.shed("first", 50, start=at(20), duration="PT20M", priority=1)
        h.ven(vtn)
        await h.until(15)
        assert h.brief()[0] == ("big", "active", 200.0, 10.0, 20.0)
        await h.until(21)
        running = [b[0] for b in h.brief() if b[1] == "active"]
        assert running == ["first"]
        await h.until(42)
        again = [b[:3] for b in h.brief() if b[1] == "active"]
        assert again == [("big@East", "active", 200.0)]

    story(tell)


def test_two_vtns_ask_and_the_larger_shed_is_made_not_their_sum() -> None:
    async def tell(h: House) -> None:
        one, two = Vtn(), Vtn(version="3.0.1")
        one.shed("e", 100, start=at(10))
        two.shed("e", 150, start=at(10), targets=[{"type": "SERVICE_AREA", "values": ["East"]}])
        h.ven(one, "utility")
        h.ven(two, "market")
        await h.until(20)
        assert [b[:3] for b in h.brief("vtn:utility") + h.brief("vtn:market")] == [
            ("e", "active", 100.0),
            ("e", "active", 150.0),
        ]
        assert ALL_KW - 170 < h.load_kw() < ALL_KW - 145

    story(tell)


def test_one_event_in_two_territories_is_two_requests() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 20, start=at(10), targets=["East", "West", "Mars"])
        h.ven(vtn)
        await h.until(12)
        assert {(r.request_id, r.territory_id) for r in h.requests()} == {("e1", "East"), ("e1@West", "West")}
        assert "Mars" in h.headend.state.signals["vtn:utility", "e1"].notes[0]

    story(tell)


# --- other kinds


def test_a_share_and_a_setpoint_follow_the_baseline() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.event("half", ("SIMPLE", 2, None), start=at(10), duration="PT10M")
        vtn.event("flat", ("DISPATCH_SETPOINT", 300, "KW"), start=at(60), duration="PT30M")
        h.ven(vtn, meaning=Meaning(territory_id="East", levels={2: Amount(share=0.5)}))
        await h.until(12)
        assert h.requests()[0].kw == pytest.approx(ALL_KW / 2, rel=0.05)
        await h.until(70)
        baseline_kw = h.headend.accounts.whole("East", h.clock.now()).baseline_kw
        assert h.requests()[1].kw == pytest.approx(baseline_kw - 300, rel=0.03)
        assert h.load_kw() == pytest.approx(300, rel=0.1)

    story(tell)


def test_a_capacity_limit_is_a_ceiling_while_it_lasts_and_the_subscription_after() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.event("cap", ("IMPORT_CAPACITY_LIMIT", 180, "KW"), start=at(10), duration="PT10M")
        vtn.event("sub", ("IMPORT_CAPACITY_SUBSCRIPTION", 400, "KW"), start=at(0), duration="P9999Y")
        h.ven(vtn)
        await h.until(5)
        assert h.load_kw() <= 400
        await h.until(11)
        assert h.load_kw() <= 180
        assert h.headend.state.ceiling_kw("East") == 180
        await h.until(45)
        assert 180 < h.load_kw() <= 400
        vtn.gone("sub")
        await h.until(70)
        assert h.headend.state.ceiling_kw("East") is None
        assert h.load_kw() == pytest.approx(ALL_KW)
        assert not h.requests()

    story(tell)


def test_what_is_not_served_is_there_with_its_reason() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.event("e1", ("CONTROL_SETPOINT", 5, "KW"), ("PRICE", 0.3, None), start=at(10))
        vtn.event("e2", ("DISPATCH_SETPOINT_RELATIVE", -5, None), start=at(10))
        h.ven(vtn)
        await h.until(2)
        assert not h.requests()
        signals = h.headend.signals
        reasons = [s.why_not for g in signals.of("vtn:utility") for s in signals.segments(g)]
        assert len(reasons) == 3
        assert all(reasons)
        assert all(s.kind is SignalKind.OTHER for g in signals.of("vtn:utility") for s in signals.segments(g))

    story(tell)


# --- emw's own life


def test_P2_a_restart_in_mid_event_lets_nothing_go_even_without_its_vtn() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=NOW, randomizeStart="PT2M")
        vtn.shed("e2", 40, start=at(30), duration="PT1H")
        h.ven(vtn)
        await h.until(20)
        before, load_kw = h.brief(), h.load_kw()
        vtn.down = True
        again = await h.again()
        again.ven(vtn)
        await again.until(25)
        assert again.brief() == before
        assert again.load_kw() == pytest.approx(load_kw, abs=8)
        await again.until(31)
        assert again.brief()[1][1] == "active"
        vtn.down = False
        await again.until(40)
        assert len(again.facts(f.RequestReceived)) == 2
        assert not again.facts(f.RequestChanged, f.SignalEnded)
        await again.until(64)
        assert again.brief()[0][1] in {"restoring", "closed"}

    story(tell)


def test_what_a_person_ended_stays_ended_until_the_event_says_something_else() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(10))
        h.ven(vtn)
        await h.until(15)
        await h.headend.requests.return_to_normal("vtn:utility", "e1", actor="operator:ann")
        await h.until(20)
        assert [b[1] for b in h.brief()] in (["restoring"], ["closed"])
        again = await h.again()
        again.ven(vtn)
        await again.until(25)
        assert len(again.brief()) == 1
        vtn.shed("e1", 120, start=at(10))
        await again.until(26)
        assert again.brief()[1][:3] == ("e1@East", "active", 120.0)

    story(tell)


def test_a_vtn_that_is_no_longer_configured_holds_nothing() -> None:
    from emw.app.vens import forget_unknown

    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(10))
        h.ven(vtn)
        await h.until(15)
        again = await h.again()
        await forget_unknown(again.headend, [])
        await again.until(16)
        assert again.brief()[0][1] == "restoring"

    story(tell)


def test_the_log_says_it_all_again() -> None:
    """fold(evolve, log) == live view, signals and all."""
    from emw.domain.state import State

    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 100, start=at(5), duration="PT10M")
        vtn.event("cap", ("IMPORT_CAPACITY_LIMIT", 300, "KW"), start=at(2), duration="PT1H")
        h.ven(vtn)
        await h.until(8)
        vtn.shed("e1", 120, start=at(5), duration="PT20M")
        await h.until(30)
        vtn.gone("e1")
        await h.until(40)
        state = State()
        for fact in h.disk.log:
            apply(state, fact)
        for table in ("signals", "grid_links", "grid_ceilings", "requests"):
            assert getattr(state, table) == getattr(h.headend.state, table), table

    story(tell)


def test_requested_is_always_the_sum_of_its_parts() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        vtn.shed("e1", 200, start=at(5))
        h.ven(vtn)
        for minute in range(6, 30):
            if minute == 15:
                vtn.shed("e1", 60, start=at(5))
            await h.until(minute)
            r = h.requests()[0]
            parts = r.confirmed_kw + r.pending_kw + r.refused_kw + r.short_kw
            assert parts == pytest.approx(r.kw, abs=1e-6)

    story(tell)


def test_polls_are_nearer_to_each_other_while_something_is_near() -> None:
    async def tell(h: House) -> None:
        vtn = Vtn()
        ven = h.ven(vtn)
        await h.until(30)
        idle = ven.standing.polls
        vtn.shed("e1", 100, start=at(45))
        await h.until(60)
        assert idle <= 40
        assert ven.standing.polls - idle >= 150
        assert START + timedelta(minutes=60) > (ven.standing.next_at or START) - timedelta(seconds=10)

    story(tell)
