"""The foreign OpenID provider of the tests, on a port of its own."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator


@contextlib.contextmanager
def running_provider() -> Generator[str, None, None]:
    """Its URL. Known there: ann (administrators), opa (desk), and whoever says a name, of no group."""
    with warnings.catch_warnings(record=True):  # it stands on what its own foundation calls old
        import oidc_provider_mock as mock
    people = [
        mock.User(sub="ann", claims={"preferred_username": "Ann A.", "groups": ["staff", "admins"]}),
        mock.User(sub="opa", claims={"preferred_username": "opa", "groups": ["desk"]}),
    ]
    with mock.run_server_in_thread(user_claims=people, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"
