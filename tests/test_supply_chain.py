"""What emw is made of is known, whole and unable to run code of its own at an install (A20)."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.test_setup import PINNED, PYPROJECT, ROOT, normal, pins

MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
def test_A20_every_part_is_one_version_known_by_its_hash(path: Path) -> None:
    for name, line in pins(path).items():
        assert re.match(r"\S+==\S+ ", line), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), name
        assert not re.search(r" @ |://|git\+", line), f"{name} comes from somewhere else"


def test_A20_no_script_of_a_part_runs_at_an_install() -> None:
    """Hashes are asked for, and wheels: a source archive would run its own build."""
    installs = [line for line in MAKEFILE.splitlines() if "$(PIP) install" in line and " -r " in line]
    assert len(installs) == 2
    for line in installs:
        assert "--require-hashes" in line
        assert "$(ONLY)" in line
    assert re.search(r"^ONLY \?= --only-binary :all:$", MAKEFILE, re.MULTILINE)


def test_A20_nor_does_one_of_our_own() -> None:
    assert not list(ROOT.glob("setup.*"))
    assert PYPROJECT["build-system"]["build-backend"] == "hatchling.build"
    assert "backend-path" not in PYPROJECT["build-system"]
    assert "hooks" not in PYPROJECT["tool"]["hatch"].get("build", {})


def test_A20_the_bill_of_materials_names_every_part_of_a_release(tmp_path: Path) -> None:
    recipe = re.search(r"cyclonedx-py (requirements .*?)-o \S+", MAKEFILE.replace("\\\n", " "), re.DOTALL)
    assert recipe is not None
    out = tmp_path / "emw.cdx.json"
    command = [str(Path(sys.executable).parent / "cyclonedx-py"), *recipe[1].split(), "-o", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=110)
    bill = json.loads(out.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "emw"
    listed = {normal(part["name"]): part["version"] for part in bill["components"]}
    pinned = pins(ROOT / "requirements/base.txt")
    assert listed == {name: re.split(r"==|[ ;]", line)[1] for name, line in pinned.items()}
    for part in bill["components"]:
        hashes = [h for link in part["externalReferences"] for h in link.get("hashes", ())]
        assert any(h["alg"] == "SHA-256" for h in hashes), part["name"]
