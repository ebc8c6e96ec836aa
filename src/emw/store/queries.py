"""The named read-only questions. Rows are plain dicts of Python values, newest first; no secret is among them.

Every value that a caller gives is a bound parameter. A name or parameter that is not here is `BadInput`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from emw.domain.facts import FACTS, SECRET_FIELDS
from emw.domain.model import RequestState
from emw.service.errors import BadInput
from emw.store import schema
from emw.store.evidence_queries import QUESTIONS
from emw.store.rows import shown
from emw.store.telemetry import INTERVAL

Rows = list[dict[str, Any]]
Question = Callable[..., Rows]

INTERVAL_H: Final = INTERVAL.total_seconds() / 3600.0
MOST: Final = 10_000_000
"""The most rows one answer may have."""

_QUESTIONS: Final[dict[str, Question]] = {question.__name__: question for question in QUESTIONS}


def ask(connection: sa.Connection, name: str, parameters: dict[str, Any]) -> Rows:
    """Rows of the question `name`."""
    question = _QUESTIONS.get(name)
    if question is None:
        raise BadInput("name", f"there is no question {name!r}; there is {', '.join(sorted(_QUESTIONS))}")
    known = inspect.signature(question).parameters
    for given in parameters:
        if given == "connection" or given not in known:
            raise BadInput(given, f"{name} takes no such parameter")
    for wanted, parameter in known.items():
        if (
            wanted != "connection"
            and parameter.default is inspect.Parameter.empty
            and wanted not in parameters
        ):
            raise BadInput(wanted, f"{name} needs it")
    for given, value in parameters.items():
        _check(given, value)
    return question(connection, **parameters)


def names() -> tuple[str, ...]:
    """Every question there is."""
    return tuple(sorted(_QUESTIONS))


def _check(name: str, value: Any) -> None:
    """Refuse what a database would choke on, before it does."""
    if value is None:
        return
    if name in {"since", "until", "before"}:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise BadInput(name, "must be a time with its offset")
    elif name in {"limit", "offset", "before_seq"}:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0 or value > 2**62:
            raise BadInput(name, "must be a whole number, 0 or more")
    elif name == "open":
        if not isinstance(value, bool):
            raise BadInput(name, "must be true or false")
    elif name == "territory_ids":
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise BadInput(name, "must be a list of names")
        for item in value:
            _check_text(name, item)
    else:
        _check_text(name, value)


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise BadInput(name, "must be text")
    if "\0" in value:
        raise BadInput(name, "must not contain NUL")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadInput(name, "must be valid Unicode") from error


def _question(function: Question) -> Question:
    _QUESTIONS[function.__name__] = function
    return function


def _told(table: sa.Table, *without: str) -> list[sa.Column[Any]]:
    hidden = {*SECRET_FIELDS, *without}
    return [c for c in table.columns if c.name not in hidden and not c.name.endswith("_hash")]


def _plain(rows: Iterable[sa.RowMapping]) -> Rows:
    return [dict(row) for row in rows]


def _between(column: Any, since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    """Since is included, until is not."""
    return [
        *([column >= since] if since is not None else []),
        *([column < until] if until is not None else []),
    ]


def _equal(table: sa.Table, **values: Any) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in values.items() if value is not None]


def _limited(limit: int) -> int:
    return min(limit, MOST)


@_question
def activity(
    connection: sa.Connection,
    kind: str | None = None,
    evse_id: str | None = None,
    station_id: str | None = None,
    request_key: str | None = None,
    iso_id: str | None = None,
    territory_id: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: str | None = None,
    before_seq: int | None = None,
    limit: int = 200,
) -> Rows:
    """The log, newest first: seq, at, kind, actor, what it is about, and the fact itself as `payload`."""
    if kind is not None and kind not in FACTS:
        raise BadInput("kind", f"there is no fact named {kind!r}")
    a = schema.activity
    query = sa.select(*_told(a, "chain")).where(
        *_equal(
            a,
            kind=kind,
            evse_id=evse_id,
            station_id=station_id,
            request_key=request_key,
            iso_id=iso_id,
            territory_id=territory_id,
            actor=actor,
        ),
        *_between(a.c.at, since, until),
    )
    if text:
        query = query.where(_has(a, text))
    if before_seq is not None:
        query = query.where(a.c.seq < before_seq)
    rows = connection.execute(query.order_by(a.c.seq.desc()).limit(_limited(limit))).mappings()
    return [{**row, "payload": shown(row["payload"])} for row in rows]


def _has(a: sa.Table, text: str) -> sa.ColumnElement[bool]:
    """Rows that say `text`, in any case, outside of what no reader is shown: a search must not be a way to guess it."""
    secret = [kind for kind, fact in FACTS.items() if SECRET_FIELDS & set(fact.__dataclass_fields__)]
    said = a.c.payload.icontains(text, autoescape=True) & a.c.kind.not_in(secret)
    columns = (
        a.c.kind,
        a.c.actor,
        a.c.evse_id,
        a.c.station_id,
        a.c.request_key,
        a.c.iso_id,
        a.c.territory_id,
    )
    return sa.or_(said, *(c.icontains(text, autoescape=True) for c in columns))


@_question
def sessions(
    connection: sa.Connection,
    evse_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    open: bool | None = None,  # noqa: A002 - the name that callers use
    before: datetime | None = None,
    limit: int = 200,
) -> Rows:
    """Sessions by their start, newest first. `before`: started earlier than this (the next page)."""
    s = schema.metadata.tables["sessions"]
    query = sa.select(*_told(s)).where(*_equal(s, evse_id=evse_id), *_between(s.c.started_at, since, until))
    if open is not None:
        query = query.where(s.c.ended_at.is_(None) if open else s.c.ended_at.is_not(None))
    if before is not None:
        query = query.where(s.c.started_at < before)
    query = query.order_by(s.c.started_at.desc(), s.c.session_id).limit(_limited(limit))
    return _plain(connection.execute(query).mappings())


@_question
def visits(connection: sa.Connection, since: datetime, limit: int = 200) -> Rows:
    """Sessions begun since then, newest first. `most_kw`: the highest five-minute mean metered of each."""
    s, i = schema.metadata.tables["sessions"], schema.telemetry_intervals
    most = sa.select(sa.func.max(i.c.mean_kw)).where(
        i.c.evse_id == s.c.evse_id, i.c.interval_start >= s.c.started_at, i.c.interval_start < s.c.ended_at
    )
    columns = (s.c.evse_id, s.c.started_at, s.c.ended_at, s.c.energy_kwh, s.c.evse_max_a, s.c.car_max_a)
    query = sa.select(*columns, most.scalar_subquery().label("most_kw")).where(s.c.started_at >= since)
    return _plain(connection.execute(query.order_by(s.c.started_at.desc()).limit(_limited(limit))).mappings())


@_question
def transactions(
    connection: sa.Connection,
    station_id: str | None = None,
    transaction_id: str | None = None,
    limit: int = 200,
) -> Rows:
    """Transactions by their start, newest first; one whose start was never told comes last."""
    t = schema.metadata.tables["transactions"]
    query = sa.select(*_told(t)).where(*_equal(t, station_id=station_id, transaction_id=transaction_id))
    query = query.order_by(sa.nulls_last(t.c.started_at.desc()), t.c.transaction_id).limit(_limited(limit))
    return _plain(connection.execute(query).mappings())


@_question
def evses(
    connection: sa.Connection,
    territory_ids: Sequence[str] | None = None,
    evse_id: str | None = None,
    limit: int = 200,
    offset: int = 0,
) -> Rows:
    """EVSEs by id."""
    e = schema.metadata.tables["evses"]
    query = sa.select(*_told(e)).where(*_equal(e, evse_id=evse_id))
    if territory_ids is not None:
        query = query.where(e.c.territory_id.in_(list(territory_ids)))
    query = query.order_by(e.c.evse_id).limit(_limited(limit)).offset(offset)
    return _plain(connection.execute(query).mappings())


@_question
def requests(
    connection: sa.Connection, iso_id: str | None = None, state: str | None = None, limit: int = 200
) -> Rows:
    """Reduction requests, newest first."""
    if state is not None and state not in set(RequestState):
        raise BadInput("state", f"is none of {', '.join(RequestState)}")
    r = schema.metadata.tables["requests"]
    query = sa.select(*_told(r)).where(*_equal(r, iso_id=iso_id, state=state))
    query = query.order_by(r.c.received_at.desc(), r.c.request_key).limit(_limited(limit))
    return _plain(connection.execute(query).mappings())


@_question
def request(connection: sa.Connection, request_key: str) -> Rows:
    """One reduction request, or none."""
    r = schema.metadata.tables["requests"]
    return _plain(connection.execute(sa.select(*_told(r)).where(r.c.request_key == request_key)).mappings())


@_question
def enrolments(connection: sa.Connection, request_key: str, limit: int = 200, offset: int = 0) -> Rows:
    """Who takes or took part in a request, by EVSE id; one that came back has a row for each of its parts."""
    e = schema.metadata.tables["enrolments"]
    query = sa.select(*_told(e)).where(e.c.request_key == request_key)
    query = query.order_by(e.c.evse_id, e.c.part).limit(_limited(limit)).offset(offset)
    return _plain(connection.execute(query).mappings())


@_question
def parts(connection: sa.Connection, since: datetime, limit: int = 200_000) -> Rows:
    """What EVSEs gave to requests, parts that have ended since then, newest first."""
    e = schema.metadata.tables["enrolments"]
    columns = (e.c.evse_id, e.c.request_key, e.c.part, e.c.left_at, e.c.measured_kwh)
    query = sa.select(*columns).where(e.c.left_at >= since).order_by(e.c.left_at.desc(), e.c.evse_id)
    return _plain(connection.execute(query.limit(_limited(limit))).mappings())


@_question
def intervals(connection: sa.Connection, request_key: str) -> Rows:
    """A request's report intervals, newest first."""
    i = schema.metadata.tables["intervals"]
    query = sa.select(*_told(i)).where(i.c.request_key == request_key).order_by(i.c.start_at.desc())
    return _plain(connection.execute(query).mappings())


