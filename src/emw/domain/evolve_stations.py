"""How the facts about stations themselves change the records. Pure, like the rest of evolve."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emw.domain import station_facts as f
from emw.domain.admin_facts import StationAdded, StationRevoked
from emw.domain.model import Evse, Record, Station, StationTraits, Transaction

if TYPE_CHECKING:
    from dataclasses import replace  # the same, and mypy knows each record's fields by it

    from emw.domain.state import State
else:
    from emw.domain.changed import replace


def _station_added(s: State, x: StationAdded) -> tuple[Record, ...]:
    known = s.stations.get(x.station_id)
    return (
        Station(
            station_id=x.station_id,
            secret_hash=x.secret_hash,
            added_at=known.added_at if known else x.at,
            customer_id=x.customer_id,
            protocol=x.protocol,
            territory_id=x.territory_id,
            max_a=x.max_a,
            line_voltage_v=x.line_voltage_v,
            phases=x.phases,
            dc=x.dc,
            may_pause=x.may_pause,
        ),
    )


def _station_revoked(s: State, x: StationRevoked) -> tuple[Record, ...]:
    station = replace(s.stations[x.station_id], revoked=True, token_hash=None)
    return (station, *(replace(e, powered=False, online=False) for e in s.evses_of(x.station_id)))


def _booted(s: State, x: f.StationBooted) -> tuple[Record, ...]:
    known = s.traits.get(x.station_id)
    same = known is not None and (known.version, known.model, known.firmware) == (
        x.version,
        x.model,
        x.firmware,
    )
    traits = StationTraits(
        station_id=x.station_id,
        version=x.version,
        booted_at=x.at,
        vendor=x.vendor,
        model=x.model,
        serial=x.serial,
        firmware=x.firmware,
        traits=known.traits if known is not None and same else "",
    )
    station = replace(s.stations[x.station_id], protocol=f"ocpp{x.version}", token_hash=None, access_url=None)
    evses = [
        replace(
            e,
            powered=True,
            online=True,
            powered_at=x.at,
            offline_since=None,
            can_limit=e.can_limit if same else True,
        )
        for e in s.evses_of(x.station_id)
    ]
    return (station, traits, *evses)


def _learned(s: State, x: f.StationLearned) -> tuple[Record, ...]:
    return (replace(s.traits[x.station_id], traits=x.traits),)


def _evse_found(s: State, x: f.EvseFound) -> tuple[Record, ...]:
    known = s.evses.get(x.evse_id)
    evse = Evse(
        evse_id=x.evse_id,
        station_id=x.station_id,
        territory_id=x.territory_id,
        model=x.model,
        line_voltage_v=x.line_voltage_v,
        phases=x.phases,
        max_a=x.max_a,
        status=known.status if known else "available",
        powered=True,
        online=True,
        powered_at=known.powered_at if known else x.at,
        session_id=known.session_id if known else None,
        opted_out_until=known.opted_out_until if known else None,
        doubted_at=known.doubted_at if known else None,
        can_limit=known.can_limit if known else True,
        dc=x.dc,
        may_pause=x.may_pause,
    )
    return (evse,)


def _evse_changed(s: State, x: f.EvseChanged) -> tuple[Record, ...]:
    evse = s.evses[x.evse_id]
    changed = replace(
        evse,
        status=evse.status if x.status is None else x.status,
        phases=evse.phases if x.phases is None else x.phases,
        can_limit=evse.can_limit if x.can_limit is None else x.can_limit,
    )
    return (changed,)


def _transaction_started(s: State, x: f.TransactionStarted) -> tuple[Record, ...]:
    known = s.transactions.get((x.station_id, x.transaction_id))
    return (
        Transaction(
            station_id=x.station_id,
            transaction_id=x.transaction_id,
            evse_id=x.evse_id,
            started_at=x.started_at,
            meter_start_wh=x.meter_start_wh,
            id_token=x.id_token if x.id_token is not None or known is None else known.id_token,
        ),
    )


def _transaction_ended(s: State, x: f.TransactionEnded) -> tuple[Record, ...]:
    known = s.transactions.get((x.station_id, x.transaction_id))
    ended = known or Transaction(station_id=x.station_id, transaction_id=x.transaction_id, evse_id=x.evse_id)
    return (replace(ended, ended_at=x.ended_at, meter_stop_wh=x.meter_stop_wh, reason=x.reason),)


def _need_told(s: State, x: f.NeedTold) -> tuple[Record, ...]:
    return (
        replace(
            s.sessions[x.session_id],
            energy_requested_kwh=x.energy_requested_kwh,
            departure_at=x.departure_at,
            told_by_driver=x.by_driver,
        ),
    )


def _vehicle_told(s: State, x: f.VehicleTold) -> tuple[Record, ...]:
    return (replace(s.sessions[x.session_id], car_max_a=x.car_max_a, car_min_a=x.car_min_a),)


def _log_only(_: State, __: object) -> tuple[Record, ...]:
    return ()


def _meter_doubted(s: State, x: f.MeterDoubted) -> tuple[Record, ...]:
    return (replace(s.evses[x.evse_id], doubted_at=x.at),)


def _meter_trusted(s: State, x: f.MeterTrusted) -> tuple[Record, ...]:
    return (replace(s.evses[x.evse_id], doubted_at=None),)


EVOLVE_STATIONS: Final[dict[type[Any], Callable[[State, Any], tuple[Record, ...]]]] = {
    StationAdded: _station_added,
    StationRevoked: _station_revoked,
    f.StationBooted: _booted,
    f.StationLearned: _learned,
    f.StationCalled: _log_only,
    f.EvseFound: _evse_found,
    f.EvseChanged: _evse_changed,
    f.TransactionStarted: _transaction_started,
    f.TransactionEnded: _transaction_ended,
    f.NeedTold: _need_told,
    f.VehicleTold: _vehicle_told,
    f.MeterDoubted: _meter_doubted,
    f.MeterTrusted: _meter_trusted,
}
