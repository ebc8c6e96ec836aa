"""The parts that handlers are given by name; `app.py` says where they come from."""

from __future__ import annotations

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from emw.service.headend import HeadEnd
from emw.service.ports import Ids
from emw.web.auth import Auth, Caller
from emw.web.board import Board
from emw.web.live import Feed
from emw.web.metrics import Metrics
from emw.web.places import Ground
from emw.web.readiness import Readiness
from emw.web.settings import WebSettings
from emw.web.tongue import Tongue

TheHeadEnd = NamedDependency[HeadEnd]
TheBoard = NamedDependency[Board]
TheAuth = NamedDependency[Auth]
TheCaller = NamedDependency[Caller]
TheSettings = NamedDependency[WebSettings]
TheFeed = NamedDependency[Feed]
TheMetrics = NamedDependency[Metrics]
ThePlaces = NamedDependency[Ground]
TheReadiness = NamedDependency[Readiness]
TheIds = NamedDependency[SkipValidation[Ids]]
"""A protocol: there is nothing to check at run time."""
TheTongue = NamedDependency[Tongue]
