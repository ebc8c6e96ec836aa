"""Reports over the API: rows are read and written out beside the loop, however they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, BinaryIO

import msgspec
import pytest

from emw.app.beside import Beside
from emw.domain.people import Role
from emw.store.reports import write
from emw.web.app import WebSettings, operator_app
from emw.web.extras import Extras
from emw.web.figures import Figures
from emw.web.tongue import TONGUES
from tests.web.world import stations, world

WAYS = [
    "requests/operator%3AR1/shed?evses=true",
    "reports/requests/operator%3AR1/table?evses=true",
    "reports/months/2026-05",
    "reports/months/2026-05/table?format=json",
]


@pytest.mark.parametrize("way", WAYS)
async def test_no_row_of_a_report_is_read_or_written_out_in_the_loop(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def written(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], form: str, to: BinaryIO) -> None:
        made.append(threading.get_ident())
        write(rows, columns, form, to)

    def encoded(told: Any) -> bytes:
        made.append(threading.get_ident())
        return msgspec.json.encode(told)

    for module in ("emw.web.api_reports", "emw.web.api_shed"):
        monkeypatch.setattr(f"{module}.as_json", encoded)
    async with world() as w:
        await stations(w, ["E1", "E2"])
        ask = {"requestID": "R1", "territory": "East", "kW": 3, "durationMinutes": 60}
        me = await w.log_in("opa")
        assert (await w.call("POST", "/api/v1/requests", ask, headers=me)).status == 201
        app = operator_app(w.headend, WebSettings(), w.ids, Extras(write_table=written, beside=Beside()))
        told = await w.call("GET", f"/api/v1/{way}", key=await w.key(Role.VIEWER), app=app)
        assert told.status == 200, told.body
        assert made
        assert threading.get_ident() not in made
        here = await w.call("GET", f"/api/v1/{way}", key=await w.key(Role.VIEWER))
        assert here.headers["content-type"] == told.headers["content-type"]


def test_a_little_less_than_nothing_is_nothing() -> None:
    assert Figures(TONGUES["en"], UTC).number(-0.001, 2) == "0.00"


async def test_what_a_report_can_not_be_asked_for_is_named_as_it_was_written() -> None:
    async with world() as w:
        key = await w.key(Role.VIEWER)
        for asked, why in (
            ("?holiday=monday", "holiday: must be a day like 2026-05-25"),
            ("/table?format=xlsx", "format: 'xlsx' is none of its values"),
            ("?rate=-1", "rate: must be at least 0"),
        ):
            told = await w.call("GET", f"/api/v1/reports/months/2026-05{asked}", key=key)
            assert (told.status, told.json["detail"]) == (400, why)
            assert told.json["field"] == why.partition(":")[0]
