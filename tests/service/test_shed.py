"""The report of what was shed: the worked example from stored rows, in each form of the store."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from emw.cli.main import app_for
from emw.domain import facts as f
from emw.domain.model import RequestState
from emw.domain.people import Role
from emw.domain.state import State
from emw.service.errors import NotFound
from emw.service.evidence.shed import BEFORE_AFTER, COLUMNS, TEN, TWIN, shed_report
from emw.service.ports import HeartBeat, Reading
from emw.store import Disk, SqlStore
from tests.store.conftest import AnyStore, commit_all
from tests.store.world import plug
from tests.store.world import stations as two_stations
from tests.web.world import World, stations, world

ZONE = ZoneInfo("Europe/Berlin")
EVENT = date(2026, 10, 27)  # a Tuesday; clocks went back on the Sunday before
BEGIN = datetime(2026, 10, 27, 17, 0, tzinfo=ZONE).astimezone(UTC)
END = BEGIN + timedelta(minutes=15)
LOADS = [500.0, 520.0, 480.0, 510.0, 490.0, 530.0, 470.0, 500.0, 505.0, 495.0]
"""17:00 to 17:15 on the last ten weekdays, kW (mean 500)."""
EVSE = "E000001"
M5 = timedelta(minutes=5)
KEY = "ISO:R1"


def weekdays(count: int, holidays: tuple[date, ...] = ()) -> list[date]:
    days = (EVENT - timedelta(days=i) for i in range(1, 46))
    return [d for d in days if d.weekday() < 5 and d not in holidays][:count]


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE).astimezone(UTC)


def readings(start: datetime, minutes: int, kw: float, evse_id: str = EVSE) -> list[Reading]:
    times = [start + M5 * i + timedelta(minutes=2) for i in range(minutes // 5)]
    return [Reading(evse_id, at, at, 240.0, kw, kw, None, None) for at in times]


def day_of(day: date, kw: float, window_kw: float = 500.0) -> list[Reading]:
    """A day's load: the window, the event's hour, and another load one hour later and earlier (the DST trap)."""
    return [
        *readings(local(day, 13), 180, window_kw),
        *readings(local(day, 16), 60, 111.0),
        *readings(local(day, 17), 15, kw),
        *readings(local(day, 18), 60, 999.0),
    ]


def request_facts(key: str = KEY, begin: datetime = BEGIN, end: datetime = END) -> list[f.Fact]:
    iso_id, request_id = key.split(":")
    about: dict[str, Any] = {"actor": "iso:ISO", "request_key": key, "iso_id": iso_id}
    move: dict[str, Any] = {"actor": "emw", "request_key": key}
    return [
        f.RequestReceived(
            at=begin,
            **about,
            request_id=request_id,
            territory_id="East",
            kw=300.0,
            start_at=begin,
            end_at=end,
        ),
        f.RequestMoved(at=begin, **move, state=RequestState.ACTIVE),
        f.IntervalMeasured(
            at=end,
            **move,
            start_at=begin,
            end_at=end,
            requested_kw=300.0,
            confirmed_kw=290.0,
            measured_kw=270.0,
            baseline_kw=566.0,
            load_kw=296.0,
            method=TWIN,
        ),
        f.RequestMoved(at=end, **move, state=RequestState.RESTORING),
        f.RequestMoved(at=end + M5, **move, state=RequestState.CLOSED),
    ]


async def told(
    store: AnyStore,
    days: Mapping[date, float],
    *,
    window_kw: float = 575.0,
    event_kw: float | None = 296.0,
    end: datetime = END,
    more: list[f.Fact] | None = None,
) -> None:
    """The worked example: East holds one EVSE that stands for all; a vehicle stays for all the time."""
    await store.load()
    long_ago = BEGIN - timedelta(days=60)
    tree = f.TerritoryDefined(
        at=long_ago, actor="emw", territory_id="East", parent_id=None, kind="zone", ceiling_kw=None,
        time_zone="Europe/Berlin",
    )  # fmt: skip
    facts = [tree, *two_stations(2, long_ago), plug("s1", EVSE, long_ago), *(more or [])]
    facts += request_facts(end=end)
    await commit_all(store, facts, state=State())
    given = readings(long_ago, 5, 1.0)
    for day, kw in days.items():
        given += day_of(day, kw)
    given += readings(local(EVENT, 13), 180, window_kw)
    given += readings(BEGIN - M5, 5, 590.0)
    if event_kw is not None:
        given += readings(BEGIN, 15, event_kw)
    await store.add_readings(given)
    await store.roll_up(END + timedelta(minutes=6))


def of(rows: list[dict[str, Any]], method: str, part: str = "total") -> list[dict[str, Any]]:
    return [r for r in rows if r["method"] == method and r["part"] == part and r["evse_id"] is None]


EXAMPLE = dict(zip(weekdays(10), LOADS, strict=True))


async def test_the_worked_example_by_all_methods() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE)
    rows = await shed_report(store, KEY)
    (ten,) = of(rows, TEN)
    # 10 of 10: 500.0; 575 against 500 before notice: 1.15, so 575.0; less 296 is 279.0 kW, 69.75 kWh.
    assert (ten["baseline_kw"], ten["load_kw"], ten["shed_kw"], ten["shed_kwh"]) == (
        575.0,
        296.0,
        279.0,
        69.75,
    )
    assert ten["days"] == 10
    assert "10 of 10 like days; adjusted by 1.150" in ten["note"]
    assert ten["error_pct"] == 7.0
    assert [r["start_at"] for r in of(rows, TEN, "interval")] == [BEGIN, BEGIN + M5, BEGIN + 2 * M5]
    (before,) = of(rows, BEFORE_AFTER)
    assert (before["baseline_kw"], before["shed_kw"], before["shed_kwh"]) == (590.0, 294.0, 73.5)
    (twin,) = of(rows, TWIN)
    assert (twin["baseline_kw"], twin["shed_kw"], twin["shed_kwh"]) == (566.0, 270.0, 67.5)
    assert (twin["error_pct"], twin["believed_at"]) == (10.0, END)
    assert {r["confirmed_kw"] for r in rows} == {290.0}
    assert {r["data_share"] for r in rows} == {1.0}


async def test_the_correction_is_capped_and_says_so() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE, window_kw=650.0)
    (ten,) = of(await shed_report(store, KEY), TEN)
    assert ten["baseline_kw"] == 600.0
    assert "adjusted by 1.200, capped from 1.300" in ten["note"]


async def test_fewer_days_are_named_and_too_few_give_no_figure() -> None:
    few = dict(list(EXAMPLE.items())[:7])
    store = Disk().reopen()
    await told(store, few)
    (ten,) = of(await shed_report(store, KEY), TEN)
    assert (ten["days"], "7 of 10 like days" in ten["note"]) == (7, True)
    assert ten["baseline_kw"] == pytest.approx(1.15 * 500.0)
    store = Disk().reopen()
    await told(store, dict(list(EXAMPLE.items())[:3]))
    rows = await shed_report(store, KEY)
    (ten,) = of(rows, TEN)
    assert (ten["baseline_kw"], ten["shed_kwh"], of(rows, TEN, "interval")) == (None, None, [])
    assert ten["note"].startswith("no figure: 3 like days")


async def test_days_of_another_kind_or_with_an_event_count_for_nothing() -> None:
    """An odd load on a weekend, on a holiday and on a day with an event must not move the baseline."""
    holiday, other = weekdays(2)[1], weekdays(1)[0]
    good = [d for d in weekdays(12) if d not in (holiday, other)]
    days = dict(zip(good, LOADS, strict=True)) | {holiday: 9.0, other: 9.0, date(2026, 10, 24): 9.0}
    event = request_facts("ISO:R0", local(other, 17), local(other, 17, 15))
    store = Disk().reopen()
    await told(store, days, more=event)
    (ten,) = of(await shed_report(store, KEY, holidays=frozenset({holiday})), TEN)
    assert (ten["baseline_kw"], ten["days"]) == (575.0, 10)
    (wrong,) = of(await shed_report(store, KEY), TEN)
    assert wrong["baseline_kw"] != 575.0, "the holiday has to be named"


async def test_a_missing_reading_counts_as_no_shed() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE, event_kw=None)
    rows = await shed_report(store, KEY)
    (before,), (ten,) = of(rows, BEFORE_AFTER), of(rows, TEN)
    assert (before["shed_kw"], before["data_share"]) == (0.0, 0.0)
    assert ten["shed_kw"] <= 0


async def test_readings_of_the_interval_that_an_event_ends_in_count_as_data() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE, end=END - timedelta(minutes=2))
    rows = await shed_report(store, KEY)
    assert {r["data_share"] for r in rows} == {1.0}
    assert len(of(rows, TEN, "interval")) == 2, "the meter's means are of whole intervals"


async def test_no_correction_from_hours_that_another_request_touched() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE, more=request_facts("ISO:R0", local(EVENT, 14), local(EVENT, 14, 30)))
    (ten,) = of(await shed_report(store, KEY), TEN)
    assert (ten["baseline_kw"], "not adjusted" in ten["note"]) == (500.0, True)


async def test_what_another_request_tells_too_is_named_with_its_time() -> None:
    other = request_facts("GRID:B", BEGIN + M5, END + M5)
    store = Disk().reopen()
    await told(store, EXAMPLE, more=[*other, *request_facts("GRID:A", END, END + M5)])
    rows = await shed_report(store, KEY)
    span = f"{BEGIN + M5:%H:%M} to {END:%H:%M}Z"
    for method in (TWIN, BEFORE_AFTER, TEN):
        (whole,) = of(rows, method)
        assert whole["note"].endswith(f"stands in GRID:B ({span}) too: a sum counts it twice")
    assert "GRID:A" not in str(rows), "it began when this one had ended"


async def test_an_unknown_request_is_not_found() -> None:
    store = Disk().reopen()
    await store.load()
    with pytest.raises(NotFound, match="no request 'ISO:nowhere'"):
        await shed_report(store, "ISO:nowhere")


async def test_the_command_in_every_format(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    await told(store, EXAMPLE)
    await store.close()
    for form in ("table", "csv", "json", "parquet"):
        await in_format(tmp_path, form)


async def in_format(folder: Path, form: str) -> None:
    to = folder / f"shed.{form}"
    said = ["report", "shed", KEY, "--evses", "--data-dir", str(folder), "-f", form, "-o", str(to)]
    result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), said)
    assert result.exit_code == 0, result.output
    data = to.read_bytes()
    if form == "table":
        assert b"10-of-10-adjusted" in data
        return
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(data.decode())))
    elif form == "json":
        rows = [json.loads(line) for line in data.splitlines()]
    else:
        rows = pq.read_table(to).to_pylist()
    assert tuple(rows[0]) == COLUMNS
    (ten,) = [r for r in rows if r["method"] == TEN and r["part"] == "total"]
    assert float(ten["shed_kwh"]) == 69.75
    own = [r for r in rows if r["evse_id"] == EVSE and r["part"] == "total"]
    assert [float(r["shed_kwh"]) for r in own] == [73.5]


async def test_a_table_tells_totals_and_the_log_in_sentences(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    await told(store, EXAMPLE)
    await store.close()
    for said, tells in (
        (["shed", KEY], {TEN: 1, BEFORE_AFTER: 1, TWIN: 1}),
        (["activity", "--kind", "RequestReceived"], {"asks for": 1, "payload": 0}),
    ):
        words = ["report", *said, "--data-dir", str(tmp_path)]
        result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), words)
        assert {word: result.output.count(word) for word in tells} == tells


async def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    await store.load()
    await store.close()
    base = ["report", "shed", "ISO:R9", "--data-dir", str(tmp_path)]
    result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), base)
    assert isinstance(result.exception, NotFound)
    result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), [*base, "--holiday", "today"])
    assert result.exit_code == 2


async def beat(w: World, evse_ids: list[str]) -> tuple[datetime, float]:
    """A minute passes; every station obeys and reports. Returns what all drew, kW."""
    w.clock.at += timedelta(minutes=1)
    now, kw = w.clock.now(), 0.0
    for evse_id in evse_ids:
        limit = w.headend.state.limits.get(evse_id)
        held = limit is not None and limit.max_a is not None and limit.in_force(now)
        amps = min(20.0, limit.max_a or 0.0) if held and limit is not None else 20.0
        kw += amps * 0.23
        said = HeartBeat(
            at=now, voltage_v=230.0, current_a=amps, evse_max_a=32.0, car_max_a=32.0, limit_a=None,
            energy_kwh=None,
        )  # fmt: skip
        await w.headend.intake.heartbeat(w.headend.state.stations[evse_id], evse_id, said)
    await w.headend.dispatch.next_round("East")
    return now, kw


async def test_an_event_through_the_service_and_the_api_while_it_runs() -> None:
    """Ten cars at 4.6 kW each, 20 kW asked: the report's loads are what the stations drew, to the watt."""
    names = [f"E{n}" for n in range(10)]
    async with world(real=Disk().reopen()) as w:
        await stations(w, names)
        key = await w.key(Role.VIEWER)
        drawn = [await beat(w, names) for _ in range(11)]
        asked = {"requestID": "R1", "territory": "East", "kW": 20.0, "durationMinutes": 60}
        await w.call("POST", "/api/v1/requests", asked, headers=await w.log_in("opa"))
        drawn += [await beat(w, names) for _ in range(23)]
        await w.headend.telemetry.flush()
        await w.headend.twins.flush()
        await w.headend.store.roll_up(w.clock.now())
        answer = await w.call(
            "GET", "/api/v1/requests/operator%3AR1/shed?evses=true&territories=true", key=key
        )
        assert answer.status == 200, answer.body
        rows = answer.json["rows"]
        nodes = [r for r in rows if r["method"] == TWIN and r["territoryID"] and r["evseID"] is None]
        rows = [r for r in rows if r not in nodes]
        totals = {(r["method"], r["evseID"]): r for r in rows if r["part"] == "total"}
        before = totals[BEFORE_AFTER, None]
        assert before["baselineKW"] == pytest.approx(46.0)
        assert before["dataShare"] == 1.0
        after_ramp = [
            r for r in rows if (r["method"], r["part"], r["evseID"]) == (BEFORE_AFTER, "interval", None)
        ]
        assert len(after_ramp) >= 3
        for row in after_ramp:
            start = datetime.fromisoformat(row["startAt"])
            drew = [kw for at, kw in drawn if start <= at < start + M5]
            assert row["loadKW"] == pytest.approx(sum(drew) / len(drew), abs=1e-3)
            assert row["shedKW"] == pytest.approx(46.0 - row["loadKW"], abs=1e-3)
        assert after_ramp[-1]["shedKW"] > 12.0
        assert totals[TWIN, None]["shedKWh"] > 0
        # What each held EVSE would have drawn, interval by interval, as it was believed then.
        kept = [r for r in rows if r["method"] == TWIN and r["part"] == "interval" and r["evseID"]]
        # A vehicle that is held may have finished by itself meanwhile: the belief fades, never by much in 20 minutes.
        assert kept
        assert all(3.0 < r["baselineKW"] <= 4.601 and 0 <= r["doubtKW"] < 4.6 for r in kept)
        assert {r["territoryID"] for r in kept} == {"East"}
        for r in kept:
            start = datetime.fromisoformat(r["startAt"])
            assert start < datetime.fromisoformat(r["believedAt"]) <= start + M5 + timedelta(minutes=1)
        of_evses = sum(r["shedKWh"] for r in kept)
        own_totals = [r["shedKWh"] for (method, evse), r in totals.items() if method == TWIN and evse]
        (node,) = [r for r in nodes if r["part"] == "total"]
        rounded = 0.001 * len(kept)  # each interval of each EVSE is rounded down to a watt-hour
        assert node["shedKWh"] == pytest.approx(of_evses, abs=rounded)
        assert sum(own_totals) == pytest.approx(of_evses, abs=rounded)
        measured = w.headend.accounts
        assert of_evses == pytest.approx(sum(measured.measured_kwh(n) for n in names), abs=rounded)
        own = [r["shedKWh"] for (method, evse), r in totals.items() if method == BEFORE_AFTER and evse]
        assert sum(own) == pytest.approx(before["shedKWh"], abs=0.02)
        assert totals[TEN, None]["note"].startswith("no figure: 0 like days")
        missing = await w.call("GET", "/api/v1/requests/operator%3AR9/shed", key=key)
        assert missing.status == 404


