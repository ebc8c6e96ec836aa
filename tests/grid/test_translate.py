"""Events as segments: each payload type that changes load is served, every other one is kept with its reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emw.domain.signals import SignalKind
from emw.grid.openadr3.settings import Amount, Match, Meaning, TargetRule
from emw.grid.openadr3.translate import Translated, translate
from emw.grid.openadr3.wire import Event, Program, Unreadable, canonical, event_of, program_of, targets_of

SEEN = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
TREE = {"East": ("East",), "F17": ("F17", "East"), "West": ("West",)}
KW = Meaning(territory_id="East")


def said(
    kind: str,
    *values: Any,
    units: str | None = "KW",
    targets: Any = None,
    meaning: Meaning | None = KW,
    **more: Any,
) -> Translated:
    raw = {
        "id": "e1",
        "programID": "p1",
        "targets": targets,
        "intervalPeriod": {"start": "2026-07-01T13:00:00Z", "duration": "PT1H"},
        "payloadDescriptors": [
            {
                "objectType": "EVENT_PAYLOAD_DESCRIPTOR",
                "payloadType": kind,
                **({"units": units} if units else {}),
            }
        ],
        "intervals": [{"id": 3, "payloads": [{"type": kind, "values": list(values)}]}],
        **more,
    }
    return of(raw, meaning)


def of(raw: dict[str, Any], meaning: Meaning | None, program: Program | None = None) -> Translated:
    found = event_of(raw)
    assert isinstance(found, Event), found
    return translate(
        found,
        program,
        meaning,
        first_seen=SEEN,
        until=SEEN + timedelta(days=8),
        draw=0.0,
        territories=TREE.get,
    )


@pytest.mark.parametrize(
    ("kind", "value", "units", "is_kind", "is_value"),
    [
        ("DISPATCH_SETPOINT_RELATIVE", -500.0, "KW", SignalKind.REDUCE_KW, 500.0),
        ("DISPATCH_SETPOINT_RELATIVE", -500, "kw", SignalKind.REDUCE_KW, 500.0),
        ("DISPATCH_SETPOINT_RELATIVE", "-500", "KW", SignalKind.REDUCE_KW, 500.0),
        ("DISPATCH_SETPOINT_RELATIVE", -0.5, "MW", SignalKind.REDUCE_KW, 500.0),
        ("DISPATCH_SETPOINT_RELATIVE", -500_000, "W", SignalKind.REDUCE_KW, 500.0),
        ("DISPATCH_SETPOINT_RELATIVE", -0.2, "PERCENT", SignalKind.REDUCE_SHARE, 0.2),
        ("DISPATCH_SETPOINT", 250, "KW", SignalKind.SETPOINT_KW, 250.0),
        ("IMPORT_CAPACITY_LIMIT", 0.18, "MW", SignalKind.LIMIT_KW, 180.0),
        ("IMPORT_CAPACITY_SUBSCRIPTION", 400, "KW", SignalKind.DEFAULT_LIMIT_KW, 400.0),
        ("SIMPLE", 0, None, SignalKind.REDUCE_KW, 0.0),
        ("SIMPLE", 1, None, SignalKind.REDUCE_SHARE, 0.25),
        ("SIMPLE", 2, None, SignalKind.REDUCE_KW, 700.0),
        ("SIMPLE", "2", None, SignalKind.REDUCE_KW, 700.0),
        ("ALERT_FLEX_ALERT", "please", None, SignalKind.REDUCE_SHARE, 0.25),
        ("ALERT_GRID_EMERGENCY", "now", None, SignalKind.REDUCE_SHARE, 1.0),
        ("CONTROL_SETPOINT", -0.15, "KW", SignalKind.REDUCE_KW, 0.15),
    ],
)
def test_what_changes_load_is_served(
    kind: str, value: Any, units: str | None, is_kind: SignalKind, is_value: float
) -> None:
    meaning = Meaning(
        territory_id="East",
        levels={1: Amount(share=0.25), 2: Amount(kw=700.0), 3: Amount(share=1.0)},
        payloads={"CONTROL_SETPOINT": SignalKind.REDUCE_KW},
    )
    (segment,) = said(kind, value, units=units, meaning=meaning).segments
    assert (segment.kind, segment.why_not) == (is_kind, None)
    assert segment.value == pytest.approx(is_value)
    assert segment.territory_id == "East"
    assert segment.interval_id == 3
    assert segment.start_at == SEEN + timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "value", "units", "why"),
    [
        ("DISPATCH_SETPOINT_RELATIVE", 500, "KW", "more load"),
        ("DISPATCH_SETPOINT_RELATIVE", -500, None, "unit"),
        ("DISPATCH_SETPOINT_RELATIVE", -500, "KWH", "KWH is no unit"),
        ("DISPATCH_SETPOINT_RELATIVE", "NaN", "KW", "no number"),
        ("DISPATCH_SETPOINT_RELATIVE", True, "KW", "no number"),
        ("DISPATCH_SETPOINT_RELATIVE", None, "KW", "no number"),
        ("DISPATCH_SETPOINT_RELATIVE", -20, "PERCENT", "runs from -1"),
        ("DISPATCH_SETPOINT_RELATIVE", -1e12, "KW", "most that a request"),
        ("DISPATCH_SETPOINT", -5, "KW", "export"),
        ("SIMPLE", 4, None, "no SIMPLE level"),
        ("SIMPLE", 2, None, "no amount is configured for level 2"),
        ("ALERT_GRID_EMERGENCY", "", None, "stands for level 3"),
        ("ALERT_FIRE", "", None, "for people"),
        ("PRICE", 0.2, None, "price"),
        ("GHG", 300, "GHG", "carbon"),
        ("CHARGE_STATE_SETPOINT", 0.8, "PERCENT", "state of charge"),
        ("CONTROL_SETPOINT", -0.15, "KW", "program-defined"),
        ("X_UTILITY_THING", 1, None, "unknown"),
        ("CTA2045_REBOOT", 1, None, "devices"),
    ],
)
def test_what_does_not_is_kept_with_its_reason(kind: str, value: Any, units: str | None, why: str) -> None:
    (segment,) = said(kind, value, units=units).segments
    assert why in (segment.why_not or "")
    assert kind in segment.said


def test_the_unit_may_stand_in_the_program_and_the_events_own_wins() -> None:
    program = program_of(
        {"id": "p1", "payloadDescriptors": [{"payloadType": "DISPATCH_SETPOINT_RELATIVE", "units": "MW"}]}
    )
    assert isinstance(program, Program)
    raw = {
        "id": "e",
        "programID": "p1",
        "intervalPeriod": {"start": "0001-01-01", "duration": "PT1H"},
        "intervals": [{"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT_RELATIVE", "values": [-1]}]}],
    }
    assert of(raw, KW, program).segments[0].value == 1000.0
    raw["payloadDescriptors"] = [{"payloadType": "DISPATCH_SETPOINT_RELATIVE", "units": "KW"}]
    assert of(raw, KW, program).segments[0].value == 1.0
    del raw["payloadDescriptors"]
    assert of(raw, Meaning(territory_id="East", assume_kw=True)).segments[0].value == 1.0


@pytest.mark.parametrize(
    ("targets", "places"),
    [
        (["feeder-17"], ["F17"]),
        ([{"type": "SERVICE_AREA", "values": ["feeder-17", "zone-w-3"]}], ["F17", "West"]),
        (["West"], ["West"]),
        (["feeder-17", "nobody"], ["F17"]),
        ([{"type": "GROUP", "values": ["g1"]}], [None]),
        (["g1"], ["F17"]),  # 3.1 has no types: the text alone is compared
        (["F17"], ["F17"]),  # its own name, and it lies under one that this VTN may name
        (None, ["East"]),
        ([], ["East"]),
    ],
)
def test_targets_are_territories_by_the_table(targets: Any, places: list[str | None]) -> None:
    meaning = Meaning(
        territory_id="East",
        may_name=("East", "West"),
        targets=(
            TargetRule(target="feeder-17", territory_id="F17"),
            TargetRule(target="zone-w-", territory_id="West", match=Match.PREFIX),
            TargetRule(target="g[0-9]", territory_id="F17", match=Match.REGEX, type="SERVICE_AREA"),
        ),
    )
    found = said("DISPATCH_SETPOINT_RELATIVE", -5, targets=targets, meaning=meaning)
    assert [s.territory_id for s in found.segments] == places


def test_nobody_may_name_a_territory_that_is_not_his() -> None:
    (segment,) = said(
        "DISPATCH_SETPOINT_RELATIVE", -5, targets=["West"], meaning=Meaning(may_name=("East",))
    ).segments
    assert segment.territory_id is None
    assert "none of its targets" in (segment.why_not or "")


def test_an_event_without_targets_is_nowhere_unless_configured() -> None:
    (segment,) = said("DISPATCH_SETPOINT_RELATIVE", -5, meaning=Meaning()).segments
    assert "names no target" in (segment.why_not or "")


def test_an_event_of_another_program_is_shown_and_not_served() -> None:
    (segment,) = said("DISPATCH_SETPOINT_RELATIVE", -5, meaning=None).segments
    assert segment.why_not == "its program is not one of those configured"


def test_several_prices_in_one_payload_divide_the_interval() -> None:
    found = said("PRICE", 0.1, 0.2, 0.3, 0.4)
    assert [s.start_at.minute for s in found.segments] == [0, 15, 30, 45]


def test_the_servers_metadata_never_loses_an_event() -> None:
    for odd in ("12:03:38", "2026-11-23 12:03:38", None, 5, {"x": 1}):
        raw = {
            "modificationDateTime": odd,
            "createdDateTime": odd,
            "intervals": None,
            "priority": "1",
            "unheard": odd,
        }
        found = event_of({"id": "e", "programID": "p", **raw})
        assert isinstance(found, Event)
        assert found.priority == 1


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        [
            "0001-01-01",
            "9999-12-31T23:59:59Z",
            "0001-01-02T00:00:00+14:00",
            "PT1H",
            "P9999Y",
            "-P1D",
            "P999999999D",
            "SIMPLE",
            "DISPATCH_SETPOINT_RELATIVE",
            "PRICE",
            "KW",
            10**400,
            -(10**400),
            1e308,
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "start", "duration", "randomizeStart", "type", "values", "payloads", "intervalPeriod"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "programID",
                "priority",
                "targets",
                "duration",
                "intervalPeriod",
                "intervals",
                "payloadDescriptors",
                "reportDescriptors",
                "eventName",
                "modificationDateTime",
            ]
        ),
        ODD,
    ),
    st.sampled_from(["0001-01-01", "9999-12-31T23:59:59Z", "2026-07-01T12:30:00Z", None]),
)
def test_nothing_that_a_server_says_raises(raw: dict[str, Any], start: str | None) -> None:
    said = {"id": "e", **raw}
    if start is not None:
        payload = {"type": "DISPATCH_SETPOINT_RELATIVE", "values": [raw.get("duration")]}
        said |= {"intervalPeriod": {"start": start, "duration": "PT1H", "randomizeStart": "P1D"}}
        said |= {"intervals": [{"id": 0, "payloads": [payload]}]}
    found = event_of(said)
    canonical(said)
    if isinstance(found, Event):
        translate(
            found,
            None,
            KW,
            first_seen=SEEN,
            until=SEEN + timedelta(days=8),
            draw=1.0,
            territories=TREE.get,
        )


def test_an_object_that_cannot_be_read_says_which_and_why() -> None:
    found = event_of({"id": "e", "intervals": "none"})
    assert isinstance(found, Unreadable)
    assert found.id == "e"
    assert "intervals" in found.why
    assert isinstance(event_of([1]), Unreadable)
    assert isinstance(event_of({"programID": "p"}), Unreadable)


def test_what_a_server_adds_by_itself_is_no_other_version() -> None:
    a = {"id": "e", "programID": "p", "modificationDateTime": "1", "createdDateTime": "2"}
    assert canonical(a) == canonical({"programID": "p", "id": "e", "modificationDateTime": "7"})
    assert canonical(a) != canonical({**a, "priority": 1})


def test_targets_of_both_versions() -> None:
    mixed = ["a", {"type": "GROUP", "values": ["b", 1]}, 7]
    assert [(t.type, t.value) for t in targets_of(mixed)] == [
        (None, "a"),
        ("GROUP", "b"),
        ("GROUP", "1"),
        (None, "7"),
    ]


@pytest.mark.parametrize("length", ["PT1M", "PT5M", "PT1H", "P1D"])
def test_a_tariff_that_loops_for_years_is_still_known_today(length: str) -> None:
    raw = {
        "id": "e1",
        "programID": "p1",
        "duration": "P9999Y",
        "intervalPeriod": {"start": "2024-01-01T00:00:00Z", "duration": length},
        "payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}],
        "intervals": [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [50]}]}],
    }
    event = event_of(raw)
    assert isinstance(event, Event)
    midnight = (SEEN + timedelta(days=1)).replace(hour=0)
    told = translate(
        event,
        None,
        KW,
        first_seen=SEEN - timedelta(days=400),
        until=midnight + timedelta(days=8),
        draw=0.0,
        territories=TREE.get,
    )
    assert any(s.start_at <= SEEN and (s.end_at is None or s.end_at > SEEN) for s in told.segments)
    assert {s.turn for s in told.slots} == set(range(told.slots[0].turn, told.slots[-1].turn + 1))
