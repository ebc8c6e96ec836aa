"""OCPP-J framing without a socket: what a frame says, and when ours go out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.stations.ocppj import (
    CALL_DEADLINE_S,
    MOST_WAITING,
    Answered,
    Aside,
    Ask,
    Broken,
    Call,
    Conversation,
    Failed,
    Unknown,
    Version,
    choose,
)


def ask(name: str = "Reset", key: object = None) -> Ask:
    return Ask(name, b"{}", key)


def sent(frame: bytes | None) -> tuple[str, str]:
    assert frame is not None
    kind, named, action, _ = json.loads(frame)
    assert kind == 2
    return named, action


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["ocpp1.6"], Version.V16),
        (["ocpp1.6", " ocpp2.0.1 "], Version.V201),
        (["ocpp2.1", "ocpp2.0.1"], Version.V21),
        (["OCPP1.6"], Version.V16),
        (["chat", "ocpp1.6J"], Version.V16),
        (["ocpp2.0", "chat"], None),
        ([], None),
    ],
)
def test_the_highest_version_in_common(offered: list[str], chosen: Version | None) -> None:
    found = choose(offered)
    assert (found and found[0]) is chosen
    if found is not None:
        assert found[1] in {name.strip() for name in offered}, "the station hears its own spelling"


@pytest.mark.parametrize(
    "frame",
    [
        b'[2,"a1","Heartbeat",{}]',
        b'[2, "a1", "Heartbeat", {}]',
        b' [ 2 , "a1" ,\n"Heartbeat" , {} ] ',
        b'[2,"\\u0061\\u0031","Heart\\u0062eat",{}]',
    ],
)
def test_a_call_however_it_is_written(frame: bytes) -> None:
    got = Conversation(Version.V16).receive(frame)
    assert isinstance(got, Call)
    assert (got.id, got.action, bytes(got.payload).strip()) == ("a1", "Heartbeat", b"{}")


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (b"", "-1"),
        (b"{}", "-1"),
        (b"[]", "-1"),
        (b"[2]", "-1"),
        (b'[2,7,"Heartbeat",{}]', "-1"),
        (b'[2,"a"]', "a"),
        (b'[2,"a","Heartbeat"]', "a"),
        (b'[2,"a",5,{}]', "a"),
        (b'[9,"a","Heartbeat",{}]', "a"),
        (b'[2.5,"a","b",{}]', "-1"),
        (b'["2","a","b",{}]', "-1"),
        (b"\xff\xfe", "-1"),
        (b"[" * 5_000, "-1"),
    ],
)
def test_what_cant_be_read_is_answered_by_its_name(frame: bytes, named: str) -> None:
    got = Conversation(Version.V201).receive(frame)
    assert isinstance(got, Broken)
    kind, told, code, why, details = json.loads(got.reply)
    assert (kind, told, details) == (4, named, {})
    assert code in {"RpcFrameworkError", "MessageTypeNotSupported"}
    assert why


@given(st.binary(max_size=200))
def test_no_bytes_raise(frame: bytes) -> None:
    for version in Version:
        got = Conversation(version).receive(frame)
        if isinstance(got, Broken):
            assert json.loads(got.reply)[0] == 4


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=12,
    )
)
def test_no_json_raises(value: object) -> None:
    for start in ([], [2], [3, "e1"], [4, "e1"]):
        text = json.dumps([*start, value] if start else value).encode("utf-8", "surrogatepass")
        session = Conversation(Version.V21)
        session.ask(ask())
        session.next(0.0)
        assert session.receive(text) is not None


def test_one_of_ours_at_a_time_and_the_next_when_it_is_answered() -> None:
    session = Conversation(Version.V16)
    for name in ("A", "B"):
        assert session.ask(ask(name)) is None
    first, action = sent(session.next(0.0))
    assert action == "A"
    assert session.next(0.0) is None
    # The station's own CALLs are answered meanwhile: the directions are independent.
    assert isinstance(session.receive(b'[2,"x","Heartbeat",{}]'), Call)
    got = session.receive(b'[3,"%b",{"status":"Accepted"}]' % first.encode())
    assert isinstance(got, Answered)
    assert not got.late
    second, action = sent(session.next(1.0))
    assert action == "B"
    assert first != second
    failed = session.receive(b'[4,"%b","NotImplemented","no","x"]' % second.encode())
    assert isinstance(failed, Failed)
    assert (failed.code, failed.description) == ("NotImplemented", "no")


def test_what_has_nothing_in_its_way_goes_out_at_once() -> None:
    session = Conversation(Version.V16)
    first = ask("A")
    frame = session.at_once(first, 0.0)
    assert sent(frame)[1] == "A"
    assert session.at_once(ask("B"), 0.0) is None
    assert session.ask(ask("B")) is None
    assert session.waiting
    session.receive(b'[3,"%b",{}]' % first.id.encode())
    assert session.at_once(ask("C"), 0.0) is None, "B comes first"
    assert sent(session.next(0.0))[1] == "B"


def test_of_a_key_only_the_newest_that_waits_goes_out() -> None:
    session = Conversation(Version.V16)
    session.ask(ask("Flying", key="limit"))
    session.next(0.0)
    old, other, new = ask("Old", "limit"), ask("Other"), ask("New", "limit")
    assert session.ask(old) is None
    assert session.ask(other) is None
    assert session.ask(new) is old
    left = session.close()
    assert [a.action for a in left] == ["Flying", "New", "Other"]


def test_the_queue_is_bounded() -> None:
    session = Conversation(Version.V16)
    for _ in range(MOST_WAITING):
        assert session.ask(ask()) is None
    last = ask()
    assert session.ask(last) is last


def test_no_answer_is_unknown_makes_room_and_a_late_one_is_matched_once() -> None:
    session = Conversation(Version.V16)
    session.ask(ask("A"))
    session.ask(ask("B"))
    named, _ = sent(session.next(0.0))
    assert session.expired(CALL_DEADLINE_S - 0.1) is None
    given_up = session.expired(CALL_DEADLINE_S)
    assert given_up is not None
    assert given_up.action == "A"
    assert sent(session.next(CALL_DEADLINE_S))[1] == "B"
    late = session.receive(b'[3,"%b",{}]' % named.encode())
    assert isinstance(late, Answered)
    assert late.late
    assert late.ask is given_up
    assert isinstance(session.receive(b'[3,"%b",{}]' % named.encode()), Unknown)


def test_2_1_may_send_what_wants_no_answer() -> None:
    assert Conversation(Version.V21).receive(b'[6,"a","NotifyPeriodicEventStream",{}]') == Aside(
        "a", "NotifyPeriodicEventStream", "{}", of_ours=False
    )
    refused = Conversation(Version.V21).receive(b'[5,"a","FormatViolation","no status",{}]')
    assert refused == Aside("a", "FormatViolation", "no status", of_ours=True)
    assert isinstance(Conversation(Version.V201).receive(b'[5,"a","FormatViolation","",{}]'), Broken)
    assert isinstance(Conversation(Version.V16).receive(b'[6,"a","NotifyPeriodicEventStream",{}]'), Broken)
