"""One server per data folder: a second one would write over the first one's decisions (fault F8)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from emw.app.config import ConfigError


class DataDirBusy(Exception):
    """Another emw runs on this data folder."""


@contextmanager
def only_one(data: Path) -> Generator[None, None, None]:
    """Hold the data folder. Raises DataDirBusy while another process does; the kernel lets go when it dies.

    Raises ConfigError where there can be no such folder.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(data / "emw.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"data_dir: {data} can't be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirBusy(f"another emw already runs on {data}, or waits there as a spare") from error
        yield
    finally:
        os.close(handle)
