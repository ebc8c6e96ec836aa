"""Recorded sessions are read, laid over one another and drawn, and always make cars that could have done it."""

import gzip
import io
import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from emw.simulator.records import BadRecord, read, read_acn_json, read_csv, sample
from emw.simulator.sessions import SiteDay, draw, fill, overlay, site_days

PACIFIC = ZoneInfo("America/Los_Angeles")
HEAD = "session_id,site,evse_id,plug_utc,unplug_utc,est_unplug_utc,energy_kwh,requested_kwh,claimed,tz\n"
ROWS = (
    "a,jpl,jpl:1,2019-07-24T13:00:00Z,2019-07-24T23:00:00Z,2019-07-24T22:00:00Z,20.0,30.0,1,America/Los_Angeles\n"
    "b,jpl,jpl:2,2019-07-24T14:00:00Z,2019-07-24T15:00:00Z,2019-07-24T16:00:00Z,6.5,40.0,0,America/Los_Angeles\n"
)
ACN: dict[str, list[dict[str, Any]]] = {
    "_items": [
        {
            "_id": "5bc90cb9f9af8b0d7fe77cd2",
            "clusterID": "0039",
            "connectionTime": "Wed, 24 Jul 2019 13:00:00 GMT",
            "disconnectTime": "Wed, 24 Jul 2019 23:00:00 GMT",
            "doneChargingTime": "Wed, 24 Jul 2019 15:00:00 GMT",
            "kWhDelivered": 6.656,
            "sessionID": "2_39_78_362_2019-07-24 13:00:00.000000",
            "siteID": "0002",
            "spaceID": "CA-496",
            "stationID": "2-39-78-362",
            "timezone": "America/Los_Angeles",
            "userInputs": [
                {"kWhRequested": 50, "requestedDeparture": "Wed, 24 Jul 2019 20:00:00 GMT"},
                {"kWhRequested": 9, "requestedDeparture": "Wed, 24 Jul 2019 22:30:00 GMT"},
            ],
        },
        {
            "_id": "x",
            "connectionTime": "Wed, 24 Jul 2019 13:00:00 GMT",
            "disconnectTime": "Wed, 24 Jul 2019 14:00:00 GMT",
            "doneChargingTime": None,
            "kWhDelivered": 1.5,
            "sessionID": "y",
            "siteID": "0001",
            "stationID": "1-1-1-1",
            "userInputs": None,
        },
        {"_id": "still there", "disconnectTime": None, "kWhDelivered": None},
    ]
}


def test_csv_what_was_not_claimed_is_not_known() -> None:
    told, untold = read_csv(io.StringIO(HEAD + ROWS))
    assert told.plug == datetime(2019, 7, 24, 13, tzinfo=UTC)
    assert told.departure == datetime(2019, 7, 24, 22, tzinfo=UTC)
    assert (told.requested_kwh, told.tz) == (30.0, "America/Los_Angeles")
    assert (untold.departure, untold.requested_kwh) == (None, None)
    assert untold.max_a == 32.0, "6.5 kWh in an hour take all a 32 A knob gives"
    assert untold.kw_per_a == 0.208


def test_acn_json_the_drivers_last_word_counts() -> None:
    first, second = read_acn_json(json.dumps(ACN).encode())
    assert (first.site, first.evse_id) == ("caltech", "caltech:CA-496")
    assert (first.requested_kwh, first.departure) == (9.0, datetime(2019, 7, 24, 22, 30, tzinfo=UTC))
    assert first.max_a == 16.0, "6.656 kWh in two hours of charging at 208 V"
    assert (second.evse_id, second.departure) == ("jpl:1-1-1-1", None)


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz", "s.json", "s.json.gz"])
def test_files_are_read_by_their_kind(tmp_path: Path, name: str) -> None:
    raw = json.dumps(ACN).encode() if "json" in name else (HEAD + ROWS).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    assert len(read(path)) == 2


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (HEAD + ROWS.replace("6.5", "much"), "row 2"),
        (HEAD + ROWS.replace("13:00:00Z", "13:00:00"), "row 1"),
        (HEAD.replace("energy_kwh", "energy") + ROWS, "energy_kwh"),
    ],
)
def test_a_bad_record_is_named(bad: str, named: str) -> None:
    with pytest.raises(BadRecord, match=named):
        read_csv(io.StringIO(bad))
    with pytest.raises(BadRecord, match="session 1"):
        read_acn_json(json.dumps([ACN["_items"][0] | {"connectionTime": "yesterday"}]).encode())


