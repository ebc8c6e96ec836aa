"""Between a station and its CSMS: every frame once, in order and as it came; CALLs of ours never show."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emw.stations.ocppj import CALL_DEADLINE_S, Answered, Ask, Version
from emw.stations.relay import PREFIX, Ours, Passed, Relay, Seen, Theirs

MOVES = st.lists(
    st.sampled_from(
        ["csms asks", "we ask", "station answers", "station errs", "station asks", "csms answers"]
    ),
    max_size=60,
)


def call(named: str, action: str, **payload: Any) -> bytes:
    return json.dumps([2, named, action, payload]).encode()


def result(named: str, **payload: Any) -> bytes:
    return json.dumps([3, named, payload]).encode()


class Both:
    """A relay, and all that reaches either side."""

    def __init__(self) -> None:
        self.relay = Relay(Version.V16)
        self.now = 0.0
        self.at_station: list[bytes] = []
        self.at_csms: list[bytes] = []
        self.news: list[Any] = []

    def take(self, passed: Passed) -> None:
        if passed.to_csms is not None:
            self.at_csms.append(passed.to_csms)
        if passed.to_station is not None:
            self.at_station.append(passed.to_station)
        if passed.news is not None:
            self.news.append(passed.news)
        self.go()

    def go(self) -> None:
        frame = self.relay.next(self.now)
        if frame is not None:
            self.at_station.append(frame)

    def ask(self, action: str = "SetChargingProfile") -> None:
        self.relay.conversation.ask(Ask(action, b"{}"))
        self.go()


def ours(frame: bytes) -> bool:
    return str(json.loads(frame)[1]).startswith(PREFIX)


def kinds(frames: list[bytes], kind: Callable[[int], bool]) -> list[bytes]:
    return [f for f in frames if kind(json.loads(f)[0])]


@given(MOVES)
def test_every_frame_once_in_order_and_as_it_came(moves: list[str]) -> None:
    both = Both()
    csms_calls: list[bytes] = []
    csms_answers: list[bytes] = []
    station_said: list[bytes] = []
    asked_by_us, answered_to_us, open_calls = 0, 0, []
    flying: list[str] = []
    seen = 0
    for number, move in enumerate(moves):
        if move == "csms asks":
            # Blanks and order of keys are the sender's own: they have to survive.
            frame = b'[2, "c%d","Reset",{"type" : "Soft"} ]' % number
            csms_calls.append(frame)
            both.take(both.relay.from_csms(frame))
        elif move == "we ask":
            asked_by_us += 1
            both.ask()
        elif move == "station asks":
            frame = call(f"s{number}", "Heartbeat" if number % 2 else "BootNotification")
            open_calls.append(f"s{number}")
            station_said.append(frame)
            both.take(both.relay.from_station(frame))
        elif move == "csms answers" and open_calls:
            frame = result(open_calls.pop(0), status="Accepted")
            csms_answers.append(frame)
            both.take(both.relay.from_csms(frame))
        elif move.startswith("station ") and flying:
            named = flying.pop(0)
            frame = (
                result(named, status="Accepted")
                if move == "station answers"
                else json.dumps([4, named, "GenericError", "", {}]).encode()
            )
            if named.startswith(PREFIX):
                answered_to_us += 1
            else:
                station_said.append(frame)
            both.take(both.relay.from_station(frame))
        new = kinds(both.at_station, lambda kind: kind == 2)[seen:]
        seen += len(new)
        flying += [json.loads(f)[1] for f in new]
        assert len(flying) <= 1, "two calls on their way to the station"
    while flying:  # the rest of the line
        named = flying.pop(0)
        frame = result(named, status="Accepted")
        if named.startswith(PREFIX):
            answered_to_us += 1
        else:
            station_said.append(frame)
        both.take(both.relay.from_station(frame))
        new = kinds(both.at_station, lambda kind: kind == 2)[seen:]
        seen += len(new)
        flying += [json.loads(f)[1] for f in new]
    calls = kinds(both.at_station, lambda kind: kind == 2)
    assert [f for f in calls if not ours(f)] == csms_calls
    assert kinds(both.at_station, lambda kind: kind != 2) == csms_answers
    assert both.at_csms == station_said
    assert len([f for f in calls if ours(f)]) == asked_by_us == answered_to_us
    assert len([n for n in both.news if isinstance(n, Ours)]) == asked_by_us


def test_a_late_answer_goes_where_it_belongs() -> None:
    both = Both()
    both.ask("TriggerMessage")
    both.take(both.relay.from_csms(call("c1", "Reset", type="Soft")))
    assert [json.loads(f)[2] for f in both.at_station] == ["TriggerMessage"]
    both.now = CALL_DEADLINE_S
    assert both.relay.conversation.expired(both.now) is not None
    both.go()
    assert json.loads(both.at_station[-1])[1] == "c1"
    both.take(both.relay.from_station(result(f"{PREFIX}1", status="Accepted")))
    assert both.at_csms == []
    (news,) = both.news
    assert isinstance(news, Ours)
    assert isinstance(news.got, Answered)
    assert news.got.late
    both.now = 2 * CALL_DEADLINE_S
    assert both.relay.conversation.expired(both.now) is not None
    late = result("c1", status="Accepted")
    both.take(both.relay.from_station(late))
    assert both.at_csms == [late]


def test_an_answer_of_ours_that_nobody_remembers_stays_here() -> None:
    both = Both()
    both.take(both.relay.from_station(result(f"{PREFIX}77", status="Accepted")))
    both.take(both.relay.from_station(json.dumps([4, f"{PREFIX}78", "X", "", {}]).encode()))
    assert both.at_csms == []
    assert both.news == []


def test_what_cannot_be_read_goes_on() -> None:
    both = Both()
    both.take(both.relay.from_station(b"no json"))
    both.take(both.relay.from_csms(b'[9,"x"]'))
    assert (both.at_csms, both.at_station) == ([b"no json"], [b'[9,"x"]'])


def test_more_calls_than_the_line_holds_are_refused_to_the_csms() -> None:
    both = Both()
    for number in range(70):
        both.take(both.relay.from_csms(call(f"c{number}", "Reset", type="Soft")))
    refused = [json.loads(f) for f in both.at_csms]
    assert [f[1] for f in refused] == [f"c{n}" for n in range(65, 70)]
    assert {f[0] for f in refused} == {4}


def test_what_the_csms_decides_is_told_with_its_answer() -> None:
    both = Both()
    both.take(both.relay.from_station(call("s1", "StartTransaction", connectorId=1)))
    assert both.news == []
    both.take(both.relay.from_csms(result("s1", transactionId=7)))
    (seen,) = both.news
    assert isinstance(seen, Seen)
    assert seen.told is not None
    assert json.loads(seen.told) == {"transactionId": 7}
    both.take(both.relay.from_station(call("s2", "StartTransaction", connectorId=1)))
    both.take(both.relay.from_csms(json.dumps([4, "s2", "InternalError", "", {}]).encode()))
    assert len(both.news) == 1, "a refused transaction has no number"


def test_what_the_csms_asked_is_told_with_its_answer() -> None:
    both = Both()
    both.take(both.relay.from_csms(call("c1", "ClearChargingProfile")))
    both.take(both.relay.from_station(result("c1", status="Accepted")))
    (news,) = both.news
    assert isinstance(news, Theirs)
    assert news.call.action == "ClearChargingProfile"


def test_an_answer_for_a_csms_that_is_gone_reaches_no_other() -> None:
    both = Both()
    both.take(both.relay.from_csms(call("c1", "Reset", type="Soft")))
    both.take(both.relay.from_csms(call("c2", "Reset", type="Soft")))
    both.ask("TriggerMessage")
    both.relay.csms_lost()
    both.take(both.relay.from_station(result("c1", status="Accepted")))
    assert both.at_csms == []
    # What waited of the lost one's is dropped; ours goes out.
    assert [json.loads(f)[2] for f in both.at_station] == ["Reset", "TriggerMessage"]
