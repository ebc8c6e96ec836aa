"""The station's words on the wire: the station protocol's messages, decoded and encoded once, here."""

from datetime import datetime
from typing import Final

import msgspec

_NAMES: Final = {
    "evse_id": "evseID",
    "evse_model": "evseModel",
    "customer_id": "customerID",
    "line_voltage_v": "lineVoltage",
    "access_url": "accessURL",
    "evse_max_a": "evseMaxAmps",
    "car_max_a": "carMaxAmps",
    "energy_requested_kwh": "energyRequestedKWh",
    "departure_time": "departureTime",
    "current_a": "currentAmps",
    "limit_a": "limitAmps",
    "energy_kwh": "energyKWh",
    "new_max_a": "newMaxAmps",
    "command_id": "commandID",
    "max_a": "maxAmps",
    "heartbeat_s": "heartbeatSeconds",
    "server_time": "serverTime",
    "session_id": "sessionID",
}


class Wire(msgspec.Struct, rename=_NAMES, omit_defaults=True, frozen=True):
    """A message of the station protocol; names with units inside, the protocol's own names outside."""


class Location(Wire, frozen=True):
    """Where a station stands: `territory` names a node of the service tree; degrees are WGS 84."""

    territory: str
    latitude: float | None = None
    longitude: float | None = None
    site: str | None = None


class PowerOn(Wire, frozen=True):
    """`POST /evse/powerOn`."""

    evse_id: str
    evse_model: str
    customer_id: str
    line_voltage_v: float
    status: str
    location: Location
    evse_max_a: float
    phases: int | None = None
    may_pause: bool | None = None
    access_url: str | None = None


class PowerOff(Wire, frozen=True):
    """`POST /evse/powerOff`."""

    evse_id: str
    status: str | None = None


class PlugIntoVehicle(Wire, frozen=True):
    """`POST /evse/plugIntoVehicle`."""

    evse_id: str
    line_voltage_v: float
    evse_max_a: float
    car_max_a: float
    vehicle: str | None = None
    energy_requested_kwh: float | None = None
    departure_time: datetime | None = None


class PlugInHeartBeat(Wire, frozen=True):
    """`POST /evse/plugInHeartBeat`. `limit_a` is always said: null is "not limited", not "not known"."""

    evse_id: str
    timestamp: datetime
    line_voltage_v: float
    current_a: float
    evse_max_a: float
    car_max_a: float
    limit_a: float | None
    energy_kwh: float | None = None


class AdjustedMaxAmps(Wire, frozen=True):
    """`POST /evse/adjustedMaxAmps`: what the station went to, and because of which command."""

    evse_id: str
    new_max_a: float
    command_id: str | None = None


class Unplugged(Wire, frozen=True):
    """`POST /evse/unplugged`."""

    evse_id: str
    energy_kwh: float | None = None


class LimitOrder(Wire, frozen=True):
    """A limit: at most `max_a` until `until`.

    `until` is optional only for the decoder: an order without an end must be seen and reported, not lost as
    noise.
    """

    command_id: str
    max_a: float
    until: datetime | None = None


class Answer(Wire, frozen=True):
    """What the server says to any message after `powerOn`; every answer may carry a limit."""

    limit: LimitOrder | None = None
    session_id: str | None = None


class PowerOnAnswer(Wire, frozen=True):
    """What the server says to `powerOn`."""

    token: str
    heartbeat_s: float
    server_time: datetime | None = None
    limit: LimitOrder | None = None


class AuthWithControl(Wire, frozen=True):
    """`POST /control/authWithControl`: the token that the server will show this station from now on."""

    token: str


class ReturnToNormalAmps(Wire, frozen=True):
    """`POST /control/returnToNormalAmps`."""

    command_id: str


class WentTo(Wire, frozen=True):
    """The answer to a control call: the amps the station went to."""

    max_a: float


class Problem(msgspec.Struct, omit_defaults=True, frozen=True):
    """`application/problem+json`: why a message was refused, and which field is to blame."""

    title: str
    status: int
    field: str | None = None


Said = PowerOn | PowerOff | PlugIntoVehicle | PlugInHeartBeat | AdjustedMaxAmps | Unplugged

PATHS: Final[dict[type, str]] = {
    PowerOn: "/evse/powerOn",
    PowerOff: "/evse/powerOff",
    PlugIntoVehicle: "/evse/plugIntoVehicle",
    PlugInHeartBeat: "/evse/plugInHeartBeat",
    AdjustedMaxAmps: "/evse/adjustedMaxAmps",
    Unplugged: "/evse/unplugged",
}

encode: Final = msgspec.json.Encoder().encode
read_answer: Final = msgspec.json.Decoder(Answer).decode
read_power_on_answer: Final = msgspec.json.Decoder(PowerOnAnswer).decode
read_auth: Final = msgspec.json.Decoder(AuthWithControl).decode
read_order: Final = msgspec.json.Decoder(LimitOrder).decode
read_return: Final = msgspec.json.Decoder(ReturnToNormalAmps).decode
