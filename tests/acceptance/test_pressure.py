"""Real processes under pressure: paused and replaced, stormed, flooded by who never reads an answer (F8, F18, F22)."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Server, field, wait_for

STORM = 300


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path, EMW_DISPATCH_GAP_SECONDS="1")
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 0


def test_F8_a_process_that_slept_while_another_took_over_is_fenced_and_commands_nobody(
    tmp_path: Path,
) -> None:
    """SIGSTOP, a second server over the same database, SIGCONT: the sleeper ends, and no station hears of it."""
    shared = {"EMW_STORE_URL": f"sqlite:///{tmp_path / 'shared.db'}", "EMW_DISPATCH_GAP_SECONDS": "1"}
    sleeper, taker = Server(tmp_path / "a", **shared), Server(tmp_path / "b", **shared)
    sleeper.start()
    stations, token = field(sleeper, 4)
    asked = {"requestID": "r1", "territory": "East", "kW": 10, "durationMinutes": 30}
    assert sleeper.post("/iso/decrease", asked, token)[0] == 200
    assert sleeper.process is not None
    sleeper.process.send_signal(signal.SIGSTOP)
    try:
        taker.start()
        for station in stations:
            station.server = taker
        wait_for(lambda: taker.get("/iso/requests/r1", token)[1].get("state") == "active", 60)
        told_before = [len(s.told) for s in stations]
        sleeper.process.send_signal(signal.SIGCONT)
        assert sleeper.process.wait(60) != 0, "a supervisor must see that it failed"
        sleeper.close_pipe()
        for station in stations:
            station.beat()
        assert taker.post("/iso/returnToNormal", {"requestID": "r1"}, token)[0] == 200

        def freed() -> bool:
            for station in stations:
                station.beat()
            return all(s.limit_a is None for s in stations)

        wait_for(freed, 60)
        rows = taker.control.get("/activity", kind="CommandIssued", limit=1000)["items"]
        logged = {row["details"]["commandID"] for row in rows}
        for station, before in zip(stations, told_before, strict=True):
            heard = [
                said["commandID"] for _, path, said in station.told[before:] if path != "authWithControl"
            ]
            assert set(heard) <= logged, "a command of which the log knows nothing"
        assert taker.stop() == 0
    finally:
        for s in (sleeper, taker):
            if s.process is not None and s.process.poll() is None:
                s.kill()
        for station in stations:
            station.close()


@pytest.mark.alone
def test_F18_hundreds_boot_at_once_on_real_sockets_and_the_event_goes_on(server: Server) -> None:
    stations, token = field(server, 3)
    try:
        secrets = {
            f"storm-{n}": server.control.post("/stations", {"stationID": f"storm-{n}"})["secret"]
            for n in range(STORM)
        }
        statuses, request = asyncio.run(_storm(server, secrets, token))
        assert set(statuses) <= {200, 503}, statuses
        assert statuses.count(200) >= STORM * 0.9
        assert request["confirmedKW"] == pytest.approx(9, abs=0.5), (
            "the event's commands were not kept waiting"
        )
        for station in stations:
            assert station.beat()[0] == 200
    finally:
        for station in stations:
            station.close()


async def _storm(server: Server, secrets: dict[str, str], token: str) -> tuple[list[int], dict[str, Any]]:
    """Every station on a connection of its own, all in the same moment; and in the midst of it the grid asks."""

    async def boot(name: str, secret: str) -> int:
        body = json.dumps(
            {
                "evseID": name,
                "evseModel": "m",
                "customerID": "c",
                "lineVoltage": 230,
                "status": "available",
                "location": {"territory": "East"},
                "evseMaxAmps": 32,
            }
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"POST /evse/powerOn HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])

    asked = {"requestID": "r1", "territory": "East", "kW": 9, "durationMinutes": 30}
    async with asyncio.timeout(60):
        storm = asyncio.gather(*(boot(name, secret) for name, secret in secrets.items()))
        told = await asyncio.to_thread(server.post, "/iso/decrease", asked, token)
        return list(await storm), told[1]


def memory_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_F22_who_never_reads_its_answers_costs_no_memory_and_delays_nobody(server: Server) -> None:
    """Each asks without end, and reads nothing: it is not read from any more once its answers wait."""
    stations, token = field(server, 1)
    assert server.process is not None
    ask = f"GET /iso/requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode() * 200
    deaf = []
    try:
        stations[0].beat()
        before_mb = memory_mb(server.process.pid)
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            deaf.append(sock)
        sent, stop = 0, time.monotonic() + 5
        while time.monotonic() < stop:
            for sock in deaf:
                try:
                    sent += sock.send(ask)
                except (BlockingIOError, ConnectionError):
                    continue
            time.sleep(0.01)
        assert stations[0].beat()[0] == 200
        assert server.get("/iso/requests", token)[0] == 200
        assert sent >= 20 * len(ask), "or nothing was tried"
        assert memory_mb(server.process.pid) - before_mb < 100
    finally:
        for sock in deaf:
            sock.close()
        for station in stations:
            station.close()


def test_F22_bodies_that_are_begun_and_never_end_are_bounded_and_cut_off(server: Server) -> None:
    stations, _ = field(server, 1)
    assert server.process is not None
    half = []
    try:
        before_mb = memory_mb(server.process.pid)
        for _ in range(200):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.sendall(
                b"POST /evse/plugInHeartBeat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 65000\r\n\r\n" + b" " * 60_000
            )
            half.append(sock)
        assert stations[0].beat()[0] == 200
        assert memory_mb(server.process.pid) - before_mb < 100
        half[0].settimeout(60)
        assert half[0].recv(1000).startswith(b"HTTP/1.1 4"), "it is told, and cut off"
    finally:
        for sock in half:
            sock.close()
        for station in stations:
            station.close()
