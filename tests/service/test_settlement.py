"""A month as it is settled: the same figures as each request's own report, summed up, with where they come from."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from emw.cli.main import app_for
from emw.domain.people import Role
from emw.service.errors import BadInput
from emw.service.evidence.month import COLUMNS, month_of, month_report, parts_of
from emw.service.evidence.shared import Given, told_twice_kwh
from emw.service.evidence.shed import BEFORE_AFTER, TEN, TWIN, shed_report
from emw.store import Disk, SqlStore
from tests.service.test_shed import BEGIN, END, EXAMPLE, KEY, M5, beat, of, request_facts, told
from tests.web.world import segment, stations, world

OCTOBER = date(2026, 10, 1)


async def test_a_line_is_the_requests_own_report_priced() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE)
    for method in (TEN, BEFORE_AFTER, TWIN):
        (own,) = of(await shed_report(store, KEY), method)
        rows = await month_report(store, OCTOBER, method=method, rate=2.0)
        (line,) = [r for r in rows if r["part"] == "request"]
        for name in ("asked_kw", "baseline_kw", "load_kw", "shed_kw", "shed_kwh", "data_share", "note"):
            assert line[name] == own[name], (method, name)
        assert line["asked_kwh"] == 75.0
        assert line["delivered_share"] == pytest.approx(own["shed_kwh"] / 75.0, abs=1e-4)
        assert line["amount"] == round(own["shed_kwh"] * 2.0, 2)
        assert tuple(line) == COLUMNS
        total = rows[-1]
        assert (total["part"], total["shed_kwh"], total["amount"]) == (
            "total",
            own["shed_kwh"],
            line["amount"],
        )


async def test_a_month_reads_once_what_its_requests_share_and_tells_of_each_what_it_tells_alone() -> None:
    """Of several days, at other hours, and of one that runs on: each line is still its request's own report."""
    store = Disk().reopen()
    days = [BEGIN - timedelta(days=n) for n in (1, 4, 20)]
    more = [x for n, at in enumerate(days) for x in request_facts(f"ISO:D{n}", at, at + 3 * M5)]
    more += request_facts("ISO:LATE", BEGIN + 5 * M5, END + 9 * M5)
    await told(store, EXAMPLE, more=more)
    asked: Counter[str] = Counter()
    query = store.query

    async def counted(name: str, **parameters: Any) -> list[dict[str, Any]]:
        asked[name] += 1
        return await query(name, **parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "query", counted)
        rows = {
            method: await month_report(store, OCTOBER, method=method) for method in (TEN, BEFORE_AFTER, TWIN)
        }
    assert asked["presence"] == 3, "weeks of stays are read once for all requests of a month"
    for method, told_rows in rows.items():
        lines = {r["request_key"]: r for r in told_rows if r["part"] == "request"}
        assert len(lines) == 5
        for key, line in lines.items():
            (own,) = of(await shed_report(store, key), method)
            for name in (
                "baseline_kw",
                "load_kw",
                "shed_kw",
                "shed_kwh",
                "data_share",
                "note",
                "believed_at",
            ):
                assert line[name] == own[name], (method, key, name)


async def test_a_month_may_be_told_by_the_first_method_that_has_a_figure() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE)
    assert await month_report(store, OCTOBER, method=None) == await month_report(store, OCTOBER, method=TEN)
    young = Disk().reopen()
    await told(young, {})  # no like day yet
    rows = await month_report(young, OCTOBER, method=None, rate=2.0)
    assert rows == await month_report(young, OCTOBER, method=BEFORE_AFTER, rate=2.0)
    assert [r["method"] for r in await month_report(young, date(2026, 9, 1), method=None)] == [TWIN]


async def test_a_month_begins_where_the_territory_lies() -> None:
    """23:30 UTC on the last of October is November in Berlin (clocks are an hour ahead)."""
    late = BEGIN.replace(month=10, day=31, hour=23, minute=30)
    store = Disk().reopen()
    await told(store, EXAMPLE, more=request_facts("ISO:R0", late, late + 3 * M5))
    october = await month_report(store, OCTOBER)
    november = await month_report(store, date(2026, 11, 1), rate=1.0)
    assert [r["request_key"] for r in october if r["part"] == "request"] == [KEY]
    (line,) = [r for r in november if r["part"] == "request"]
    assert (line["request_key"], line["shed_kwh"], "amount" in line) == ("ISO:R0", None, True)
    assert november[-1]["note"] == "without a figure: ISO:R0"
    assert [r["part"] for r in await month_report(store, date(2026, 9, 1))] == ["total"]


