"""The doors over the real store: what was refused left no row, what was taken comes back letter by letter."""

from __future__ import annotations

import asyncio
from pathlib import Path

from emw.service.headend import HeadEnd
from emw.store import SqlStore
from tests.doors.house import House, house, tables
from tests.doors.test_inject import HOSTILE
from tests.doors.test_syntax import BROKEN


async def stored(path: Path) -> tuple[SqlStore, dict[str, object]]:
    store = SqlStore(f"sqlite:///{path}")
    return store, tables((await store.load()).state)


def live(headend: HeadEnd) -> dict[str, object]:
    return tables(headend.state)


async def test_A13_P1_hostile_names_come_back_letter_by_letter(tmp_path: Path) -> None:
    async with house(store=SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")) as emw:
        await emw.iso("grid", "East")
        for text in HOSTILE.values():
            await emw.power_on(text, evseModel=text, customerID=text, status=text)
            await emw.plug_in(text, vehicle=text)
            assert (await emw.decrease("grid", text, 3, start="2026-03-03T18:00:00Z")).status == 202
        await asyncio.gather(*(emw.heartbeat(text) for text in HOSTILE.values()))
        await emw.headend.ledger.settled()
        kept = live(emw.headend)
    store, found = await stored(tmp_path / "emw.db")
    await store.close()
    assert found == kept


async def test_P9_F19_refused_bodies_leave_no_row(tmp_path: Path) -> None:
    async with house(store=SqlStore(f"sqlite:///{tmp_path / 'emw.db'}")) as emw:
        await emw.plug_in("S1")
        iso = await emw.iso("grid", "East")
        await _quiet(emw)
        before, committed = live(emw.headend), emw.headend.ledger.committed
        for raw, _ in BROKEN.values():
            for door, credential in (("/evse/adjustedMaxAmps", emw.tokens["S1"]), ("/iso/decrease", iso)):
                assert 400 <= (await emw.post(door, raw, credential)).status < 500
        assert live(emw.headend) == before
        assert emw.headend.ledger.committed == committed
    store, found = await stored(tmp_path / "emw.db")
    await store.close()
    assert found == before


async def _quiet(emw: House) -> None:
    await emw.headend.ledger.settled()
    await asyncio.sleep(0.1)
    await emw.headend.ledger.settled()
