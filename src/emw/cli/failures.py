"""What ends a command with one sentence instead of a traceback."""

from __future__ import annotations

from typing import Final

from emw.app.clock import ClockWrong
from emw.app.config import ConfigError
from emw.app.lock import DataDirBusy
from emw.cli.control import ControlError, WrongUse
from emw.cli.show import say_error
from emw.service.errors import BadInput, EmwError

KNOWN: Final = (ClockWrong, ConfigError, ControlError, DataDirBusy, EmwError)


def say_failure(error: Exception) -> int:
    """Say it on stderr. Returns the exit status."""
    say_error(str(error))
    return 2 if isinstance(error, BadInput | WrongUse) else 1
