"""A VTN of the tests' own that can misbehave as real ones do; in memory for virtual time, or behind a real socket."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, unquote_plus

from aiohttp import web

from emw.outgoing import CallFailed, CallTimedOut, Reply

ID, SECRET = "ven-7", "s3cret/with+odd=signs"


@dataclass
class Vtn:
    """Objects, and what is wrong with the server today."""

    version: str = "3.1.0"
    events: list[Any] = field(default_factory=list)
    programs: list[Any] = field(default_factory=list)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bodies: list[tuple[str, str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    logins: int = 0
    # misbehaviour
    down: bool = False
    silent: bool = False
    status: int | None = None
    """Every call of an object is answered so."""
    retry_after_s: float | None = None
    only_basic: bool = False
    only_form: bool = False
    expires_in: Any = 3600
    scope_list: bool = False
    bad_token_status: int = 401
    page_cap: int = 50
    ignores_skip: bool = False
    breaks_on_page: int | None = None
    """This page and those after it fail."""
    forgets_in_list: set[str] = field(default_factory=set)
    """Events that are there, but slip out of the listing."""
    garbage: bytes | None = None
    takes_reports: bool = True
    no_auth: bool = False
    server_says: Any = "auth/token"
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    notifiers: Any = None
    wants_verbs: bool = False
    """Subscriptions name HTTP verbs instead of operations, as the Alliance's server of 3.0.1 has it."""

    def event(
        self, event_id: str, *payloads: Any, start: str, duration: str = "PT1H", **more: Any
    ) -> dict[str, Any]:
        """Put an event in (or another version of it): payloads are (type, value, unit) of its one interval."""
        body = {
            "id": event_id,
            "objectType": "EVENT",
            "programID": "p1",
            "createdDateTime": "2026-07-01 00:00:00",
            "modificationDateTime": f"12:00:{len(self.calls) % 60:02d}",
            "intervalPeriod": {"start": start, "duration": duration},
            "payloadDescriptors": [{"payloadType": t, "units": u} for t, _, u in payloads if u],
            "intervals": [{"id": 0, "payloads": [{"type": t, "values": [v]} for t, v, _ in payloads]}],
            **more,
        }
        self.events = [e for e in self.events if e["id"] != event_id] + [body]
        return body

    def shed(
        self, event_id: str, kw: float, *, start: str, duration: str = "PT1H", **more: Any
    ) -> dict[str, Any]:
        """The worked example of the protocol's notes: so many kW less."""
        return self.event(
            event_id, ("DISPATCH_SETPOINT_RELATIVE", -kw, "KW"), start=start, duration=duration, **more
        )

    def gone(self, event_id: str) -> None:
        self.events = [e for e in self.events if e["id"] != event_id]

    # --- the wire

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        self.calls.append((method, path, dict(query)))
        if path == "/auth/server":
            if self.version != "3.1.0":
                return 404, b'{"title": "no such path", "status": "404"}'
            return 200, json.dumps({"tokenURL": self.server_says}).encode()
        if path == "/auth/token":
            return self._log_in(headers, body)
        bearer = headers.get("Authorization", "").removeprefix("Bearer ")
        if not self.no_auth and bearer not in self.tokens:
            return self.bad_token_status, b'{"title": "Forbidden", "status": "403"}'
        if self.garbage is not None:
            return 200, self.garbage
        if self.status is not None:
            return self.status, b'{"title": "no", "status": "500", "detail": "today is not my day"}'
        if method == "GET" and path in {"/events", "/programs"}:
            return self._listed(path, query)
        if method == "GET" and path.startswith("/events/"):
            found = [e for e in self.events if e["id"] == unquote(path.removeprefix("/events/"))]
            return (200, json.dumps(found[0]).encode()) if found else (404, b"{}")
        if path.startswith("/reports"):
            return self._report(method, path, query, body)
        if path.startswith("/subscriptions"):
            return self._subscription(method, path.removeprefix("/subscriptions").lstrip("/"), query, body)
        if path == "/notifiers" and self.notifiers is not None:
            return 200, json.dumps(self.notifiers).encode()
        if path == "/notifiers/mqtt/topics/events" and self.notifiers is not None:
            names = {o: f"events/{o.lower()}" for o in ("CREATE", "UPDATE", "DELETE")}
            return 200, json.dumps({"topics": names}).encode()
        return 404, b"{}"

    def _log_in(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        form = {k: v[0] for k, v in parse_qs(body.decode()).items()}
        basic = headers.get("Authorization", "").removeprefix("Basic ")
        pair = base64.b64decode(basic).decode().split(":", 1) if basic else []
        by_form = (form.get("client_id"), form.get("client_secret")) == (ID, SECRET)
        by_basic = [unquote_plus(x) for x in pair] == [ID, SECRET]
        right = (by_form and not self.only_basic) or (by_basic and not self.only_form)
        if form.get("grant_type") != "client_credentials" or not right:
            return 401 if basic else 400, b'{"error": "invalid_client"}'
        self.logins += 1
        token = f"t{self.logins}"
        self.tokens.add(token)
        told: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self.expires_in is not None:
            told["expires_in"] = self.expires_in
        if self.scope_list:
            told["scope"] = ["read_all"]
        return 200, json.dumps(told).encode()

    def _listed(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        everything = self.events if path == "/events" else self.programs
        there = [o for o in everything if not isinstance(o, dict) or o.get("id") not in self.forgets_in_list]
        skip = 0 if self.ignores_skip else int(query.get("skip", 0))
        limit = min(int(query.get("limit", 50)), self.page_cap)
        if self.breaks_on_page is not None and skip >= self.breaks_on_page * limit:
            return 500, b"oops"
        return 200, json.dumps(there[skip : skip + limit]).encode()

    def _report(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        if method == "GET":
            found = [r for r in self.reports.values() if r["eventID"] == query.get("eventID", r["eventID"])]
            skip, limit = int(query.get("skip", 0)), min(int(query.get("limit", 50)), self.page_cap)
            return 200, json.dumps(found[skip : skip + limit]).encode()
        said = json.loads(body)
        self.bodies.append((method, path, said))
        if not self.takes_reports:
            return 503, b"{}"
        if said["eventID"] not in {e["id"] for e in self.events}:
            return 400, b'{"title": "no such event"}'
        if method == "POST":
            name = f"r{len(self.reports) + 1}"
            self.reports[name] = {**said, "id": name, "createdDateTime": "2026-07-01 00:00:00"}
            return 201, json.dumps(self.reports[name]).encode()
        name = path.removeprefix("/reports/")
        if name not in self.reports:
            return 404, b"{}"
        self.reports[name] = {**said, "id": name}
        return 200, json.dumps(self.reports[name]).encode()

    def _subscription(
        self, method: str, name: str, query: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        if method == "GET":
            skip = int(query.get("skip", 0))
            return 200, json.dumps(list(self.subscriptions.values())[skip:]).encode()
        if method == "DELETE":
            return 200, json.dumps(self.subscriptions.pop(name)).encode()
        words = {o for told in json.loads(body)["objectOperations"] for o in told["operations"]}
        if self.wants_verbs and not words <= {"GET", "POST", "PUT", "DELETE"}:
            return 400, b'{"title": "Bad Request", "detail": "\'CREATE\' is not one of [\'GET\', ...]"}'
        name = name or f"s{len(self.subscriptions) + 1}"
        self.subscriptions[name] = {**json.loads(body), "id": name}
        return 201 if method == "POST" else 200, json.dumps(self.subscriptions[name]).encode()

    # --- in memory

    async def request(
        self,
        method: str,
        base_url: str,
        path: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        most_bytes: int = 0,
    ) -> Reply:
        """The port that `Outgoing` is in the field."""
        if self.down:
            raise CallFailed("connection refused")
        if self.silent:
            raise CallTimedOut("no answer in time")
        where = "/" + (base_url + path).split("/openadr3/", 1)[1].split("/", 1)[1]
        status, said = self.answer(method, where, query or {}, headers or {}, body or b"")
        return Reply(status, said, self.retry_after_s if status == 429 else None)

    # --- behind a socket

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[str, None]:
        """Its URL while it is served on loopback."""

        async def handle(request: web.Request) -> web.Response:
            if self.down:
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=500)
            path = "/" + request.path.split("/openadr3/", 1)[1].split("/", 1)[1]
            status, said = self.answer(
                request.method, path, dict(request.query), dict(request.headers), await request.read()
            )
            return web.Response(status=status, body=said, content_type="application/json")

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield f"http://{host}:{port}/openadr3/{self.version}"
        finally:
            await runner.cleanup()
