"""What goes over the wire, held against the shipped OpenAPI files."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPECS = Path(__file__).parent / "specs" / "openadr"


@cache
def _read(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


@cache
def _payload(kind: str) -> Draft202012Validator:
    kinds = _read(SPECS / "3.1.0" / "enumerations" / "report-payloads.schema.yaml")["definitions"]
    return Draft202012Validator({k: v for k, v in kinds[kind].items() if k != "$id"})


@cache
def _validator(version: str, name: str) -> Draft202012Validator:
    raw = _read(SPECS / version / "openadr3.yaml")
    spec = Resource.from_contents(_nullable(raw), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:spec", spec)
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(
        {"$ref": f"urn:spec#/components/schemas/{name}"}, registry=registry, format_checker=checker
    )


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0 says `nullable`; JSON Schema says a second type."""
    if isinstance(node, dict):
        told = {k: _nullable(v) for k, v in node.items()}
        if told.pop("nullable", False) and isinstance(told.get("type"), str):
            told["type"] = [told["type"], "null"]
        return told
    return [_nullable(x) for x in node] if isinstance(node, list) else node


def check(version: str, name: str, body: Any) -> None:
    """Fail unless `body` is a valid `name` of that version."""
    errors = [f"{e.json_path}: {e.message}" for e in _validator(version, name).iter_errors(body)]
    assert not errors, errors


def check_report(version: str, body: Any) -> None:
    """A report as a VEN sends it, its payloads by the enumerations of report payloads included."""
    check(version, "reportRequest" if version == "3.1.0" else "report", body)
    for resource in body["resources"]:
        for interval in resource["intervals"]:
            assert interval["payloads"], interval
            for payload in interval["payloads"]:
                _payload(payload["type"]).validate(payload["values"])
