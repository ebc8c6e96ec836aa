"""What a driver may know and do: of the one charge that he shows a link or a code for, and of nothing else.

A session's link carries 128 bits, its code 50: both are made from the server's own key, so that nothing has to be kept
and a restart changes nothing. They open that stay and end with it. A sticker on a station is for those without a
display: it is the same for years, so it only opens a stay that has begun a short while ago.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from emw.domain import facts as f
from emw.domain.model import Cause, Evse, Limit, RequestState, Session
from emw.service.admin import DRIVER
from emw.service.errors import BadInput, Conflict, NotFound, Unavailable
from emw.service.headend import HeadEnd

LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's alphabet: without the letters that are taken for others."""
LOOKS_LIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})
CODE_LENGTH: Final = 10
WHOLE_STAY: Final = timedelta(days=7)
"""An opt-out for the stay: the session's end takes it back."""
SCAN: Final = timedelta(minutes=15)
"""How long after the plug-in a sticker opens the stay."""
MOST_OVER: Final = 20_000
MOST_ROWS: Final = 300
UNKNOWN: Final = "there is no charge with this code; it ends when the vehicle is unplugged"


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay that somebody may look at; `over`: the vehicle has left."""

    session: Session
    evse: Evse
    over: bool


class Drivers:
    """Links, codes and what they open. Make it once the head-end has loaded its state."""

    def __init__(self, headend: HeadEnd, key: bytes, *, stickers: bool = False) -> None:
        self._headend = headend
        self._key = hmac.digest(key, b"emw drivers", "sha256")
        self.stickers = stickers
        self._open: dict[str, str] = {}  # link or code -> session
        self._over: OrderedDict[str, tuple[str, str]] = (
            OrderedDict()
        )  # link -> (session, EVSE) of a stay that ended
        self._stuck: dict[str, str] = {}  # sticker -> EVSE
        for evse_id in headend.state.evses:
            self._know_sticker(evse_id)
        for session in headend.state.sessions.values():
            self._know(session.session_id)
        headend.ledger.listen(self._heard)

    # --- links and codes

    def link(self, session_id: str) -> str:
        """The token of a stay's link: 128 bits, 22 letters."""
        return base64.urlsafe_b64encode(self._digest("link", session_id)[:16]).rstrip(b"=").decode()

    def code(self, session_id: str) -> str:
        """The stay's code for people, `ABCDE-FGHJK`: 50 bits, so guessing it takes longer than anybody stays."""
        number = int.from_bytes(self._digest("code", session_id)[:8], "big")
        letters = "".join(LETTERS[number >> 5 * i & 31] for i in range(CODE_LENGTH))
        return f"{letters[:5]}-{letters[5:]}"

    def sticker(self, evse_id: str) -> str:
        """The token of an EVSE's sticker: `s` and 22 letters."""
        return "s" + base64.urlsafe_b64encode(self._digest("sticker", evse_id)[:16]).rstrip(b"=").decode()

    def _digest(self, use: str, of: str) -> bytes:
        return hmac.digest(self._key, f"{use}:{of}".encode("utf-8", "surrogatepass"), hashlib.sha256)

    def _know(self, session_id: str) -> None:
        self._open[self.link(session_id)] = session_id
        self._open[self.code(session_id).replace("-", "")] = session_id

    def _know_sticker(self, evse_id: str) -> None:
        if self.stickers:
            self._stuck[self.sticker(evse_id)] = evse_id

    def _heard(self, _: int, facts: Sequence[f.Fact]) -> None:
        for fact in facts:
            if isinstance(fact, f.SessionStarted):
                self._know(fact.session_id)
            elif isinstance(fact, f.SessionEnded):
                link = self.link(fact.session_id)
                self._open.pop(link, None)
                self._open.pop(self.code(fact.session_id).replace("-", ""), None)
                self._over[link] = (fact.session_id, fact.evse_id)
                while len(self._over) > MOST_OVER:
                    self._over.popitem(last=False)
            elif isinstance(fact, f.PoweredOn | f.EvseFound):
                self._know_sticker(fact.evse_id)

    async def by_link(self, token: str) -> Stay:
        """The stay that a link opens; one that is over can still be looked at. Raises NotFound."""
        session_id = self._open.get(token) if len(token) == 22 else None
        session = self._headend.state.sessions.get(session_id) if session_id is not None else None
        if session is not None:
            return Stay(session, self._headend.state.evses[session.evse_id], over=False)
        session_id, evse_id = self._over.get(token, (None, ""))
        rows = (
            []
            if session_id is None
            else await self._headend.store.query("sessions", evse_id=evse_id, limit=100)
        )
        for row in rows:
            if row["session_id"] == session_id:
                return Stay(Session(**row), self._headend.state.evses[evse_id], over=True)
        raise NotFound(UNKNOWN)

    def link_of_code(self, typed: str) -> str:
        """The link of the stay whose code somebody typed. Raises NotFound."""
        code = typed.upper().translate(LOOKS_LIKE)
        session_id = self._open.get(code) if len(code) == CODE_LENGTH else None
        if session_id is None:
            raise NotFound(UNKNOWN)
        return self.link(session_id)

    def link_of_sticker(self, token: str, now: datetime) -> str:
        """The link of the stay at a sticker's EVSE, if it began a short while ago. Raises NotFound, Conflict."""
        state = self._headend.state
        evse = state.evses.get(self._stuck.get(token, ""))
        if evse is None:
            raise NotFound(UNKNOWN)
        session = state.session_of(evse)
        if session is None:
            raise Conflict("no vehicle is plugged in here; plug in first, then scan again")
        if now - session.started_at > SCAN:
            raise Conflict(
                "this vehicle was plugged in a while ago; use the link or the code that the station showed, "
                "or unplug and plug in again"
            )
        return self.link(session.session_id)

    # --- what may be known

    async def told(self, stay: Stay, now: datetime) -> dict[str, Any]:
        """How the charge goes, and what requests did to it."""
        headend, session, evse = self._headend, stay.session, stay.evse
        with contextlib.suppress(Unavailable):  # what is on its way to the store belongs to the history
            await headend.ledger.settled()
        limit = None if stay.over else headend.state.held(evse.evse_id, now)
        reading = None if stay.over else headend.telemetry.live.get(evse.evse_id)
        last = None if reading is None else reading.reading
        energy = session.energy_kwh if last is None else last.energy_kwh
        history, deferred_kwh = await self._history(session)
        if not stay.over:
            deferred_kwh += headend.accounts.measured_kwh(evse.evse_id)
        opted = evse.opted_out_until if not stay.over else None
        return {
            "evse_id": evse.evse_id,
            "site": evse.site,
            "time_zone": self._time_zone(evse.territory_id),
            "now": now,
            "state": _state(stay, limit, now),
            "started_at": session.started_at,
            "ended_at": session.ended_at,
            "load_kw": None if last is None else round(last.kw, 3),
            "read_at": None if last is None else last.at,
            "energy_kwh": None if energy is None else round(energy, 3),
            "limit_amps": None if limit is None else limit.max_a,
            "limit_kw": None
            if limit is None or limit.max_a is None
            else round(limit.max_a * evse.kw_per_a, 3),
            "full_kw": round(min(evse.max_a, session.car_max_a) * evse.kw_per_a, 3),
            "protects_wires": limit is not None and limit.cause is Cause.CEILING,
            "returns_at": self._returns_at(limit, opted_out=opted is not None and opted > now),
            "deferred_kwh": round(max(deferred_kwh, 0.0), 3),
            "opted_out_until": None if opted is None or opted <= now else opted,
            "opted_out_for_stay": opted is not None and opted - now > WHOLE_STAY - timedelta(days=1),
            "energy_requested_kwh": session.energy_requested_kwh,
            "departure_time": session.departure_at,
            "told_by_driver": session.told_by_driver,
            "history": history,
        }

    def _returns_at(self, limit: Limit | None, *, opted_out: bool) -> datetime | None:
        """When the limit is over as far as is known: its request's end, or, on the way back, its own.

        Who has opted out waits for the ramp at most: his limit is not renewed.
        """
        if limit is None:
            return None
        request = self._headend.state.requests.get(limit.request_key or "")
        if request is None or opted_out or request.state is RequestState.RESTORING:
            return limit.until
        return request.end_at

    def _time_zone(self, territory_id: str) -> str:
        known = self._headend.state.territories.get(territory_id)
        return "UTC" if known is None else known.time_zone

    async def _history(self, session: Session) -> tuple[list[dict[str, Any]], float]:
        """What happened to this stay, oldest first, and the kWh of requests whose part in it is over."""
        asked: dict[str, Any] = {"evse_id": session.evse_id, "since": session.started_at}
        if session.ended_at is not None:
            asked["until"] = session.ended_at + timedelta(seconds=1)
        rows = await self._headend.store.query("activity", limit=MOST_ROWS, **asked)
        shown: list[dict[str, Any]] = []
        kwh = 0.0
        for row in reversed(rows):
            said = row["payload"]
            if row["kind"] == "EnrolmentEnded":
                kwh += said["measured_kwh"]
            elif row["kind"] == "CommandIssued" and not said.get("renewal"):
                if said["max_a"] is not None:
                    shown.append({"at": row["at"], "what": "limited", "amps": said["max_a"]})
                else:
                    shown.append({"at": row["at"], "what": "freed", "amps": None})
            elif row["kind"] == "OptedOut":
                what = "opted_in" if said["until"] is None else "opted_out"
                shown.append({"at": row["at"], "what": what, "amps": None})
        return shown, kwh

    # --- what may be done

    async def opt_out(self, stay: Stay, minutes: float | None, *, on: bool) -> None:
        """No more limits, for so many minutes or for this stay; `on` False takes that back."""
        self._must_be_here(stay)
        whole = WHOLE_STAY.total_seconds() / 60
        await self._headend.admin.opt_out(
            _actor(stay.session),
            stay.evse.evse_id,
            (whole if minutes is None else min(minutes, whole)) if on else None,
            "the driver" if on else "the driver took it back",
        )

    async def need(self, stay: Stay, energy_kwh: float | None, departure_at: datetime | None) -> None:
        """What the driver needs and until when; what is not said is not known."""
        self._must_be_here(stay)
        now = self._headend.clock.now()
        if departure_at is not None and not now < departure_at <= now + WHOLE_STAY:
            raise BadInput("departureTime", "must lie ahead, within a week")
        await self._headend.ledger.record(
            f.NeedTold(
                at=now,
                actor=_actor(stay.session),
                session_id=stay.session.session_id,
                evse_id=stay.evse.evse_id,
                energy_requested_kwh=energy_kwh,
                departure_at=departure_at,
            )
        )
        self._headend.dispatch.wake(stay.evse.territory_id)

    def _must_be_here(self, stay: Stay) -> None:
        if stay.over or self._headend.state.evses[stay.evse.evse_id].session_id != stay.session.session_id:
            raise Conflict("this charge is over: the vehicle was unplugged")


def _actor(session: Session) -> str:
    """Who acts in the log: whoever holds the link of this stay. Nobody's name is known, and none is kept."""
    return f"{DRIVER}{session.session_id}"


def _state(stay: Stay, limit: Limit | None, now: datetime) -> str:
    """How it stands, as one word that a page has a sentence for."""
    if stay.over:
        return "over"
    if limit is not None and limit.max_a is not None:
        return "paused" if limit.max_a == 0 else "limited"
    if stay.evse.opted_out(now):
        return "opted_out"
    return "free"
