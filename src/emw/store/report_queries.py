"""The questions behind the monthly report: where each EVSE is and whose."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from emw.store import schema

Rows = list[dict[str, Any]]


def places(connection: sa.Connection, limit: int = 10_000_000) -> Rows:
    """Each EVSE with its site, its territory and the customer of its station, by id."""
    e, s = schema.metadata.tables["evses"], schema.metadata.tables["stations"]
    query = (
        sa.select(e.c.evse_id, e.c.site, e.c.territory_id, s.c.customer_id)
        .join_from(e, s, e.c.station_id == s.c.station_id, isouter=True)
        .order_by(e.c.evse_id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


QUESTIONS: Final = (places,)
