"""What must hold in the world at every instant: at stations, in answers, after starts, under ceilings.

Each check is named after its promise (docs: safety). They look from outside: at the wire, the hardware, the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from emw.domain.lines import LINES
from emw.domain.model import Limit, Outcome
from emw.engine.view import Rules
from emw.service.headend import HeadEnd
from emw.simulation.disk import Disk
from emw.simulation.grid import GridOperator, Json
from emw.simulation.ledger_checks import LedgerChecks, hash_of
from emw.simulation.network import Answer, Network
from emw.simulation.node import Node
from emw.simulation.sites import Heard, Site
from emw.simulator import wire
from emw.simulator.hardware import FLOOR_A
from emw.simulator.station import Request

RESUMED_S = 10.0
SETTLED_S = 300.0
"""How long nothing may have gone wrong before a ceiling must be kept to the amp."""
OVER_S = 30.0
"""How long a ceiling may be exceeded when limits end by themselves: a command takes its time."""
READ = msgspec.json.decode


@dataclass(slots=True)
class _Start:
    """One start, and who must be told what by when."""

    at_s: float
    owed: list[tuple[Site, Limit]] = field(default_factory=list)


class Checks:
    """Looks at everything that is not a fact."""

    def __init__(
        self,
        node: Node,
        network: Network,
        disk: Disk,
        ledger: LedgerChecks,
        rules: Rules,
        fail: Callable[[str, str], None],
    ) -> None:
        self.checked = 0
        self.sites: Mapping[str, Site] = {}
        self.orders: set[str] = set()
        self.trouble_s = 0.0
        """When node or disk were last in trouble."""
        self._node = node
        self._network = network
        self._disk = disk
        self._ledger = ledger
        self._rules = rules
        self._fail = fail
        self._start: _Start | None = None
        self._commits_seen = 0
        self._last_disk_s = -1.0
        self._over: dict[str, float] = {}

    # --- at stations

    def order(self, heard: Heard) -> None:
        """P3, P4 and the order of things: an order reached a station."""
        self.checked += 1
        site = heard.site
        for complaint in site.station.control.violations:
            # The knob the server was told last, or is being told: it can't know of a turn nobody told it of.
            known_a = max(site.saying_knob_a, self._ledger.shadow.evses[site.name].max_a)
            told_an_old_knob = heard.max_a is not None and heard.max_a <= known_a
            if complaint.rule != "above the knob" or not told_an_old_knob:
                self._fail("P4", f"{site.name} complains: {complaint}")
        site.station.control.violations.clear()
        issued = self._ledger.commands.get(heard.command_id)
        release = heard.max_a is None or (heard.told and heard.max_a >= site.hardware.knob_a)
        if issued is None:
            # What frees a car goes out even when it can't be written (fault F3); nothing else does.
            if not release:
                self._fail("P1", f"{site.name} was told {heard.max_a} A by a command that is in no log")
            return
        if issued.evse_id != site.name:
            self._fail("P6", f"{site.name} was told the command of {issued.evse_id}")
        if issued.max_a is None:
            return
        # A knob turned down since caps what is said again.
        capped = heard.max_a in self._ledger.knobs[site.name] and (heard.max_a or 0.0) < issued.max_a
        if heard.max_a != issued.max_a and not capped:
            self._fail("P4", f"{site.name} was told {heard.max_a} A, the log says {issued.max_a} A")
        if heard.until is None or abs(heard.until - issued.until) > timedelta(milliseconds=1):
            self._fail("P3", f"{site.name} was told until {heard.until}, the log says {issued.until}")
        if heard.max_a is not None and 0 < heard.max_a < FLOOR_A:
            self._fail("P4", f"{site.name} was told {heard.max_a} A")

    def answer(self, site: Site, request: Request, answer: Answer) -> None:
        """P1: what a station was told is done is in the log once."""
        self.checked += 1
        if answer.status != 200:
            if answer.status not in {401, 503, 429}:
                self._fail(
                    "P9", f"{site.name} {request.path} was refused {answer.status}: {answer.body[:200]!r}"
                )
            return
        said: Json = READ(answer.body)
        match request.said:
            case wire.PowerOn():
                self._once("PoweredOn", hash_of(said["token"]), site.name)
            case wire.PlugIntoVehicle():
                self._once("SessionStarted", said["sessionID"], site.name)
            case wire.AdjustedMaxAmps(command_id=str(command_id)) if command_id in self._ledger.commands:
                limit = self._ledger.shadow.limits[site.name]
                if limit.command_id == command_id and limit.outcome is Outcome.PENDING:
                    self._fail("P1", f"{site.name} confirmed {command_id}, the log has no answer")
            case _:
                pass

    def _once(self, kind: str, name: str, who: str) -> None:
        times = self._ledger.count(kind, name)
        if times != 1:
            self._fail("P1", f"{who} was told so, but {kind} {name} is in the log {times} times")

    # --- for grid operators

    def grid_answer(self, iso: GridOperator, path: str, body: Json, answer: Answer) -> None:
        """P1, P5, P6 and P11 in what a grid operator is told."""
        self.checked += 1
        if answer.status >= 500:
            return
        said: Json = READ(answer.body)
        if path == "/iso/decrease" and answer.status < 300:
            key = f"{iso.name}:{body['requestID']}"
            self._once("RequestReceived", key, iso.name)
            if said["requestedKW"] != body["kW"]:
                self._fail("P5", f"{iso.name} asked {body}, and was told {said}")
        elif path == "/iso/returnToNormal" and answer.status < 300:
            if self._ledger.shadow.requests[f"{iso.name}:{body['requestID']}"].state in {"pending", "active"}:
                self._fail("P1", f"{iso.name} was told its cancel is done: {said}")
        elif answer.status >= 300:
            known = body.get("requestID") in iso.asked and iso.asked[body["requestID"]].acknowledged
            conflict = answer.status == 409 and known
            # The node was away until the request was over: a refusal that names the field.
            too_late = answer.status == 400 and said.get("field") in {"start", "end"} and not known
            not_taken = answer.status == 404 and not iso.took(path, body)
            if not (conflict or too_late or not_taken):
                self._fail("P9", f"{iso.name} {path} {body} was refused {answer.status}: {said}")
        for request in said.get("requests", [said]):
            self._sums(iso, request)

    def report(self, iso: GridOperator, body: bytes) -> None:
        """P8 and P11 in a report."""
        self.checked += 1
        if b"customer of " in body or b"car " in body:
            self._fail("P8", f"a report names a driver: {body[:300]!r}")
        self._sums(iso, READ(body), fresh=False)

    def _sums(self, iso: GridOperator, told: Json, *, fresh: bool = True) -> None:
        if "requestedKW" not in told:
            return
        parts = [told[name] for name in ("confirmedKW", "pendingKW", "refusedKW", "shortKW")]
        if round(sum(parts) - told["requestedKW"], 3) != 0 or min(parts) < 0:
            self._fail("P11", f"{iso.name}: {told['requestedKW']} kW is not the sum of {parts}")
        most = self._could_be_confirmed(told["territory"]) if fresh else told["confirmedKW"]
        if told["state"] == "active" and told["confirmedKW"] > most + 0.002:
            self._fail("P11", f"{iso.name}: {told['confirmedKW']} kW confirmed, {most:.3f} at most: {told}")

    def _could_be_confirmed(self, territory: str) -> float:
        """The most that stations can have agreed to: from the knob to the lowest limit that is in force."""
        shadow, now = self._ledger.shadow, self._node.clock.now()
        kw = 0.0
        for evse in shadow.evses.values():
            limit = shadow.limits.get(evse.evse_id)
            session = shadow.session_of(evse)
            if session is None or limit is None or territory not in shadow.path(evse.territory_id):
                continue
            if limit.in_force(now - timedelta(seconds=60)) or now - limit.issued_at < timedelta(seconds=60):
                low = min(x for x in (limit.max_a, limit.answered_a, evse.max_a) if x is not None)
                kw += evse.kw_per_a * max(min(evse.max_a, session.car_max_a) - low + 3.0, 0.0)
        return kw

    # --- after a start

    def loaded(self, headend: HeadEnd) -> None:
        """A node has read its disk: the log is whole, and the view is the log's."""
        self._ledger.reread()
        self._live_view(headend)

    def up(self, headend: HeadEnd) -> None:
        """A node serves again: it owes its limits."""
        at_s = self._network.now_s()
        self.trouble_s = at_s
        now = self._node.clock.now()
        start = _Start(at_s)
        for limit in headend.state.limits.values():
            site = self.sites.get(limit.evse_id)
            if (
                site is None
                or not site.callable
                or not limit.in_force(now + timedelta(seconds=RESUMED_S + 5))
            ):
                continue
            evse = headend.state.evses[limit.evse_id]
            session = evse.session_id is not None and evse.session_id in headend.state.sessions
            if evse.powered and session and not (site.cut or site.faults.deaf or site.faults.rejecting):
                start.owed.append((site, limit))
        self._start = start

    def _resumed(self, at_s: float) -> None:
        """P2: ten seconds after a start the stations that can be reached have their limits (again)."""
        start = self._start
        if start is None or at_s < start.at_s + RESUMED_S:
            return
        self._start = None
        now = self._node.clock.now()
        for site, limit in start.owed:
            hurt_s = max(self._network.hurt_at.get(site.name, -1.0), site.changed_at_s, self._disk_trouble())
            if hurt_s >= start.at_s - 0.5 or not site.station.powered or site.station.off:
                continue
            known = self._ledger.shadow.stations[site.name].token_hash
            if site.token is None or hash_of(site.token) != known:
                continue  # its power-on was doubled: it hears at its next message that it must power on again
            heard = site.last_order
            if heard is not None and heard.at_s >= start.at_s and heard.command_id == limit.command_id:
                continue  # told; a station that went to an older order instead shows it in its heartbeats
            self.checked += 1
            shown = site.station.control
            held = site.hardware.read(now).limit_a
            newest = self._ledger.shadow.limits[site.name]
            if newest.command_id != limit.command_id:
                continue
            own = now + site.faults.clock_skew
            if shown.ends is not None and shown.ends <= own:
                continue
            offered_a = min(held if held is not None else site.hardware.knob_a, site.hardware.knob_a)
            if limit.max_a is not None and limit.until > own and offered_a > limit.max_a:
                self._fail("P2", f"{site.name} holds {held} A, {RESUMED_S:g} s after the start: {limit}")

    def _disk_trouble(self) -> float:
        return self._network.now_s() if self._disk.troubled else self._last_disk_s

    def disk_trouble_over(self) -> None:
        """The disk works again."""
        self._last_disk_s = self.trouble_s = self._network.now_s()

    # --- now and then

    def look(self, at_s: float) -> None:
        """Once a second: everything that is no message."""
        headend = self._node.headend
        if headend is None:
            self.trouble_s, self._start = at_s, None
            return
        self._resumed(at_s)
        if self._disk.commits != self._commits_seen and _quiet(headend):
            self._commits_seen = self._disk.commits
            self._live_view(headend)
        if self._disk.troubled:
            self.trouble_s = at_s

    def look_closely(self, at_s: float, tasks: int, most_tasks: int) -> None:
        """Once a minute: loads under ceilings, limits at stations, tasks."""
        self.checked += 1
        if tasks > most_tasks:
            self._fail("no task leak", f"{tasks} tasks live, {most_tasks} at most")
        headend = self._node.headend
        self._limits_end()
        if headend is None or at_s - self.trouble_s < SETTLED_S or headend.dispatch.halted:
            return
        for node in headend.state.territories.values():
            if node.ceiling_kw is not None:
                self._under(headend, node.territory_id, None, node.ceiling_kw, at_s)
            if node.ceiling_a is not None:
                for line in LINES:
                    self._under(headend, node.territory_id, line, node.ceiling_a, at_s)

    def _live_view(self, headend: HeadEnd) -> None:
        self.checked += 1
        differs = self._ledger.same_as(headend.state)
        if differs is not None:
            self._fail("fold rule", f"the live view is not the log's: {differs}")

    def _limits_end(self) -> None:
        """P3: what a station holds for an event has ended by the event's end (by the station's own clock)."""
        now = self._node.clock.now()
        for site in self.sites.values():
            ends = site.station.control.ends
            if ends is not None and site.last_order is not None:
                longest = timedelta(seconds=self._rules.ceiling_lease_s)
                if ends > now + longest + abs(site.faults.clock_skew):
                    self._fail("P3", f"{site.name} is limited until {ends}, now {now}")
            held = site.hardware.limit_a
            if held is not None and held < site.hardware.knob_a and ends is None and not site.faults.slow_s:
                self._fail("P3", f"{site.name} is limited to {held} A without an end")

    def _under(self, headend: HeadEnd, node_id: str, line: str | None, most: float, at_s: float) -> None:
        """P4: the load under a ceiling, kW, or on one of its lines, A, as far as it is ours to keep."""
        load = step = 0.0
        name = node_id if line is None else f"{node_id} on {line}"
        since_s = self._over.pop(name, at_s)
        state = headend.state
        for evse in state.evses.values():
            site = self.sites.get(evse.evse_id)
            if site is None or node_id not in state.path(evse.territory_id):
                continue
            if line is not None and line not in site.lines:
                continue
            troubled_s = max(self._network.hurt_at.get(site.name, -1e9), site.changed_at_s)
            if site.station.off:
                return  # it has said goodbye; what it draws now is its own affair
            if not site.sound or site.cut or at_s - troubled_s < SETTLED_S or site.faults.clock_skew:
                return
            site.hardware.advance(self._node.clock.now())
            load += site.hardware.load_kw if line is None else site.hardware.draw_a
            step = max(step, evse.kw_per_a if line is None else 1.0)
        self.checked += 1
        if load <= most * 1.01 + step * 0.1:
            return
        self._over[name] = since_s
        if at_s - since_s >= OVER_S:
            unit = "kW" if line is None else "A"
            self._fail("P4", f"{load:.2f} {unit} under {name}, its ceiling is {most:.2f}")


def _quiet(headend: HeadEnd) -> bool:
    """Whether everything applied to the live view is on the disk."""
    ledger = headend.ledger
    return not ledger._queue and not ledger._in_flight  # noqa: SLF001 - no door tells, and none should
