"""The VTN against the OpenAPI file of OpenADR 3.1.0, by schemathesis: generated requests, right and wrong ones.

The file is taken as it is, but for what it says against itself or against the prose beside it: each such change is in
`EXPLAINED` with its reason, and nothing else is let pass. The examples are the same each time.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from emw.domain.vtn import VtnRole
from emw.grid.vtn.settings import BASE
from tests.doors.house import served
from tests.grid.contract import SPECS, check
from tests.vtn.house import VtnHouse, callback, vtn_house


class JsonLoader(yaml.CSafeLoader):  # type: ignore[misc]  # it has no types
    """YAML as JSON knows it: an example of a time is text."""


JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
    for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
RAW: Any = yaml.load((SPECS / "3.1.0/openadr3.yaml").read_text(encoding="utf-8"), Loader=JsonLoader)  # noqa: S506 - it is one
PROBLEM = {"schema": {"$ref": "#/components/schemas/problem"}}
PLURALS = ("programs", "events", "reports", "subscriptions", "vens", "resources")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES, OF_REPORTS = 6, 2
"""Wrong reports take long to make up."""


# --- what the file says otherwise than we do, and why


def problems_have_their_own_type(spec: Any) -> None:
    """RFC 9457: a problem is `application/problem+json`; the file calls it plain JSON."""
    for answer in spec["components"]["responses"].values():
        if answer.get("content", {}).get("application/json") == PROBLEM:
            answer["content"]["application/problem+json"] = PROBLEM
    for operation in operations(spec):
        for answer in operation["responses"].values():
            if answer.get("content", {}).get("application/json") == PROBLEM:
                answer["content"]["application/problem+json"] = PROBLEM


def an_object_has_one_type(spec: Any) -> None:
    """`ven` and `resource` are allOf metadata (objectType VEN) and request (objectType BL_VEN_REQUEST): never both."""
    schemas = spec["components"]["schemas"]
    for name, request in (("ven", "BlVenRequest"), ("resource", "BlResourceRequest")):
        body = copy.deepcopy(schemas[request])
        del body["properties"]["objectType"]
        body["required"].remove("objectType")
        schemas[name] = {"allOf": [{"$ref": "#/components/schemas/objectMetadata"}, body]}


def answers_that_the_file_forgets(spec: Any) -> None:
    """A taken venName is a conflict (the prose: unique); who is unknown is 401, without a scope 403, everywhere."""
    conflict = {"$ref": "#/components/responses/conflict"}
    spec["paths"]["/vens"]["post"]["responses"]["409"] = conflict
    for path, at in spec["paths"].items():
        for method, operation in at.items():
            if method != "parameters" and not path.startswith("/auth"):
                operation["responses"].setdefault("401", {"$ref": "#/components/responses/unauthorized"})
                operation["responses"].setdefault("403", {"$ref": "#/components/responses/forbidden"})
    spec["paths"]["/notifiers"]["get"]["responses"].setdefault(
        "401", {"$ref": "#/components/responses/unauthorized"}
    )


def a_description_is_an_object(spec: Any) -> None:
    """Items of `programDescriptions` have properties and no type: a number would be one, too."""
    schemas = spec["components"]["schemas"]
    schemas["programRequest"]["properties"]["programDescriptions"]["items"]["type"] = "object"


def a_body_is_needed(spec: Any) -> None:
    """The file leaves the body of most POSTs and PUTs optional, and its fields required."""
    for operation in operations(spec):
        if "requestBody" in operation:
            operation["requestBody"]["required"] = True


def numbers_have_an_end(spec: Any) -> None:
    """`priority` has no maximum; ours is what a database takes."""
    spec["components"]["schemas"]["eventRequest"]["properties"]["priority"]["maximum"] = 2**63 - 1


EXPLAINED: tuple[Callable[[Any], None], ...] = (
    problems_have_their_own_type,
    an_object_has_one_type,
    answers_that_the_file_forgets,
    a_description_is_an_object,
    a_body_is_needed,
    numbers_have_an_end,
)


def operations(spec: Any) -> Iterator[Any]:
    for at in spec["paths"].values():
        yield from (o for method, o in at.items() if method != "parameters")


def contract(*, longest: int | None = None) -> dict[str, Any]:
    """The operations of the file. `longest`: no list that is made up is longer, to save time."""
    spec = copy.deepcopy(RAW)
    for change in EXPLAINED:
        change(spec)
    for part in nodes(spec["components"]["schemas"]):
        if longest is not None and part.get("type") == "array":
            part["maxItems"] = longest
    every: Any = schemathesis.openapi.from_dict(spec).get_all_operations()
    found = [result.ok() for result in every]
    return {operation.label: operation for operation in found}


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(part)


RIGHT = contract(longest=2)
WRONG = contract()


# --- the server


class Vtn:
    """A VTN on a socket, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.url = ""
        self.hook = ""
        self.house: VtnHouse
        self.world: World
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._there = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with (
            vtn_house(networks=("127.0.0.0/8",)) as self.house,
            callback() as hook,
            served(self.house.emw.plane) as (host, port),
        ):
            await self.house.client("tokens", VtnRole.VEN)
            self.url, self.hook = f"http://{host}:{port}{BASE}", hook.url
            self._there.set()
            await self._over.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._there.wait(60)
        self.world = World(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)

    def make(self, by: str, plural: str, body: Any) -> str:
        """An object, for a request that names one."""
        made = asyncio.run_coroutine_threadsafe(self.house.make(by, plural, body), self._loop)
        return str(made.result(30)["id"])