@pytest.mark.parametrize(
    ("name", "begins"),
    [("r.csv", b"evse_id,"), ("r.JSONL", b""), ("r.parquet", b"PAR1"), ("r.txt", b" evse_id")],
)
async def test_a_report_is_written_as_its_files_name_promises(
    tmp_path: Path, name: str, begins: bytes
) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    await store.load()
    await store.close()
    to = tmp_path / name
    said = ["report", "evses", "--data-dir", str(tmp_path), "-o", str(to)]
    result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), said)
    assert result.exit_code == 0, result.output
    data = to.read_bytes()
    assert data.startswith(begins) if begins else data == b""


async def test_a_file_that_nothing_here_writes_and_a_request_that_is_not_there_are_refused(
    tmp_path: Path,
) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    await told(store, EXAMPLE)
    await store.close()

    async def said(*words: str) -> tuple[int, str]:
        given = ["report", *words, "--data-dir", str(tmp_path)]
        result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), given)
        return result.exit_code, result.output + str(result.exception)

    sheet = tmp_path / "r.xlsx"
    code, words = await said("shed", KEY, "-o", str(sheet))
    assert (code, ".csv" in words, sheet.exists()) == (2, True, False)
    for name in ("shed", "enrolments", "intervals"):
        code, words = await said(name, "ISO:nobody")
        assert (code, "there is no request 'ISO:nobody'" in words) == (1, True), name
    code, words = await said("month", "2026-10", "--method", "guess")
    assert (code, "before-after" in words) == (2, True)
    code, words = await said("month", "2026-09")
    assert (code, "no request began in 2026-09" in words) == (0, True)
