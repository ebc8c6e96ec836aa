"""Histories that could have happened: any list of numbers becomes legal facts, hostile names among them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from emw.domain import facts as f
from emw.domain.fold import apply
from emw.domain.model import Cause, Outcome, RequestState
from emw.domain.people import Role
from emw.domain.state import State

START: Final = datetime(2026, 5, 4, 23, 50, tzinfo=UTC)
HOSTILE: Final = (
    "'; DROP TABLE activity; --",
    "=cmd|' /C calc'!A0",
    "🚗⚡\U0001f469\u200d\U0001f527",
    "\u202emoc.live\u202c",
    "x" * 10_000,
    "<script>alert(1)</script>",
    "%s %(name)s {0} :bound ?",
    "\x1b[2J\r\n\t",
    "a\u0301\uff1d\u200b",
    "",
)


class History:
    """Makes legal facts, one after another, and keeps the view that they lead to."""

    def __init__(self) -> None:
        self.state = State()
        self.facts: list[f.Fact] = []
        self.now = START
        self._count = 0

    def step(self, choice: int) -> f.Fact:
        """One more fact, picked by `choice` from what is possible now."""
        self.now += timedelta(seconds=choice % 97, microseconds=choice % 1000)
        self._count += 1
        possible = [make for make in self._possible() if make is not None]
        fact = possible[choice % len(possible)](choice // len(possible))
        apply(self.state, fact)
        self.facts.append(fact)
        return fact

    def _possible(self) -> list[Callable[[int], f.Fact] | None]:
        s = self.state
        return [
            self._territory,
            self._station,
            self._iso,
            self._operator,
            self._key,
            lambda n: self._f(f.DispatchHalted, reason=HOSTILE[n % 10]),
            lambda n: self._f(f.LoginRefused, name=HOSTILE[n % 10], address="10.0.0.1"),
            self._on if s.stations else None,
            self._plug if s.evses else None,
            self._unplug if s.sessions else None,
            self._opt if s.evses else None,
            self._command if s.evses else None,
            self._answer if s.limits else None,
            self._ask if s.isos else None,
            self._move if s.requests else None,
            self._tally if s.requests else None,
            self._enrol if s.requests and s.evses else None,
            self._leave if s.enrolments else None,
            self._interval if s.requests else None,
            self._report if s.requests else None,
            self._deliver if s.reports else None,
            self._revoke if s.stations else None,
        ]

    def _f(self, fact: Callable[..., Any], /, actor: str = "emw", **fields: Any) -> Any:
        return fact(at=self.now, actor=actor, **fields)

    def _id(self, prefix: str, n: int) -> str:
        return f"{prefix}{self._count}{HOSTILE[n % 10] if n % 3 == 0 else ''}"

    def _territory(self, n: int) -> Any:
        parent = pick(list(self.state.territories), n) if self.state.territories else None
        return self._f(
            f.TerritoryDefined,
            territory_id=self._id("T", n),
            parent_id=parent,
            kind=HOSTILE[n % 10],
            ceiling_kw=n / 7 if n % 2 else None,
            time_zone="Europe/Berlin",
        )

    def _station(self, n: int) -> Any:
        return self._f(
            f.StationAdded, station_id=self._id("S", n), secret_hash="secret-hash", customer_id="c"
        )

    def _iso(self, n: int) -> Any:
        return self._f(
            f.IsoAdded,
            iso_id=self._id("I", n),
            token_hash="token-hash",
            territories=("East", HOSTILE[n % 10]),
        )

    def _operator(self, n: int) -> Any:
        role = pick(list(Role), n)
        return self._f(f.OperatorAdded, name=self._id("O", n), password_hash="password-hash", role=role)

    def _key(self, n: int) -> Any:
        return self._f(
            f.ApiKeyAdded,
            key_id=self._id("K", n),
            name=HOSTILE[n % 10],
            key_hash="key-hash",
            role=Role.VIEWER,
        )

    def _on(self, n: int) -> Any:
        station = pick(list(self.state.stations), n)
        return self._f(
            f.PoweredOn,
            actor=f"station:{station}",
            evse_id=station,
            station_id=station,
            territory_id="East",
            model=HOSTILE[n % 10],
            line_voltage_v=230.0,
            phases=3,
            max_a=32.0,
            status="available",
            token_hash="session-token-hash",
            latitude=None if n % 2 else 52.5,
        )

    def _plug(self, n: int) -> Any:
        return self._f(
            f.SessionStarted,
            session_id=self._id("s", 1),
            evse_id=pick(list(self.state.evses), n),
            line_voltage_v=229.5,
            evse_max_a=32.0,
            car_max_a=16.0 + n % 5,
            vehicle=HOSTILE[n % 10],
            departure_at=self.now + timedelta(hours=3),
        )

    def _unplug(self, n: int) -> Any:
        session = pick(list(self.state.sessions.values()), n)
        return self._f(
            f.SessionEnded,
            session_id=session.session_id,
            evse_id=session.evse_id,
            reason="unplugged",
            energy_kwh=n / 3 if n % 2 else None,
        )

    def _opt(self, n: int) -> Any:
        until = self.now + timedelta(hours=1) if n % 2 else None
        return self._f(
            f.OptedOut, evse_id=pick(list(self.state.evses), n), until=until, reason=HOSTILE[n % 10]
        )

    def _command(self, n: int) -> Any:
        return self._f(
            f.CommandIssued,
            command_id=self._id("c", 1),
            evse_id=pick(list(self.state.evses), n),
            max_a=None if n % 4 == 0 else 6.0 + n % 20,
            until=self.now + timedelta(minutes=15),
            cause=pick(list(Cause), n),
            request_key=pick(list(self.state.requests), n) if self.state.requests else None,
            asked_kw=n / 11,
            renewal=n % 5 == 0,
        )

    def _answer(self, n: int) -> Any:
        limit = pick(list(self.state.limits.values()), n)
        return self._f(
            f.CommandAnswered,
            command_id=limit.command_id if n % 4 else "another",
            evse_id=limit.evse_id,
            outcome=pick(list(Outcome), n),
            answered_a=6.5,
            reason=HOSTILE[n % 10],
        )

    def _ask(self, n: int) -> Any:
        iso = pick(list(self.state.isos), n)
        name = self._id("R", n)
        return self._f(
            f.RequestReceived,
            request_key=f"{iso}:{name}",
            iso_id=iso,
            request_id=name,
            territory_id="East",
            kw=float(n % 5000),
            start_at=self.now,
            end_at=None if n % 2 else self.now + timedelta(hours=1),
            asked='{"kW":1}',
        )

    def _move(self, n: int) -> Any:
        return self._f(
            f.RequestMoved, request_key=pick(list(self.state.requests), n), state=pick(list(RequestState), n)
        )

    def _tally(self, n: int) -> Any:
        return self._f(
            f.RequestTallied,
            request_key=pick(list(self.state.requests), n),
            available_kw=n / 3,
            confirmed_kw=0.1,
            pending_kw=0.2,
            refused_kw=1e-9,
            short_kw=1e9,
            measured_kw=None if n % 2 else -n / 9,
        )

    def _enrol(self, n: int) -> Any:
        request, evse = pick(list(self.state.requests), n), pick(list(self.state.evses), n)
        return self._f(f.Enrolled, request_key=request, evse_id=evse)

    def _leave(self, n: int) -> Any:
        request, evse = pick(list(self.state.enrolments), n)
        return self._f(f.EnrolmentEnded, request_key=request, evse_id=evse, why="over", measured_kwh=n / 13)

    def _interval(self, n: int) -> Any:
        return self._f(
            f.IntervalMeasured,
            request_key=pick(list(self.state.requests), n),
            start_at=self.now - timedelta(minutes=5),
            end_at=self.now,
            requested_kw=100.0,
            confirmed_kw=99.0,
            measured_kw=None,
            baseline_kw=5.5,
            load_kw=4.5,
            method="virtual-twin",
        )

    def _report(self, n: int) -> Any:
        request = pick(list(self.state.requests.values()), n)
        return self._f(
            f.ReportQueued,
            report_id=self._id("r", 1),
            iso_id=request.iso_id,
            request_key=request.request_key,
            kind="interval",
            body='{"text":"\u2028"}',
        )

    def _deliver(self, n: int) -> Any:
        report = pick(list(self.state.reports), n)
        if n % 3:
            return self._f(f.ReportDelivered, report_id=report)
        return self._f(f.ReportDropped, report_id=report, reason="gone")

    def _revoke(self, n: int) -> Any:
        return self._f(f.StationRevoked, station_id=pick(list(self.state.stations), n))


def pick(items: Sequence[Any], n: int) -> Any:
    return items[n % len(items)]


def history(choices: Sequence[int]) -> list[f.Fact]:
    """The facts that a list of numbers stands for."""
    world = History()
    for choice in choices:
        world.step(choice)
    return world.facts


def stations(count: int, at: datetime = START) -> list[f.Fact]:
    """Stations that are enrolled and powered on."""
    facts: list[f.Fact] = []
    for i in range(count):
        name = f"E{i:06}"
        facts.append(f.StationAdded(at=at, actor="operator:ann", station_id=name, secret_hash="secret-hash"))
        facts.append(
            f.PoweredOn(
                at=at,
                actor=f"station:{name}",
                evse_id=name,
                station_id=name,
                territory_id="East" if i % 2 else "West",
                model="M1",
                line_voltage_v=240.0,
                phases=1,
                max_a=32.0,
                status="available",
                token_hash="session-token-hash",
            )
        )
    return facts


def plug(name: str, evse_id: str, at: datetime = START) -> f.SessionStarted:
    """A vehicle is plugged in."""
    return f.SessionStarted(
        at=at,
        actor=f"station:{evse_id}",
        session_id=name,
        evse_id=evse_id,
        line_voltage_v=240.0,
        evse_max_a=32.0,
        car_max_a=30.0,
    )


__all__ = ["HOSTILE", "START", "History", "history", "plug", "stations"]
