"""`emw replay` as people call it: the sample in the package, ACN-Data's own JSON, and files that are wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from emw.cli.main import app_for
from emw.replay.figures import Minute, intervals, rebound, summary
from emw.replay.requests import could_of_all, of_all

START = datetime(2019, 6, 3, 17, 0, tzinfo=UTC)


def asked(tmp_path: Path, *requests: dict[str, Any]) -> Path:
    path = tmp_path / "requests.json"
    path.write_text(json.dumps(requests))
    return path


def acn(tmp_path: Path, cars: int = 12) -> Path:
    """Cars of ten hours and 40 kWh, in the words of ACN-Data's API; one has no end and is left out."""

    def item(n: int, end: datetime | None) -> dict[str, Any]:
        return {
            "_id": f"i{n}",
            "sessionID": f"s{n}",
            "siteID": "0002",
            "stationID": f"st{n}",
            "spaceID": f"CA-{n}",
            "timezone": "America/Los_Angeles",
            "connectionTime": format_datetime(START - timedelta(hours=2, minutes=n)),
            "disconnectTime": None if end is None else format_datetime(end),
            "doneChargingTime": None,
            "kWhDelivered": 40.0,
            "userInputs": [
                {"kWhRequested": 45.0, "requestedDeparture": format_datetime(START + timedelta(hours=8))}
            ],
        }

    path = tmp_path / "acn.json"
    items = [item(n, START + timedelta(hours=8)) for n in range(cars)] + [item(99, None)]
    path.write_text(json.dumps({"_items": items}))
    return path


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(app_for("replay"), ["replay", *map(str, words)])


REQUEST = {"requestID": "R1", "kW": 15.0, "start": START.isoformat(), "durationMinutes": 30}


def test_the_request_of_the_documentation_is_played_over_the_sample(tmp_path: Path) -> None:
    page = Path("docs/howto/replay.md").read_text()
    requests = tmp_path / "requests.json"
    requests.write_text(page.split("```json\n")[1].split("```")[0])
    result = run("--requests", requests, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["figures"]["intervals"] == 6


def test_acn_json_is_played_and_the_same_seed_tells_the_same(tmp_path: Path) -> None:
    words: list[str | Path] = [
        "--sessions",
        acn(tmp_path),
        "--requests",
        asked(tmp_path, REQUEST),
        "--json",
        "--seed",
        "3",
    ]
    first, again = run(*words), run(*words)
    assert first.exit_code == 0, first.output
    told, second = json.loads(first.stdout), json.loads(again.stdout)
    took = {"seconds", "secondsPerRound"}
    assert {k: v for k, v in told["figures"].items() if k not in took} == {
        k: v for k, v in second["figures"].items() if k not in took
    }
    assert told["intervals"] == second["intervals"]
    assert told["figures"]["sessions"] == 12
    assert len(told["intervals"]) == 6
    assert all(i["askedKW"] == 15.0 for i in told["intervals"])
    # Nobody is near the end of what it needs: after the first minutes the shed is what was asked, to some steps.
    for one in told["intervals"][1:]:
        assert one["shedKW"] == pytest.approx(15.0, abs=3.0)


def test_the_sample_in_the_package_is_played(tmp_path: Path) -> None:
    result = run("--requests", asked(tmp_path, REQUEST), "--overlay", "1", "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)["figures"]
    assert figures["sessions"] > 0
    assert figures["intervals"] == 6


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({**REQUEST, "start": "2019-06-03T17:00:00"}, "need a time zone"),
        ({**REQUEST, "kW": 0}, "kW must be more than 0"),
        ({**REQUEST, "end": START.isoformat()}, "either end or durationMinutes"),
        ({"kW": 1.0}, "start"),
        ({**REQUEST, "cancelled": "2019-06-03T17:10:00"}, "need a time zone"),
        ({**REQUEST, "cancelled": START.isoformat()}, "between start and end"),
    ],
)
def test_a_wrong_request_is_named(tmp_path: Path, request_: dict[str, Any], says: str) -> None:
    result = run("--requests", asked(tmp_path, request_), "--sessions", acn(tmp_path))
    assert result.exit_code == 1
    assert says in result.output


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "a.json",
            '{"_items": [{"connectionTime": 1, "disconnectTime": 2, "kWhDelivered": 1}]}',
            "session 1",
        ),
        ("a.csv", "session_id,site\ns1,jpl\n", "row 1"),
        ("a.json", "{", "JSON"),
    ],
)
def test_a_wrong_file_of_sessions_is_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    result = run("--requests", asked(tmp_path, REQUEST), "--sessions", path)
    assert result.exit_code == 1
    assert says in result.output


