"""What some tests need beyond Python, and what to say when it is missing.

A test that needs Chromium, PostgreSQL or curl carries the marker of that name and skips where the part is
missing: `make test` works on a bare machine. `EMW_REQUIRE=browser,postgres,curl` turns those skips into failures,
so that a machine meant to have the parts cannot pass by leaving tests out.
"""

import os
import shutil
from typing import Final, NoReturn

import pytest

HOW_TO_GET: Final = {
    "browser": "install Chromium (Debian: apt-get install -y chromium) or set EMW_CHROMIUM to its path",
    "postgres": "run `make`, which installs a PostgreSQL that needs no set-up",
    "curl": "install curl (Debian: apt-get install -y curl)",
}

CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def required() -> frozenset[str]:
    """The parts that EMW_REQUIRE names: their absence is a failure, not a skip."""
    words = {word.strip() for word in os.environ.get("EMW_REQUIRE", "").split(",")} - {""}
    if unknown := words - HOW_TO_GET.keys():
        msg = f"EMW_REQUIRE names {', '.join(sorted(unknown))}; it may name {', '.join(HOW_TO_GET)}"
        raise pytest.UsageError(msg)
    return frozenset(words)


def require(what: str, reason: str) -> NoReturn:
    """Leave the running test because `what` is missing: fail where EMW_REQUIRE names it, else skip.

    Call it once the part is known to be missing. Either way the message says how to get the part.
    """
    message = f"{reason}: {HOW_TO_GET[what]}"
    if what in required():
        pytest.fail(f"EMW_REQUIRE={what}, but {message}", pytrace=False)
    pytest.skip(message)


def chromium() -> str:
    """The path of Chromium, or leave the running test."""
    names = [os.environ["EMW_CHROMIUM"]] if "EMW_CHROMIUM" in os.environ else CHROMIUM_NAMES
    for name in names:
        if path := shutil.which(name):
            return path
    require("browser", f"there is no {' or '.join(names)}")
