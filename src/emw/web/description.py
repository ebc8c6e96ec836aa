"""The API's description, complete for who has only that: roles, every refusal, examples that can be sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

MEDIA: Final = "application/problem+json"
REFUSALS: Final = {
    "400": "A field or a parameter is missing, wrong or unknown; `field` names it.",
    "401": "No credential, or one that is not valid (any more).",
    "403": "The role, the key's parts or the page that calls are not enough.",
    "404": "There is nothing of this name, or not for the caller.",
    "409": "The same id with other contents, or not possible as things stand.",
    "413": "The body is too large.",
    "415": "The body is not JSON, or packed.",
    "429": "Too many wrong tries; `Retry-After` says when to come back.",
    "503": "emw can't write now, or starts; nothing was changed. `Retry-After` says when to come back.",
}
CHANGING_ONLY: Final = frozenset({"413", "415", "409"})
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong, in words a person can act on (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["about:blank"]},
        "title": {"type": "string", "examples": ["Bad input"]},
        "status": {"type": "integer", "examples": [400]},
        "detail": {"type": "string", "examples": ["kW: must be more than 0"]},
        "field": {"type": "string", "description": "The part of the input at fault.", "examples": ["kW"]},
    },
}
EXAMPLES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("post", "/api/v1/login"): {"name": "ann", "password": "correct horse battery"},
    ("post", "/api/v1/requests"): {
        "requestID": "evening-1",
        "territory": "East",
        "kW": 300,
        "durationMinutes": 120,
    },
    ("post", "/api/v1/preview"): {"territory": "East", "kW": 300},
    ("post", "/api/v1/requests/{request_key}/returnToNormal"): {"reason": "the peak is over"},
    ("post", "/api/v1/evses/{evse_id}/optOut"): {"minutes": 60, "reason": "the driver called"},
    ("post", "/api/v1/territories"): {
        "territoryID": "feeder-17",
        "parentID": "East",
        "kind": "feeder",
        "ceilingKW": 180,
        "timeZone": "America/Los_Angeles",
    },
    ("post", "/api/v1/stations"): {"stationID": "E1", "customerID": "c-17", "territory": "East"},
    ("post", "/api/v1/isos"): {"isoID": "grid", "territories": ["East"]},
    ("post", "/api/v1/operators"): {"name": "bob", "password": "a longer sentence", "role": "viewer"},
    ("post", "/api/v1/tokens"): {"name": "grafana", "role": "viewer", "scopes": ["watching"], "days": 365},
    ("post", "/api/v1/halt"): {"reason": "drill"},
}
"""Bodies as somebody would send them; a test sends them."""


def described(app: Litestar, schema: dict[str, Any]) -> dict[str, Any]:
    """The framework's description with what it can't know."""
    roles = dict(_roles(app))
    schema.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for path, methods in schema.get("paths", {}).items():
        for method, operation in methods.items():
            role = roles.get((method, path))
            _refusals(method, operation, role)
            if role is not None:
                operation["x-role"] = role
                told = operation.get("description", "")
                operation["description"] = f"{told}\n\nNeeds the role *{role}*.".strip()
            example = EXAMPLES.get((method, path))
            if example is not None:
                operation["requestBody"]["content"]["application/json"]["example"] = example
    return schema


def _roles(app: Litestar) -> Iterable[tuple[tuple[str, str], str]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if not isinstance(handler, HTTPRouteHandler):
                continue
            role = next((str(g.role) for g in handler.resolve_guards() if hasattr(g, "role")), None)
            if role is not None:
                for method in handler.http_methods:
                    yield (method.lower(), route.path.replace(":str}", "}")), role


def _refusals(method: str, operation: dict[str, Any], role: str | None) -> None:
    """Every way in which a call may be refused. What is open to all needs no credential."""
    answers = operation.setdefault("responses", {})
    for status, why in REFUSALS.items():
        if status in CHANGING_ONLY and method == "get" and status != "409":
            continue
        if role is None and status == "403" and method == "get":
            continue
        answers[status] = {
            "description": why,
            "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