def test_what_a_site_sheds_counts_towards_what_is_asked_of_all(tmp_path: Path) -> None:
    """15 kW of all for half an hour; meanwhile 9 kW of the one site, called off after 15 minutes; then 12 kW of it."""
    requests = asked(
        tmp_path,
        {**REQUEST, "durationMinutes": 30},
        {
            **REQUEST,
            "requestID": "R2",
            "territory": "caltech",
            "kW": 9.0,
            "cancelled": (START + timedelta(minutes=15)).isoformat(),
        },
        {
            **REQUEST,
            "requestID": "R3",
            "territory": "caltech",
            "kW": 12.0,
            "start": (START + timedelta(minutes=30)).isoformat(),
        },
    )
    result = run("--sessions", acn(tmp_path), "--requests", requests, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["intervals"]
    assert [i["askedKW"] for i in told] == [15.0] * 6 + [12.0] * 6
    for one in told[1:]:
        assert one["shedKW"] == pytest.approx(one["askedKW"], abs=3.0)
        assert one["toldKW"] == pytest.approx(one["askedKW"], abs=3.0)


def test_a_request_that_is_called_off_asks_no_more(tmp_path: Path) -> None:
    called_off = {**REQUEST, "cancelled": (START + timedelta(minutes=15)).isoformat()}
    result = run("--sessions", acn(tmp_path), "--requests", asked(tmp_path, called_off), "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.stdout)["intervals"]) == 3


def test_what_is_asked_of_a_tree() -> None:
    nested = {None: 60.0, "a": 20.0, "b": 10.0}
    assert of_all(nested) == 60.0
    assert of_all({"a": 20.0, "b": 10.0}) == 30.0
    # One site can't give what is asked of another, and who is not asked gives nothing.
    assert could_of_all(nested, {"a": 50.0, "b": 50.0}) >= 60.0
    assert could_of_all(nested, {"a": 50.0, "b": 5.0}) < 60.0
    assert could_of_all({"a": 20.0}, {"a": 15.0, "b": 50.0}) < 20.0
    assert could_of_all({"a": 20.0}, {"a": 20.0, "b": 0.0}) >= 20.0


def test_requests_of_another_year_meet_no_session(tmp_path: Path) -> None:
    late = {**REQUEST, "start": "2031-06-03T17:00:00Z"}
    result = run("--requests", asked(tmp_path, late), "--sessions", acn(tmp_path))
    assert result.exit_code == 1
    assert "no session lies near" in result.output


def minutes(asked_kw: list[float], load_kw: list[float], unmanaged_kw: float = 100.0) -> list[Minute]:
    return [
        Minute(
            at=START + timedelta(minutes=i),
            load_kw=load,
            unmanaged_kw=unmanaged_kw,
            asked_kw=a,
            could_kw=80.0,
            told_kw=None,
        )
        for i, (a, load) in enumerate(zip(asked_kw, load_kw, strict=True))
    ]


def test_the_figures_by_hand() -> None:
    """Ten minutes of 50 kW asked: 55 kW shed, then 45; then five minutes 10 kW above what it would have been."""
    told = minutes([50.0] * 10 + [0.0] * 5, [45.0] * 5 + [55.0] * 5 + [110.0] * 5)
    assert [round(i.error, 3) for i in intervals(told)] == [0.1, -0.1]
    figures = summary(told, unserved_kwh=1.0, hurt=1, sessions=4, commands=6, touched=3)
    assert (figures["meanErrorPercent"], figures["biasPercent"]) == (10.0, 0.0)
    assert figures["shedMWh"] == pytest.approx(50 / 6000, abs=1e-4)
    assert (figures["hurtPercent"], figures["commandsPerEVSE"]) == (25.0, 2.0)
    assert figures["reboundRatio"] == 1.1
    assert rebound(told[:10]) is None


def test_an_interval_that_could_not_be_shed_is_no_error() -> None:
    figures = summary(
        minutes([90.0] * 5, [50.0] * 5), unserved_kwh=0.0, hurt=0, sessions=0, commands=0, touched=0
    )
    assert (figures["infeasible"], figures["meanErrorPercent"]) == (1, None)
