"""The page on who may come in: people, logins, API keys, grid operators, stations. For administrators."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get

from emw.domain.people import Role
from emw.service.errors import Forbidden
from emw.web.frame import framed
from emw.web.given import TheAuth, TheHeadEnd
from emw.web.wire_people import SCOPES


@get("/access", include_in_schema=False)
async def access_page(request: Request[Any, Any, Any], headend: TheHeadEnd, auth: TheAuth) -> Response[Any]:
    """Its data come by the API, which asks for the role again."""
    caller = auth.who(request)
    if caller is not None and not caller.role.may(Role.ADMINISTRATOR):
        raise Forbidden(f"this needs the role {Role.ADMINISTRATOR}; yours is {caller.role}")
    return framed(
        request,
        headend,
        auth,
        "access.html",
        place="access",
        roles=[str(r) for r in Role],
        scopes=SCOPES,
        territories=sorted(headend.state.territories),
    )


PAGES: Final = [access_page]
"""Every route of this file, for the app."""
