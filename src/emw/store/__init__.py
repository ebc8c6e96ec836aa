"""What is remembered: the activity log, the records, telemetry. The only room that knows SQL."""

from emw.store.errors import StoreUnusable
from emw.store.inline import Disk, InlineStore
from emw.store.sqlstore import SqlStore

__all__ = ["Disk", "InlineStore", "SqlStore", "StoreUnusable"]
