"""Bearer tokens of emw's VTN: random, kept as hashes, of one client, for a while and for some scopes.

No JWT: a token says nothing by itself, so there is no algorithm to be talked into and no claim to forge. RFC 6749 4.4
(client credentials), with the secret in the form body or as HTTP Basic (2.3.1).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from emw.domain import facts as f
from emw.domain import vtn_facts as v
from emw.domain.vtn import VtnClient, VtnToken
from emw.grid.vtn.rights import SCOPES, Client
from emw.service.errors import TooMany, Unauthorised
from emw.service.gate import NOBODY, Guesses, hash_of
from emw.service.ledger import Ledger
from emw.service.ports import Clock, Ids

SLOTS: Final = 16
"""Tokens a client may have at once: the next one takes the place of the oldest."""
MOST_A_MINUTE: Final = 60
KNOWN: Final = frozenset(scope for scopes in SCOPES.values() for scope in scopes) | {"read_bl"}
WRONG: Final = "the token is missing, unknown, expired or revoked; ask /auth/token for one"


class AuthRefused(Exception):
    """An answer of the token endpoint that is no token: status, the word of RFC 6749, and why."""

    def __init__(self, status: int, error: str, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.error = error
        self.why = why


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh token, in clear this once."""

    token: str
    life_s: int
    scopes: tuple[str, ...]


