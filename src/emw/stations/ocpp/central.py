"""The parts of the central system put together: who keeps the connections, what is said over them, and to whom."""

from __future__ import annotations

from random import Random

from emw.service.headend import HeadEnd
from emw.stations.ocpp.boots import Boots
from emw.stations.ocpp.console import Console
from emw.stations.ocpp.hub import Hub
from emw.stations.ocpp.limits import OcppLink
from emw.stations.ocpp.meters import Meters
from emw.stations.ocpp.questions import questions_for
from emw.stations.ocpp.settings import OcppSettings
from emw.stations.ocpp.v16 import V16
from emw.stations.ocpp.v201 import V201
from emw.stations.ocpp.watching import watched_16, watched_201
from emw.stations.ocppj import Version


def central(headend: HeadEnd, link: OcppLink, chance: Random, settings: OcppSettings) -> Hub:
    """A central system for stations of all versions, to which `link` sends."""
    hub = Hub(headend, settings, questions_for)
    boots = Boots(hub, chance)
    old, new = V16(hub, boots), V201(hub, boots)
    hub.speak(Version.V16, old, watched_16(old))
    for version in (Version.V201, Version.V21):
        hub.speak(version, new, watched_201(new))
    hub.meters = meters = Meters(hub)
    headend.watch.knows = meters.meters_still
    headend.console = hub.console = Console(hub)
    link.hub = hub
    headend.dispatch.picture.asking.away = link.is_away
    return hub
