"""The command line: `emw serve | demo | evse | fleet | iso | station | territory | report | doctor | db …`."""

from emw.cli.main import main

__all__ = ["main"]
