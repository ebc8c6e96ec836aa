"""setMaxAmps and returnToNormalAmps over OCPP: which profile, in what unit, and what the answer means.

`Accepted` means stored; the meter says whether it is obeyed, and the service counts that for every protocol alike.
What is rejected in one unit is tried in the other, then under the next purpose, each once; what then was taken is
remembered.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta
from typing import Final

import structlog
from msgspec import Struct

from emw.domain.model import Evse, Limit, Outcome, Station
from emw.service.ports import Answer
from emw.stations.ocpp import dynamic, profiles, theirs
from emw.stations.ocpp.connection import Connection
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.peer import Installed, Line, Peer, Plug
from emw.stations.ocpp.traits import Purpose, RateUnit, Their
from emw.stations.ocpp.wire import status_of
from emw.stations.ocppj import Answered, Failed

log = structlog.get_logger()

NO_SMART_CHARGING: Final = "it has no smart charging"
NO_ROOM: Final = "its CSMS holds the highest stack levels"
NOT_OFFERED: Final = "not offered"
MORE_A: Final = 1.0
"""A composite schedule this much above the limit says that another profile of the station's wins."""
NEAR_ITS_END: Final = timedelta(seconds=2 * profiles.ASKED_S)
"""A limit that ends so soon is not looked for in a composite schedule: it would end in it."""
PENDING: Final = Answer(Outcome.PENDING)


@functools.lru_cache(maxsize=64)
def _applied(limit_a: float) -> Answer:
    """It is held. Kept: in a round thousands say so."""
    return Answer(Outcome.APPLIED, limit_a)


def purposes(connection: Connection, plug: Plug) -> list[Purpose]:
    """Under what a limit may be set now, best first: what dies with the transaction need not touch the flash."""
    found = [Purpose.TX_DEFAULT]
    if plug.transaction_id is not None:
        found.insert(0, Purpose.TX)
    # Some stations apply the station's maximum to each of its connectors: it is only fit for those with one.
    if len(connection.peer.plugs) == 1 and (connection.peer.traits.connectors or 1) == 1:
        found.append(Purpose.STATION_MAX)
    return found


def _has_valid_to(peer: Peer) -> bool:
    """Whether a profile gets `validTo` beside its duration."""
    pin = peer.pin
    return peer.traits.valid_to if pin is None or pin.valid_to is None else pin.valid_to


class CommandDelivery(Struct, eq=False):
    """One command on its way to one EVSE over one connection: it hears what comes of its CALLs, so it can be called.

    A struct, since in a round there is one for each EVSE. `outcome`: what came of it, once that is known.
    """

    _hub: Hub
    _connection: Connection
    _plug: Plug
    _station: Station
    _evse: Evse
    _limit: Limit
    outcome: Outcome | None = None

    def go(self, now: datetime) -> bool:
        """Send what is next; False: there is nothing, or it can't be sent."""
        raise NotImplementedError

    def __call__(self, got: Answered | Failed | None) -> None:
        """Hear what came of a CALL of this command."""
        raise NotImplementedError

    def stands(self, line: Line, limit: Limit) -> bool:
        """Whether this command is on its way over this connection, or was taken: nothing has to be said again.

        One that was taken for a transaction is gone with it.
        """
        same = self._connection is line and self._limit.command_id == limit.command_id
        gone = self._limit.max_a is not None and self._plug.installed is None
        return same and (self.outcome is None or (self.outcome is Outcome.APPLIED and not gone))

    def stuck(self) -> Answer:
        """Why it did not even begin."""
        return Answer(Outcome.OFFLINE, reason="too many messages wait for it")

    def _tell(self, answer: Answer) -> None:
        self.outcome = answer.outcome
        self._hub.answered(self._evse, self._limit, answer)


