"""What holds for all tests: one whose part is required by EMW_REQUIRE may not skip (see tests/needs.py)."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Generator, Mapping

import pytest
import structlog
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from emw.web import passwords
from tests.loop import OwnTimeLoop
from tests.needs import required
from tests.postgres import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]  # fixtures, for every room

# No example fails for having taken long: that measures the machine and what else runs on it. Speed has its benches.
settings.register_profile("emw", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("emw")

# A password's hash is dear on purpose, and a login stands at the beginning of hundreds of tests. What the real one
# costs is held by tests/web/test_login.py.
DEAR = passwords._HASHER
setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))  # noqa: B010 - it is Final


def pytest_configure() -> None:
    """Say at once when EMW_REQUIRE names something unknown."""
    required()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Let every coroutine of a test run in a loop that does not count what others take of the machine."""
    return {"own time": OwnTimeLoop}


@pytest.fixture(scope="session", autouse=True)
def _tables_of_characters() -> None:
    """Let Hypothesis make its tables of characters: on a fresh clone it takes seconds, which are no test's own."""
    st.text().validate()


@pytest.fixture(autouse=True)
def _logs_as_they_come() -> None:
    """No test hears less because one before it set up the logs of a process."""
    structlog.reset_defaults()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where the test's marker is required, however the skip came about."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        missing = sorted(what for what in required() if item.get_closest_marker(what))
        if missing:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome = "failed"
            report.longrepr = f"EMW_REQUIRE={','.join(missing)} allows no skip of {item.nodeid}: {reason}"
    return report
