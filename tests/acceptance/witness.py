"""Keeps, on the other side of the wires, what was acknowledged and what was ordered: against that a log is held."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pytest

from emw.domain import facts as f
from emw.simulator import fleet, station, wire
from emw.simulator.control import Control
from emw.simulator.link import Answer, Link
from emw.simulator.station import Request
from emw.store.database import open_database
from emw.store.log import facts_of
from emw.store.maintenance import check

Json = dict[str, Any]
KNOB_A = 32.0
"""What every station here is set to."""


class Witness:
    """What stations and a grid operator were told by a head-end that they outlive."""

    def __init__(self) -> None:
        self.power_ons: list[str] = []
        """The hash of each token that was given out, as the log names it."""
        self.stays: list[str] = []
        self.ended: list[str] = []
        """Stays that were acknowledged, and those whose end was."""
        self.asked: set[str] = set()
        self.cancelled: set[str] = set()
        self.orders: list[tuple[str, wire.LimitOrder]] = []
        self.controls: dict[str, Control] = {}
        self.sums_seen = 0
        self.at_answer: tuple[int, Callable[[], None]] | None = None
        """After so many more answers that promise something, do this, before anything else gets to run."""
        self._stay_at: dict[str, str] = {}

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look over the shoulder of every simulated station made from now on."""
        witness = self

        class WatchedLink(Link):
            async def say(self, request: Request) -> Answer | str:
                answer = await super().say(request)
                if isinstance(answer, Answer) and answer.status == 200:
                    witness._acknowledged(request.said, answer.body)
                return answer

        class WatchedControl(Control):
            def __init__(self, evse_id: str, *rest: Any) -> None:
                super().__init__(evse_id, *rest)
                witness.controls[evse_id] = self

            def obey(self, order: wire.LimitOrder, now: datetime) -> float | wire.Problem:
                witness.orders.append((self._evse_id, order))
                return super().obey(order, now)

        monkeypatch.setattr(fleet, "Link", WatchedLink)
        monkeypatch.setattr(station, "Control", WatchedControl)

    def _acknowledged(self, said: wire.Said, body: bytes) -> None:
        match said:
            case wire.PowerOn():
                token = wire.read_power_on_answer(body).token
                self.power_ons.append(hashlib.sha256(token.encode()).hexdigest())
            case wire.PlugIntoVehicle():
                session_id = wire.read_answer(body).session_id
                assert session_id is not None
                self.stays.append(session_id)
                self._stay_at[said.evse_id] = session_id
            case wire.Unplugged():
                self.ended.append(self._stay_at.pop(said.evse_id))
            case _:
                return
        if self.at_answer is not None:
            more, then = self.at_answer
            self.at_answer = (more - 1, then) if more > 1 else None
            if more <= 1:
                then()

    def request(self, told: Json) -> Json:
        """A request as the grid operator is told of it, in an answer or a report: it adds up."""
        parts = [told[name] for name in ("confirmedKW", "pendingKW", "refusedKW", "shortKW")]
        assert sum(parts) == pytest.approx(told["requestedKW"], abs=1e-3), told
        assert min(parts) >= 0, told
        self.sums_seen += 1
        return told

    def holds_against(self, url: str) -> None:
        """The log is whole, the tables are what it says, and everything that was told is in it, once."""
        assert check(url)["problems"] == []
        database = open_database(url, create=False)
        try:
            with database.snapshot() as connection:
                log = list(facts_of(connection))
        finally:
            database.close()
        self._once("power-on", self.power_ons, (x.token_hash for x in log if isinstance(x, f.PoweredOn)))
        self._once("stay", self.stays, (x.session_id for x in log if isinstance(x, f.SessionStarted)))
        self._once("end of a stay", self.ended, (x.session_id for x in log if isinstance(x, f.SessionEnded)))
        self._once("request", self.asked, (x.request_id for x in log if isinstance(x, f.RequestReceived)))
        cancelled = {x.request_key.partition(":")[2] for x in log if isinstance(x, f.RequestCancelled)}
        assert self.cancelled <= cancelled
        issued = {x.command_id: x for x in log if isinstance(x, f.CommandIssued)}
        for evse_id, order in self.orders:
            command = issued[order.command_id]  # or it was sent before it was written
            assert command.evse_id == evse_id
            if command.max_a is not None:
                assert (order.max_a, order.until) == (command.max_a, command.until)
            else:
                assert order.max_a >= KNOB_A, "who can't be called is let go by its own knob"
        latest: defaultdict[str, set[datetime]] = defaultdict(set)
        for command in issued.values():
            latest[command.evse_id].add(command.until)
        for evse_id, control in self.controls.items():
            assert control.ends is None or control.ends in latest[evse_id], "a limit that nobody knows of"
            assert not control.violations

    @staticmethod
    def _once(what: str, told: Iterable[str], logged: Iterable[str]) -> None:
        times = Counter(logged)
        wrong = {name: times[name] for name in told if times[name] != 1}
        assert not wrong, f"told of each {what}, which is in the log so many times: {wrong}"
        assert not [name for name in times if times[name] > 1], f"a {what} twice"