async def test_a_shed_that_made_load_rise_is_worth_nothing() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE, event_kw=900.0)
    rows = await month_report(store, OCTOBER, method=BEFORE_AFTER, rate=2.0)
    (line,) = [r for r in rows if r["part"] == "request"]
    assert line["shed_kwh"] < 0
    assert (line["amount"], rows[-1]["amount"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-1-1", "May", "2026-05-01", "9999999-01", "٢٠٢٦"]
)
def test_what_is_no_month_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadInput, match="2026-05"):
        month_of(text)


async def test_over_the_api_the_links_of_the_numbers_lead_to_rows_that_make_them() -> None:
    """An event through the service: what each link gives adds up to the number that it stands beside."""
    names = [f"E{n}" for n in range(6)]
    async with world(real=Disk().reopen()) as w:
        await stations(w, names)
        key = await w.key(Role.VIEWER)
        for _ in range(11):
            await beat(w, names)
        asked = {"requestID": "R1", "territory": "East", "kW": 12.0, "durationMinutes": 60}
        await w.call("POST", "/api/v1/requests", asked, headers=await w.log_in("opa"))
        for _ in range(20):
            await beat(w, names)
        path = f"/api/v1/requests/{segment('operator:R1')}/returnToNormal"
        await w.call("POST", path, {}, headers=await w.log_in("opa"))
        for _ in range(12):
            await beat(w, names)
        await w.headend.telemetry.flush()
        await w.headend.store.roll_up(w.clock.now())
        month = f"{w.clock.now():%Y-%m}"

        async def month_by(method: str) -> Any:
            told = await w.call("GET", f"/api/v1/reports/months/{month}?method={method}&rate=0.5", key=key)
            assert told.status == 200, told.body
            return told.json["rows"]

        line = next(r for r in await month_by(BEFORE_AFTER) if r["part"] == "request")
        means = (await w.call("GET", line["rows"], key=key)).json["items"]
        starts = sorted({m["intervalStart"] for m in means})
        load = {s: sum(m["meanKW"] for m in means if m["intervalStart"] == s) for s in starts}
        assert load[starts[0]] == pytest.approx(line["baselineKW"], abs=1e-3)
        after = [load[s] for s in starts if s >= line["startAt"]]
        assert sum(after) / len(after) == pytest.approx(line["loadKW"], abs=1e-3)
        lost_kwh = sum(load[starts[0]] - x for x in after) / 12 - line["shedKWh"]
        assert -1e-6 <= lost_kwh < 1e-3 * (len(after) + 1), "rounded down in every interval, and never up"
        assert line["amount"] == round(line["shedKWh"] * 0.5, 2)

        rows = await month_by(TWIN)
        line = next(r for r in rows if r["part"] == "request")
        asked_for = parse_qs(urlsplit(line["rows"]).query)
        assert asked_for["kind"] == ["IntervalMeasured"]
        told = (await w.call("GET", line["rows"], key=key)).json["items"]
        assert told
        assert {r["kind"] for r in told} == {"IntervalMeasured"}
        customers = [r for r in rows if r["part"] == "customer"]
        assert len(customers) >= 3  # as many as the request needed
        assert {r["customerID"] for r in customers} <= {f"customer-of-{n}" for n in names}
        assert sum(r["shedKWh"] for r in customers) == pytest.approx(
            next(r for r in rows if r["part"] == "site")["shedKWh"], abs=0.01
        )

        for form, media in (("csv", "text/csv"), ("parquet", "parquet"), ("json", "jsonl")):
            for what in (f"months/{month}", f"requests/{segment('operator:R1')}"):
                file = await w.call("GET", f"/api/v1/reports/{what}/table?format={form}", key=key)
                assert file.status == 200, file.body
                assert media in file.headers["content-type"]
                assert file.headers["content-disposition"].startswith("attachment; filename=")
        table = await w.call("GET", f"/api/v1/reports/months/{month}/table?method={TWIN}", key=key)
        read = list(csv.DictReader(io.StringIO(table.body.decode())))
        assert [r["part"] for r in read] == [r["part"] for r in rows]
        assert float(read[0]["shed_kwh"]) == line["shedKWh"]

        me = await w.log_in("vic")
        for page in (
            "/reports",
            f"/reports/months/{month}?rate=2",
            f"/reports/requests/{segment('operator:R1')}",
        ):
            assert (await w.call("GET", page)).status == 303
            shown = await w.call("GET", page, headers=me)
            assert shown.status == 200, shown.body
            assert b"operator:R1" in shown.body
            assert (b"<svg" in shown.body) == ("requests" in page)
        assert b"rows" not in (await w.call("GET", "/reports/requests/nobody:R1", headers=me)).body
        german = await w.call("GET", "/reports", headers={**me, "accept-language": "de"})
        assert "Berichte" in german.body.decode()
        kept = (await w.headend.admin.add_key("test", "k", Role.VIEWER, scopes=("halt",)))[1]
        assert (await w.call("GET", "/reports", key=kept)).status == 403


