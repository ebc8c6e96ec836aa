"""OCPP: MeterValues in to answer out, a command to all stations, and memory per idle connection.

Floors, in the same run: a bare echo of the same frames on the same socket library (picows), and a bare fan-out of the
same frames on it; beside them the `ocpp` package with its schema checks, on `websockets`. Each server is a process of
its own, and what counts is its CPU time per message: on a shared machine the clock on the wall says little. Floor and
emw take turns, and a ratio is the median over the turns.

    python -m bench.ocpp [--seconds 0.5] [--rounds 9] [--stations 10000]

Prints: MeterValues as a share of the echo (goal: at least 0.40) and as a multiple of the package (goal: at least 20),
without and with what the store writes of them meanwhile; a command to all stations as a multiple of the bare fan-out
(goal: at most 2); KB per idle connection above what the bare library takes (goal: at most 20).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing as mp
import resource
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.measure import Claim, cpu_s, spread, tell
from bench.ocpp_servers import serve_bare, serve_emw, serve_package
from bench.ocpp_stations import Metering, Obeying, masked, meter_values

CONNECTIONS = 32
WARM = 100
"""Connections before memory is looked at for the first time."""


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


class Meters:
    """Stations of one server that always have one MeterValues each on its way, while they are let."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.tally = [0]
        self.clients: list[Metering] = []

    async def begin(self, port: int, names: list[str], frames: int = 100_000) -> None:
        """Connect; where the server knows stations, one that charges each."""
        paths = [f"/ocpp/{name}" for name in names[:CONNECTIONS]] or ["/x"] * CONNECTIONS
        self.clients = await connect(port, lambda path: Metering(path, "ocpp1.6", self.tally, []), paths)
        now = datetime.now(UTC)
        for client in self.clients:
            if names:
                client.send(b'[2,"b","BootNotification",{"chargePointModel":"M","chargePointVendor":"V"}]')
                client.send(
                    b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging"}]'
                )
                body = {"connectorId": 1, "idTag": "t", "meterStart": 1, "timestamp": now.isoformat()}
                client.send(json.dumps([2, "t", "StartTransaction", body]).encode())
            # A clock that runs a little fast: each reading is newer than the last, and none is out of all reason.
            client.frames = [
                masked(meter_values(now + timedelta(milliseconds=n), 1)) for n in range(frames // len(paths))
            ]
        await asyncio.sleep(2)

    async def cost_s(self, seconds: float) -> float:
        """Server CPU per message, over so many seconds."""
        # The clients never sleep: waking them up costs a server's `send` more than all else, but only where it is so
        # slow that they had time to fall asleep. In the field they are on other machines.
        loop = asyncio.get_running_loop()
        awake = True

        def stay_awake() -> None:
            if awake:
                loop.call_soon(stay_awake)

        stay_awake()
        for client in self.clients:
            client.go()
        await asyncio.sleep(0.1)
        cpu, before = cpu_s(self.pid), self.tally[0]
        await asyncio.sleep(seconds)
        cost = (cpu_s(self.pid) - cpu) / (self.tally[0] - before)
        awake = False
        for client in self.clients:
            client.rest()
        await asyncio.sleep(0.1)
        return cost


async def messages(servers: dict[str, Any], rounds: int, seconds: float) -> dict[str, list[float]]:
    """CPU seconds per message of every server, turn by turn."""
    meters = {name: Meters(process.pid) for name, (process, *_) in servers.items()}
    for name, (_, _, port, names) in servers.items():
        await meters[name].begin(port, list(names))
    emw = servers["emw"][1]
    turns: list[tuple[str, str]] = [("echo", ""), ("emw", "drop"), ("emw", "keep"), ("package", "")]
    costs: dict[str, list[float]] = {"echo": [], "emw": [], "emw and its store": [], "package": []}
    for _ in range(rounds):
        for name, order in turns:
            if order:
                emw.send(order)
                emw.recv()
            cost = await meters[name].cost_s(seconds)
            costs["emw and its store" if order == "keep" else name].append(cost)
    for found in meters.values():
        for client in found.clients:
            client.transport.abort()
    return costs


def hold(pipe: Connection, port: int, names: list[str], boots: bool) -> None:
    """A process with one station per name, each of which accepts every CALL."""
    import uvloop

    async def run() -> None:
        loop = asyncio.get_running_loop()

        async def word(said: Any = None) -> Any:
            if said is not None:
                pipe.send(said)
            return await loop.run_in_executor(None, pipe.recv)

        def make(path: str) -> Obeying:
            return Obeying(path, "ocpp1.6")

        found = await connect(port, make, [f"/ocpp/{name}" for name in names[:WARM]])
        await word("warm")
        found += await connect(port, make, [f"/ocpp/{name}" for name in names[WARM:]])
        await word("connected")
        for at in range(0, len(found), 200):
            for client in found[at : at + 200] if boots else []:
                client.send(b'[2,"b","BootNotification",{"chargePointModel":"M","chargePointVendor":"V"}]')
                client.send(
                    b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
                )
            await asyncio.sleep(0.1)
        await word("booted")

    allow_files(len(names))
    uvloop.run(run())


def allow_files(count: int) -> None:
    """Let this process have so many sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + 1_000)), hard))


def stations(
    context: Any, servers: dict[str, Any], names: list[str], rounds: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """KB per idle connection, and CPU seconds of a command to all, of the bare library and of emw."""
    kb: dict[str, float] = {}
    fleets: list[tuple[Any, Connection]] = []
    for name in ("echo", "emw"):
        _, server, port, _ = servers[name]
        here, there = context.Pipe()
        fleet = context.Process(target=hold, args=(there, port, names, name == "emw"), daemon=True)
        fleet.start()
        fleets.append((fleet, here))
        sizes = []
        for _ in ("warm", "connected"):
            here.recv()
            server.send("memory")
            sizes.append(server.recv())
            here.send("go on")
        here.recv()
        kb[name] = (sizes[1] - sizes[0]) / (len(names) - WARM)
    servers["emw"][1].send("settled")
    servers["emw"][1].recv()
    frame = b'[2,"e1","SetChargingProfile",' + b"x" * 350 + b"]"  # as long as emw's own
    costs: dict[str, list[float]] = {"echo": [], "emw": []}
    for turn in range(rounds + 1):
        for name, found in costs.items():
            servers[name][1].send(frame)
            cost = servers[name][1].recv()
            if turn:  # the first is the one in which emw learns what a station takes
                found.append(cost)
    for fleet, here in fleets:
        here.send("end")
        fleet.join(10)
        fleet.kill()
    return kb, costs


def main() -> None:
    """Measure all, and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--stations", type=int, default=10_000)
    options = parser.parse_args()
    allow_files(options.stations)
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

        costs: dict[str, list[float]] = uvloop.run(messages(servers, options.rounds, options.seconds))
        servers["package"][0].kill()
        kb, fan_out = stations(context, servers, servers["emw"][3], options.rounds)
        for process, *_ in servers.values():
            process.kill()
    tell(
        "ocpp",
        Claim("MeterValues, share of a bare echo", spread(costs["echo"], costs["emw"]), 0.40, "at least"),
        Claim("MeterValues, times the ocpp package", spread(costs["package"], costs["emw"]), 20, "at least"),
        Claim("the same with what the store writes", spread(costs["echo"], costs["emw and its store"])),
        Claim(
            f"a command to {options.stations} stations, times a bare fan-out",
            spread(fan_out["emw"], fan_out["echo"]),
            2,
            "at most",
        ),
        Claim(
            f"KB per idle connection above {kb['echo']:.1f} of the library",
            (kb["emw"] - kb["echo"],) * 3,
            20,
            "at most",
        ),
        cpuMicroseconds={n: round(sorted(c)[len(c) // 2] * 1e6, 1) for n, c in (costs).items()},
        fanOutCpuSeconds={n: round(sorted(c)[len(c) // 2], 3) for n, c in fan_out.items()},
        idleKB={n: round(k, 1) for n, k in kb.items()},
    )


if __name__ == "__main__":
    main()