class Tokens:
    """Issues tokens and knows whose they are."""

    def __init__(self, ledger: Ledger, clock: Clock, ids: Ids, life_s: float) -> None:
        self._ledger = ledger
        self._state = ledger.state
        self._clock = clock
        self._ids = ids
        self._life = timedelta(seconds=life_s)
        self._of_hash: dict[str, VtnToken] = {t.token_hash: t for t in self._state.vtn_tokens.values()}
        self._by_id = Guesses()
        self._by_address = Guesses(free=50)
        self._asked: dict[str, tuple[datetime, int]] = {}

    # --- who speaks

    def client(self, token: str | None, address: str) -> Client:
        """The client whose token this is. Raises Unauthorised or TooMany."""
        now = self._clock.now()
        known = self._of_hash.get(hash_of(token)) if token else None
        if known is None:
            if token:
                self._guessed("token", address, now)
            raise Unauthorised(WRONG)
        client = self._state.vtn_clients[known.client_id]
        if known.expires_at <= now or client.revoked or known.issued_at < client.secret_at:
            raise Unauthorised(WRONG)
        return Client(client.client_id, client.role, frozenset(known.scopes))

    def _guessed(self, name: str, address: str, now: datetime) -> None:
        """Count a wrong try. Raises TooMany once there were many."""
        pair = f"{name}@{address}"
        too_many = self._by_id.wait_s(pair, now) or self._by_address.wait_s(address, now)
        self._by_id.wrong(pair, now)
        self._by_address.wrong(address, now)
        if too_many:
            wait_s = max(self._by_id.wait_s(pair, now), self._by_address.wait_s(address, now))
            raise TooMany("too many wrong credentials from here; wait and try again", retry_after_s=wait_s)

    # --- a new token

    async def issue(self, form: bytes, authorization: str, address: str) -> Issued:
        """Answer a client credentials request. Raises AuthRefused or TooMany."""
        said = _form(form)
        if said.get("grant_type") != "client_credentials":
            known = "grant_type" in said
            raise AuthRefused(
                400,
                "unsupported_grant_type" if known else "invalid_request",
                "grant_type: must be client_credentials",
            )
        client = self._proved(said, authorization, address)
        scopes = self._scopes(client, said.get("scope", ""))
        now = self._clock.now()
        self._not_too_often(client.client_id, now)
        token = self._ids.new("vt")
        fact = v.VtnTokenIssued(
            at=now,
            actor=f"vtn-client:{client.client_id}",
            client_id=client.client_id,
            slot=self._slot(client.client_id),
            token_hash=hash_of(token),
            scopes=scopes,
            expires_at=now + self._life,
        )
        await self._write(fact)
        return Issued(token, int(self._life.total_seconds()), scopes)

    async def _write(self, fact: v.VtnTokenIssued) -> None:
        key = fact.client_id, fact.slot
        before = self._state.vtn_tokens.get(key)
        facts: Sequence[f.Fact] = (fact,)
        await self._ledger.record(*facts)
        if before is not None:
            self._of_hash.pop(before.token_hash, None)
        there = self._state.vtn_tokens.get(key)
        if there is not None:
            self._of_hash[there.token_hash] = there

    def _proved(self, said: dict[str, str], authorization: str, address: str) -> VtnClient:
        """The client whose id and secret these are; unknown and wrong look and take alike."""
        pairs = _basic(authorization)
        if not pairs:
            missing = next((n for n in ("client_id", "client_secret") if not said.get(n)), None)
            if missing:
                raise AuthRefused(400, "invalid_request", f"{missing}: is missing")
            pairs = [(said["client_id"], said["client_secret"])]
        for client_id, secret in pairs:
            client = self._state.vtn_clients.get(client_id)
            expected = NOBODY if client is None or client.revoked else client.secret_hash
            if compare_digest(hash_of(secret), expected) and client is not None:
                self._by_id.right(f"{client_id}@{address}")
                self._by_address.right(address)
                return client
        self._guessed(pairs[0][0][:64], address, self._clock.now())
        raise AuthRefused(401, "invalid_client", "client_id or client_secret is wrong")

    def _scopes(self, client: VtnClient, asked: str) -> tuple[str, ...]:
        """What is granted: all that the role has, or what of it was asked for (RFC 6749 3.3)."""
        may = SCOPES[client.role]
        wanted = asked.split()
        if not wanted:
            return may
        granted = tuple(s for s in may if s in wanted)
        if not granted:
            unknown = next((s for s in wanted if s not in KNOWN), None)
            why = (
                f"there is no scope {unknown[:64]!r}"
                if unknown
                else "this client may have none of these scopes"
            )
            raise AuthRefused(400, "invalid_scope", f"scope: {why}")
        return granted

    def _not_too_often(self, client_id: str, now: datetime) -> None:
        """A client that logs in for each call would fill the log; a token serves until it expires."""
        since, count = self._asked.get(client_id, (now, 0))
        if now - since >= timedelta(minutes=1):
            since, count = now, 0
        if count >= MOST_A_MINUTE:
            raise TooMany("use a token until it expires; this client asked for too many", retry_after_s=60)
        self._asked[client_id] = since, count + 1

    def _slot(self, client_id: str) -> int:
        """A free slot, else that of the oldest token."""
        taken = {s: self._state.vtn_tokens.get((client_id, s)) for s in range(SLOTS)}
        free = next((s for s, token in taken.items() if token is None), None)
        if free is not None:
            return free
        return min((token.issued_at, s) for s, token in taken.items() if token is not None)[1]


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form; one that is there twice is refused (RFC 6749 3.2)."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=50, encoding="utf-8", errors="strict"
        )
    except (ValueError, UnicodeDecodeError):
        raise AuthRefused(400, "invalid_request", "the body is no form") from None
    said = dict(pairs)
    if len(said) != len(pairs):
        raise AuthRefused(400, "invalid_request", "a field is there twice")
    return said


def _basic(authorization: str) -> list[tuple[str, str]]:
    """Id and secret of HTTP Basic, form-decoded (RFC 6749) and as they are; none where there is no such header."""
    kind, _, told = authorization.partition(" ")
    if kind.lower() != "basic":
        return []
    try:
        text = base64.b64decode(told.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise AuthRefused(401, "invalid_client", "the Authorization header is no Basic credential") from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise AuthRefused(401, "invalid_client", "the Authorization header is no Basic credential")
    return list(dict.fromkeys([(unquote_plus(client_id), unquote_plus(secret)), (client_id, secret)]))
