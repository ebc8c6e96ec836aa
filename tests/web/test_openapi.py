"""A stranger with nothing but the description: it says all there is, its examples work, schemathesis breaks nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from emw.domain.people import Role
from emw.web.app import WebSettings
from emw.web.description import EXAMPLES
from emw.web.queries import names_of
from tests.web.test_doors import path_of
from tests.web.world import World, stations, world

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOT_TRIED = {"/api/v1/live", "/api/v1/logout", "/api/v1/halt", "/api/v1/login", "/api/v1/setup"}
"""An endless answer, and what would end the trying: the last two lock an address out after some tries."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def w() -> AsyncGenerator[World, None]:
    async with world(WebSettings()) as made:
        await stations(made, ["E1", "E2"])
        yield made


async def document(w: World) -> dict[str, Any]:
    told = await w.call("GET", "/api/v1/openapi.json")
    assert told.status == 200
    doc: dict[str, Any] = told.json
    return doc


async def test_every_door_says_what_it_does_who_may_and_how_it_refuses(w: World) -> None:
    doc = await document(w)
    for path, methods in doc["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation.get("summary"), where
            assert operation.get("description"), where
            assert operation.get("tags"), where
            refused = operation["responses"]["400"]["content"]
            assert refused["application/problem+json"]["schema"]["$ref"].endswith("/Problem"), where
            for status, answer in operation["responses"].items():
                assert answer.get("description"), (where, status)
    assert doc["info"]["description"]
    assert doc["paths"]["/api/v1/requests"]["post"]["x-role"] == "operator"


async def test_the_names_that_may_stand_in_a_query_are_those_described(w: World) -> None:
    paths = (await document(w))["paths"]
    for route in w.app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in getattr(handler, "http_methods", ()):
                operation = paths.get(route.path_format, {}).get(method.lower())
                if operation is not None:
                    told = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
                    assert set(names_of(handler)) == told, (method, route.path)


async def test_the_examples_work_as_they_are(w: World) -> None:
    doc = await document(w)
    key = await w.key(Role.ADMINISTRATOR)
    for (method, path), body in EXAMPLES.items():
        shown = doc["paths"][path][method]["requestBody"]["content"]["application/json"]["example"]
        assert shown == body
        if path in {"/api/v1/halt", "/api/v1/requests/{request_key}/returnToNormal"}:
            continue  # one stops all, the other needs a request of its name
        told = await w.call(method.upper(), path_of(path), body, key=key)
        assert told.status in {200, 201, 409}, (path, told.body)


async def test_P9_schemathesis_breaks_nothing(w: World) -> None:
    """Calls made from the description alone: no answer is 5xx, and each is one that the description promises."""
    key = await w.key(Role.ADMINISTRATOR)
    loop = asyncio.get_running_loop()
    schema = schemathesis.openapi.from_dict(await document(w))
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path in NOT_TRIED:
            continue
        tried += 1
        await asyncio.to_thread(_try, operation, w, key, loop)
    assert tried > 40


def _try(operation: Any, w: World, key: str, loop: asyncio.AbstractEventLoop) -> None:
    """Four calls of one door, from Hypothesis' thread into the loop of the app."""

    @seed(7)
    @settings(
        max_examples=4,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def tried(case: Any) -> None:
        request = case.as_transport_kwargs(base_url="http://localhost")
        answer = asyncio.run_coroutine_threadsafe(_call(w, request, key), loop).result(30)
        # A row of the map is a list of fixed parts (`prefixItems`), which schemathesis can't read in an answer.
        checks = CHECKS[:-1] if operation.path == "/api/v1/map" else CHECKS
        case.validate_response(answer, checks=checks)

    run: Callable[[], None] = tried
    run()


async def _call(w: World, request: dict[str, Any], key: str) -> Any:
    prepared = requests.Request(
        request["method"],
        request["url"],
        params=request.get("params"),
        json=request.get("json"),
        data=request.get("data"),
    ).prepare()
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b""
    assert isinstance(body, bytes)
    media = prepared.headers.get("Content-Type")
    said = {} if media is None else {"content-type": str(media)}
    told = await w.call(str(prepared.method), prepared.path_url, raw=body, key=key, headers=said)
    headers = {name: [value] for name, value in told.headers.items()}
    return Response(told.status, headers, told.body, prepared, elapsed=0.1, verify=False, encoding="utf-8")
