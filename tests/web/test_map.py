"""The map's ground: the operator's GeoJSON, places by an EVSE's own word or the file's, tiles only where set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emw.domain.people import Role
from emw.simulator.ground import ground
from emw.web.app import WebSettings
from emw.web.places import NoMap, read_ground, tiles_origin
from tests.web.world import stations, world

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


def written(path: Path, told: Any) -> str:
    path.write_text(json.dumps(told), encoding="utf-8")
    return str(path)


async def test_a_map_has_the_files_outlines_and_a_place_for_each_that_has_one(tmp_path: Path) -> None:
    told = ground([("north", "E1"), ("north", "E2"), ("south", "E3")], "East")
    file = written(tmp_path / "ground.geojson", told)
    async with world(WebSettings(map_file=file)) as w:
        await stations(w, ["E1", "E3", "E9"])
        found = (await w.call("GET", "/api/v1/map", key=await w.key(Role.VIEWER))).json
        assert {o.get("territory") or o["name"] for o in found["outlines"]} == {"East", "north", "south"}
        assert {p[0] for p in found["places"]} == {"E1", "E3"}
        assert found["tiles"] is None
        assert (await w.call("GET", "/api/v1/map")).status == 401
        policy = (await w.call("GET", "/login")).headers["content-security-policy"]
        assert "img-src 'self' data:;" in policy


async def test_tiles_open_the_policy_for_their_one_address() -> None:
    tiles = "https://tiles.example.org/{z}/{x}/{y}.png"
    async with world(WebSettings(map_tiles=tiles)) as w:
        found = (await w.call("GET", "/api/v1/map", key=await w.key(Role.VIEWER))).json
        assert found["tiles"] == tiles
        policy = (await w.call("GET", "/login")).headers["content-security-policy"]
        assert "img-src 'self' data: https://tiles.example.org;" in policy
        assert policy.count("example.org") == 1


@pytest.mark.parametrize(
    "tiles",
    [
        "/tiles/{z}/{x}/{y}.png",
        "https://a.example/{z}/{x}.png",
        "javascript:alert(1)//{z}{x}{y}",
        "https://a.example; script-src *//{z}/{x}/{y}",
        "https://user@a.example/{z}/{x}/{y}",
        "https://{z}.example/{x}/{y}",
    ],
)
def test_an_address_that_is_no_tile_server_is_refused(tiles: str) -> None:
    with pytest.raises(NoMap):
        tiles_origin(tiles)


@pytest.mark.parametrize("text", ["", "[]", '{"type": "Feature"}', "no json"])
def test_a_file_that_is_no_map_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ground.geojson"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(NoMap, match=r"ground\.geojson"):
        read_ground(str(file))
    with pytest.raises(NoMap, match=r"nowhere\.geojson"):
        read_ground(str(tmp_path / "nowhere.geojson"))


KINDS: st.SearchStrategy[Any] = st.sampled_from(
    ["Point", "Polygon", "LineString", "MultiPolygon", "Nothing", None, 7, []]
)


@given(JSON, JSON, JSON, KINDS)
def test_whatever_features_hold_the_map_is_read(
    tmp_path_factory: pytest.TempPathFactory, feature: Any, at: Any, said: Any, kind: Any
) -> None:
    shaped = {"geometry": {"type": kind, "coordinates": at}, "properties": said}
    bare = {"geometry": feature, "properties": feature}
    told = {"type": "FeatureCollection", "features": [feature, shaped, bare]}
    file = written(tmp_path_factory.getbasetemp() / "any.geojson", told)
    for latitude, longitude in read_ground(file).points.values():
        assert -180 <= latitude <= 180
        assert -180 <= longitude <= 180
