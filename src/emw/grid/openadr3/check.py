"""Tries a VTN of OpenADR 3 step by step and says in plain words what is wrong, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from emw.grid.openadr3.client import Trouble, VtnClient, VtnFailed
from emw.grid.openadr3.mqtt import NoBroker, broker_of
from emw.grid.openadr3.settings import VtnSettings
from emw.grid.openadr3.translate import translate
from emw.grid.openadr3.wants import CAN_TELL, implied, report_only
from emw.grid.openadr3.wire import Event, Program, Unreadable, event_of, program_of

Level = Literal["ok", "notice", "error"]
AHEAD: Final = timedelta(days=8)
DO: Final = {
    Trouble.REFUSED_URL: "name its network in `networks`, or use https://",
    Trouble.UNREACHABLE: "check the address and port, the firewall between, and its certificate (`ca_file`)",
    Trouble.TIMED_OUT: "check the firewall between, or raise `deadline_seconds`",
    Trouble.CREDENTIALS: "check client_id and the secret, and whether the token server wants `scope` or `audience`",
    Trouble.FORBIDDEN: "ask for the scopes of a VEN (read_all, or read_targets and read_ven_objects)",
    Trouble.NOT_FOUND: "check the path of the URL: it usually ends in /openadr3/3.1.0 or /openadr3/3.0.1",
    Trouble.BAD_REQUEST: "set `version` to what the VTN speaks",
    Trouble.CONFLICT: "ask the VTN's operator",
    Trouble.BUSY: "wait, or raise `poll_seconds`",
    Trouble.SERVER: "ask the VTN's operator to look into its log",
    Trouble.GARBLED: "check that the URL is that of the VTN itself and not of a page beside it",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `do`: what to do about it."""

    level: Level
    what: str
    do: str | None = None


class Check:
    """One look at a VTN. `territories(name)`: a territory and all above it, None where there is none."""

    def __init__(
        self,
        settings: VtnSettings,
        client: VtnClient,
        now: datetime,
        territories: Callable[[str], Container[str] | None] | None,
    ) -> None:
        self._settings = settings
        self._client = client
        self._now = now
        self._territories = territories
        self._programs: dict[str, Program] = {}

    async def run(self) -> AsyncIterator[Finding]:
        """Each step as it was tried; ends with the first that leaves no way on."""
        try:
            version = await self._client.version()
            how = "as configured" if self._settings.version else "as `/auth/server` shows"
            yield Finding("ok", f"it speaks OpenADR {version}, {how}")
            async for finding in self._log_in():
                yield finding
            async for finding in self._read():
                yield finding
        except VtnFailed as error:
            yield Finding("error", error.why, DO[error.trouble])
            return
        async for finding in self._beside():
            yield finding

    async def _log_in(self) -> AsyncIterator[Finding]:
        if self._settings.client_id is None:
            yield Finding("notice", "no client_id is configured: it is read without a token")
            return
        url = await self._client.token_url()
        await self._client.token()
        way = "HTTP Basic" if self._client.basic else "the form body"
        yield Finding("ok", f"the token server {url} takes our client id and secret by {way}")
        if self._client.token_life_s is None:
            yield Finding("notice", "its tokens do not say how long they live: they are renewed when refused")

    async def _read(self) -> AsyncIterator[Finding]:
        try:
            programs = await self._client.listing("/programs")
        except VtnFailed as error:
            if error.trouble not in {Trouble.FORBIDDEN, Trouble.NOT_FOUND}:
                raise
            yield Finding("notice", f"its programs can't be read: {error.why}", DO[error.trouble])
            programs = []
        self._programs = {p.id: p for p in map(program_of, programs) if isinstance(p, Program)}
        names = sorted(p.programName or p.id for p in self._programs.values())
        yield Finding("ok", f"programs we may see: {', '.join(names) or 'none'}"[:400])
        for wanted in self._settings.programs:
            if wanted not in names and wanted not in self._programs:
                yield Finding(
                    "error", f"there is no program {wanted!r}", "check its name, or ask to be enrolled in it"
                )
        listed = await self._client.listing("/events")
        yield Finding("ok", f"events we may see: {len(listed)}")
        for finding in self._understood(listed):
            yield finding

    def _understood(self, listed: list[Any]) -> list[Finding]:
        served = 0
        reasons: Counter[str] = Counter()
        findings: list[Finding] = []
        for event in map(event_of, listed):
            if isinstance(event, Unreadable):
                findings.append(
                    Finding("error", f"event {event.id} can't be read: {event.why}", "tell its sender")
                )
                continue
            yes, why = self._event(event)
            served += yes
            reasons.update(why)
        if listed:
            findings.append(Finding("ok" if served else "notice", f"events that emw would follow: {served}"))
        findings += [
            Finding("notice", f"{n} payloads are not served: {why}", _mend(why))
            for why, n in reasons.most_common(10)
        ]
        return findings

    def _event(self, event: Event) -> tuple[bool, set[str]]:
        """Whether anything of it is served, and why the rest is not."""
        program = self._programs.get(event.programID)
        told = translate(
            implied(event),
            program,
            self._settings.meaning_of(event.programID, program.programName if program else ""),
            first_seen=self._now,
            until=self._now + AHEAD,
            draw=0.0,
            territories=self._territories or (lambda name: (name,)),
        )
        why = {s.why_not for s in told.segments if s.why_not is not None}
        unknown = {d.payloadType for d in event.report_descriptors() if d.payloadType.upper() not in CAN_TELL}
        why |= {f"a report of {kind} is asked for: emw has none" for kind in unknown}
        return report_only(event) or any(s.why_not is None for s in told.segments), why

    async def _beside(self) -> AsyncIterator[Finding]:
        """What emw can do without."""
        for path, what in (("/reports", "reports"), ("/subscriptions", "subscriptions")):
            wanted = self._settings.callback_url is not None or path == "/reports"
            if not wanted:
                continue
            try:
                found = await self._client.listing(path, {"clientName": self._settings.ven_name})
                yield Finding("ok", f"{what} of ours there: {len(found)}")
            except VtnFailed as error:
                yield Finding("notice", f"{what} can't be read: {error.why}", DO[error.trouble])
        if self._settings.mqtt:
            try:
                broker = broker_of(await self._client.fetch("/notifiers"), self._settings.client_id)
                yield Finding("ok", f"its MQTT broker is {broker.host}:{broker.port}")
            except (NoBroker, VtnFailed) as error:
                yield Finding("notice", f"MQTT: {error}", "leave `mqtt` out: polling goes on all the same")


def _mend(why: str) -> str | None:
    """What to do about a payload that is not served, where something can be done."""
    for words, do in (
        ("no territory is configured", "set `territory`"),
        ("stands for a territory", "map its targets by `[[openadr.vtn.target]]`"),
        ("there is no territory", "add the territory, or name another one"),
        ("program is not one", "name the program by `[[openadr.vtn.program]]`"),
        ("no amount is configured", "say in `levels` what the level asks for"),
        ("say in the settings", "say in `payloads` what it stands for"),
        ("allow to assume kW", "set `assume_kw`, if its powers are in kW"),
    ):
        if words in why:
            return do
    return None
