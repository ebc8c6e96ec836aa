"""The operator's plane put together: one Litestar app over one head-end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from litestar import Controller, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromQuery
from litestar.response import Stream

from emw.domain.people import Role
from emw.service.headend import HeadEnd
from emw.service.ports import Ids
from emw.web.access_pages import PAGES as ACCESS_PAGES
from emw.web.api_admin import BigRedStop, Isos, Logins, Operators, Stations, Territories, Tokens
from emw.web.api_by_hand import ByHand
from emw.web.api_drivers import Invitations
from emw.web.api_evses import Evses, Sessions
from emw.web.api_grid import Grid
from emw.web.api_log import Activity, asked_of
from emw.web.api_login import LogInOut
from emw.web.api_map import Map
from emw.web.api_ocpp import Ocpp
from emw.web.api_reports import Reports
from emw.web.api_requests import Requests
from emw.web.api_shed import Shed
from emw.web.api_sso import sso_back, sso_begin
from emw.web.api_vtn import VtnClientsDesk
from emw.web.api_what_if import WhatIf
from emw.web.auth import Auth, caller_of, viewer
from emw.web.board import Board
from emw.web.description import described
from emw.web.extras import NOTHING, Extras
from emw.web.given import TheAuth, TheFeed, TheMetrics, TheReadiness, TheSettings, TheTongue
from emw.web.live import Feed
from emw.web.metrics import Metrics
from emw.web.pages import PAGES
from emw.web.places import read_ground, tiles_origin
from emw.web.problems import HANDLERS, HAS_PAGES
from emw.web.readiness import Readiness
from emw.web.report_pages import PAGES as REPORT_PAGES
from emw.web.settings import WebSettings
from emw.web.shell import MOST_BODY, OperatorApp, host_check
from emw.web.tongue import tongue_of

__all__ = ["WebSettings", "operator_app"]


class Watching(Controller):
    """What machines watch: the live feed, metrics, health."""

    tags = ("Watching",)

    @get("/api/v1/live", guards=[viewer], summary="The live feed (SSE)", media_type="text/event-stream")
    async def live(
        self,
        request: Request[Any, Any, Any],
        auth: TheAuth,
        feed: TheFeed,
        tongue: TheTongue,
        rows: FromQuery[bool] = True,
    ) -> Stream:
        """`snapshot` and `past` once, then `tick` each second with what changed; `bye` when the login has ended.

        `evses` has a line per EVSE (`columns`), in a tick of those that changed; whose reading alone is new is in
        `readings` (`readingColumns`). `rows=false` leaves both out. Packed where the caller takes gzip.
        """
        packed = "gzip" in request.headers.get("accept-encoding", "")
        stream = await feed.watch(
            lambda: auth.who(request, touch=False) is not None, rows=rows, packed=packed, tongue=tongue
        )
        headers = {"X-Accel-Buffering": "no", "Vary": "Accept-Encoding, Accept-Language, Cookie"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Stream(stream, media_type="text/event-stream", headers=headers)

    @get("/api/v1/openapi.json", summary="This API, described", include_in_schema=False)
    async def openapi(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """OpenAPI 3.1. Open to all: it says what could be asked, and nothing else."""
        return described(request.app, request.app.openapi_schema.to_schema())

    @get("/metrics", summary="Sums for Prometheus", media_type="text/plain")
    async def metrics(
        self, request: Request[Any, Any, Any], auth: TheAuth, settings: TheSettings, metrics: TheMetrics
    ) -> Response[bytes]:
        """In Prometheus' text format; an API key of a viewer is enough."""
        if not settings.open_metrics:
            auth.let_in(request, Role.VIEWER, "watching")
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @get("/healthz", summary="The process lives", opt={"open": True})
    async def health(self) -> dict[str, bool]:
        """Answers as long as the loop turns."""
        return {"alive": True}

    @get("/readyz", summary="The server can do its work", opt={"open": True})
    async def ready(self, readiness: TheReadiness) -> Response[dict[str, Any]]:
        """503 while it starts, and while its store can't be written."""
        why = readiness.why_not()
        return Response({"ready": why is None, "why": why}, status_code=200 if why is None else 503)


def operator_app(headend: HeadEnd, settings: WebSettings, ids: Ids, extras: Extras = NOTHING) -> OperatorApp:
    """The operator's plane of one head-end. Call it inside the running loop.

    `app.state["setup_path"]` is the path of the one-time link of a first start, or None.
    """
    auth = Auth(headend, settings, ids, extras.sign_on)
    board = Board(headend)
    answers: Counter[int] = Counter()
    feed = Feed(headend, board, tick_s=settings.tick_s, viewers=settings.viewers)
    parts: dict[str, object] = {
        "headend": headend,
        "settings": settings,
        "extras": extras,
        "ids": ids,
        "auth": auth,
        "board": board,
        "feed": feed,
        "metrics": Metrics(headend, board, auth, answers),
        "places": read_ground(settings.map_file),
        "readiness": Readiness(headend),
    }
    api = Router(
        "/api/v1",
        route_handlers=[
            LogInOut,
            Evses,
            Sessions,
            Invitations,
            ByHand,
            Requests,
            Shed,
            Reports,
            WhatIf,
            Territories,
            Grid,
            Map,
            Stations,
            Ocpp,
            Isos,
            VtnClientsDesk,
            Operators,
            Logins,
            Tokens,
            BigRedStop,
            Activity,
        ],
    )
    app = OperatorApp(
        route_handlers=[api, Watching, *PAGES, *REPORT_PAGES, *ACCESS_PAGES, sso_begin, sso_back],
        dependencies={
            **{name: _given(part) for name, part in parts.items()},
            "caller": Provide(caller_of, sync_to_thread=False),
            "asked": Provide(asked_of, sync_to_thread=False),
            "tongue": Provide(tongue_of, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        opt={HAS_PAGES: True},
        openapi_config=_openapi(headend.version),
        request_max_body_size=MOST_BODY,
        state=State({"auth": auth, "feed": feed, "setup_path": auth.offer_setup()}),
        debug=False,
        logging_config=None,  # the process has set up its own
    )
    app.answers = answers
    app.images_from = tiles_origin(settings.map_tiles)
    app.host_ok = None if settings.local else host_check(settings.allowed_hosts)
    return app


def _given(part: object) -> Provide:
    """A part that is there already, as a dependency."""
    return Provide(lambda: part, sync_to_thread=False, use_cache=True)


def _openapi(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="emw operator API",
        version=version,
        description="kW are real power drawn from the grid, A are per phase, times carry their offset.",
        path="/api/v1/openapi",  # what the framework serves there itself; ours is beside it
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        security=[{"key": []}, {"session": []}],
        components=Components(
            security_schemes={
                "key": SecurityScheme(type="http", scheme="bearer", description="An API key (`key_…`)."),
                "session": SecurityScheme(
                    type="apiKey", name="emw_session", security_scheme_in="cookie", description="After login."
                ),
            }
        ),
    )
