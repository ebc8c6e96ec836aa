"""Faults of the machine, with real processes: fenced, stalled, out of files."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import urllib.error
from pathlib import Path

from emw.domain.facts import DispatchResumed
from emw.domain.fold import apply
from emw.store import SqlStore
from tests.acceptance.driver import Server, Station, wait_for
from tests.doors.house import START


def test_F6_F8_a_server_whose_database_another_has_written_to_ends(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    assert server.process is not None

    async def intrude() -> None:
        store = SqlStore(f"sqlite:///{server.data / 'emw.db'}")
        loaded = await store.load()
        fact = DispatchResumed(at=START, actor="another", reason=None)
        await store.commit([fact], apply(loaded.state, fact)[0])
        await store.close()

    asyncio.run(intrude())
    # It has nothing to write, and nobody asks anything of it.
    assert server.process.wait(60) == 1, "a supervisor that restarts on failure must start it again"
    server.close_pipe()


STALLED = """
import asyncio, time
from emw.app.watchdog import watch_loop
async def main():
    asyncio.create_task(watch_loop(stall_s=4))
    await asyncio.sleep(2)
    print("well so far", flush=True)
    time.sleep(30)
    print("lived on", flush=True)
asyncio.run(main())
"""


def test_F22_a_loop_that_stands_still_ends_the_process() -> None:
    told = subprocess.run(
        [sys.executable, "-c", STALLED], capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 70
    assert told.stdout == "well so far\n"
    assert "in main" in told.stderr, "where it stood is told"


def test_F22_out_of_files_it_serves_on_who_is_there_and_heals_without_hands(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    assert server.process is not None
    station: Station | None = None
    idle: list[socket.socket] = []
    try:
        server.control.post("/territories", {"territoryID": "East"})
        secret = server.control.post("/stations", {"stationID": "evse-0"})["secret"]
        station = Station(server, "evse-0", secret)
        station.power_on()
        station.plug_in()
        known = socket.create_connection(("127.0.0.1", server.port))
        known.settimeout(60)
        assert beat(known, station) == 200
        resource.prlimit(
            server.process.pid, resource.RLIMIT_NOFILE, (open_files(server.process.pid) + 8, 4096)
        )
        for _ in range(40):
            with_no_answer = socket.create_connection(("127.0.0.1", server.port))
            idle.append(with_no_answer)
        for _ in range(3):
            assert beat(known, station) == 200, "who is connected is served"
        assert server.process.poll() is None
        for sock in idle:
            sock.close()

        def served() -> bool:
            try:
                return station.beat()[0] == 200
            except (urllib.error.URLError, OSError):
                return False

        wait_for(served, 60)
        known.close()
    finally:
        if station is not None:
            station.close()
        assert server.stop() == 0


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def beat(sock: socket.socket, station: Station) -> int:
    """A heartbeat over a connection that is kept open."""
    body = json.dumps(station.beat_body()).encode()
    head = (
        f"POST /evse/plugInHeartBeat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {station.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sock.sendall(head.encode() + body)
    return int(sock.recv(65_536).split(b" ", 2)[1])
