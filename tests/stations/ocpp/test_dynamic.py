"""OCPP 2.1, K28: where a station takes Dynamic profiles, a limit is changed in place, and ends if nobody renews it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from emw.domain.model import Outcome
from emw.stations.ocpp.dynamic import Lease, lease_until, update
from emw.stations.ocpp.traits import Purpose, RateUnit
from tests.stations.ocpp.foreign import Foreign21, station
from tests.stations.ocpp.house import House, house, until
from tests.stations.ocpp.plain import Plain, Refuse, boot, plain, polite
from tests.stations.ocpp.test_limits import charging, decrease, limit, profile_of, settled

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
NAMES = ("SupportsDynamicProfiles", "SupportsFeature")
SPOKEN = {"SetChargingProfile", "UpdateDynamicSchedule"}


def takes_dynamic(name: str, refuses: Callable[[str, Any], bool] = lambda _, __: False) -> Any:
    """A station that says so under this name, and refuses what is asked of it here."""

    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action in SPOKEN and refuses(action, payload):
            return {"status": "Rejected"}
        if action != "GetVariables":
            return polite(action, payload)
        told = []
        for asked in payload["getVariableData"]:
            good = asked["variable"]["name"] == name
            value = {"attributeStatus": "Accepted", "attributeValue": "true"}
            told.append({**asked, **(value if good else {"attributeStatus": "UnknownVariable"})})
        return {"getVariableResult": told}

    return answer


async def limited(h: House, it: Plain, kw: float = 4.0) -> None:
    """A vehicle charges, and a shed holds it."""
    await boot(it)
    await until(lambda: h.hub.peer("CP1").traits.asked)
    await charging(it)
    await until(lambda: h.session("CP1:1"))
    await decrease(h, kw)
    await until(settled(h, Outcome.APPLIED))


async def renew(h: House, it: Plain, after_s: float) -> None:
    """The clock goes on, and dispatch renews what it holds."""
    before, command = len(spoken(it)), limit(h)
    assert command is not None
    h.parts.clock._start_s += after_s
    h.headend.dispatch.wake("East")
    await until(lambda: len(spoken(it)) > before)
    await until(lambda: (now := limit(h)) and now.command_id != command.command_id)
    await until(settled(h, Outcome.APPLIED))


def spoken(it: Plain) -> list[tuple[str, dict[str, Any]]]:
    return [(action, payload) for action, payload in it.asked if action in SPOKEN]


@pytest.mark.parametrize("name", NAMES)
async def test_a_limit_is_written_once_and_then_changed_in_place(name: str, tmp_path: Path) -> None:
    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.1", takes_dynamic(name)) as it:
            await limited(h, it)
            ((_, sent),) = spoken(it)
            profile, schedule = profile_of(sent)
            command = limit(h)
            assert command is not None
            assert profile["chargingProfileKind"] == "Dynamic"
            assert "startSchedule" not in schedule
            assert profile["transactionId"] == "tx1"
            updated = datetime.fromisoformat(profile["dynUpdateTime"])
            ends = updated + timedelta(seconds=schedule["duration"])
            assert timedelta(0) <= command.until - ends <= timedelta(seconds=5)
            assert datetime.fromisoformat(profile["validTo"]) >= command.until
            (period,) = schedule["chargingSchedulePeriod"]
            assert period == {"startPeriod": 0, "limit": command.max_a, "numberPhases": 3}
            # Half a lease later it is renewed: the same profile, as long again.
            await renew(h, it, 460)
            action, sent = spoken(it)[-1]
            command = limit(h)
            assert command is not None
            assert command.max_a is not None
            amps = command.max_a
            assert action == "UpdateDynamicSchedule"
            assert sent == {
                "chargingProfileId": profile["id"],
                "scheduleUpdate": {"limit": amps, "limit_L2": amps, "limit_L3": amps},
            }
            # What asks for it is told the same, as long as that lasts no longer than the command.
            asks = {"chargingProfileId": profile["id"]}
            told = await it.call("PullDynamicScheduleUpdate", asks)
            assert told == {"status": "Accepted", "scheduleUpdate": sent["scheduleUpdate"]}
            h.parts.clock._start_s += 300
            assert await it.call("PullDynamicScheduleUpdate", asks) == {"status": "Rejected"}
            other = {"chargingProfileId": profile["id"] + 1}
            assert await it.call("PullDynamicScheduleUpdate", other) == {"status": "Rejected"}
            await h.iso("POST", "/iso/returnToNormal", {"requestID": "r1"})
            await until(lambda: it.names("ClearChargingProfile"))
            assert it.names("ClearChargingProfile")[0] == {"chargingProfileId": profile["id"]}
            assert await it.call("PullDynamicScheduleUpdate", asks) == {"status": "Rejected"}


async def test_a_foreign_station_obeys_what_is_changed_in_place_and_lets_go_when_nobody_renews_it(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as h, station(Foreign21, h, "CP1", await h.enrol("CP1")) as it:
        it.configuration["SmartChargingCtrlr.SupportsDynamicProfiles"] = "true"
        await it.boot()
        await until(lambda: h.hub.peer("CP1").traits.dynamic)
        await it.plug_in()
        await until(lambda: h.session("CP1:1"))
        await decrease(h)
        await until(settled(h, Outcome.APPLIED))
        command = limit(h)
        assert command is not None
        assert it.amps() == command.max_a
        # Half a lease later it is renewed: the same profile, updated, and it holds on beyond its first end.
        first_end = command.until
        h.parts.clock._start_s += 460
        h.headend.dispatch.wake("East")
        await until(lambda: it.updates == 1)
        await until(lambda: (now := limit(h)) is not None and now.until > first_end)
        await until(settled(h, Outcome.APPLIED))
        command = limit(h)
        assert command is not None
        assert it.profiles.sets == 1
        # emw is lost: it holds until the command's end, and no longer.
        h.hub.close()
        left_s = (command.until - it.now()).total_seconds()
        h.parts.clock._start_s += left_s - 10
        assert it.amps() == command.max_a
        h.parts.clock._start_s += 10
        assert it.amps() == 16.0


async def test_a_change_that_is_refused_is_written_anew(tmp_path: Path) -> None:
    def refuses(action: str, _: Any) -> bool:
        return action == "UpdateDynamicSchedule"  # it has lost it, in a reboot that it does not tell of

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.1", takes_dynamic(NAMES[0], refuses)) as it:
            await limited(h, it)
            await renew(h, it, 460)
            actions = [action for action, _ in spoken(it)]
            assert actions == ["SetChargingProfile", "UpdateDynamicSchedule", "SetChargingProfile"]
            assert profile_of(spoken(it)[-1][1])[0]["chargingProfileKind"] == "Dynamic"


@pytest.mark.parametrize("how", ["Rejected", "CALLERROR"])
async def test_a_station_that_says_so_and_takes_none_gets_the_others_from_then_on(
    how: str, tmp_path: Path
) -> None:
    good = takes_dynamic(NAMES[0])

    def answer(action: str, payload: dict[str, Any]) -> Any:
        if action == "SetChargingProfile" and profile_of(payload)[0]["chargingProfileKind"] == "Dynamic":
            if how == "CALLERROR":
                raise Refuse("PropertyConstraintViolation")
            return {"status": "Rejected"}
        return good(action, payload)

    async with house(tmp_path) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.1", answer) as it:
            await limited(h, it)
            kinds = [profile_of(p)[0]["chargingProfileKind"] for p in it.names("SetChargingProfile")]
            assert kinds == ["Dynamic", "Absolute"]
            assert not h.hub.console.seen("CP1").traits.get("dynamic")
            await renew(h, it, 460)
            assert profile_of(spoken(it)[-1][1])[0]["chargingProfileKind"] == "Absolute"


async def test_an_operator_who_knows_better_says_no(tmp_path: Path) -> None:
    async with house(tmp_path, models=[{"vendor": "V", "dynamic": False}]) as h:
        secret = await h.enrol("CP1")
        async with plain(h, "CP1", secret, "ocpp2.1", takes_dynamic(NAMES[0])) as it:
            await limited(h, it)
            assert profile_of(spoken(it)[-1][1])[0]["chargingProfileKind"] == "Absolute"


def lease(**more: Any) -> Lease:
    at: dict[str, Any] = {"unit": RateUnit.AMPS, "phases": 3, "transaction_id": "t", **more}
    purpose = at.pop("purpose", Purpose.TX)
    until_s = at.pop("until_s", 900)
    return lease_until(1, purpose, until=NOW + timedelta(seconds=until_s), now=NOW, **at)


@pytest.mark.parametrize(
    ("other", "left_s", "after_s", "good"),
    [
        ({}, 900, 450, True),
        ({}, 900 - 3, 450, False),  # it would hold for longer than the command
        ({}, 900 + 60, 450, False),  # it would end long before
        ({}, 900, 2_701, True),
        ({}, 900, 2_703, False),  # its last end is near
        ({"transaction_id": "u"}, 900, 450, False),
        ({"phases": 1}, 900, 450, False),
        ({"unit": RateUnit.WATTS}, 900, 450, False),
        ({"purpose": Purpose.TX_DEFAULT}, 900, 450, False),
    ],
)
def test_a_change_is_said_only_where_its_end_is_the_commands(
    other: dict[str, Any], left_s: int, after_s: int, good: bool
) -> None:
    now = NOW + timedelta(seconds=after_s)
    assert lease().carries(lease(**other), now + timedelta(seconds=left_s), now) is good


def test_a_change_can_be_read_in_one_way_only() -> None:
    assert update(lease(), 10) == {"limit": 10, "limit_L2": 10, "limit_L3": 10}
    assert update(lease(phases=1), 10) == {"limit": 10}
    assert update(lease(phases=None), 10) == {"limit": 10}
    assert update(lease(unit=RateUnit.WATTS), 6_900) == {"limit": 6_900}
