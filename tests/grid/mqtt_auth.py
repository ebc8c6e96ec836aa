"""For the broker of the tests: lets in who shows a token of the VTN as password."""

from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

from tests.grid.vtn import ID


class TokenAuth(BaseAuthPlugin):  # type: ignore[misc]
    """User: the client's id; password: a token."""

    async def authenticate(self, *, session: Session) -> bool | None:
        return session.username == ID and str(session.password).startswith("t")
