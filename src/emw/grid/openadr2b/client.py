"""One call to a VTN of 2.0b: a message out, a message back. Every failure has a name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from emw.grid.openadr2b.signature import Signing
from emw.grid.openadr2b.xml import BadXml, Node, message_in, name_of, read, text, written
from emw.grid.openadr3.client import Http, Trouble, VtnFailed
from emw.grid.openadr3.settings import VtnSettings
from emw.outgoing import CallFailed, CallTimedOut, UrlRefused
from emw.service.ports import Clock

PATH: Final = "/OpenADR2/Simple/2.0b"
MOST_BYTES: Final = 2 * 1024 * 1024
HEADERS: Final = {"Content-Type": "application/xml"}
OUT_OF_REGISTER: Final = frozenset({"452", "463"})
"""Response codes that say: this VTN does not know us (invalid id, not registered)."""


class NotRegistered(VtnFailed):
    """The VTN does not know us (any more)."""


class Client2b:
    """Posts to the five services of a VTN."""

    def __init__(
        self,
        settings: VtnSettings,
        http: Http,
        clock: Clock,
        new_id: Callable[[], str],
        signing: Signing | None = None,
    ) -> None:
        base = settings.url.rstrip("/")
        self._base = base if base.endswith(PATH) else base + PATH
        self._settings = settings
        self._http = http
        self._clock = clock
        self._new_id = new_id
        self._signing = signing
        self._one = asyncio.Lock()

    async def call(self, service: str, message: Node) -> Node | None:
        """What the VTN answers to a message; None: nothing at all. Raises VtnFailed."""
        try:
            document = written(message, self._signer())
        except BadXml as error:
            raise VtnFailed(Trouble.CREDENTIALS, str(error)) from error
        async with self._one:  # one conversation: a VTN ties a poll's answer to what came before
            body = await self._post(service, document)
        if not body.strip():
            return None
        try:
            root = read(body)
            if self._signing is not None and self._signing.vtn_fingerprint:
                root = self._signing.verified(root, self._clock.now())
            answer = message_in(root)
        except BadXml as error:
            raise VtnFailed(
                Trouble.GARBLED, f"{self._base}/{service} answered what can't be read: {error}"
            ) from error
        _look(answer, f"{self._base}/{service}")
        return answer

    def _signer(self) -> Callable[[Node], Node] | None:
        if self._signing is None:
            return None
        return partial(self._signing.sign, now=self._clock.now(), nonce=self._new_id())

    async def _post(self, service: str, body: bytes) -> bytes:
        where = f"{self._base}/{service}"
        deadline_s = self._settings.deadline_s
        try:
            reply = await self._http.request(
                "POST",
                self._base,
                f"/{service}",
                body=body,
                headers=HEADERS,
                deadline_s=deadline_s,
                most_bytes=MOST_BYTES,
            )
        except UrlRefused as error:
            raise VtnFailed(Trouble.REFUSED_URL, f"emw may not call {where}: {error}") from error
        except CallTimedOut as error:
            raise VtnFailed(Trouble.TIMED_OUT, f"{where} did not answer within {deadline_s:g} s") from error
        except CallFailed as error:
            raise VtnFailed(Trouble.UNREACHABLE, f"{where} can't be reached: {error}") from error
        if reply.status == 200:
            return reply.body
        why = f"{where} answered {reply.status}"
        match reply.status:
            case 401 | 403:
                raise VtnFailed(Trouble.CREDENTIALS, f"{why}: certificate or signature not accepted")
            case 404:
                raise VtnFailed(Trouble.NOT_FOUND, f"{why}: is the URL right?")
            case 429 | 503:
                raise VtnFailed(Trouble.BUSY, why, reply.retry_after_s)
            case status if status >= 500:
                raise VtnFailed(Trouble.SERVER, why)
            case _:
                raise VtnFailed(Trouble.BAD_REQUEST, why)


def _look(answer: Node, where: str) -> None:
    """Raise for an answer that says no: eiResponse of any message."""
    for response in answer.iter():
        if isinstance(response.tag, str) and name_of(response) == "eiResponse":
            code = text(response, "responseCode") or "200"
            if code.startswith("2"):
                return
            why = f"{where} answered {code} {(text(response, 'responseDescription') or '')[:200]}".strip()
            if code in OUT_OF_REGISTER:
                raise NotRegistered(Trouble.CREDENTIALS, why)
            raise VtnFailed(Trouble.BAD_REQUEST, why)
