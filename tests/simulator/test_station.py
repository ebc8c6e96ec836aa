"""One station's conversation, word by word, without a socket."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from emw.simulator.control import AUTH, RETURN_TO_NORMAL, SET_MAX
from emw.simulator.hardware import Car, Faults, SimulatedHardware
from emw.simulator.identity import Identity
from emw.simulator.station import Request, Station

T0 = datetime(2019, 7, 24, 16, 0, tzinfo=UTC)
SECRET = "enrolment-secret"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


class Bench:
    """A station on the test bench: the test is its server."""

    def __init__(self, faults: Faults | None = None, access_url: str | None = None) -> None:
        self.hardware = SimulatedHardware(
            knob_a=32.0, voltage_v=208.0, now=T0, rng=Random(1), faults=faults, noise=0.0
        )
        identity = Identity(evse_id="e1", secret=SECRET, territory="East", access_url=access_url)
        self.station = Station(identity, self.hardware, Random(2))

    def says(self, now: datetime, path: str, answer: Any = None, status: int = 200) -> dict[str, Any]:
        """The station must say `path` now; it gets the answer; what it said is returned."""
        request = self.request(now)
        assert request.path == path
        self.station.answered(request, status, json.dumps(answer or {}).encode(), now)
        said: dict[str, Any] = json.loads(request.body)
        return said

    def request(self, now: datetime) -> Request:
        request = self.station.next_request(now)
        assert request is not None
        return request

    def on(self, now: datetime = T0, limit: Any = None) -> None:
        answer = {"token": "t1", "heartbeatSeconds": 60, "serverTime": now.isoformat()}
        self.says(now, "/evse/powerOn", answer | ({"limit": limit} if limit else {}))

    def plugged(self, car: Car | None = None) -> None:
        self.on()
        self.hardware.plug(car or Car(max_a=32.0, need_kwh=100.0), T0)
        self.says(T0, "/evse/plugIntoVehicle", {"sessionID": "s1"})

    def control(self, path: str, body: Any, now: datetime, bearer: str | None = "server") -> tuple[int, Any]:
        reply = self.station.called(path, bearer, json.dumps(body).encode(), now)
        return reply.status, json.loads(reply.body)

    def rules(self) -> list[str]:
        return [violation.rule for violation in self.station.control.violations]


def limit(amps: float, until_s: float = 3600.0, command_id: str = "c1") -> dict[str, Any]:
    return {"commandID": command_id, "maxAmps": amps, "until": at(until_s).isoformat()}


@pytest.fixture
def reachable() -> Bench:
    bench = Bench(access_url="http://127.0.0.1:1/s/e1")
    bench.plugged()
    assert bench.control(AUTH, {"token": "server"}, T0, bearer=None)[0] == 200
    return bench


def test_powers_on_with_its_secret_and_speaks_with_the_token() -> None:
    bench = Bench(access_url="http://127.0.0.1:1/s/e1")
    first = bench.request(T0)
    assert first.bearer == SECRET
    assert json.loads(first.body) == {
        "evseID": "e1",
        "evseModel": "Simulated EVSE",
        "customerID": "simulated",
        "lineVoltage": 208.0,
        "status": "available",
        "location": {"territory": "East"},
        "accessURL": "http://127.0.0.1:1/s/e1",
        "evseMaxAmps": 32.0,
    }
    bench.station.answered(first, 200, b'{"token":"t1","heartbeatSeconds":60}', T0)
    assert bench.station.next_request(T0) is None, "nothing plugged, nothing to say"
    assert bench.station.due(T0) is None
    car = Car(max_a=16.0, need_kwh=9.0, requested_kwh=12.0, departure=at(7200), model="Leaf")
    bench.hardware.plug(car, T0)
    plug = bench.request(T0)
    assert plug.bearer == "t1"
    assert json.loads(plug.body) == {
        "evseID": "e1",
        "lineVoltage": 208.0,
        "evseMaxAmps": 32.0,
        "carMaxAmps": 16.0,
        "vehicle": "Leaf",
        "energyRequestedKWh": 12.0,
        "departureTime": "2019-07-24T18:00:00Z",
    }


def test_secrets_and_tokens_stay_out_of_what_is_printed() -> None:
    bench = Bench()
    assert SECRET not in repr(bench.station.identity) + repr(bench.request(T0))


def test_beats_as_often_as_the_server_says_and_says_null_when_free() -> None:
    bench = Bench()
    bench.plugged()
    due = []
    said: dict[str, Any] = {}
    for _ in range(5):
        when = bench.station.due(T0)
        assert when is not None
        due.append(when)
        said = bench.says(when, "/evse/plugInHeartBeat")
    assert at(0) <= due[0] <= at(60)
    assert {(later - earlier).total_seconds() for earlier, later in pairwise(due)} == {60.0}
    assert said["limitAmps"] is None
    assert said["currentAmps"] == 32.0
    assert said["timestamp"] == due[-1].isoformat().replace("+00:00", "Z")


def test_one_request_at_a_time() -> None:
    bench = Bench()
    request = bench.request(T0)
    assert bench.station.next_request(T0) is None
    assert bench.station.due(T0) is None
    bench.station.failed(request, T0)
    assert bench.station.due(T0) is not None


def test_behind_nat_a_limit_in_any_answer_is_applied_and_confirmed() -> None:
    bench = Bench()
    bench.plugged()
    beat = bench.station.due(T0)
    assert beat is not None
    bench.says(beat, "/evse/plugInHeartBeat", {"limit": limit(10.0)})
    assert bench.hardware.limit_a == 10.0
    said = bench.says(beat, "/evse/adjustedMaxAmps")
    assert said == {"evseID": "e1", "newMaxAmps": 10.0, "commandID": "c1"}
    again = bench.station.due(beat)
    assert again is not None
    bench.says(again, "/evse/plugInHeartBeat", {"limit": limit(10.0)})
    assert bench.says(again, "/evse/adjustedMaxAmps") == said, "asked again, said again"
    assert bench.station.next_request(again) is None
    assert bench.station.control.commands == 1


def test_an_unacknowledged_confirmation_is_said_again() -> None:
    bench = Bench()
    bench.on(limit=limit(10.0))
    bench.says(T0, "/evse/adjustedMaxAmps", status=503)
    again = bench.station.due(T0)
    assert again is not None
    assert again > T0
    assert bench.says(again, "/evse/adjustedMaxAmps")["commandID"] == "c1"


def test_a_limit_at_the_knob_is_a_return_to_normal() -> None:
    bench = Bench()
    bench.on(limit=limit(10.0))
    bench.says(T0, "/evse/adjustedMaxAmps", {"limit": limit(32.0, command_id="c2")})
    assert bench.hardware.limit_a is None
    assert bench.says(T0, "/evse/adjustedMaxAmps")["newMaxAmps"] == 32.0


def test_normal_is_what_the_server_last_heard_of_the_knob() -> None:
    bench = Bench()
    bench.on()
    bench.hardware.set_limit(10.0, at(600), T0)
    bench.hardware.turn_knob(40.0, at(1))
    said = bench.says(at(1), "/evse/adjustedMaxAmps", {"limit": limit(40.0)})
    assert said["newMaxAmps"] == 40.0
    assert bench.hardware.limit_a is None
    bench.hardware.turn_knob(48.0, at(2))
    bench.says(at(2), "/evse/adjustedMaxAmps", {"limit": limit(40.0, command_id="c2")})
    assert bench.hardware.limit_a is None


def test_what_a_rejecting_station_behind_nat_did_not_do_is_said_too() -> None:
    bench = Bench(Faults(rejecting=True))
    bench.on(limit=limit(10.0))
    assert bench.says(T0, "/evse/adjustedMaxAmps")["newMaxAmps"] == 32.0


def test_401_powers_on_again_and_loses_nothing() -> None:
    bench = Bench()
    bench.plugged()
    bench.hardware.unplug(at(5))
    bench.says(at(5), "/evse/unplugged", status=401)
    assert not bench.station.powered
    assert bench.request(at(5)).bearer == SECRET
    bench.station.answered(
        Request(bench.station._power_on(bench.hardware.read(at(5))), SECRET),
        200,
        b'{"token":"t2","heartbeatSeconds":60}',
        at(5),
    )
    request = bench.request(at(5))
    assert (request.path, request.bearer) == ("/evse/unplugged", "t2")


def test_after_401_a_session_goes_on() -> None:
    bench = Bench()
    bench.plugged()
    beat = bench.station.due(T0)
    assert beat is not None
    bench.says(beat, "/evse/plugInHeartBeat", status=401)
    bench.on(beat)
    bench.says(beat + timedelta(seconds=60), "/evse/plugInHeartBeat")


def test_a_limit_that_the_hardware_lost_is_set_by_the_same_command_again() -> None:
    bench = Bench()
    bench.on(limit=limit(10.0))
    bench.hardware.reboot(T0)
    bench.says(T0, "/evse/adjustedMaxAmps", {"limit": limit(10.0)})
    assert bench.hardware.limit_a == 10.0


def test_a_knob_turned_with_no_vehicle_is_told_at_once() -> None:
    bench = Bench()
    bench.on()
    bench.hardware.turn_knob(16.0, at(1))
    assert bench.says(at(1), "/evse/adjustedMaxAmps") == {"evseID": "e1", "newMaxAmps": 16.0}
    assert bench.station.next_request(at(2)) is None


def test_a_wrong_secret_is_not_tried_in_a_storm() -> None:
    bench = Bench()
    waits, now = [], T0
    for _ in range(12):
        bench.says(now, "/evse/powerOn", status=401)
        due = bench.station.due(now)
        assert due is not None
        waits.append((due - now).total_seconds())
        now = due
    assert all(wait >= 0.5 for wait in waits)
    assert 30.0 <= waits[-1] <= 60.0


def test_a_server_that_takes_no_token_is_not_tried_in_a_storm() -> None:
    bench = Bench()
    bench.plugged()
    now, messages = bench.station.due(T0), 0
    assert now is not None
    end = now + timedelta(minutes=10)
    while now < end:
        request = bench.station.next_request(now)
        if request is None:
            due = bench.station.due(now)
            assert due is not None
            now = due
            continue
        messages += 1
        if request.path == "/evse/powerOn":
            bench.station.answered(request, 200, b'{"token":"t","heartbeatSeconds":60}', now)
        else:
            bench.station.answered(request, 401, b"", now)
    assert messages < 60


@pytest.mark.parametrize("trouble", [503, 500, 429, "refused", "garbage", "nonsense"])
def test_plug_and_unplug_survive_an_outage_in_order(trouble: int | str) -> None:
    bench = Bench()
    bench.on()
    car = Car(max_a=32.0, need_kwh=100.0)
    bench.hardware.plug(car, at(1))
    now = at(1)
    for step in range(20):
        request = bench.station.next_request(now)
        if step == 5:
            bench.hardware.unplug(now)
        if step == 10:
            bench.hardware.plug(car, now)
        if request is not None:
            assert request.path == "/evse/plugIntoVehicle"
            if trouble == "refused":
                bench.station.failed(request, now)
            elif trouble == "garbage":
                bench.station.answered(request, 200, b"<html>", now)
            elif trouble == "nonsense":
                bench.station.answered(request, 200, b'{"limit":{"maxAmps":"many"}}', now)
            else:
                bench.station.answered(request, int(trouble), b"", now)
        now += timedelta(seconds=30)
    now += timedelta(seconds=60)
    assert bench.station.unsaid == 3
    for path in ("/evse/plugIntoVehicle", "/evse/unplugged", "/evse/plugIntoVehicle"):
        bench.says(now, path)
    assert bench.station.unsaid == 0


def test_retry_after_is_kept() -> None:
    bench = Bench()
    request = bench.request(T0)
    bench.station.answered(request, 503, b"", T0, retry_after_s=40.0)
    due = bench.station.due(T0)
    assert due is not None
    assert due >= at(40)


def test_a_message_that_will_never_be_taken_is_dropped_and_counted() -> None:
    bench = Bench()
    bench.on()
    bench.hardware.plug(Car(max_a=32.0, need_kwh=10.0), T0)
    bench.says(T0, "/evse/plugIntoVehicle", status=400)
    assert (bench.station.refusals, bench.station.unsaid) == (1, 0)


def test_a_server_that_forgot_the_session_is_told_again() -> None:
    bench = Bench()
    bench.plugged()
    beat = bench.station.due(T0)
    assert beat is not None
    bench.says(beat, "/evse/plugInHeartBeat", status=404)
    bench.says(beat, "/evse/plugIntoVehicle")


def test_F14_a_reboot_forgets_everything_but_the_vehicle() -> None:
    bench = Bench()
    bench.plugged()
    bench.hardware.set_limit(6.0, at(3600), T0)
    bench.hardware.reboot(at(10))
    bench.station.reboot(at(10), boots_s=20.0)
    assert bench.station.next_request(at(29)) is None
    said = bench.says(at(30), "/evse/powerOn", {"token": "t2", "heartbeatSeconds": 60, "limit": limit(6.0)})
    assert said["status"] == "occupied"
    assert bench.hardware.limit_a == 6.0
    bench.says(at(30), "/evse/plugIntoVehicle")
    bench.says(at(30), "/evse/adjustedMaxAmps")


def test_power_off_says_the_rest_then_goodbye() -> None:
    bench = Bench()
    bench.plugged()
    bench.hardware.unplug(at(5))
    bench.station.power_off()
    bench.says(at(5), "/evse/unplugged")
    bench.says(at(5), "/evse/powerOff")
    assert bench.station.off
    assert bench.station.next_request(at(6)) is None


def test_a_silent_station_says_everything_but_heartbeats() -> None:
    bench = Bench()
    bench.station.silent = True
    bench.plugged()
    assert bench.station.due(at(600)) is None
    assert bench.station.next_request(at(600)) is None


# --- control calls ------------------------------------------------------------------------------------------


def test_control_calls_need_the_servers_token(reachable: Bench) -> None:
    for bearer in (None, "", "t1", "Server", "server "):
        assert reachable.control(SET_MAX, limit(10.0), T0, bearer)[0] == 401
    assert reachable.hardware.limit_a is None
    assert reachable.control(SET_MAX, limit(10.0), T0) == (200, {"maxAmps": 10.0})
    assert reachable.control("/control/other", {}, T0)[0] == 404


def test_the_servers_token_changes_only_by_its_holder_or_after_power_on(reachable: Bench) -> None:
    assert reachable.control(AUTH, {"token": "thief"}, T0, bearer=None)[0] == 401
    assert reachable.control(AUTH, {"token": "thief"}, T0, bearer="guess")[0] == 401
    assert reachable.control(AUTH, {"token": "next"}, T0, bearer="server")[0] == 200
    assert reachable.control(SET_MAX, limit(10.0), T0, bearer="server")[0] == 401
    reachable.station.reboot(T0, boots_s=0.0)
    assert reachable.control(AUTH, {"token": "early"}, T0, bearer=None)[0] == 401, "not powered on yet"
    reachable.request(T0)
    assert reachable.control(AUTH, {"token": "fresh"}, T0, bearer=None)[0] == 200
    assert reachable.control(AUTH, {"token": "second"}, T0, bearer=None)[0] == 401


def test_P5_the_same_command_twice_changes_nothing(reachable: Bench) -> None:
    assert reachable.control(SET_MAX, limit(10.0), T0) == (200, {"maxAmps": 10.0})
    assert reachable.control(SET_MAX, limit(16.0, command_id="c2"), at(1)) == (200, {"maxAmps": 16.0})
    late_double = reachable.control(SET_MAX, limit(10.0), at(2))
    assert late_double == (200, {"maxAmps": 10.0})
    assert reachable.hardware.limit_a == 16.0
    assert reachable.control(RETURN_TO_NORMAL, {"commandID": "c3"}, at(3)) == (200, {"maxAmps": 32.0})
    assert reachable.control(SET_MAX, limit(16.0, command_id="c2"), at(4))[0] == 200
    assert reachable.hardware.limit_a is None
    assert reachable.station.control.commands == 3
    assert reachable.rules() == []


def test_P5_a_command_said_again_after_its_knob_was_turned_down_is_answered_by_the_knob(
    reachable: Bench,
) -> None:
    assert reachable.control(SET_MAX, limit(20.0), T0) == (200, {"maxAmps": 20.0})
    reachable.hardware.turn_knob(16.0, at(1))
    reachable.says(at(1), "/evse/adjustedMaxAmps")
    assert reachable.control(SET_MAX, limit(16.0), at(2)) == (200, {"maxAmps": 16.0})
    reachable.hardware.turn_knob(32.0, at(3))
    assert reachable.hardware.limit_a == 20.0, "the command is the same"


def test_P5_a_command_first_heard_under_a_lower_knob_is_what_it_was_issued_as_above_it(
    reachable: Bench,
) -> None:
    reachable.hardware.turn_knob(16.0, T0)
    reachable.says(T0, "/evse/adjustedMaxAmps")
    assert reachable.control(SET_MAX, limit(16.0), at(1)) == (200, {"maxAmps": 16.0})
    reachable.hardware.turn_knob(32.0, at(2))
    reachable.says(at(2), "/evse/adjustedMaxAmps")
    for _ in range(2):
        assert reachable.control(SET_MAX, limit(20.0), at(3)) == (200, {"maxAmps": 20.0})
    assert reachable.hardware.limit_a == 20.0
    assert reachable.station.control.ends == at(3600.0)


@pytest.mark.parametrize(
    ("body", "rule", "field"),
    [
        (limit(3.0), "between 0 and the floor", "maxAmps"),
        (limit(5.99), "between 0 and the floor", "maxAmps"),
        (limit(-1.0), "below 0", "maxAmps"),
        (limit(10.0, until_s=-3600.0), "ended before it began", "until"),
        ({"commandID": "c1", "maxAmps": 10.0}, "no end", "until"),
        ({"commandID": "c1", "maxAmps": 10.0, "until": "2019-07-24T17:00:00"}, "no end", "until"),
        ({"commandID": "c1", "maxAmps": "10", "until": at(60).isoformat()}, "malformed", "maxAmps"),
        ({"commandID": "c1", "until": at(60).isoformat()}, "malformed", "maxAmps"),
        ({"commandID": "c1", "maxAmps": float("nan"), "until": at(60).isoformat()}, "malformed", None),
    ],
)
def test_P4_P3_a_command_that_breaks_a_promise_is_refused_and_recorded(
    reachable: Bench, body: dict[str, Any], rule: str, field: str | None
) -> None:
    status, problem = reachable.control(SET_MAX, body, T0)
    assert (status, problem.get("field")) == (400, field)
    assert reachable.rules() == [rule]
    assert reachable.hardware.limit_a is None


def test_P4_above_the_knob_goes_to_the_knob_and_is_recorded(reachable: Bench) -> None:
    assert reachable.control(SET_MAX, limit(40.0), T0) == (200, {"maxAmps": 32.0})
    assert reachable.rules() == ["above the knob"]


def test_P4_holds_behind_nat_too() -> None:
    bench = Bench()
    bench.on(limit=limit(3.0))
    assert bench.rules() == ["between 0 and the floor"]
    assert bench.says(T0, "/evse/adjustedMaxAmps")["newMaxAmps"] == 32.0


def test_a_command_made_for_the_old_knob_is_no_broken_promise(reachable: Bench) -> None:
    reachable.hardware.turn_knob(16.0, at(1))
    assert reachable.control(SET_MAX, limit(20.0), at(1)) == (200, {"maxAmps": 16.0})
    assert reachable.rules() == []
    said = reachable.says(at(2), "/evse/adjustedMaxAmps")
    assert said == {"evseID": "e1", "newMaxAmps": 16.0}, "a turned knob is told at once"
    assert reachable.control(SET_MAX, limit(20.0, command_id="c2"), at(3))[0] == 200
    assert reachable.rules() == [], "it may have been on its way"
    assert reachable.control(SET_MAX, limit(20.0, command_id="c3"), at(300))[0] == 200
    assert reachable.rules() == ["above the knob"]


def test_F10_a_station_whose_clock_is_ahead_says_that_the_limit_is_over() -> None:
    bench = Bench(Faults(clock_skew=timedelta(hours=2)))
    bench.on(limit=limit(10.0, until_s=3600.0))
    assert bench.says(T0, "/evse/adjustedMaxAmps")["newMaxAmps"] == 32.0
    assert bench.rules() == [], "the server can't know"


def test_P3_a_limit_ends_while_the_server_is_away() -> None:
    bench = Bench()
    bench.plugged()
    bench.station.control.obey(_order(10.0, 600.0), T0)
    request = bench.request(at(60))
    bench.station.failed(request, at(60), retry_after_s=3600.0)
    assert bench.station.next_request(at(700)) is None
    assert bench.hardware.limit_a is None
    assert bench.station.control.ends is None


def _order(amps: float, until_s: float) -> Any:
    from emw.simulator.wire import LimitOrder

    return LimitOrder(command_id="c1", max_a=amps, until=at(until_s))
