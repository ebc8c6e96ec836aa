"""The set-up keeps its promises: pinned parts, no foreign hosts, a changelog, short modules."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.needs import CHROMIUM_NAMES, HOW_TO_GET, chromium, require

ROOT: Final = Path(__file__).parent.parent
REQUIREMENTS: Final = sorted((ROOT / "requirements").iterdir())
PINNED: Final = [path for path in REQUIREMENTS if path.suffix == ".txt"]
PYPROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
LONGEST_MODULE: Final = 400

pytest_plugins = ["pytester"]


def normal(name: str) -> str:
    """One spelling per distribution: lower case, hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Each requirement of a pinned file by name, with its hashes and without its comments."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    return {
        normal(re.split(r"[=<>!~;\[\s]", line, maxsplit=1)[0]): line for line in whole.splitlines() if line
    }


def declared() -> list[str]:
    """The names of the runtime dependencies."""
    return [normal(re.split(r"[=<>!~;\[\s]", line)[0]) for line in PYPROJECT["project"]["dependencies"]]


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_name_no_host(path: Path) -> None:
    for line in path.read_text().splitlines():
        assert not re.search(r"://|--index|--extra-index|--find-links|--trusted-host|^-i\b", line)


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
def test_every_requirement_is_one_version_with_a_hash(path: Path) -> None:
    assert pins(path)
    for name, line in pins(path).items():
        assert re.match(r"\S+==\S+ ", line), f"{name} is not pinned"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), f"{name} has no hash"


@pytest.mark.parametrize("name", declared())
def test_runtime_dependency_is_pinned(name: str) -> None:
    assert name in pins(ROOT / "requirements/base.txt"), "run `make requirements`"


def test_build_needs_are_pinned() -> None:
    assert {normal(name) for name in PYPROJECT["build-system"]["requires"]} <= pins(
        ROOT / "requirements/build.txt"
    ).keys()


def test_changelog_has_a_place_for_what_is_new() -> None:
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_modules_are_short_enough_to_hold_in_mind() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in (ROOT / "src/emw").rglob("*.py")
    }
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_MODULE} == {}


@pytest.mark.parametrize("room", ["engine", "service", "stations/ocpp"])
def test_the_map_at_the_head_of_a_large_room_names_every_module(room: str) -> None:
    told = ast.get_docstring(ast.parse((ROOT / "src/emw" / room / "__init__.py").read_text())) or ""
    modules = {path.stem for path in (ROOT / "src/emw" / room).glob("*.py")} - {"__init__"}
    assert modules
    assert modules - set(re.findall(r"\w+", told)) == set()


def test_every_part_has_its_marker() -> None:
    markers = {line.split(":")[0] for line in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    assert markers == {"slow", "alone", *HOW_TO_GET}


@pytest.mark.parametrize("what", sorted(HOW_TO_GET))
def test_a_missing_part_is_skipped_with_a_hint(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMW_REQUIRE", "")
    with pytest.raises(pytest.skip.Exception, match=re.escape(f"not there: {HOW_TO_GET[what]}")):
        require(what, "not there")


@pytest.mark.parametrize("what", sorted(HOW_TO_GET))
def test_a_missing_part_that_is_required_fails(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMW_REQUIRE", ", ".join(HOW_TO_GET))
    with pytest.raises(pytest.fail.Exception, match=f"EMW_REQUIRE={what}, but not there"):
        require(what, "not there")


def test_a_misspelt_part_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMW_REQUIRE", "browser,postgers")
    with pytest.raises(pytest.UsageError, match="names postgers; it may name browser, postgres, curl"):
        require("browser", "not there")


def test_chromium_is_looked_for_where_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    browser = tmp_path / CHROMIUM_NAMES[0]
    browser.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("EMW_CHROMIUM", raising=False)
    assert chromium() == str(browser)
    monkeypatch.setenv("EMW_CHROMIUM", str(tmp_path / "nowhere"))
    monkeypatch.setenv("EMW_REQUIRE", "")
    with pytest.raises(pytest.skip.Exception, match=r"there is no .*nowhere"):
        chromium()


@pytest.mark.parametrize(("needed", "failed", "skipped"), [("", 0, 3), ("postgres", 1, 1)])
def test_no_required_skip_goes_unseen(
    needed: str, failed: int, skipped: int, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMW_REQUIRE", needed)
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text())
    pytester.makepyprojecttoml(
        '[tool.pytest.ini_options]\nmarkers = ["browser", "postgres"]\n'
        'asyncio_default_fixture_loop_scope = "function"'
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.browser
        def test_other_part(): pytest.skip("no browser")

        @pytest.mark.postgres
        def test_skips_within(): pytest.skip("no server")

        @pytest.mark.postgres
        @pytest.mark.skipif(True, reason="not today")
        def test_skipped_before(): ...

        @pytest.mark.postgres
        @pytest.mark.xfail(reason="known")
        def test_expected_failure(): raise ValueError
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.assert_outcomes(failed=failed, errors=failed, skipped=skipped, xfailed=1)
