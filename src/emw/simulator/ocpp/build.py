"""A station that speaks the version it is to speak."""

from random import Random

from emw.simulator.backoff import BackOff
from emw.simulator.hardware import Hardware
from emw.simulator.identity import Identity
from emw.simulator.ocpp import calls16, calls201
from emw.simulator.ocpp.habits import Version
from emw.simulator.ocpp.station import OcppStation, Ways
from emw.simulator.ocpp.voice16 import Voice16
from emw.simulator.ocpp.voice201 import Voice201


def station_of(
    identity: Identity,
    hardware: Hardware,
    rng: Random,
    ways: Ways,
    *,
    backoff: BackOff | None = None,
    silent: bool = False,
) -> OcppStation:
    """An OCPP station, off the network."""
    if ways.version is Version.V16:
        voice, answer = Voice16(), calls16.answer
    else:
        voice, answer = Voice201(), calls201.answer  # type: ignore[assignment]
    return OcppStation(identity, hardware, rng, ways, voice, answer, backoff=backoff, silent=silent)