class LimitDelivery(CommandDelivery, eq=False):
    """A limit on its way through one station's purposes and units."""

    _refused: tuple[tuple[Purpose, RateUnit], ...] = ()
    _why: str = "rejected"
    _way: tuple[Purpose, RateUnit] | None = None
    _without_end: bool = False
    _dynamic: dynamic.Lease | None = None  # as what it is being said, where that is a Dynamic profile
    _updates: bool = False  # and whether as a change of the one that is there
    _plain: bool = False  # the station has refused a Dynamic one

    def go(self, now: datetime) -> bool:
        """Send the next try; False: there is none, or it can't be sent."""
        peer, dc = self._connection.peer, self._evse.dc
        traits = peer.traits
        if self._refused or traits.refused or traits.theirs or peer.pin:
            free = purposes(self._connection, self._plug)
            if traits.theirs:
                free = [p for p in free if self._is_free(p, now)]
            self._way = traits.next_way(free, self._refused, watts_first=dc, pin=peer.pin)
        else:
            purpose = Purpose.TX_DEFAULT if self._plug.transaction_id is None else Purpose.TX
            self._way = traits.first_way(purpose, watts_first=dc)
        return self._send(now)

    def stuck(self) -> Answer:
        """Why it did not even begin: nothing could be sent, or there is no room for a profile of ours."""
        if self._way is None:
            return Answer(Outcome.REJECTED, reason=NO_ROOM)
        return super().stuck()

    def _covered(self, purpose: Purpose, now: datetime) -> list[Their]:
        known = self._connection.peer.traits.theirs
        return theirs.covered(known, self._plug.number, purpose, self._plug.transaction_id, now)

    def _is_free(self, purpose: Purpose, now: datetime) -> bool:
        level = self._connection.peer.traits.max_stack or 0
        return theirs.is_free(self._covered(purpose, now), purpose, level)

    def _send(self, now: datetime) -> bool:
        """Hot: in a round there is one for each EVSE."""
        limit_a = self._limit.max_a
        if self._way is None or limit_a is None:
            return False
        purpose, unit = self._way
        connection, plug, kw_per_a = self._connection, self._plug, self._evse.kw_per_a
        traits = connection.peer.traits
        if traits.theirs:
            limit_a = theirs.cap_a(self._covered(purpose, now), limit_a, kw_per_a)
        phases = None if self._evse.dc else self._station.phases or self._hub.settings.evses.phases or 3
        if traits.dynamic and not self._plain:
            return self._send_dynamic(purpose, unit, profiles.limit_in(unit, limit_a, kw_per_a), phases, now)
        payload = profiles.limit_profile(
            connection.version,
            plug.number,
            purpose,
            unit,
            limit_a,
            kw_per_a,
            phases,
            self._limit.until,
            now,
            traits.max_stack or 0,
            _has_valid_to(connection.peer),
        )
        if purpose is Purpose.TX and plug.transaction_id is not None:
            payload = profiles.of_transaction(payload, connection.version, plug.transaction_id)
        return connection.ask("SetChargingProfile", payload, self, key=plug)

    def _send_dynamic(
        self, purpose: Purpose, unit: RateUnit, limit: float, phases: int | None, now: datetime
    ) -> bool:
        """2.1: change the Dynamic profile that is there, or write one."""
        plug, until, before = self._plug, self._limit.until, self._plug.installed
        lease = dynamic.lease_until(plug.number, purpose, unit, phases, plug.transaction_id, until, now)
        if before is not None and before.dynamic is not None and before.dynamic.carries(lease, until, now):
            self._dynamic, self._updates = before.dynamic, True
            payload = dynamic.ask_update(before.dynamic, limit)
            return self._connection.ask("UpdateDynamicSchedule", payload, self, key=plug)
        self._dynamic, self._updates = lease, False
        level = self._connection.peer.traits.max_stack or 0
        payload = dynamic.new_profile(lease, plug.number, purpose, limit, level, now)
        return self._connection.ask("SetChargingProfile", payload, self, key=plug)

    def _not_dynamic(self, why: str) -> None:
        """A change was refused: the profile is written anew. Writing it was: then as one that is not Dynamic."""
        if self._plug.installed is not None:
            self._plug.installed.dynamic = None
        self._plain, self._dynamic = not self._updates, None
        if self._plug.delivery is self and not self._send(self._hub.clock.now()):
            self._tell(Answer(Outcome.REJECTED, reason=f"it said {why}"))

    def __call__(self, got: Answered | Failed | None) -> None:
        """Hear what the station says to it."""
        if got is None:
            if self._connection.closed:
                self._tell(Answer(Outcome.OFFLINE, reason="its connection was lost before it answered"))
            else:
                self._tell(Answer(Outcome.TIMED_OUT, reason="no answer in 30 s; it may hold the limit"))
            return
        if isinstance(got, Failed):
            if self._dynamic is not None:
                self._not_dynamic(got.code)
            else:
                self._failed(got)
            return
        word = status_of(got.payload)
        if word == "Accepted":
            self._accepted()
        elif self._dynamic is not None:
            self._not_dynamic(word or "answered without a status")
        elif word == "NotSupported":
            self._never(word)
        else:
            self._next(word or "answered without a status")

    def _failed(self, got: Failed) -> None:
        if got.code in {"NotImplemented", "NotSupported"}:
            self._never(got.code)
        elif _has_valid_to(self._connection.peer) and not self._without_end:
            # Profiles with both ends are more than some can read: once more with `duration` alone.
            self._without_end = True
            if self._plug.delivery is not self:
                return
            self._connection.peer.traits.valid_to = False
            if not self._send(self._hub.clock.now()):
                self._next(got.code)
        else:
            self._connection.peer.traits.valid_to = True
            self._next(f"{got.code} {got.description}".strip())

    def _next(self, why: str) -> None:
        if self._way is not None:
            self._refused += (self._way,)
        self._why = why[:120]
        if self._way is not None and self._way[0] is Purpose.TX and self._plug.transaction_id is None:
            # Whom it was for has left: it is no limit for whoever comes next.
            self._tell(Answer(Outcome.REJECTED, reason=f"it said {self._why}"))
            return
        if self._plug.delivery is self and not self.go(self._hub.clock.now()):
            self._tell(Answer(Outcome.REJECTED, reason=f"it said {self._why}"))

    def _never(self, word: str) -> None:
        log.info("ocpp.no_smart_charging", station_id=self._connection.peer.station_id, said=word)
        self._hub.spawn(self._hub.no_smart_charging(self._connection.peer))
        self._tell(Answer(Outcome.REJECTED, reason=NO_SMART_CHARGING))

    def _accepted(self) -> None:
        if self._way is None or self._limit.max_a is None:
            return
        purpose, unit = self._way
        peer = self._connection.peer
        traits = peer.traits
        news = self._without_end or self._plain or traits.smart is not True or purpose not in traits.used
        if self._plain:  # it took the same that is not Dynamic
            log.info("ocpp.no_dynamic_profiles", station_id=peer.station_id)
            traits.dynamic = False
        for way in self._refused:
            name = f"{way[0].value}/{way[1].value}"
            # A TxProfile may be rejected because *this* transaction is not known: only its unit is learned then.
            if name not in traits.refused and (way[0] is purpose or way[0] is not Purpose.TX):
                traits.refused += (name,)
                news = True
        if purpose not in traits.used:
            traits.used += (purpose.value,)
        traits.smart = True
        self._plug.installed = Installed(purpose, self._limit.max_a, self._limit.until, self._dynamic)
        self._tell(_applied(self._limit.max_a))
        if news:
            self._hub.spawn(self._hub.keep_traits(peer))
        if traits.composite != NOT_OFFERED:
            self._prove(unit)

    def _prove(self, unit: RateUnit) -> None:
        """Ask what holds now: where that is more than was set, another profile wins, and it is said so."""
        asked_a, kw_per_a, peer = self._limit.max_a or 0.0, self._evse.kw_per_a, self._connection.peer
        if self._limit.until - self._hub.clock.now() < NEAR_ITS_END:
            return

        def heard(got: Answered | Failed | None) -> None:
            if got is None or self._plug.delivery is not self:
                return  # nothing was said, or it was said of a later limit
            shows_a = profiles.composite_a(got.payload, kw_per_a) if isinstance(got, Answered) else None
            before, self._plug.doubt = peer.traits.composite, ""
            if shows_a is None:
                peer.traits.composite = NOT_OFFERED
            else:
                peer.traits.composite = "agrees" if shows_a <= asked_a + MORE_A else f"shows {shows_a:.1f} A"
                if shows_a > asked_a + MORE_A:
                    self._plug.doubt = f"its schedule shows {shows_a:.1f} A under a limit of {asked_a:.1f} A"
                    log.warning(
                        "ocpp.composite_differs",
                        station_id=peer.station_id,
                        evse_id=self._evse.evse_id,
                        limit_a=asked_a,
                        shows_a=round(shows_a, 1),
                    )
            if peer.traits.composite != before:
                self._hub.spawn(self._hub.keep_traits(peer))

        payload = profiles.ask_composite(self._connection.version, self._plug.number, unit)
        self._connection.ask("GetCompositeSchedule", payload, heard)


