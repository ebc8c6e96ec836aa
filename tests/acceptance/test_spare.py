"""A second server that waits for the first one's end: real processes over one real PostgreSQL (F6, F8)."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.driver import Server, Station, field, wait_for

pytestmark = pytest.mark.postgres


def commands(station: Station) -> set[str]:
    """The commands it was given; said again one is the same."""
    return {said["commandID"] for _, path, said in station.told if path != "authWithControl"}


class Pair:
    """One that serves with four stations and a request that runs, and one that waits."""

    def __init__(self, folder: Path, url: str) -> None:
        shared = {
            "EMW_STORE_URL": url,
            "EMW_DISPATCH_GAP_SECONDS": "1",
            "EMW_STATIONS_HEARTBEAT_SECONDS": "60",  # nobody goes offline while a slow machine starts a server
        }
        self.first, self.spare = Server(folder / "a", **shared), Server(folder / "b", **shared)
        self.url = url
        self.stations: list[Station] = []
        self.token = ""

    def begin(self) -> None:
        self.first.start()
        self.stations, self.token = field(self.first, 4)
        asked = {"requestID": "r1", "territory": "East", "kW": 10, "durationMinutes": 30}
        status, request = self.first.post("/iso/decrease", asked, self.token)
        assert (status, request["state"], request["confirmedKW"]) == (
            200,
            "active",
            pytest.approx(10, abs=0.5),
        )
        self.spare.data.mkdir(parents=True)
        shutil.copy(self.first.data / "server.key", self.spare.data)
        self.wait()

    def wait(self) -> None:
        """Start the spare."""
        self.spare.launch("--standby")
        told = self.spare.told()
        assert told["ready"] is False
        assert f"process {self.first.process.pid}" in told["waitsFor"]  # type: ignore[union-attr]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.spare.port)).close()

    def taken_over(self) -> None:
        """The spare serves: what ran runs on, nobody is commanded for it, and everybody is let go in the end."""
        while not self.spare.told()["ready"]:
            pass  # it says each reason to wait
        before = [(s.limit_a, commands(s)) for s in self.stations]
        for station in self.stations:
            station.server = self.spare
            assert station.beat()[0] == 200, "a token outlives the server that gave it"
        request = self.spare.get("/iso/requests/r1", self.token)[1]
        assert (request["state"], request["confirmedKW"]) == ("active", pytest.approx(10, abs=0.5))
        assert [(s.limit_a, commands(s)) for s in self.stations] == before
        assert self.spare.post("/iso/returnToNormal", {"requestID": "r1"}, self.token)[0] == 200

        def freed() -> bool:
            for station in self.stations:
                station.beat()
            return all(s.limit_a is None for s in self.stations)

        wait_for(freed, 60)
        for station in self.stations:
            assert len({shown for shown in station.shown if shown}) == 1, "it hears one and the same server"

    def end(self) -> None:
        for server in (self.first, self.spare):
            if server.process is not None and server.process.poll() is None:
                server.kill()
        for station in self.stations:
            station.close()


@pytest.fixture
def pair(tmp_path: Path, postgres_url: str) -> Iterator[Pair]:
    made = Pair(tmp_path, postgres_url)
    try:
        yield made
    finally:
        made.end()


def test_F8_a_spare_takes_over_from_one_that_is_killed_and_the_request_runs_on(pair: Pair) -> None:
    pair.begin()
    pair.first.kill()
    pair.taken_over()
    pair.first.stderr = subprocess.PIPE  # type: ignore[assignment]
    pair.first.launch()
    assert pair.first.process is not None
    said = pair.first.process.communicate(timeout=60)[1]
    assert pair.first.process.returncode == 1, "without --standby it does not wait"
    assert f"process {pair.spare.process.pid}" in said  # type: ignore[union-attr]
    assert pair.spare.stop() == 0


def test_F6_F8_one_that_sleeps_is_replaced_once_its_session_is_ended_and_ends_when_it_wakes(
    pair: Pair,
) -> None:
    pair.begin()
    assert pair.first.process is not None
    pair.first.process.send_signal(signal.SIGSTOP)
    with psycopg.connect(pair.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
            (f"emw % {pair.first.process.pid}",),
        )
    pair.taken_over()
    heard = [commands(s) for s in pair.stations]
    pair.first.process.send_signal(signal.SIGCONT)
    assert pair.first.process.wait(60) != 0, "a supervisor must see that it failed"
    pair.first.close_pipe()
    assert [commands(s) for s in pair.stations] == heard, "who was replaced commands nobody"
    assert pair.spare.stop() == 0


def test_a_spare_with_another_key_is_told_at_once_and_one_that_waits_can_be_stopped(pair: Pair) -> None:
    pair.begin()
    assert pair.spare.stop() == 0
    (pair.spare.data / "server.key").write_bytes(b"k" * 32)
    pair.spare.stderr = subprocess.PIPE  # type: ignore[assignment]
    pair.spare.launch("--standby")
    assert pair.spare.process is not None
    said = pair.spare.process.communicate(timeout=60)[1]
    assert pair.spare.process.returncode == 1
    assert "server.key" in said
    assert "Copy the file" in said
    assert pair.first.stop() == 0