@_question
def load_intervals(
    connection: sa.Connection, territory_id: str, since: datetime | None = None, until: datetime | None = None
) -> Rows:
    """What a territory drew and would have drawn, oldest first: intervals in the time asked or reaching into it."""
    i = schema.metadata.tables["load_intervals"]
    query = sa.select(*_told(i)).where(i.c.territory_id == territory_id)
    if since is not None:
        query = query.where(i.c.end_at > since)
    if until is not None:
        query = query.where(i.c.start_at < until)
    return _plain(connection.execute(query.order_by(i.c.start_at)).mappings())


@_question
def telemetry(
    connection: sa.Connection,
    evse_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1_000,
) -> Rows:
    """One EVSE's readings, newest first."""
    t = schema.telemetry
    query = sa.select(t).where(t.c.evse_id == evse_id, *_between(t.c.at, since, until))
    return _plain(connection.execute(query.order_by(t.c.at.desc()).limit(_limited(limit))).mappings())


@_question
def telemetry_intervals(
    connection: sa.Connection,
    evse_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 10_000,
) -> Rows:
    """Five-minute means, newest first."""
    i = schema.telemetry_intervals
    query = sa.select(*_told(i, "stale")).where(
        i.c.samples > 0, *_equal(i, evse_id=evse_id), *_between(i.c.interval_start, since, until)
    )
    query = query.order_by(i.c.interval_start.desc(), i.c.evse_id).limit(_limited(limit))
    return _plain(connection.execute(query).mappings())


