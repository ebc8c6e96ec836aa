"""What the meters say: the latest reading per EVSE in memory, everything else flushed in groups.

Not facts: a reading may be lost up to the last flush, the buffer is bounded and drops the oldest. What is learned
here (what an EVSE would draw unlimited) is what a shed is counted against.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from emw.domain.model import Evse, Limit, Outcome, Session
from emw.engine.ladder import Price
from emw.engine.learn import CONTENT_A, Belief
from emw.engine.plausible import Judged, Span, begun
from emw.service.groups import hand_over
from emw.service.ports import HeartBeat, Reading, Store
from emw.service.settings import ServiceSettings

SKEW = timedelta(minutes=2)
"""A station clock further off than this is not believed: its readings are dated by arrival."""
LEAST_SKEW = -SKEW
RUNS = timedelta(seconds=10)
"""Two readings whose station times lie as far apart as their arrivals, to this, show a clock that runs."""
SETTLE = timedelta(seconds=20)
"""How long after a change of limit a reading may still show the time before it."""
OBEYED_A = 1.0
"""A limited EVSE drawing more than this above its limit does not obey it."""
STRIKES = 2
"""So many readings in a row must show it (fault F13)."""
AGREES = 4
"""So many looks in a row must agree until a meter that was doubted is believed again."""
OFF_LINE = 0.2
"""A voltage further off than this from the line's is not believed (attack A10), or not metered."""


class Expected(NamedTuple):
    """What is expected of one vehicle, A per phase. A tuple: one is made for every vehicle in every round."""

    would_a: float
    """If it were let go now."""
    baseline_a: float
    """Had nobody asked anything of it: the live counterfactual."""
    gap_a: float
    """How much less than it is offered it takes; 0 until it has been seen."""
    price: Price | None


NOBODY = Expected(0.0, 0.0, 0.0, None)


class Live:
    """What is known of one EVSE this minute. Mutable on purpose: it is written once a heartbeat."""

    __slots__ = (
        "agreed",
        "belief",
        "free",
        "free_a",
        "gap_a",
        "heard_at",
        "left_at",
        "odd",
        "others_a",
        "reading",
        "skew",
        "span",
        "station_at",
        "strikes",
    )

    def __init__(self, heard_at: datetime) -> None:
        self.heard_at = heard_at
        self.reading: Reading | None = None
        self.station_at: datetime | None = None  # the station's own last timestamp, believed or not
        self.skew = timedelta(0)  # how far off its clock was then
        self.odd: tuple[datetime, datetime] | None = None  # the last one out of line: its time, when it came
        self.free_a: float | None = None  # what it drew when nothing held it
        self.free = False  # nothing held it when it was read last
        self.others_a: float | None = None  # what others drew when it came: like them at first
        self.gap_a = 0.0  # how much less than offered it takes, learned while it is held
        self.strikes = 0
        self.left_at: datetime | None = None  # when the last vehicle left
        self.belief: tuple[str, Belief] | None = None  # what is believed of which session
        self.agreed = 0  # how many looks at register and power agreed, one after another
        self.span: Span | None = None  # its register against the power it showed


def expected_of(live: Live | None, evse: Evse, session: Session | None) -> Expected:
    """What the vehicle would draw if it were let go, and had nobody asked anything of it. Hot.

    Metered when it is free, else believed, else like others, else what station and vehicle could draw together.
    """
    if session is None:
        return NOBODY
    car_a, evse_a = session.car_max_a, evse.max_a
    potential = min(evse_a, car_a)
    if live is None:
        return Expected(potential, potential, 0.0, None)
    belief = None
    if live.belief is not None and live.belief[0] == session.session_id:
        belief = live.belief[1]
    would_a = live.free_a if belief is None or live.free else belief.would_a
    if would_a is None:
        would_a = live.others_a
    if would_a is None or would_a > potential:
        would_a = potential
    if belief is None:
        return Expected(would_a, would_a, live.gap_a, None)
    return Expected(would_a, would_a * belief.alive, belief.gap_a, belief.price)


def shows_from(limit: Limit, now: datetime) -> datetime:
    """From when on a reading shows what stands after an EVSE's last command: its limit, or that it is over."""
    over = limit.max_a is not None and not limit.in_force(now)
    return (limit.until if over else limit.answered_at or limit.issued_at) + SETTLE


def _repeats(said: HeartBeat, reading: Reading | None) -> bool:
    """Whether it says what the reading before it said."""
    return reading is not None and (
        reading.current_a,
        reading.voltage_v,
        reading.limit_a,
        reading.energy_kwh,
    ) == (
        said.current_a,
        said.voltage_v,
        said.limit_a,
        said.energy_kwh,
    )


