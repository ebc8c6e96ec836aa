"""How the facts of stations change the records. Pure, like the rest of evolve."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emw.domain import station_facts as f
from emw.domain.admin_facts import StationAdded, StationRevoked
from emw.domain.model import Evse, Record, Session, Station, StationTraits, Transaction

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


def _powered_on(s: State, x: f.PoweredOn) -> tuple[Record, ...]:
    known = s.evses.get(x.evse_id)
    station = replace(
        s.stations[x.station_id],
        token_hash=x.token_hash,
        token_at=x.at,
        access_url=x.access_url,
        protocol="rest",
        customer_id=s.stations[x.station_id].customer_id or x.customer_id,
    )
    evse = Evse(
        evse_id=x.evse_id,
        station_id=x.station_id,
        territory_id=x.territory_id,
        model=x.model,
        line_voltage_v=x.line_voltage_v,
        phases=x.phases,
        max_a=x.max_a,
        status=x.status,
        powered=True,
        online=True,
        powered_at=x.at,
        may_pause=x.may_pause,
        site=x.site,
        latitude=x.latitude,
        longitude=x.longitude,
        session_id=known.session_id if known else None,
        opted_out_until=known.opted_out_until if known else None,
        doubted_at=known.doubted_at if known else None,
    )
    return (station, evse)


def _powered_off(s: State, x: f.PoweredOff) -> tuple[Record, ...]:
    evse = s.evses[x.evse_id]
    return (
        replace(s.stations[x.station_id], token_hash=None),
        replace(evse, powered=False, online=False, status=x.status or evse.status, offline_since=x.at),
    )


def _session_started(s: State, x: f.SessionStarted) -> tuple[Record, ...]:
    session = Session(
        session_id=x.session_id,
        evse_id=x.evse_id,
        started_at=x.at,
        evse_max_a=x.evse_max_a,
        car_max_a=x.car_max_a,
        vehicle=x.vehicle,
        energy_requested_kwh=x.energy_requested_kwh,
        departure_at=x.departure_at,
        car_min_a=x.car_min_a,
    )
    evse = replace(
        s.evses[x.evse_id],
        session_id=x.session_id,
        line_voltage_v=x.line_voltage_v,
        max_a=x.evse_max_a,
        status="occupied",
    )
    return (session, evse)


def _session_ended(s: State, x: f.SessionEnded) -> tuple[Record, ...]:
    session = s.sessions[x.session_id]
    evse = s.evses[x.evse_id]
    ended = replace(
        session,
        ended_at=x.at,
        end_reason=x.reason,
        energy_kwh=session.energy_kwh if x.energy_kwh is None else x.energy_kwh,
    )
    if evse.session_id != x.session_id:
        return (ended,)
    # A driver's refusal is for his stay: the next car has not refused anything.
    return (ended, replace(evse, session_id=None, status="available", opted_out_until=None))


def _knob(s: State, x: f.KnobTurned) -> tuple[Record, ...]:
    return (replace(s.evses[x.evse_id], max_a=x.max_a),)


def _offline(s: State, x: f.WentOffline) -> tuple[Record, ...]:
    return (replace(s.evses[x.evse_id], online=False, offline_since=x.last_heard_at),)


def _back(s: State, x: f.CameBack) -> tuple[Record, ...]:
    return (replace(s.evses[x.evse_id], online=True, offline_since=None),)


def _opted_out(s: State, x: f.OptedOut) -> tuple[Record, ...]:
    return (replace(s.evses[x.evse_id], opted_out_until=x.until),)


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
        uses=known.uses if known and known.phases == x.phases else None,
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
        uses=evse.uses if x.phases is None else x.uses,
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
    f.PoweredOn: _powered_on,
    f.PoweredOff: _powered_off,
    f.SessionStarted: _session_started,
    f.SessionEnded: _session_ended,
    f.KnobTurned: _knob,
    f.WentOffline: _offline,
    f.CameBack: _back,
    f.OptedOut: _opted_out,
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