@_question
def load_curve(
    connection: sa.Connection, since: datetime | None = None, until: datetime | None = None
) -> Rows:
    """The load of all EVSEs per interval: the sum of their mean kW, and how many reported; oldest first.

    `shed_kw`: how much more those who were held are believed to have drawn without that; None where nobody was.
    """
    i, c = schema.telemetry_intervals, schema.counterfactuals
    kwh = sa.func.sum((c.c.baseline_kw - c.c.load_kw) * c.c.seconds) / 3600.0
    shed = (
        sa.select(c.c.interval_start, (kwh / INTERVAL_H).label("shed_kw"))
        .where(*_between(c.c.interval_start, since, until))
        .group_by(c.c.interval_start)
        .subquery()
    )
    load = (
        sa.select(i.c.interval_start, sa.func.sum(i.c.mean_kw).label("kw"), sa.func.count().label("evses"))
        .where(i.c.samples > 0, *_between(i.c.interval_start, since, until))
        .group_by(i.c.interval_start)
        .subquery()
    )
    query = (
        sa.select(load, shed.c.shed_kw)
        .join_from(load, shed, load.c.interval_start == shed.c.interval_start, isouter=True)
        .order_by(load.c.interval_start)
    )
    return _plain(connection.execute(query).mappings())


@_question
def counts(connection: sa.Connection) -> Rows:
    """One row: facts in the log, EVSEs, sessions open, requests live, reports owed."""
    tables = schema.metadata.tables
    live = schema.LIVE
    owed, open_sessions = live["reports"], live["sessions"]
    r = tables["requests"].c

    def count(name: str, *where: Any) -> Any:
        return sa.select(sa.func.count()).select_from(tables[name]).where(*where).scalar_subquery()

    query = sa.select(
        # Numbers have no gaps, so the last one is the count: no scan of the log.
        sa.func.coalesce(sa.select(sa.func.max(schema.activity.c.seq)).scalar_subquery(), 0).label(
            "activity"
        ),
        count("territories").label("territories"),
        count("stations").label("stations"),
        count("evses").label("evses"),
        count("sessions", open_sessions).label("sessions_open"),
        count("requests").label("requests"),
        count("requests", r.state.in_(["pending", "active", "restoring"])).label("requests_live"),
        count("reports", owed).label("reports_owed"),
    )
    return _plain(connection.execute(query).mappings())
