"""OCPP: MeterValues in to answer out, a command to all stations, and memory per idle connection.

Floors, in the same run: a bare echo of the same frames on the same socket library (picows), and a bare fan-out of the
same frames on it; beside them the `ocpp` package with its schema checks, on `websockets`. Each server is a process of
its own, and what counts is its CPU time per message: on a shared machine the clock on the wall says little.

    python -m bench.ocpp [--seconds 3] [--stations 10000]

Prints: MeterValues as a share of the echo (goal: at least 0.40) and as a multiple of the package (goal: at least 20),
without and with what the store writes of them meanwhile; a command to all stations as a multiple of the bare fan-out
(goal: at most 2); KB per idle connection (goal: at most 20).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing as mp
import os
import resource
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.ocpp_servers import serve_bare, serve_emw, serve_package
from bench.ocpp_stations import Metering, Obeying, masked, meter_values

CONNECTIONS = 32


def cpu_s(pid: int) -> float:
    """CPU time of a process, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def connect(port: int, make: Any, paths: list[str]) -> list[Any]:
    """Connected clients, a hundred at a time."""
    loop = asyncio.get_running_loop()
    found: list[Any] = []
    for at in range(0, len(paths), 100):
        some = await asyncio.gather(
            *(loop.create_connection(partial(make, path), "127.0.0.1", port) for path in paths[at : at + 100])
        )
        await asyncio.gather(*(protocol.open for _, protocol in some))
        found += [protocol for _, protocol in some]
    return found


async def per_message(port: int, pid: int, names: list[str], seconds: float) -> float:
    """Server CPU per MeterValues, s."""
    tally = [0]
    paths = [f"/ocpp/{name}" for name in names[:CONNECTIONS]] or ["/x"] * CONNECTIONS
    clients = await connect(port, lambda path: Metering(path, "ocpp1.6", tally, []), paths)
    now = datetime.now(UTC)
    for client in clients:
        boots = bool(names)
        if boots:
            client.send(b'[2,"b","BootNotification",{"chargePointModel":"M","chargePointVendor":"V"}]')
            client.send(
                b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging"}]'
            )
            body = {"connectorId": 1, "idTag": "t", "meterStart": 1, "timestamp": now.isoformat()}
            client.send(json.dumps([2, "t", "StartTransaction", body]).encode())
        # A clock that runs a little fast: each reading is newer than the last, and none is out of all reason.
        client.frames = [
            masked(meter_values(now + timedelta(milliseconds=n), 1)) for n in range(60_000 // len(clients))
        ]
    await asyncio.sleep(1.5)
    # The clients never sleep: waking them up costs a server's `send` more than all else, but only where it is so slow
    # that they had time to fall asleep. In the field they are on other machines.
    loop = asyncio.get_running_loop()
    awake = True

    def stay_awake() -> None:
        if awake:
            loop.call_soon(stay_awake)

    stay_awake()
    for client in clients:
        client.go()
    await asyncio.sleep(0.5)
    cpu, before = cpu_s(pid), tally[0]
    await asyncio.sleep(seconds)
    cost = (cpu_s(pid) - cpu) / (tally[0] - before)
    awake = False
    for client in clients:
        client.transport.abort()
    await asyncio.sleep(0.2)
    return cost


async def idle_and_command(pipe: Connection, port: int, names: list[str], frame: bytes) -> tuple[float, Any]:
    """KB per idle connection, and what a command to all costs: CPU s and wall s, the best of five."""
    loop = asyncio.get_running_loop()

    async def ask(order: Any) -> Any:
        pipe.send(order)
        return await loop.run_in_executor(None, pipe.recv)

    warm = await connect(port, lambda path: Obeying(path, "ocpp1.6"), [f"/ocpp/{n}" for n in names[:100]])
    before = await ask("memory")
    clients = warm + await connect(
        port, lambda path: Obeying(path, "ocpp1.6"), [f"/ocpp/{n}" for n in names[100:]]
    )
    kb = (await ask("memory") - before) / (len(names) - 100)
    if frame == b"":
        for at in range(0, len(clients), 200):
            for client in clients[at : at + 200]:
                client.send(b'[2,"b","BootNotification",{"chargePointModel":"M","chargePointVendor":"V"}]')
                client.send(
                    b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
                )
            await asyncio.sleep(0.2)
        await asyncio.sleep(20)  # their questions and answers
    costs = [await ask(frame) for _ in range(5)]
    for client in clients:
        client.transport.abort()
    return kb, (min(c for c, _ in costs), min(w for _, w in costs))


def main() -> None:
    """Measure all, and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stations", type=int, default=10_000)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, options.stations + 1_000)), hard))
    context = mp.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        servers: dict[str, Any] = {}

        def begin(name: str, target: Any, *args: Any) -> None:
            here, there = context.Pipe()
            process = context.Process(target=target, args=(there, *args), daemon=True)
            process.start()
            servers[name] = (process, here, *here.recv())

        begin("echo", serve_bare)
        begin("package", serve_package)
        begin("emw", serve_emw, str(Path(folder) / "data"), options.stations)
        import uvloop

        costs: dict[str, list[float]] = {name: [] for name in (*servers, "emw and its store")}
        for _ in range(options.rounds):
            for name, found in costs.items():
                process, pipe, port, names = servers["emw" if name.startswith("emw") else name]
                if names:
                    pipe.send("drop" if name == "emw" else "keep")
                    pipe.recv()
                found.append(uvloop.run(per_message(port, process.pid, list(names), options.seconds)))
        servers["package"][0].kill()
        names = servers["emw"][3]
        bare = b'[2,"e1","SetChargingProfile",' + b"x" * 420 + b"]"
        _, echo_pipe, echo_port, _ = servers["echo"]
        _, emw_pipe, emw_port, _ = servers["emw"]
        floor = uvloop.run(idle_and_command(echo_pipe, echo_port, names, bare))
        ours = uvloop.run(idle_and_command(emw_pipe, emw_port, names, b""))
        for process, *_ in servers.values():
            process.kill()
    share = statistics.median(e / m for e, m in zip(costs["echo"], costs["emw"], strict=True))
    times = statistics.median(p / m for p, m in zip(costs["package"], costs["emw"], strict=True))
    fan_out = ours[1][0] / floor[1][0]
    print(
        f"ocpp: MeterValues {share:.2f} of a bare echo (goal 0.40), {times:.1f} times the package (goal 20)"
    )
    kept = statistics.median(e / m for e, m in zip(costs["echo"], costs["emw and its store"], strict=True))
    print(f"ocpp: with what the store writes meanwhile {kept:.2f} of a bare echo")
    print(f"ocpp: a command to {len(names)} stations {fan_out:.2f} times a bare fan-out (goal 2)")
    print(f"ocpp: {ours[0]:.1f} KB per idle connection, bare {floor[0]:.1f} (goal 20)")
    told = {
        "bench": "ocpp",
        "shareOfEcho": round(share, 3),
        "timesPackage": round(times, 1),
        "shareOfEchoWithStore": round(kept, 3),
        "fanOut": round(fan_out, 2),
        "idleKB": round(ours[0], 1),
        "cpuMicrosecondsPerMessage": {n: round(statistics.median(c) * 1e6, 1) for n, c in costs.items()},
        "fanOutCpuSeconds": [round(ours[1][0], 3), round(floor[1][0], 3)],
        "fanOutWallSeconds": [round(ours[1][1], 3), round(floor[1][1], 3)],
        "idleKBBare": round(floor[0], 1),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
