"""What may stand in the query of a call: the names that its door declares. Others are refused, as in a body.

A misspelt filter that is left out silently gives everything, and looks like an answer. Pages are not checked: links to
them gather names on their way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from emw.misfit import meant
from emw.service.errors import BadInput

MOST_SHOWN: Final = 64
"""Characters of a name of somebody's that are told back."""


def check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises BadInput naming the first name that this door does not know, and the one that may have been meant."""
    if not connection.scope["query_string"]:
        return
    known = set(names_of(handler))
    for name in connection.query_params:
        if name not in known:
            shown = name[:MOST_SHOWN]
            raise BadInput(shown, f"is not a parameter here{meant(shown, sorted(known))}")


def names_of(handler: BaseRouteHandler) -> Iterator[str]:
    """The query parameters of a door, as the wire writes them: its own, and those of what it is given."""
    own = handler.parsed_fn_signature.parameters
    given = [
        part.parsed_fn_signature.parameters for n, part in handler.resolve_dependencies().items() if n in own
    ]
    for declared in (own, *given):
        for name, field in declared.items():
            if isinstance(field.kwarg_definition, QueryParameter):
                yield field.kwarg_definition.name or name