class Telemetry:
    """Takes readings, remembers the latest, hands the rest to the store in groups."""

    def __init__(self, store: Store, settings: ServiceSettings) -> None:
        self.live: dict[str, Live] = {}
        self.fresh: set[str] = set()
        """EVSEs with another reading than the console has seen; it empties this."""
        self.judged: dict[str, Judged] = {}
        """Meters that turned out to contradict themselves, or no longer to (attack A10), until somebody takes them."""
        self.taken = 0
        self.late = 0
        self.dropped = 0
        self._store = store
        self._settings = settings
        self._buffer: deque[Reading] = deque(maxlen=settings.telemetry_bound)

    def heard(self, evse_id: str, now: datetime) -> Live:
        """Note that the station spoke."""
        live = self.live.get(evse_id)
        if live is None:
            live = self.live[evse_id] = Live(now)
        live.heard_at = now
        return live

    @staticmethod
    def _is_late(live: Live, said: HeartBeat, now: datetime) -> bool:
        """Whether a reading of its (station's own) time says nothing of now: late, doubled, far off (fault F15).

        A wrong clock is followed as long as it runs on (fault F10). One that leaps is believed at once when it leaps
        to the right time, else when the next reading shows that it runs: one from the future alone counts as late.
        Many clocks show whole seconds: of one second's readings the one that came last counts, unless it is the same.
        """
        if live.station_at is None:
            return False
        at = said.at
        newer = at > live.station_at or (at == live.station_at and not _repeats(said, live.reading))
        skew = at - now
        if abs(skew) <= SKEW < abs(live.skew):
            return False
        if newer and skew - live.skew <= SKEW:
            return False  # newer than the last one, however long it was on its way
        if abs(skew) <= SKEW or live.odd is None:
            return not newer or abs(skew) > SKEW
        odd_at, came_at = live.odd
        return now - came_at < RUNS or abs((at - odd_at) - (now - came_at)) > RUNS

    def take(self, evse: Evse, limit: Limit | None, now: datetime, said: HeartBeat) -> bool:
        """Take one reading; returns whether it says something of now. Hot.

        Late, doubled and year-old ones are kept as late and change nothing else (fault F15).
        """
        evse_id, at, current_a = evse.evse_id, said.at, said.current_a
        live = self.live.get(evse_id) or self.heard(evse_id, now)
        live.heard_at = now
        skew, last_at = at - now, live.station_at
        # The usual one is newer than the last and on its way as long: only others are looked at closely.
        usual = last_at is None or (at > last_at and skew - live.skew <= SKEW)
        late = not usual and self._is_late(live, said, now)
        voltage_v, line_v = said.voltage_v, evse.line_voltage_v
        told = voltage_v / line_v if line_v else 1.0
        # Direct current has the battery's voltage; else one that is far off says more of the meter than of the line.
        kw = evse.kw_per_a * current_a * (told if evse.dc or -OFF_LINE <= told - 1.0 <= OFF_LINE else 1.0)
        seen_at = at if late or LEAST_SKEW <= skew <= SKEW else now
        reading = Reading(
            evse_id, seen_at, now, voltage_v, current_a, kw, said.limit_a, said.energy_kwh, late
        )
        buffer = self._buffer
        if len(buffer) == buffer.maxlen:
            self.dropped += 1
        buffer.append(reading)
        self.taken += 1
        if late:
            live.odd = (at, now)
            self.late += 1
            return False
        live.station_at, live.skew, live.odd, live.reading = at, skew, None, reading
        self.fresh.add(evse_id)
        if said.energy_kwh is not None:
            if live.span is None:
                live.span = begun(at, kw, said.energy_kwh)
            else:
                live.span, judged = live.span.then(at, kw, said.energy_kwh)
                if judged is not None:
                    self._judge(live, evse, judged)
        if limit is None:
            live.free, live.free_a, live.strikes = True, current_a, 0
        else:
            self._learn(live, limit, reading, now)
        return True

    def _judge(self, live: Live, evse: Evse, judged: Judged) -> None:
        """Whether this is news: one contradiction is enough for doubt, trust comes back by and by."""
        live.agreed = live.agreed + 1 if judged.agrees else 0
        if (evse.doubted_at is None) if not judged.agrees else (evse.doubted_at and live.agreed >= AGREES):
            self.judged[evse.evse_id] = judged

    def recall(self, reading: Reading, limit: Limit | None, now: datetime) -> None:
        """At a start: an EVSE's latest reading, and what it taught of its free draw when it came.

        What a meter said while a limit held is no free draw, though the limit has ended since.
        """
        live = self.heard(reading.evse_id, now)
        live.reading = reading
        if limit is None:
            live.free_a = reading.current_a
            return
        live.free_a = limit.would_draw_a
        self._learn(live, limit, reading, reading.received_at)
        live.gap_a, live.strikes = 0.0, 0  # of one reading nothing else is learned

    @staticmethod
    def _learn(live: Live, limit: Limit, reading: Reading, now: datetime) -> None:
        held = limit.in_force(now) and limit.outcome is not Outcome.REJECTED
        live.free = not held and now - limit.issued_at > SETTLE
        if live.free:
            live.free_a, live.strikes = reading.current_a, 0
            return
        if not held or limit.max_a is None or limit.answered_at is None:
            return
        if reading.received_at - limit.answered_at < SETTLE:
            return
        below_a = limit.max_a - reading.current_a
        if below_a > CONTENT_A:
            live.free_a = reading.current_a  # it takes less than it may: this is all it wants
        elif limit.max_a > 0:
            live.gap_a = max(below_a, 0.0)
        over = limit.agreed(now) and reading.current_a > limit.max_a + OBEYED_A
        live.strikes = live.strikes + 1 if over else 0

    def disobeys(self, evse_id: str) -> bool:
        """Whether the meter has shown often enough that a confirmed limit is not kept."""
        live = self.live.get(evse_id)
        return live is not None and live.strikes >= STRIKES

    def plugged_in(self, evse_id: str, now: datetime, others_a: float | None = None) -> None:
        """A new vehicle: nothing of the last one holds for it. `others_a`: what those draw that were seen free here."""
        live = self.heard(evse_id, now)
        if live.station_at is not None:
            # What its station says of before this is the last vehicle's, and late. Many clocks show whole seconds.
            live.station_at = max(live.station_at, now + live.skew - timedelta(seconds=1))
        live.others_a = others_a
        live.free_a, live.gap_a, live.strikes, live.reading = None, 0.0, 0, None
        live.free, live.belief, live.span = False, None, None
        self.fresh.add(evse_id)

    # --- what is believed

    def believe(self, session_ids: Iterable[str], evse_ids: Iterable[str], beliefs: Sequence[Belief]) -> None:
        """Keep what the engine believes of these sessions."""
        for session_id, evse_id, belief in zip(session_ids, evse_ids, beliefs, strict=True):
            live = self.live.get(evse_id)
            if live is not None:
                live.belief = (session_id, belief)

    def expected(self, evse: Evse, session: Session | None) -> Expected:
        """What the vehicle would draw if it were let go, and had nobody asked anything of it."""
        return expected_of(self.live.get(evse.evse_id), evse, session)

    def settled_a(self, evse: Evse, limit: Limit | None, now: datetime) -> float | None:
        """The draw as metered under the limit that stands now, A per phase; None when it is older than that."""
        live = self.live.get(evse.evse_id)
        reading = None if live is None else live.reading
        if reading is None or evse.kw_per_a <= 0:
            return None
        if limit is not None:
            if limit.in_force(now) and limit.outcome is Outcome.PENDING:
                return None
            if reading.received_at < shows_from(limit, now):
                return None
        return reading.kw / evse.kw_per_a

    def drawn_kw(self, evse_id: str) -> float | None:
        """The load measured last, kW; None when nothing has been measured since the vehicle came."""
        live = self.live.get(evse_id)
        return None if live is None or live.reading is None else live.reading.kw

    def left(self, evse_id: str, now: datetime) -> None:
        """The vehicle is gone: readings of its time prove no presence any more."""
        self.heard(evse_id, now).left_at = now

    def says_now(self, evse_id: str, received_at: datetime) -> bool:
        """Whether what came then is the latest reading: one that comes late says nothing of now (promise P5)."""
        live = self.live.get(evse_id)
        return live is not None and live.reading is not None and live.reading.received_at == received_at

    def proves_presence(self, evse_id: str, at: datetime, now: datetime) -> bool:
        """Whether a reading of `at` shows a vehicle that nobody announced (its plug-in is lost).

        `at` is the station's own time, and its clock may run ahead: what it said before the last vehicle left would
        else come after.
        """
        live = self.live.get(evse_id)
        if live is not None:
            at -= live.skew
        fresh = abs(at - now) <= SKEW
        return fresh and (live is None or live.left_at is None or at > live.left_at + SETTLE)

    @property
    def waiting(self) -> int:
        """Readings not flushed yet."""
        return len(self._buffer)

    async def flush(self) -> None:
        """Hand what waits to the store."""
        size = self._settings.telemetry_group
        self.dropped += await hand_over(self._buffer, size, self._store.add_readings)
