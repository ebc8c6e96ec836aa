"""Reduction requests kept equal to what is owed: opened, changed and cancelled, one event in one territory at a time.

A request that runs goes on under its name while its event still asks for something now; one that waits takes what
comes next. What a person ended stays ended until its event says something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain, count

import msgspec

from emw.domain import facts as f
from emw.domain.model import ReductionRequest, RequestState
from emw.domain.signals import VTN_PREFIX, SignalKind
from emw.engine.owed import Run, Step, by_event
from emw.service.accounts import Accounts
from emw.service.ledger import Ledger
from emw.service.requests import Requests
from emw.service.settings import ServiceSettings

TRACK_BAND = 0.02
"""What follows the baseline is said again once it is off by this share (or 1 kW)."""


class Origin(msgspec.Struct, omit_defaults=True):
    """Why a request is there: what stands in its `asked`."""

    event: str
    territory: str
    version: int
    kind: SignalKind
    value: float
    program: str = ""
    said: str = ""


class Owing:
    """The requests that signals have made, by event and territory."""

    def __init__(
        self, ledger: Ledger, requests: Requests, accounts: Accounts, settings: ServiceSettings
    ) -> None:
        self._state = ledger.state
        self._requests = requests
        self._accounts = accounts
        self._settings = settings
        self._keys: dict[tuple[str, str, str], list[str]] = {}
        for request in self._state.requests.values():
            self._index(request.request_key)
        ledger.listen(self._committed)

    def of_event(self, source_id: str, event_id: str) -> list[ReductionRequest]:
        """The requests that are or were there because of an event."""
        return [
            self._state.requests[key]
            for (source, event, _), keys in sorted(self._keys.items())
            if (source, event) == (source_id, event_id)
            for key in keys
        ]

    def follow(self, owed: Sequence[Run], now: datetime) -> tuple[list[f.Fact], set[str]]:
        """The facts that make requests what is owed, and the territories that they are about."""
        wanted = by_event(owed)
        facts: list[f.Fact] = []
        woken: set[str] = set()
        for (source_id, event_id, place), keys in sorted(self._keys.items()):
            if ((source_id, event_id), place) in wanted:
                continue
            for request in self._live(keys):
                facts += self._gone(request, source_id, now)
                woken.add(place)
        taken: dict[str, float] = {}
        for (key, place), runs in wanted.items():
            if place not in self._state.territories:
                continue
            more = self._event_follows((*key, place), runs, now, taken)
            if more:
                facts += more
                woken.add(place)
        return facts, woken

    def _live(self, keys: Sequence[str]) -> list[ReductionRequest]:
        found = (self._state.requests[k] for k in keys)
        return [r for r in found if r.state in {RequestState.PENDING, RequestState.ACTIVE}]

    def _gone(self, request: ReductionRequest, source_id: str, now: datetime) -> list[f.Fact]:
        if request.end_at is not None and request.end_at <= now:
            return []  # the clock ends it
        signal = (source_id, _origin(request).event)
        why = "the event changed" if signal in self._state.signals else "the event is no longer in force"
        return self._requests.cancelled(request, now, source_id, why)

    def _event_follows(
        self, key: tuple[str, str, str], runs: Sequence[Run], now: datetime, taken: dict[str, float]
    ) -> list[f.Fact]:
        """One event in one territory: its requests against its runs."""
        source_id, event_id, _ = key
        keys = self._keys.get(key, [])
        live = sorted(self._live(keys), key=lambda r: (r.start_at, r.request_key))
        version = self._state.signals[source_id, event_id].version
        left = [run for run in runs if not self._refused_by_hand(keys, run, version)]
        pairs: list[tuple[ReductionRequest, Run]] = []
        running = next((r for r in live if r.state is RequestState.ACTIVE), None)
        if running is not None and left and left[0].start_at <= now:
            pairs.append((running, left.pop(0)))
        waiting = [r for r in live if r.state is RequestState.PENDING]
        pairs += zip(waiting, left, strict=False)
        facts = [fact for request, run in pairs for fact in self._changed(request, run, version, now)]
        facts += [self._opened(key, run, version, now, taken) for run in left[len(waiting) :]]
        matched = {request.request_key for request, _ in pairs}
        for request in live:
            if request.request_key not in matched:
                facts += self._gone(request, source_id, now)
        return facts

    def _refused_by_hand(self, keys: Sequence[str], run: Run, version: int) -> bool:
        """A person ended this request: it stays ended until its event says something else."""
        for request in (self._state.requests[k] for k in keys):
            by_hand = request.cancelled_by is not None and not request.cancelled_by.startswith(VTN_PREFIX)
            inside = run.start_at <= request.start_at and (
                run.end_at is None or request.start_at < run.end_at
            )
            if by_hand and inside and _origin(request).version == version:
                return True
        return False

    def _kw(self, step: Step, territory_id: str, known: ReductionRequest | None, now: datetime) -> float:
        """What a step asks in kW: a share and a setpoint follow the baseline."""
        if step.kind is SignalKind.REDUCE_KW:
            return min(step.value, self._settings.max_request_kw)
        baseline_kw = self._accounts.whole(territory_id, now).baseline_kw
        kw = step.value * baseline_kw if step.kind is SignalKind.REDUCE_SHARE else baseline_kw - step.value
        kw = round(min(max(kw, 0.0), self._settings.max_request_kw), 3)
        if known is not None and _same(_origin(known), step):
            near = abs(kw - known.kw) <= max(1.0, TRACK_BAND * known.kw)
            return known.kw if near else kw
        return kw

    def _changed(self, request: ReductionRequest, run: Run, version: int, now: datetime) -> list[f.Fact]:
        step = run.at(now)
        kw = min(self._kw(step, run.territory_id, request, now), self._requests.caution.most_kw(request))
        start_at = run.start_at if request.state is RequestState.PENDING else request.start_at
        if (kw, start_at, run.end_at) == (request.kw, request.start_at, request.end_at):
            return []
        another = not _same(_origin(request), step)
        cut = self._accounts.cut(request.request_key, now) if another else []
        return [
            *cut,
            f.RequestChanged(
                at=now,
                actor=run.key[0],
                request_key=request.request_key,
                kw=kw,
                start_at=start_at,
                end_at=run.end_at,
                asked=self._why(run, step, version),
            ),
        ]

    def _opened(
        self, key: tuple[str, str, str], run: Run, version: int, now: datetime, taken: dict[str, float]
    ) -> f.Fact:
        source_id, event_id, place = key
        step = run.at(now)
        request_id = self._name(source_id, event_id, place, taken)
        kw = self._kw(step, place, None, now)
        besides_kw = sum(kw for key, kw in taken.items() if key.startswith(f"{source_id}:"))
        taken[f"{source_id}:{request_id}"] = kw
        return f.RequestReceived(
            at=now,
            actor=source_id,
            request_key=f"{source_id}:{request_id}",
            iso_id=source_id,
            request_id=request_id,
            territory_id=place,
            kw=kw,
            start_at=run.start_at,
            end_at=run.end_at,
            asked=self._why(run, step, version),
            held=self._requests.caution.why_hold(source_id, kw, now, besides_kw=besides_kw),
        )

    def _name(self, source_id: str, event_id: str, place: str, taken: dict[str, float]) -> str:
        """The event's id; where that is taken, with the territory and a number."""
        names = chain((event_id, f"{event_id}@{place}"), (f"{event_id}@{place}#{n}" for n in count(2)))
        name = next(n for n in names if f"{source_id}:{n}" not in {*taken, *self._state.requests})
        taken[f"{source_id}:{name}"] = 0.0
        return name

    def _why(self, run: Run, step: Step, version: int) -> str:
        signal = self._state.signals[run.key]
        origin = Origin(
            event=run.key[1],
            territory=run.territory_id,
            version=version,
            kind=step.kind,
            value=step.value,
            program=signal.program,
            said=step.said,
        )
        return msgspec.json.encode(origin).decode()

    # --- books

    def _committed(self, _: int, facts: Sequence[f.Fact]) -> None:
        for fact in facts:
            if isinstance(fact, f.RequestReceived):
                self._index(fact.request_key)

    def _index(self, request_key: str) -> None:
        request = self._state.requests[request_key]
        if request.iso_id.startswith(VTN_PREFIX):
            origin = _origin(request)
            keys = self._keys.setdefault((request.iso_id, origin.event, origin.territory), [])
            if request_key not in keys:
                keys.append(request_key)


def _origin(request: ReductionRequest) -> Origin:
    return msgspec.json.decode(request.asked, type=Origin)


def _same(origin: Origin, step: Step) -> bool:
    return (origin.kind, origin.value) == (step.kind, step.value)
