"""Readers of recorded sessions: the project's CSV, ACN-Data's own JSON, and the sample that comes with emw."""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from emw.simulator.sessions import Session, car_max_a

_ACN_SITES: Final = {"1": "jpl", "2": "caltech"}
_SAMPLE: Final = "acn_sample.csv.gz"


class BadRecord(ValueError):
    """A session record can't be read; the message says which one and which field."""


def sample(seed: int = 0) -> list[Session]:
    """The recorded sessions that come with emw: see `data/README.md` for source, licence and credit."""
    packed = files("emw.simulator").joinpath("data", _SAMPLE).read_bytes()
    return read_csv(io.StringIO(gzip.decompress(packed).decode()), seed)


def read(path: Path, seed: int = 0) -> list[Session]:
    """Read recorded sessions by the kind of file: `.json` is ACN-Data's own form, else CSV; `.gz` of either."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    if ".json" in path.suffixes:
        return read_acn_json(raw, seed)
    return read_csv(io.StringIO(raw.decode("utf-8-sig"), newline=""), seed)


def read_csv(lines: Iterable[str], seed: int = 0) -> list[Session]:
    """CSV with `session_id, site, evse_id, plug_utc, unplug_utc, est_unplug_utc, energy_kwh, requested_kwh, claimed,
    tz`. What an unclaimed session (`claimed` 0) says of departure and need is a placeholder and left out.
    """
    return list(_sessions_of(csv.DictReader(lines), seed))


def read_acn_json(raw: bytes, seed: int = 0) -> list[Session]:
    """ACN-Data's API: `_items` (or a bare list) with RFC-1123 times; the last of a driver's inputs counts."""
    try:
        decoded = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise BadRecord(f"this is no JSON: {error}") from error
    items = decoded.get("_items", []) if isinstance(decoded, dict) else decoded
    if not isinstance(items, list):
        raise BadRecord("ACN-Data JSON has a list of sessions, bare or under _items")
    found = []
    for number, item in enumerate(items, start=1):
        try:
            session = _acn_session(item, seed)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadRecord(f"session {number}: {error!r}") from error
        if session is not None:
            found.append(session)
    return found


def _sessions_of(rows: Iterable[Mapping[str, str]], seed: int) -> Iterator[Session]:
    for number, row in enumerate(rows, start=1):
        try:
            told = row.get("claimed", "1") != "0"
            session = Session(
                session_id=row["session_id"],
                site=row["site"],
                evse_id=row["evse_id"],
                plug=_iso(row["plug_utc"]),
                unplug=_iso(row["unplug_utc"]),
                energy_kwh=float(row["energy_kwh"]),
                departure=_iso(row["est_unplug_utc"]) if told and row.get("est_unplug_utc") else None,
                requested_kwh=float(row["requested_kwh"]) if told and row.get("requested_kwh") else None,
                tz=row.get("tz") or "UTC",
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadRecord(f"row {number}: {error!r}") from error
        if session.unplug > session.plug and session.energy_kwh >= 0.0:
            yield _with_amps(session, seed)


def _acn_session(item: Mapping[str, Any], seed: int) -> Session | None:
    """One item; None for what ACN-Data also has: sessions without an end, an energy or a length."""
    if item.get("disconnectTime") is None or item.get("kWhDelivered") is None:
        return None
    plug, unplug = _rfc1123(item["connectionTime"]), _rfc1123(item["disconnectTime"])
    if unplug <= plug:
        return None
    inputs = item.get("userInputs") or [{}]
    told = inputs[-1]
    done = item.get("doneChargingTime")
    site_id = str(item.get("siteID", "acn"))
    site = _ACN_SITES.get(site_id.lstrip("0"), site_id)
    departure = told.get("requestedDeparture")
    requested = told.get("kWhRequested")
    session = Session(
        session_id=str(item.get("sessionID") or item["_id"]),
        site=site,
        evse_id=f"{site}:{item.get('spaceID') or item['stationID']}",
        plug=plug,
        unplug=unplug,
        energy_kwh=float(item["kWhDelivered"]),
        departure=None if departure is None else _rfc1123(departure),
        requested_kwh=None if requested is None else float(requested),
        tz=item.get("timezone") or "America/Los_Angeles",
    )
    charging_s = None if done is None else (min(_rfc1123(done), unplug) - plug).total_seconds()
    return _with_amps(session, seed, charging_s)


def _with_amps(session: Session, seed: int, charging_s: float | None = None) -> Session:
    """Amps by chance, but the same for the same session in any order and any file."""
    rng = Random(f"{seed}:{session.session_id}")
    return replace(session, max_a=car_max_a(session, rng, charging_s=charging_s))


def _iso(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return at.astimezone(UTC)


def _rfc1123(text: str) -> datetime:
    at = parsedate_to_datetime(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