class ReleaseDelivery(CommandDelivery, eq=False, kw_only=True):
    """Back to normal: our own profiles of one EVSE are taken away, one after the other."""

    _left: list[Purpose]

    def go(self, now: datetime) -> bool:
        """Send the next clearing; False: it can't be sent."""
        payload = profiles.clear_profile(self._connection.version, self._plug.number, self._left.pop(0))
        return self._connection.ask("ClearChargingProfile", payload, self, key=self._plug)

    def __call__(self, got: Answered | Failed | None) -> None:
        """Hear what the station says to it."""
        if got is None:
            outcome = Outcome.OFFLINE if self._connection.closed else Outcome.TIMED_OUT
            self._tell(Answer(outcome, reason="no answer"))
            return
        # "Unknown": there is no such profile any more, which is what is wanted.
        good = isinstance(got, Answered) and status_of(got.payload) in {"Accepted", "Unknown"}
        if not good:
            why = got.code if isinstance(got, Failed) else status_of(got.payload)
            self._tell(Answer(Outcome.REJECTED, reason=f"it said {why[:120]}"))
        elif not self._left:
            self._plug.installed, self._plug.doubt = None, ""
            self._tell(Answer(Outcome.APPLIED, self._evse.max_a))
        elif self._plug.delivery is self and not self.go(self._hub.clock.now()):
            self._tell(Answer(Outcome.OFFLINE, reason="its connection was lost"))


