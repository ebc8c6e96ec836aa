"""A hook of the documentation's build: the console's pictures, where `make shots` has made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

MARK = "<!-- pictures of the console -->"
SHOTS = Path(__file__).resolve().parent.parent / "build" / "shots"


def on_files(files: Any, config: Any) -> Any:
    """The pictures become files of the site; the repository holds none."""
    for shot in sorted(SHOTS.glob("*.png")):
        files.append(File.generated(config, f"shots/{shot.name}", abs_src_path=str(shot)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Where the page marks it, a picture per page and theme."""
    if MARK not in markdown:
        return markdown
    lines = [
        f"![{shot.stem.replace('-', ', ')}](../shots/{shot.name})" for shot in sorted(SHOTS.glob("*.png"))
    ]
    return markdown.replace(MARK, "\n\n".join(lines) or "*`make shots docs` shows pictures of it here.*")
