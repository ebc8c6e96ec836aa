"""The named questions: what they give, what they never give, and what they refuse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.model import RequestState
from emw.domain.people import Role
from emw.service.errors import BadInput
from emw.service.ports import Believed
from emw.store.queries import names
from tests.store.conftest import AnyStore, Place, commit_all
from tests.store.test_store import reading
from tests.store.world import START, plug, stations

HOUR = timedelta(hours=1)


async def told(place: Place) -> AnyStore:
    """A store with a little of everything in it."""
    store = place.open()
    await store.load()
    facts: list[f.Fact] = [
        *stations(4),
        f.IsoAdded(
            at=START, actor="operator:ann", iso_id="ISO", token_hash="token-hash", territories=("East",)
        ),
        f.OperatorAdded(
            at=START, actor="emw", name="ann", password_hash="password-hash", role=Role.ADMINISTRATOR
        ),
        f.ApiKeyAdded(
            at=START, actor="operator:ann", key_id="K1", name="grafana", key_hash="key-hash", role=Role.VIEWER
        ),
    ]
    facts += [
        f.RequestReceived(
            at=START + HOUR * i,
            actor="iso:ISO",
            request_key=f"ISO:R{i}",
            iso_id="ISO",
            request_id=f"R{i}",
            territory_id="East",
            kw=100.0 + i,
            start_at=START,
            end_at=None,
        )
        for i in range(3)
    ]
    facts += [plug(f"s{i}", f"E{i:06}", START + HOUR * i) for i in range(4)]
    facts.append(
        f.SessionEnded(
            at=START + 2 * HOUR,
            actor="station:E000001",
            session_id="s1",
            evse_id="E000001",
            reason="unplugged",
        )
    )
    facts += [
        f.Enrolled(at=START, actor="emw", request_key="ISO:R0", evse_id=evse)
        for evse in ("E000001", "E000003")
    ]
    facts += [
        f.TransactionStarted(
            at=START,
            actor="station:E000001",
            station_id="E000001",
            transaction_id=f"t{i}",
            evse_id="E000001:1",
            started_at=START + HOUR * i,
        )
        for i in range(3)
    ]
    facts.append(
        f.RequestMoved(at=START, actor="emw", request_key="ISO:R1", state=RequestState.CLOSED, reason="over")
    )
    facts += [
        f.LoadMetered(
            at=START,
            actor="emw",
            territory_id="East",
            start_at=START + HOUR * i,
            end_at=START + HOUR * (i + 1),
            load_kw=3.0 + i,
            baseline_kw=4.0,
            peak_kw=5.0,
            metered_share=1.0,
        )
        for i in range(3)
    ]
    facts += [
        f.IntervalMeasured(
            at=START,
            actor="emw",
            request_key="ISO:R0",
            start_at=START + HOUR * i,
            end_at=START + HOUR * (i + 1),
            requested_kw=100.0,
            confirmed_kw=90.0,
            measured_kw=95.5,
            baseline_kw=None,
            load_kw=3.0,
            method="virtual-twin",
        )
        for i in range(2)
    ]
    facts.append(
        f.TerritoryDefined(
            at=START,
            actor="emw",
            territory_id="East",
            parent_id=None,
            kind="zone",
            ceiling_kw=None,
            time_zone="UTC",
        )
    )
    await commit_all(store, facts)
    await store.add_readings([reading(minutes=i) for i in range(11)])
    await store.roll_up(START + HOUR)
    return store


async def test_the_log_is_asked_by_what_it_is_about(place: Place) -> None:
    store = await told(place)

    async def seqs(**asked: Any) -> list[int]:
        return [row["seq"] for row in await store.query("activity", **asked)]

    everything = await seqs()
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == 31
    assert await seqs(limit=2, before_seq=5) == [4, 3]
    assert len(await seqs(kind="SessionStarted")) == 4
    assert len(await seqs(kind="SessionStarted", evse_id="E000002")) == 1
    assert len(await seqs(request_key="ISO:R0")) == 5
    assert len(await seqs(iso_id="ISO")) == 4
    assert len(await seqs(territory_id="East")) == 9
    assert len(await seqs(actor="operator:ann")) == 6
    assert await seqs(since=START + 3 * HOUR) == await seqs(evse_id="E000003", kind="SessionStarted")
    assert len(await seqs(since=START + HOUR, until=START + 2 * HOUR)) == 2
    assert await seqs(text="r2") == await seqs(request_key="ISO:R2")
    assert await seqs(text="100%") == []
    row = (await store.query("activity", kind="SessionEnded"))[0]
    assert row["at"] == START + 2 * HOUR
    assert row["at"].tzinfo is UTC
    assert row["payload"]["reason"] == "unplugged"


async def test_A18_no_secret_comes_out_and_none_can_be_guessed_at(place: Place) -> None:
    store = await told(place)
    over = f.EnrolmentEnded(
        at=START, actor="emw", request_key="ISO:R0", evse_id="E000001", why="over", measured_kwh=1.0
    )
    records, _ = apply((await store.load()).state, over)
    await store.commit([over], records)
    later = START + HOUR
    for evse_id in ("E000001", "E000003"):
        believed = Believed(evse_id, later, later + HOUR, "virtual-twin", 300.0, 3.0, 0.5, 1.0)
        await store.add_beliefs([believed])
    asked: dict[str, dict[str, Any]] = {
        "request": {"request_key": "ISO:R0"},
        "enrolments": {"request_key": "ISO:R0"},
        "intervals": {"request_key": "ISO:R0"},
        "counterfactuals": {"request_key": "ISO:R0"},
        "counterfactual_sums": {"request_key": "ISO:R0"},  # E000003 takes part still, E000001 has left
        "load_intervals": {"territory_id": "East"},
        "parts": {"since": START - HOUR},
        "visits": {"since": START - HOUR},
        "telemetry": {"evse_id": "E000001"},
    }
    for name in names():
        rows = await store.query(name, **asked.get(name, {}))
        assert rows, name
        assert "-hash" not in str(rows), name
        assert "_hash" not in str(rows), name
    for secret in ("secret-hash", "token-hash", "password-hash", "key-hash", "session-token-hash", "_hash"):
        assert await store.query("activity", text=secret) == []


async def test_sessions(place: Place) -> None:
    store = await told(place)
    assert [r["session_id"] for r in await store.query("sessions")] == ["s3", "s2", "s1", "s0"]
    assert [r["session_id"] for r in await store.query("sessions", open=True, limit=2)] == ["s3", "s2"]
    assert [r["session_id"] for r in await store.query("sessions", open=False)] == ["s1"]
    assert [r["session_id"] for r in await store.query("sessions", before=START + HOUR)] == ["s0"]
    assert [r["session_id"] for r in await store.query("sessions", evse_id="E000002")] == ["s2"]
    both = await store.query("sessions", since=START + HOUR, until=START + 3 * HOUR)
    assert [r["session_id"] for r in both] == ["s2", "s1"]
    assert both[1]["ended_at"] == START + 2 * HOUR


async def test_visits_say_what_was_metered_of_them(place: Place) -> None:
    store = place.open()
    await store.load()
    ended = f.SessionEnded(
        at=START + timedelta(minutes=9),
        actor="station:E000001",
        session_id="v1",
        evse_id="E000001",
        reason="unplugged",
        energy_kwh=0.75,
    )
    plugs: list[f.Fact] = [plug("v1", "E000001"), ended, plug("v2", "E000000", START + HOUR)]
    await commit_all(store, [*stations(2), *plugs])
    await store.add_readings([reading(minutes=i) for i in range(20)])
    await store.roll_up(START + 2 * HOUR)
    means = await store.query("telemetry_intervals", evse_id="E000001")
    late, first = await store.query("visits", since=START, limit=5)
    assert (late["evse_id"], late["ended_at"], late["most_kw"]) == ("E000000", None, None)
    during = [m["mean_kw"] for m in means if m["interval_start"] < ended.at]
    assert len(during) == 2 < len(means)
    assert (first["energy_kwh"], first["car_max_a"], first["most_kw"]) == (0.75, 30.0, max(during))
    assert await store.query("visits", since=START + 2 * HOUR) == []


async def test_load_intervals_that_reach_into_a_time(place: Place) -> None:
    store = await told(place)
    half = HOUR / 2
    rows = await store.query(
        "load_intervals", territory_id="East", since=START + half, until=START + HOUR + half
    )
    assert [r["load_kw"] for r in rows] == [3.0, 4.0]
    assert await store.query("load_intervals", territory_id="East", since=START + 3 * HOUR) == []
    assert await store.query("load_intervals", territory_id="West") == []


async def test_transactions(place: Place) -> None:
    store = await told(place)
    rows = await store.query("transactions", station_id="E000001", limit=2)
    assert [r["transaction_id"] for r in rows] == ["t2", "t1"]
    (one,) = await store.query("transactions", station_id="E000001", transaction_id="t0")
    assert (one["started_at"], one["ended_at"], one["evse_id"]) == (START, None, "E000001:1")
    assert await store.query("transactions", station_id="E9") == []


async def test_evses(place: Place) -> None:
    store = await told(place)
    assert [r["evse_id"] for r in await store.query("evses", territory_ids=["East"])] == [
        "E000001",
        "E000003",
    ]
    assert await store.query("evses", territory_ids=[]) == []
    assert [r["evse_id"] for r in await store.query("evses", limit=2, offset=1)] == ["E000001", "E000002"]
    row = (await store.query("evses", evse_id="E000002"))[0]
    assert (row["powered"], row["may_pause"], row["phases"], row["max_a"]) == (True, False, 1, 32.0)


async def test_requests(place: Place) -> None:
    store = await told(place)
    assert [r["request_id"] for r in await store.query("requests")] == ["R2", "R1", "R0"]
    assert [r["request_id"] for r in await store.query("requests", state="closed")] == ["R1"]
    assert await store.query("requests", iso_id="another") == []
    assert (await store.query("request", request_key="ISO:R2"))[0]["kw"] == 102.0
    assert await store.query("request", request_key="ISO:R9") == []
    assert [r["evse_id"] for r in await store.query("enrolments", request_key="ISO:R0", offset=1)] == [
        "E000003"
    ]
    measured = await store.query("intervals", request_key="ISO:R0")
    assert [(r["start_at"], r["measured_kw"]) for r in measured] == [(START + HOUR, 95.5), (START, 95.5)]


async def test_telemetry(place: Place) -> None:
    store = await told(place)
    rows = await store.query("telemetry", evse_id="E000001", since=START + timedelta(minutes=8), limit=2)
    assert [r["at"] for r in rows] == [START + timedelta(minutes=10), START + timedelta(minutes=9)]
    means = await store.query("telemetry_intervals", evse_id="E000001", until=START + timedelta(minutes=5))
    assert [(r["interval_start"], r["samples"]) for r in means] == [(START, 5)]
    assert len(await store.query("load_curve", since=START + timedelta(minutes=1))) == 2
    # Two minutes of the second interval it was held, and is believed to have drawn 2 kW more without that.
    second = START + timedelta(minutes=5)
    for seconds in (60.0, 60.5):
        await store.add_beliefs(
            [
                Believed(
                    "E000001",
                    second,
                    second + timedelta(seconds=seconds),
                    "virtual-twin",
                    60.0,
                    3.0,
                    0.5,
                    1.0,
                )
            ]
        )
    shed = [row["shed_kw"] for row in await store.query("load_curve")]
    assert shed == [None, pytest.approx(0.8), None]


async def test_counts(place: Place) -> None:
    assert await (await told(place)).query("counts") == [
        {
            "activity": 31,
            "territories": 1,
            "stations": 4,
            "evses": 4,
            "sessions_open": 3,
            "requests": 3,
            "requests_live": 2,
            "reports_owed": 0,
        }
    ]


@pytest.mark.parametrize(
    ("name", "parameters", "field"),
    [
        ("drop", {}, "name"),
        ("activity", {"colour": "red"}, "colour"),
        ("activity", {"connection": "x"}, "connection"),
        ("activity", {"limit": -1}, "limit"),
        ("activity", {"limit": True}, "limit"),
        ("activity", {"limit": 2**70}, "limit"),
        ("activity", {"limit": "10"}, "limit"),
        ("activity", {"before_seq": 1.5}, "before_seq"),
        ("activity", {"kind": "Nothing"}, "kind"),
        ("activity", {"kind": 7}, "kind"),
        ("activity", {"text": "a\0b"}, "text"),
        ("activity", {"text": "\ud800"}, "text"),
        ("activity", {"since": datetime(2026, 1, 1)}, "since"),  # noqa: DTZ001 - that is the point
        ("activity", {"until": "2026-01-01"}, "until"),
        ("sessions", {"open": "yes"}, "open"),
        ("evses", {"territory_ids": "East"}, "territory_ids"),
        ("evses", {"territory_ids": [1]}, "territory_ids"),
        ("intervals", {}, "request_key"),
    ],
)
async def test_P9_what_can_not_be_asked_is_refused_by_name(
    file: Place, name: str, parameters: dict[str, Any], field: str
) -> None:
    store = file.open()
    await store.load()
    with pytest.raises(BadInput) as caught:
        await store.query(name, **parameters)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "injection", ["' OR 1=1 --", "'; DELETE FROM activity; --", '" OR ""="', "%", "_", "\\"]
)
async def test_A13_what_is_asked_for_is_only_ever_a_value(place: Place, injection: str) -> None:
    store = place.open()
    await store.load()
    await commit_all(store, stations(2))
    assert await store.query("activity", evse_id=injection) == []
    assert await store.query("activity", text=injection) == []
    assert await store.query("evses", territory_ids=[injection]) == []
    assert await store.query("request", request_key=injection) == []
    assert (await store.query("counts"))[0]["activity"] == 4


async def test_a_reader_beside_the_server_reads_and_can_not_write(file: Place) -> None:
    from emw.service.errors import Unavailable
    from emw.store import SqlStore, StoreUnusable

    reader = SqlStore(file.url, read_only=True)
    with pytest.raises(StoreUnusable, match="there is no database"):
        await reader.query("counts")
    store = file.open()
    await store.load()
    await commit_all(store, stations(2))
    assert (await reader.query("counts"))[0]["activity"] == 4
    with pytest.raises(Unavailable, match="reading only"):
        await reader.commit([plug("s", "E000000")], [])
    file.sql("UPDATE alembic_version SET version_num = '0000'")
    other = SqlStore(file.url, read_only=True)
    with pytest.raises(StoreUnusable, match="emw db upgrade"):
        await other.query("counts")
    await reader.close()
    await other.close()


async def test_the_questions_behind_a_shed(place: Place) -> None:
    store = await told(place)
    five = timedelta(minutes=5)
    assert await store.query("means_until") == [{"first": START, "until": START + HOUR - five}]
    (east, *_) = await store.query("territories")
    assert (east["territory_id"], east["parent_id"]) == ("East", None)
    loads = await store.query("territory_loads", territory_ids=["East"], since=START, until=START + 2 * five)
    assert loads == [{"interval_start": START + five * i, "kw": 7.0, "evses": 1} for i in range(2)]
    assert await store.query("territory_loads", territory_ids=["West"]) == []
    means = await store.query("evse_means", territory_ids=["East"], since=START + five)
    assert means[0] == {"interval_start": START + five, "evse_id": "E000001", "mean_kw": 7.0}

    async def who(since: datetime, until: datetime, *territories: str) -> list[str]:
        asked = {"territory_ids": list(territories), "since": since, "until": until}
        rows, spans = await store.query("stays", **asked), await store.query("presence", **asked)
        assert sorted(map(str, spans)) == sorted(
            str({name: row[name] for name in ("started_at", "ended_at")}) for row in rows
        )
        return [row["evse_id"] for row in rows]

    # E000001 stays from one to two hours after the start; who still stays has no end.
    assert await who(START, START + HOUR, "East", "West") == ["E000000"]
    assert await who(START + HOUR, START + 2 * HOUR, "East") == ["E000001"]
    assert await who(START + 2 * HOUR, START + 9 * HOUR, "East", "West") == ["E000000", "E000002", "E000003"]


async def test_a_request_is_told_what_was_believed_while_its_evses_took_part(place: Place) -> None:
    """Not what was believed before, for another request, or after they had left."""
    store = await told(place)
    five = timedelta(minutes=5)
    for n in (-300, -1, 0, 1, 2):
        at = START + n * five
        await store.add_beliefs([Believed("E000001", at, at + five, "virtual-twin", 300.0, 3.0, 0.5, 1.0)])

    async def believed(**more: Any) -> list[datetime]:
        rows = await store.query("counterfactuals", request_key="ISO:R0", **more)
        return [row["interval_start"] for row in rows]

    (joined,) = {r["joined_at"] for r in await store.query("enrolments", request_key="ISO:R0")}
    assert await believed() == [START + n * five for n in (0, 1, 2) if START + (n + 1) * five > joined]
    left = START + 2 * five
    over = f.EnrolmentEnded(
        at=left, actor="emw", request_key="ISO:R0", evse_id="E000001", why="over", measured_kwh=1.0
    )
    records, _ = apply((await store.load()).state, over)
    await store.commit([over], records)
    assert await believed() == [START, START + five]
    assert await believed(since=START + five, until=START + 9 * five) == [START + five]
    assert await believed(until=START + five) == [START]
    assert await store.query("counterfactuals", request_key="ISO:R9") == []
