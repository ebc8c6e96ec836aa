"""Makes docs/reference/http-api.md from OpenAPI: `python -m tests.docs.api_page` writes it, a test holds it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from tests.web.world import world

PAGE: Final = Path(__file__).parents[2] / "docs/reference/http-api.md"
HEAD: Final = """# HTTP API for operators

On the operator plane (`operator.listen`, by default `127.0.0.1:8401`), under `/api/v1`, JSON. The description that
machines read, OpenAPI 3.1, is made from the code and served at `/api/v1/openapi.json` without a login: what each call
does, the role it needs, bodies to send as they are, and every way in which it can be refused. The second half of this
page is made from it by `python -m tests.docs.api_page`; `make test` holds the two together.

## Who is speaking

- **An API key**: `Authorization: Bearer key_…`, from `emw token add NAME --role viewer|operator|administrator`.
  `--scope` (as often as needed) keeps it to parts of the API, `--days` ends it. The parts:
  {scopes}.
- **A login**: `POST /api/v1/login`; the cookie is for the console's pages. Changing calls then carry `X-CSRF-Token`
  (from `GET /api/v1/me`). It ends after 8 h, or 30 min without a call.
- **The control socket**: `control.sock` in the data folder; who can open it is administrator.

```sh
KEY=$(emw token add reports --json | jq -r .key)
curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8401/api/v1/requests
curl --unix-socket emw-data/control.sock http://localhost/api/v1/halt
```

| role | may |
| --- | --- |
| viewer | look |
| operator | also ask for a decrease, change and end requests, limit and reset EVSEs, opt drivers out, stop and halt |
| administrator | also territories, stations, ISOs, people, keys |

The first administrator: `emw serve` prints a link at a start with nobody who may log in. It works once, for 30 minutes.

## What all calls have in common

Names end in their unit: `loadKW`, `energyKWh`, `limitAmps`. Lists are pages: `items`, `limit`, `offset`, and `total`
where it is known. Unknown fields in a body and unknown names in a query are refused: 400 names the first, and the one
that may have been meant. Errors are problem+json as in the [station protocol](station-protocol.md#errors); 421 means a
Host name that is not in `operator.allowed_hosts`.
"""

PARTS: Final = {
    "Requests": "A request's key is `ISO:requestID`, for an operator's own one `operator:requestID`. "
    "[Plan an event](../howto/plan-an-event.md), [a second person](../howto/second-person.md), "
    "[prove a shed](../howto/prove-a-shed.md).",
    "EVSEs": "[By hand](../howto/act-by-hand.md); [wiring](../explanation/limits.md#per-phase) is for ceilings in A.",
    "Drivers": "[What opens a charge](../howto/drivers.md) to its driver.",
    "Territories": "Ceilings are said here, too. What a [map](../howto/map.md) shows.",
    "Halt": "[Stop a part of the tree](../howto/act-by-hand.md) or [everything](../howto/halt-drill.md), and go on.",
    "Reports": "[A month as it is settled](../howto/prove-a-shed.md#a-month), and the rows that figures are made from.",
    "Activity log": "[Every fact](activity-log.md).",
    "Watching": "The live feed is server-sent events. [Metrics](metrics.md) are for Prometheus; `/healthz` and "
    "`/readyz` are open. HEAD works wherever GET does, on each plane.",
    "Stations": "[Enrol](../howto/enrol-stations.md).",
    "OCPP": "[Stations one by one](ocpp.md#by-hand).",
    "Grid operators": "Those who ask over [REST](grid-protocol.md).",
    "Grid signals": "[OpenADR](openadr.md).",
    "VTN": "Who may speak to [our own VTN](vtn.md).",
    "Login": "",
    "Operators": "",
    "API keys": "",
}
"""The parts of the API in the page's order; what there is to read about each."""


def page(described: dict[str, Any]) -> str:
    """The whole page."""
    rows: dict[str, list[str]] = {part: [] for part in PARTS}
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            rows[call["tags"][0]].append(_row(path, method, call))
    scopes = [f"`{part.lower().replace(' ', '-')}`" for part in sorted(PARTS, key=str.lower)]
    text = HEAD.replace("{scopes}", _wrapped(scopes))
    for part, told in PARTS.items():
        head = [f"\n## {part}", "", *([told, ""] if told else []), "| call | role | |", "| --- | --- | --- |"]
        text += "\n".join([*head, *sorted(rows[part], key=_by_path), ""])
    return text


def _row(path: str, method: str, call: dict[str, Any]) -> str:
    role = call.get("x-role", "")
    told = call.get("description", "").removesuffix(f"Needs the role *{role}*.").strip()
    told = " ".join(told.replace("|", "\\|").split())
    asked = ", ".join(f"`{p['name']}`" for p in call.get("parameters", ()) if p["in"] == "query")
    query = f" Query: {asked}." if asked else ""
    return f"| `{method.upper()} {path}` | {role} | {call['summary']}. {told}{query} |"


def _by_path(row: str) -> str:
    return row.split("`")[1].partition(" ")[2]


def _wrapped(words: list[str]) -> str:
    """Comma-separated, in lines as long as the page's."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > 112:
            lines.append("")
        lines[-1] += f"{word}, "
    return "\n  ".join(line.strip() for line in lines).removesuffix(",")


async def described() -> dict[str, Any]:
    """OpenAPI as a head-end serves it."""
    async with world() as w:
        told: dict[str, Any] = (await w.call("GET", "/api/v1/openapi.json")).json
        return told


if __name__ == "__main__":
    PAGE.write_text(page(asyncio.run(described())), encoding="utf-8")