class OcppLink:
    """The StationLink of OCPP stations: says at once PENDING or why not; what came of it is told later."""

    def __init__(self) -> None:
        self.hub: Hub | None = None

    def is_away(self, evse: Evse) -> bool:
        """Whether an EVSE's station speaks OCPP and is not connected. Hot."""
        hub = self.hub
        if hub is None:
            return False
        plug = hub.plugs.get(evse.evse_id)
        if plug is not None:
            return plug.peer.connection is None
        station = hub.state.stations.get(evse.station_id)
        return station is not None and station.protocol != "rest" and hub.connected(evse.station_id) is None

    def send(self, station: Station, evse: Evse, limit: Limit, now: datetime) -> Answer:
        """Send one command. Hot."""
        hub = self.hub
        plug = None if hub is None else hub.plugs.get(evse.evse_id)
        connection = None if plug is None else plug.peer.connection
        if hub is None or plug is None or not isinstance(connection, Connection):
            unseen = hub is not None and hub.connected(evse.station_id) is not None
            why = "it has not shown this EVSE since emw started" if unseen else "it is not connected"
            return Answer(Outcome.OFFLINE, reason=why)
        if limit.max_a is None:
            used = [p for p in Purpose if p.value in connection.peer.traits.used]
            left = used or [Purpose.TX, Purpose.TX_DEFAULT]
            delivery: CommandDelivery = ReleaseDelivery(
                hub, connection, plug, station, evse, limit, _left=left
            )
        elif connection.peer.traits.smart is False:
            return Answer(Outcome.REJECTED, reason=NO_SMART_CHARGING)
        elif limit.until <= now:
            return Answer(Outcome.REJECTED, reason="it was over before it was sent")
        else:
            delivery = LimitDelivery(hub, connection, plug, station, evse, limit)
        plug.delivery = delivery  # an older one does not go on from here
        if not delivery.go(now):
            return delivery.stuck()
        return PENDING
