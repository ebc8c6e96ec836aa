"""What the tests of the documentation read: the pages, their links, their fenced commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def name(path: Path) -> str:
    """A page as people call it."""
    return str(path.relative_to(ROOT))


def fenced(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language, without their indent."""
    text = path.read_text(encoding="utf-8")
    return [
        re.sub(rf"^{m['indent']}", "", m["text"], flags=re.MULTILINE)
        for m in FENCE.finditer(text)
        if m["language"] == language
    ]


def commands(path: Path) -> list[str]:
    """Every shell command of a page, one a line, continuations joined and comments cut off."""
    lines: list[str] = []
    for raw in fenced(path, "sh"):
        block = re.sub(r"<<'(\w+)'\n.*?\n\1\n", "\n", raw, flags=re.DOTALL)  # here-documents are data
        joined = ""
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            joined = f"{joined} {line.strip()}" if joined else line.strip()
            if joined.count("'") % 2 == 0:  # a quoted body may run over several lines
                lines.append(re.sub(r"\s+#.*$", "", joined) if joined.count("'") == 0 else joined)
                joined = ""
    return [line for line in lines if line and not line.startswith("#")]


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    found = set()
    for line in prose(path).splitlines():
        if line.startswith("#"):
            plain = re.sub(r"[^\w\s-]", "", line.lstrip("#").strip().replace("`", "").lower())
            found.add(re.sub(r"[\s-]+", "-", plain).strip("-"))
    return found
