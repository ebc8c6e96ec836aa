"""Makes docs/reference/cli.md from the commands: `python -m tests.docs.cli_page` writes it, a test holds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

from emw.cli.main import app_for

PAGE: Final = Path(__file__).parents[2] / "docs/reference/cli.md"
HEAD: Final = """# Command line

Made from the commands' own `--help` by `python -m tests.docs.cli_page`; `make test` holds the two together.

- Exit status: 0 done, 1 failed (one sentence on stderr says why), 2 wrong use, 130 stopped by Ctrl-C.
- `--json` prints one JSON document on stdout, for machines.
- `--config` and `--data-dir` name the server that is meant. Commands that change something reach a running server
  through the control socket in its data folder; where none runs they open the folder themselves.
- `emw report` and `emw db` read the database itself; beside a running server see [backup](../howto/backup.md).
- Secrets are shown once, when they are made. Give them to `emw evse` and `emw iso` in the environment
  (`EMW_STATION_SECRET`, `EMW_ISO_TOKEN`), not as an argument.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its full name, as --help lists them."""
    yield from _under("emw", typer.main.get_command(app_for("")))


def _under(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for sub, one in inner.items():
        yield from _under(f"{name} {sub}", one)


def section(name: str, command: Any) -> str:
    """One command: what it does, how it is called, its options."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    called = [name, *(p.name.upper().replace("_", "-") for p in arguments)]
    called += [f"{p.opts[0]} …" for p in options if p.required]
    lines = [f"### `{name}`", "", command.help.strip(), "", "```text", " ".join(called), "```", ""]
    rows = [f"| `{p.name.upper().replace('_', '-')}` | required | {p.help or ''} |" for p in arguments]
    rows += [_row(p) for p in options]
    if rows:
        lines += ["| | default | |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines)


def _row(option: Any) -> str:
    names = ", ".join(f"`{n}`" for n in option.opts)
    if option.required:
        default = "required"
    elif option.default in (None, False, "") or option.is_flag:
        default = ""
    else:
        default = f"`{option.default}`"
    told = option.help or ""
    if option.envvar:
        told = f"{told} Environment: `{option.envvar}`.".strip()
    return f"| {names} | {default} | {told} |"


def page() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n".join(section(name, command) for name, command in commands())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
