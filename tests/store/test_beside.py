"""Promise P1 beside other processes: who reads a running server's database must not cost it its write-ahead log."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from emw.domain.facts import StationAdded
from emw.domain.fold import apply
from emw.store import SqlStore, maintenance

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def test_P1_a_reader_in_another_process_leaves_the_log_of_a_running_server_in_place(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'emw.db'}"
    store = SqlStore(url)
    loaded = await store.load()
    await store.query("counts")  # the readers' connections are open too
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select 1 from meta'); c.close()"
    for number in range(3):
        fact = StationAdded(at=AT, actor="test", station_id=f"s{number}", secret_hash="0" * 64)
        records, _ = apply(loaded.state, fact)
        await store.commit([fact], list(records))
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "emw.db")], check=True)  # noqa: ASYNC221 - the other process is the test
        assert maintenance.check(url)["ok"]
        wal = tmp_path / "emw.db-wal"
        assert wal.exists(), number
    assert (await store.query("counts"))[0]["activity"] == 3
    await store.close()
