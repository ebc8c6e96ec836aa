"""The reference says what there is, all of it, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, Final

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emw.app.config import Config
from emw.domain.facts import FACTS
from tests.docs import api_page
from tests.docs.cli_page import PAGE, commands, page
from tests.docs.pages import DOCS, ROOT

LOG: Final = (DOCS / "reference/activity-log.md").read_text(encoding="utf-8")
SETTINGS: Final = (DOCS / "reference/settings.md").read_text(encoding="utf-8")


def section(kind: str) -> str:
    """What the reference says of one kind of fact."""
    found = re.search(rf"^### `{kind}`$(.*?)(?=^##|\Z)", LOG, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("kind", sorted(FACTS))
def test_every_fact_is_in_the_reference(kind: str) -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", section(kind), re.MULTILINE))
    assert told == {f.name for f in fields(FACTS[kind])} - {"at", "actor"}


def test_the_reference_knows_no_other_facts() -> None:
    assert set(re.findall(r"^### `(\w+)`$", LOG, re.MULTILINE)) == set(FACTS)


def settings() -> dict[str, str]:
    """Every setting and its default as the page shows it: `none` without one, `required` where it must be given."""
    found: dict[str, str] = {}

    def look(at: type[msgspec.Struct], name: str) -> None:
        for f in msgspec.structs.fields(at):
            inner: Any = f.type
            if getattr(inner, "__origin__", None) is list:
                inner = inner.__args__[0]
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                look(inner, f"{name}{f.name}.")
            else:
                found[name + f.name] = default_of(f)

    look(Config, "")
    return found


def default_of(field: Any) -> str:
    """A default as the reference writes it."""
    if field.required:
        return "required"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def test_every_setting_is_in_the_reference_with_its_default() -> None:
    told = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+?) \|", SETTINGS, re.MULTILINE))
    assert told == settings()


def test_the_command_line_reference_is_what_help_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.docs.cli_page`"


def test_every_command_is_in_the_reference_and_no_other() -> None:
    told = re.findall(r"^### `(emw [a-z ]+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [name for name, _ in commands()]


def test_every_metric_is_in_the_reference() -> None:
    source = (ROOT / "src/emw/web/metrics.py").read_text(encoding="utf-8")
    counters = re.search(r"def _counts\(self\)(.*?)\n\n\n", source, re.DOTALL)
    assert counters is not None
    total = set(re.findall(r'"(emw_\w+)"', counters[1])) | {"emw_operator_answers"}
    expected = {f"{n}_total" if n in total else n for n in re.findall(r'"(emw_\w+)"', source)}
    told = re.findall(
        r"^\| `(emw_\w+)` \|", (DOCS / "reference/metrics.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(told) == expected
    assert list(text_string_to_metric_families(f"{told[0]} 1.0\n"))  # a name Prometheus takes


async def test_the_reference_of_the_api_is_what_openapi_says() -> None:
    held = api_page.PAGE.read_text(encoding="utf-8")
    assert held == api_page.page(await api_page.described()), "run `python -m tests.docs.api_page`"
