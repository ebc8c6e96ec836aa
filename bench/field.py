"""What the benches of the hot paths share: a plugged-in station, made through the service and not over a socket."""

from __future__ import annotations

from emw.service.headend import HeadEnd
from emw.service.intake import PlugIn, PowerOn

TERRITORY = "East"


async def plugged_in(headend: HeadEnd, evse_id: str, *, access_url: str | None = None) -> str:
    """Enrol a 32 A station, power it on, plug a vehicle in; returns its session token."""
    await headend.admin.add_station("bench", evse_id)
    said = PowerOn(
        evse_id=evse_id,
        model="bench",
        customer_id="bench",
        line_voltage_v=230.0,
        phases=1,
        status="available",
        territory_id=TERRITORY,
        site=None,
        latitude=None,
        longitude=None,
        access_url=access_url,
        max_a=32.0,
    )
    welcome = await headend.intake.power_on(headend.state.stations[evse_id], said)
    car = PlugIn(line_voltage_v=230.0, evse_max_a=32.0, car_max_a=32.0)
    await headend.intake.plugged_in(headend.state.stations[evse_id], evse_id, car)
    return welcome.token
