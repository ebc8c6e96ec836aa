"""Ceilings in A per phase at the operator's side: how they are set, and how they are explained."""

from __future__ import annotations

from tests.web.world import dispatched, stations, world


async def test_a_limit_for_a_line_is_explained_in_words() -> None:
    async with world() as w:
        admin, operator = await w.log_in("ann"), await w.log_in("opa")
        feeder = {"territoryID": "feeder-3", "ceilingAmps": 40, "ceilingKW": 60}
        made = await w.call("POST", "/api/v1/territories", feeder, headers=admin)
        assert (made.status, made.json["ceilingAmps"]) == (200, 40)
        await stations(w, ["E1", "E2"], "feeder-3")
        for name in ("E1", "E2"):
            told = await w.call("POST", f"/api/v1/evses/{name}/wiring", {"wiring": "L2"}, headers=admin)
            assert told.json == {"evseID": name, "wiring": "L2"}
        await dispatched(w)
        one = (await w.call("GET", "/api/v1/evses/E1", headers=operator)).json
        assert (one["limit"]["limitAmps"], one["limit"]["territory"], one["limit"]["line"]) == (
            20,
            "feeder-3",
            "L2",
        )
        assert (one["wiring"], one["lines"]) == ("L2", ["L2"])
        assert ": L2 of feeder-3 at 40 A;" in one["explanation"]
        assert "ceiling of feeder-3 (60 kW) not binding" in one["explanation"]
        log = (await w.call("GET", "/api/v1/activity?kind=EvseWired", headers=operator)).json["items"]
        assert {x["text"] for x in log} == {"E1 is wired to L2", "E2 is wired to L2"}


async def test_wiring_names_each_line_once_and_is_an_administrators_to_say() -> None:
    async with world() as w:
        admin, operator = await w.log_in("ann"), await w.log_in("opa")
        await w.headend.admin.add_station("test", "CP1")

        async def wire(name: str, wiring: object, who: dict[str, str] = admin) -> int:
            return (
                await w.call("POST", f"/api/v1/evses/{name}/wiring", {"wiring": wiring}, headers=who)
            ).status

        assert await wire("CP1:2", "L2L3L1") == 200, "before it has shown itself"
        assert await wire("CP1", "L3") == 200
        assert await wire("CP1", None) == 200
        for wrong in ("L4", "L1L1", "l2", "", 2, ["L1"]):
            assert await wire("CP1", wrong) == 400
        assert await wire("CP9", "L1") == 404
        assert await wire("CP1", "L1", operator) == 403
        assert {k: x.wiring for k, x in w.headend.state.wirings.items()} == {"CP1:2": "L2L3L1"}
