"""The head-end behind its doors, one per test."""

from collections.abc import AsyncGenerator

import pytest

from tests.doors.house import House, house


@pytest.fixture
async def emw() -> AsyncGenerator[House, None]:
    """A head-end that may call nobody."""
    async with house() as running:
        yield running