def test_the_sample_is_real_and_its_cars_could_have_done_it() -> None:
    sessions = sample()
    assert len(sessions) > 1500
    assert {session.site for session in sessions} == {"caltech", "jpl"}
    for session in sessions:
        stay_h = (session.unplug - session.plug).total_seconds() / 3600.0
        assert 6.0 <= session.max_a <= 32.0
        assert session.energy_kwh <= session.max_a * session.kw_per_a * stay_h * 1.2
    fifteens = sum(15.0 <= session.max_a <= 16.0 for session in sessions)
    assert 0.35 < fifteens / len(sessions) < 0.6


def test_the_same_seed_gives_the_same_cars_in_any_order() -> None:
    lines = ROWS.splitlines(keepends=True)
    forward = {one.session_id: one.max_a for one in read_csv(io.StringIO(HEAD + ROWS), seed=3)}
    backward = {one.session_id: one.max_a for one in read_csv([HEAD, *reversed(lines)], seed=3)}
    assert forward == backward


def test_overlay_keeps_local_time_and_length_across_a_clock_change() -> None:
    sessions = read_csv(io.StringIO(HEAD + ROWS))
    days = site_days(sessions)
    assert days == [SiteDay("jpl", date(2019, 7, 24))]
    laid = overlay(sessions, [days[0], days[0]], date(2020, 1, 15))
    assert len({session.evse_id for session in laid}) == len(laid) == 4
    assert laid[0].plug.astimezone(PACIFIC).isoformat() == "2020-01-15T06:00:00-08:00"
    assert laid[0].unplug - laid[0].plug == timedelta(hours=10)
    assert laid[0].departure == laid[0].plug + timedelta(hours=9)
    assert (laid[0].site, laid[2].site) == ("jpl-01", "jpl-02")


@pytest.mark.parametrize("stations", [1, 300, 2000])
def test_the_sample_fills_a_day_for_any_number_of_stations(stations: int) -> None:
    laid = fill(sample(), stations, date(2024, 5, 7))
    assert len({session.evse_id for session in laid}) == stations
    assert len({session.session_id for session in laid}) == len(laid)
    by_evse: dict[str, list[tuple[datetime, datetime]]] = {}
    for session in laid:
        by_evse.setdefault(session.evse_id, []).append((session.plug, session.unplug))
    overlapping = sum(
        later[0] < earlier[1] for stays in by_evse.values() for earlier, later in pairwise(sorted(stays))
    )
    assert overlapping == 0
    assert laid == fill(sample(), stations, date(2024, 5, 7))


def test_drawn_arrivals_come_when_people_come() -> None:
    evses = [f"e{number}" for number in range(500)]
    work = draw(evses, date(2024, 5, 7), tz="America/Los_Angeles", seed=1)
    home = draw(evses, date(2024, 5, 7), tz="America/Los_Angeles", seed=1, kind="home")
    hours = sorted(session.plug.astimezone(PACIFIC).hour for session in work)
    assert hours[len(hours) // 2] in (7, 8, 9)
    assert sorted(one.plug.astimezone(PACIFIC).hour for one in home)[len(home) // 2] in (17, 18, 19)
    assert 350 < len(work) < 450
    assert work == draw(evses, date(2024, 5, 7), tz="America/Los_Angeles", seed=1)