@pytest.fixture(scope="module")
def vtn() -> Iterator[Vtn]:
    with Vtn() as running:
        yield running


class World:
    """Objects to be named by requests, made anew when a request has deleted them."""

    def __init__(self, vtn: Vtn) -> None:
        self.vtn = vtn
        self.n = 0
        self.program = vtn.make("shop", "programs", {"programName": "world"})
        self.event = vtn.make("shop", "events", {"programID": self.program})
        ven = {"objectType": "VEN_VEN_REQUEST", "venName": "world"}
        self.ven = vtn.make("ven-1", "vens", ven)

    def fresh(self, plural: str) -> str:
        """An object of its own for this request."""
        self.n += 1
        name = f"fresh {self.n}"
        bodies = {
            "programs": ("shop", {"programName": name}),
            "events": ("shop", {"programID": self.program}),
            "reports": ("ven-1", {"eventID": self.event, "clientName": "c", "resources": []}),
            "subscriptions": ("ven-1", {"clientName": "c", "objectOperations": []}),
            "vens": ("ven-1", {"objectType": "VEN_VEN_REQUEST", "venName": name}),
            "resources": (
                "ven-1",
                {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": name, "venID": self.ven},
            ),
        }
        return self.vtn.make(bodies[plural][0], plural, bodies[plural][1])

    def point(self, case: Any) -> None:
        """Let a valid request name what is there."""
        parts = case.operation.path.strip("/").split("/")
        if len(parts) == 2 and parts[0] in PLURALS:
            (name,) = case.path_parameters
            case.path_parameters[name] = self.fresh(parts[0])
        body = case.body
        if not isinstance(body, dict):
            return
        for field, there in (("programID", self.program), ("eventID", self.event), ("venID", self.ven)):
            if body.get(field) is not None:
                body[field] = there
        if body.get("clientID") is not None:
            body["clientID"] = "ven-1"
        if isinstance(body.get("objectOperations"), list):
            del body["objectOperations"][20:]
            for operation in body["objectOperations"]:
                operation["callbackUrl"] = self.vtn.hook
                if operation.get("bearerToken") is not None:
                    operation["bearerToken"] = "t"


def by_of(label: str, case: Any) -> str:
    """Who may send such a request: reports are VENs', and each role has its forms."""
    if "programs" in label or "/events" in label:
        return "shop"
    kind = case.body.get("objectType") if isinstance(case.body, dict) else None
    return "shop" if isinstance(kind, str) and kind.startswith("BL_") else "ven-1"


def tried(label: str, vtn: Vtn, mode: GenerationMode, *checks: Any) -> dict[int, int]:
    """Send generated requests; returns how many there were of each status."""
    operation = (RIGHT if mode is GenerationMode.POSITIVE else WRONG)[label]
    world = vtn.world
    seen: dict[int, int] = {}

    @settings(
        max_examples=OF_REPORTS if label == "POST /reports" and mode is GenerationMode.NEGATIVE else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            world.point(case)
        headers = {}
        if not label.endswith(("/auth/token", "/auth/server")):
            headers["Authorization"] = f"Bearer {vtn.house.tokens[by_of(label, case)]}"
        answer = case.call(base_url=vtn.url, headers=headers)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        case.validate_response(answer, checks=[*CHECKS, *checks])

    one()
    return seen


@pytest.mark.parametrize("label", RIGHT)
def test_what_the_contract_allows_is_taken_and_answered_as_it_says(vtn: Vtn, label: str) -> None:
    seen = tried(label, vtn, GenerationMode.POSITIVE, positive_data_acceptance)
    if "mqtt" not in label and label != "POST /auth/token":
        assert sum(n for status, n in seen.items() if status < 300) >= sum(seen.values()) / 2, seen


def refused_but_for_null(ctx: Any, response: Any, case: Any) -> None:
    """What is forbidden is refused; but null is "not said", also where the file wants a field left out."""
    if response.status_code < 300 and case.body != (said := without_nulls(case.body)):
        check("3.1.0", f"{case.operation.path.strip('/').removesuffix('s')}Request", said)
    else:
        negative_data_rejection(ctx, response, case)


def without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: without_nulls(v) for k, v in node.items() if v is not None}
    return [without_nulls(x) for x in node] if isinstance(node, list) else node


WITH_INPUT = [label for label, o in WRONG.items() if (o.body or o.query) and not label.startswith("PUT")]
"""A PUT takes what a POST takes, by the same code."""


@pytest.mark.parametrize("label", WITH_INPUT)
def test_P9_what_the_contract_forbids_is_refused_as_it_says(vtn: Vtn, label: str) -> None:
    seen = tried(label, vtn, GenerationMode.NEGATIVE, refused_but_for_null)
    assert seen
