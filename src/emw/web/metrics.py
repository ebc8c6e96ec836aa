"""Sums for Prometheus, made when asked. No id of a driver, customer, station or EVSE is ever a label (promise P8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from emw.domain.model import Outcome
from emw.service.customer_cap import beyond_cap
from emw.service.grid_standing import Notified
from emw.service.headend import HeadEnd
from emw.web.auth import Auth
from emw.web.board import Board


class _Now(Collector):
    """Reads the head-end at each scrape."""

    def __init__(self, headend: HeadEnd, board: Board, auth: Auth, answers: Counter[int]) -> None:
        self._headend = headend
        self._board = board
        self._auth = auth
        self._answers = answers

    def describe(self) -> Iterable[Metric]:
        """Nothing to say before the first scrape."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Every metric as it is now."""
        self._board.look()
        yield from self._load()
        yield from self._fleet()
        yield from self._itself()
        yield from (CounterMetricFamily(name, text, value=value) for name, text, value in self._counts())
        answers = CounterMetricFamily("emw_operator_answers", "Answers by status.", labels=["status"])
        for status, count in sorted(self._answers.items()):
            answers.add_metric([str(status)], count)
        yield answers

    def _load(self) -> Iterator[Metric]:
        """What is drawn, asked for and shed."""
        version, total = Counter({self._headend.version: 1}), self._board.total
        yield _by("emw_build_info", "1, with emw's version.", "version", version)
        yield _gauge("emw_load_kilowatts", "Load of all EVSEs as measured last.", total.load_kw)
        yield _gauge("emw_baseline_kilowatts", "Load there would be without limits.", total.baseline_kw)
        yield _gauge("emw_requested_kilowatts", "Shed asked for by running requests.", total.wanted_kw)
        yield _gauge("emw_shed_kilowatts", "Shed the meters show.", total.shed_kw)
        yield _gauge("emw_available_kilowatts", "Shed that could be asked for now.", total.available_kw)

    def _fleet(self) -> Iterator[Metric]:
        """EVSEs, requests and limits, counted."""
        headend, state, now = self._headend, self._headend.state, self._headend.clock.now()
        rows = self._board.rows.values()
        yield _by("emw_evses", "EVSEs by state.", "state", Counter(r.state for r in rows))
        states = Counter(str(r.state) for r in state.requests.values())
        yield _by("emw_requests", "Reduction requests by state.", "state", states)
        waiting = sum(1 for r in state.requests.values() if r.live and r.held is not None)
        yield _gauge("emw_requests_held", "Requests that wait for a second person.", waiting)
        beyond = beyond_cap(state, headend.settings.most_evses_per_customer, now)
        yield _gauge("emw_evses_beyond_cap", "EVSEs that are too many for whom they belong to.", len(beyond))
        doubted = sum(1 for e in state.evses.values() if e.doubted_at is not None)
        yield _gauge("emw_evses_doubted", "EVSEs whose meter contradicts itself.", doubted)
        held = (x for x in state.limits.values() if x.in_force(now))
        outcomes = Counter({str(o): 0 for o in Outcome})
        outcomes.update(str(x.outcome) for x in held)
        yield _by("emw_limits", "Limits in force by what became of them.", "outcome", outcomes)
        yield _gauge("emw_sessions", "Vehicles plugged in.", len(state.sessions))

    def _itself(self) -> Iterator[Metric]:
        """How emw stands, and what still waits."""
        headend, state, now = self._headend, self._headend.state, self._headend.clock.now()
        yield _gauge("emw_halted", "1 while all dispatch is stopped.", float(headend.dispatch.halted))
        off_s = headend.clock_off_s()
        yield _gauge("emw_clock_off_seconds", "How far the machine's clock has leapt away from emw's.", off_s)
        ends = Counter({k: int((end - now).total_seconds()) for k, end in headend.certificates.items()})
        yield _by("emw_certificate_seconds_left", "How long certificates hold.", "setting", ends)
        owed = len(state.reports) + sum(r.owed for r in state.grid_reports.values())
        yield _gauge("emw_reports_owed", "Reports not delivered yet.", owed)
        heard = Counter({k: int(link.connected) for k, link in state.grid_links.items()})
        yield _by("emw_grid_connected", "1 while a VTN can be heard.", "source", heard)
        muted = sum(n.muted for n in self._notified())
        yield _gauge("emw_vtn_callbacks_muted", "Callbacks of our own VTN that are called no more.", muted)
        yield _gauge("emw_telemetry_waiting", "Readings not written yet.", headend.telemetry.waiting)
        yield _gauge("emw_logins", "People logged in.", len(self._auth.logins))

    def _notified(self) -> list[Notified]:
        standings = (source.seen().standing for source in self._headend.grids)
        return [s.notified() for s in standings if s.notified is not None]

    def _counts(self) -> Iterator[tuple[str, str, float]]:
        """What only ever grows."""
        headend, told = self._headend, self._notified()
        ledger, telemetry, dispatch = headend.ledger, headend.telemetry, headend.dispatch
        yield "emw_facts", "Facts made durable.", ledger.committed
        yield "emw_commits", "Groups of facts written.", ledger.groups
        yield "emw_commit_failures", "Groups the store could not write.", ledger.failures
        yield "emw_readings", "Readings taken.", telemetry.taken
        yield "emw_readings_late", "Readings that came too late to count.", telemetry.late
        lost = "lost because the store could not keep up."
        yield "emw_readings_dropped", f"Readings {lost}", telemetry.dropped
        yield "emw_counterfactuals_dropped", f"Means of baselines {lost}", headend.twins.dropped
        yield "emw_dispatch_rounds", "Times dispatch decided.", dispatch.rounds
        yield "emw_commands_sent", "Commands sent to stations.", dispatch.commands.sent
        failed = headend.outbox.failed + headend.grid_reports.failed
        yield "emw_report_failures", "Tries to deliver a report that failed.", failed
        delivered, dropped = sum(n.delivered for n in told), sum(n.dropped for n in told)
        ours = "Notifications of our own VTN that were"
        yield "emw_vtn_notifications", f"{ours} delivered.", delivered
        yield "emw_vtn_notifications_dropped", f"{ours} given up.", dropped
        yield "emw_credentials_refused", "Wrong credentials of stations and ISOs.", headend.gate.refused
        yield "emw_logins_refused", "Wrong logins and keys on the operator plane.", self._auth.refused


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by(name: str, text: str, label: str, counts: Counter[str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, count in sorted(counts.items()):
        family.add_metric([key], count)
    return family


class Metrics:
    """One registry per app: two servers in one process do not mix."""

    def __init__(self, headend: HeadEnd, board: Board, auth: Auth, answers: Counter[int]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Now(headend, board, auth, answers))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)
