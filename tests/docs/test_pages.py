"""What the pages link to is there, what they tell people to type exists, and they speak of the project only."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import msgspec
import pytest

from emw.grid import iso
from emw.stations import rest
from tests.docs.cli_page import commands as cli_commands
from tests.docs.pages import DOCS, LINK, PAGES, ROOT, anchors, commands, fenced, name, prose

CLI: Final = dict(cli_commands())
BODIES: Final[dict[str, type[msgspec.Struct]]] = {
    "/evse/powerOn": rest.PowerOnIn,
    "/evse/powerOff": rest.PowerOffIn,
    "/evse/plugIntoVehicle": rest.PlugInIn,
    "/evse/plugInHeartBeat": rest.HeartBeatIn,
    "/evse/adjustedMaxAmps": rest.AdjustedIn,
    "/evse/unplugged": rest.UnpluggedIn,
    "/iso/connected": iso.ConnectedIn,
    "/iso/decrease": iso.DecreaseIn,
    "/iso/returnToNormal": iso.ReturnIn,
}
TOOLS: Final = {
    *(
        "cat",
        "cd",
        "cp",
        "curl",
        "echo",
        "export",
        "kill",
        "mkdir",
        "openssl",
        "python3",
        "sh",
        "sleep",
        "tail",
    ),
    *("jq", "read"),
}
FORBIDDEN: Final = {
    "a path of somebody's machine": r"(?<![\w.])/(home|root|work|Users|mnt)/",
    "a package registry's host": r"pypi\.org|pythonhosted|npmjs|docker\.io|ghcr\.io|quay\.io|index-url",
    "an issue's number": r"(?<![\w&/(])#\d+\b",
}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    for target in (m["target"] for m in LINK.finditer(prose(path))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        aim = path if not file else (path.parent / file).resolve()
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), target


def test_the_first_page_leads_to_every_page_but_single_decisions() -> None:
    first = DOCS / "index.md"
    named = {m["target"].partition("#")[0] for m in LINK.finditer(first.read_text(encoding="utf-8"))}
    pages = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md") if p != first}
    assert {p for p in pages - named if not p.startswith("adr/0")} == set()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_speaks_of_what_is_not_the_project(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert {what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)} == set()


def test_every_page_is_in_the_navigation() -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- (\S+\.md)$", config, re.MULTILINE)
    assert sorted(listed) == sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))


def test_every_decision_is_in_the_index_and_has_its_parts() -> None:
    index = (DOCS / "adr/index.md").read_text(encoding="utf-8")
    for path in sorted((DOCS / "adr").glob("[0-9]*.md")):
        text = path.read_text(encoding="utf-8")
        assert f"({path.name})" in index
        for part in ("## Context", "## Options", "## Choice", "## Consequences", "## What would change it"):
            assert part in text, f"{path.name}: {part}"


# --- what people type


def typed() -> list[tuple[str, str]]:
    """Every shell command of every page."""
    return [(name(path), line) for path in PAGES for line in commands(path)]


def words_of(line: str) -> list[list[str]]:
    """The simple commands of a line, as words; variables set before a command are left out."""
    line = re.sub(r"'?\$\(date [^)]*\)'?", "2030-01-01T00:00:00Z", line)
    line = re.sub(r"\w+=\$\((.*)\)\s*$", r"\1", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    simple: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;<>"):
            simple.append(["cat"] if set(word) <= set("<>") else [])  # a file to read or write is no command
        elif not simple[-1] and (re.match(r"[A-Z][A-Z0-9_]*=", word) or word in {"do", "done", "while"}):
            continue
        else:
            simple[-1].append(word)
    return [s for s in simple if s]


@pytest.mark.parametrize(("page", "line"), typed())
def test_what_a_page_tells_to_type_exists(page: str, line: str) -> None:
    for words in words_of(line):
        first = words[0].rpartition("/")[2]
        if first == "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            targets = [w for w in words[1:] if "=" not in w]
            assert all(re.search(rf"^{t}:", makefile, re.MULTILINE) for t in targets), words
        elif first == "emw":
            check_emw(words[1:])
        elif first == "curl":
            check_curl(words)
        else:
            known = first in TOOLS or re.match(r"\w+=", words[0]) or Path(ROOT / words[0]).exists()
            assert known, f"{page}: {words}"


def check_emw(words: list[str]) -> None:
    """A command of ours with options it has."""
    name = "emw"
    while words and f"{name} {words[0]}" not in CLI and not words[0].startswith("-"):
        if not any(known.startswith(f"{name} {words[0]} ") for known in CLI):
            break
        name, words = f"{name} {words[0]}", words[1:]
    if words and words[0] in {"-h", "--help", "--install-completion", "--show-completion"}:
        return
    assert words, name
    name, words = f"{name} {words[0]}", words[1:]
    assert name in CLI, name
    options = {o for p in CLI[name].params for o in p.opts} | {"-h", "--help"}
    assert {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)} <= options, words


def check_curl(words: list[str]) -> None:
    """A message that its door would take."""
    path = next((w.removeprefix("$EMW") for w in words if w.startswith("$EMW")), None)
    if path is None:
        return
    if "-d" not in words:
        assert path.startswith("/iso/requests"), path
        return
    msgspec.json.decode(words[words.index("-d") + 1], type=BODIES[path])


def test_the_readme_shows_every_message_of_both_protocols() -> None:
    shown = " ".join(commands(ROOT / "README.md"))
    assert {path for path in BODIES if f"$EMW{path}" in shown} == set(BODIES)


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_json_and_toml_on_the_pages_can_be_read(path: Path) -> None:
    import tomllib

    for text in fenced(path, "json"):
        msgspec.json.decode(text)
    for text in fenced(path, "toml"):
        tomllib.loads(text)
