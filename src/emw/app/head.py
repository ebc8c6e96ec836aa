"""HEAD works wherever GET does (RFC 9110, 9.3.2), behind every plane's server: load balancers ask so after health."""

from __future__ import annotations

from typing import Any

from emw.plane import App, Receive, Scope, Send


def answering_head(app: App) -> App:
    """The app, whose every answer to a GET can be asked for without its body. It is never told of a HEAD."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        await app(scope, receive, send)

    return asked


def _without_body(send: Send) -> Send:
    """`send`, for which an answer is over with its head: a stream without end must not begin."""

    async def told(message: Any) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    return told