async def test_the_command_in_every_format(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    await told(store, EXAMPLE)
    await store.close()
    for form in ("table", "csv", "json", "parquet"):
        await in_format(tmp_path, form)


async def in_format(folder: Path, form: str) -> None:
    to = folder / f"month.{form}"
    said = ["report", "month", "2026-10", "--rate", "2", "--data-dir", str(folder), "-f", form, "-o", str(to)]
    result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), said)
    assert result.exit_code == 0, result.output
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(to.read_text())))
        assert (rows[0]["request_key"], rows[0]["amount"], rows[-1]["part"]) == (KEY, "139.5", "total")
    if form == "parquet":
        table = pq.read_table(to)
        assert tuple(table.column_names) == COLUMNS
        assert str(table.schema.field("amount").type) == "double"


async def test_the_command_says_which_other_methods_there_are_where_one_has_no_figure(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")
    await told(store, {})  # no like day yet
    await store.close()
    for method, hint in ((TEN, True), (BEFORE_AFTER, False)):
        said = ["report", "month", "2026-10", "--method", method, "--data-dir", str(tmp_path)]
        result = await asyncio.to_thread(CliRunner().invoke, app_for("report"), said)
        assert ("the other methods are before-after, virtual-twin" in result.output) == hint, result.output


def part(key: str, evse_id: str, joined: int, left: int, kwh: float) -> dict[str, Any]:
    at = {"joined_at": BEGIN + joined * M5, "left_at": BEGIN + left * M5}
    return {"request_key": key, "evse_id": evse_id, "measured_kwh": kwh, "confirmed_kw": 1.0, **at}


def belief(evse_id: str, interval: int, kw: float) -> dict[str, Any]:
    start = BEGIN + interval * M5
    row = {"evse_id": evse_id, "interval_start": start, "believed_at": start + M5, "seconds": 300.0}
    return {**row, "baseline_kw": kw + 2.0, "load_kw": 2.0}


def test_what_an_evse_gave_to_two_requests_at_once_is_counted_once() -> None:
    """E1 gave 12 kW for 20 minutes, to one request or both; E2's rows are older than counterfactuals are kept."""
    both = [belief("E1", n, 12.0) for n in range(4)]
    enrolled = [
        part("R1", "E1", 0, 4, 4.0),
        part("R2", "E1", 2, 4, 2.0),
        part("R1", "E2", 0, 4, 3.0),
        part("R2", "E2", 2, 6, 5.0),
        part("R3", "E2", 6, 8, 1.0),
    ]
    gave = Given()
    gave.believed(both)
    gave.believed(both[2:])
    assert gave.once(enrolled) == {"E1": pytest.approx(4.0), "E2": pytest.approx(5.0 + 1.0)}
    rows = parts_of([{**e, "site": "S"} for e in enrolled], gave.once(enrolled))
    (site,) = [r for r in rows if r["part"] == "site"]
    assert (site["shed_kwh"], site["evses"]) == (10.0, 2)


def test_what_a_request_sheds_under_another_one_is_told_once() -> None:
    def rows(node: str, first: int, last: int) -> list[dict[str, Any]]:
        whens = [(BEGIN + n * M5, BEGIN + (n + 1) * M5) for n in range(first, last)]
        return [{"territory_id": node, "start_at": a, "end_at": b, "shed_kwh": 1.0} for a, b in whens]

    above = {"East": ["East"], "f1": ["f1", "East"], "f2": ["f2", "East"]}
    assert told_twice_kwh({"R1": rows("East", 0, 4), "R2": rows("f1", 2, 6)}, above) == pytest.approx(2.0)
    assert told_twice_kwh({"R1": rows("f1", 0, 4), "R2": rows("f2", 0, 4)}, above) == 0.0
    assert told_twice_kwh({"R1": rows("f1", 0, 4), "R2": rows("f1", 0, 4)}, above) == pytest.approx(4.0)
    three = {"R1": rows("f1", 0, 4), "R2": rows("f2", 0, 4), "R3": rows("East", 0, 4)}
    assert told_twice_kwh(three, above) == pytest.approx(8.0)


async def test_two_requests_at_once_are_settled_as_one_shed() -> None:
    store = Disk().reopen()
    await told(store, EXAMPLE, more=request_facts("ISO:R9", BEGIN, BEGIN + 12 * M5))
    alone = Disk().reopen()
    await told(alone, EXAMPLE)
    for method in (BEFORE_AFTER,):
        one = (await month_report(alone, OCTOBER, method=method, rate=2.0))[-1]
        two = (await month_report(store, OCTOBER, method=method, rate=2.0))[-1]
        assert (two["shed_kwh"], two["amount"]) == (
            pytest.approx(one["shed_kwh"], abs=0.01),
            pytest.approx(one["amount"], abs=0.02),
        )
        assert "counted once" in two["note"]
