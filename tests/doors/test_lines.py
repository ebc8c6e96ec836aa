"""A feeder of so many A per phase, seen from REST stations: who is limited, by how much, and when it ends."""

from __future__ import annotations

from tests.doors.house import House, house

FEEDER = "feeder-3"


async def street(emw: House, ceiling_a: float) -> None:
    """Four single-phase stations, two of them on one line."""
    await emw.headend.admin.define_territory("operator:test", FEEDER, parent_id="East", ceiling_a=ceiling_a)
    for name, wiring in (("S1", "L1"), ("S2", "L2"), ("S3", "L3"), ("S4", "L2")):
        await emw.enrol(name)
        await emw.headend.admin.wire("operator:test", name, wiring)
        await emw.power_on(name, location={"territory": FEEDER})


async def test_P4_who_plugs_in_on_a_full_line_is_told_in_the_answer() -> None:
    async with house() as emw:
        await street(emw, 40.0)
        assert "limit" not in await emw.plug_in("S1")
        assert "limit" not in await emw.plug_in("S2")
        assert "limit" not in await emw.plug_in("S3")
        told = await emw.plug_in("S4")
        await emw.until(lambda: "S2" in emw.headend.state.limits, 10.0)
        limits = emw.headend.state.limits
        assert told["limit"]["maxAmps"] == limits["S4"].max_a
        assert sum(limits[name].max_a or 99.0 for name in ("S2", "S4")) == 40.0
        assert {(x.node_id, x.line) for x in limits.values()} == {(FEEDER, "L2")}
        # Who stays has the line to himself again, as soon as the other is gone.
        await emw.post("/evse/unplugged", {"evseID": "S4"}, emw.tokens["S4"])
        emw.clock.forward(61)
        await emw.until(lambda: limits["S2"].max_a is None, 10.0)


async def test_an_evse_of_unknown_wiring_counts_on_every_line() -> None:
    async with house() as emw:
        await street(emw, 40.0)
        await emw.headend.admin.wire("operator:test", "S4", None)
        await emw.plug_in("S1")
        told = await emw.plug_in("S4")
        assert told["limit"]["maxAmps"] + (emw.headend.state.limits["S1"].max_a or 99.0) == 40.0


async def test_what_is_known_of_lines_survives_a_restart() -> None:
    async with house() as emw:
        await street(emw, 40.0)
        store = emw.store
    async with house(store=store) as emw:
        state = emw.headend.state
        assert state.territories[FEEDER].ceiling_a == 40.0
        assert {k: w.wiring for k, w in state.wirings.items()} == {
            "S1": "L1",
            "S2": "L2",
            "S3": "L3",
            "S4": "L2",
        }
