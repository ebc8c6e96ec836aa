"""What an ID token must be before emw believes it, and which role its claims give. Pure: keys and time are arguments.

Source: OpenID Connect Core 1.0, section 3.1.3.7. The signature is joserfc's business, with the algorithms pinned here:
`none` and shared-secret algorithms are never among them, whatever the token's head says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from emw.domain.people import Role
from emw.service.sign_on import NotVouchedFor, Person

ASYMMETRIC: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA",
)  # fmt: skip
"""Algorithms that a configuration may allow: the provider signs, everybody can check, nobody else can sign."""
LEEWAY_S: Final = 60.0
"""How far the provider's clock may be off."""
MOST_TOKEN: Final = 32_768
MOST_NAME: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose tokens are believed, and what their claims mean here."""

    issuer: str
    client_id: str
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    roles: Mapping[Role, frozenset[str]]
    default_role: Role | None = None


def person_of(token: str, keys: KeySet, trust: Trust, nonce: str, now: datetime) -> Person:
    """Who this token vouches for. Raises NotVouchedFor with the rule that it breaks."""
    claims = _signed(token, keys, trust)
    _check(claims, trust, nonce, now.timestamp())
    subject = claims["sub"]
    role = _role(claims, trust)
    if role is None:
        raise NotVouchedFor(
            f"you are known there, but nothing in its claim {trust.role_claim!r} gives a role here; "
            "ask an administrator"
        )
    name = claims.get(trust.name_claim)
    shown = name if isinstance(name, str) and name.strip() else subject
    return Person(_plain(shown), subject, trust.issuer, role)


def _signed(token: str, keys: KeySet, trust: Trust) -> Mapping[str, Any]:
    if len(token) > MOST_TOKEN:
        raise NotVouchedFor("the provider's ID token is too long")
    allowed = [a for a in trust.algorithms if a in ASYMMETRIC]
    try:
        # Heads may say more than we know (no `crit`: it may be left unread), but no other algorithm.
        registry = JWSRegistry(algorithms=allowed, strict_check_header=False)
        found = jwt.decode(token, keys, algorithms=allowed, registry=registry)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise NotVouchedFor(f"the provider's ID token is not signed as it must be ({_why(error)})") from error
    return found.claims


def _why(error: Exception) -> str:
    return type(error).__name__ if not isinstance(error, JoseError) else error.error.replace("_", " ")


def _check(claims: Mapping[str, Any], trust: Trust, nonce: str, now_s: float) -> None:
    if claims.get("iss") != trust.issuer:
        raise NotVouchedFor("the ID token is of another issuer")
    audience = claims.get("aud")
    those = [audience] if isinstance(audience, str) else audience
    if not isinstance(those, list) or trust.client_id not in those:
        raise NotVouchedFor("the ID token is meant for another client")
    by = claims.get("azp")
    if (len(those) > 1 or by is not None) and by != trust.client_id:
        raise NotVouchedFor("the ID token was made for another client")
    expires_s, issued_s = _seconds(claims, "exp"), _seconds(claims, "iat")
    not_before_s = claims.get("nbf", 0)
    if expires_s <= now_s - LEEWAY_S:
        raise NotVouchedFor("the ID token is too old")
    if issued_s > now_s + LEEWAY_S or not _number(not_before_s) or not_before_s > now_s + LEEWAY_S:
        raise NotVouchedFor("the ID token is from the future; compare the clocks")
    said = claims.get("nonce")
    if not isinstance(said, str) or not compare_digest(said.encode(), nonce.encode()):
        raise NotVouchedFor("the ID token answers another login")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise NotVouchedFor("the ID token names nobody")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not _number(value):
        raise NotVouchedFor(f"the ID token has no {name}")
    return float(value)  # type: ignore[arg-type]  # a number, as was just asked


def _role(claims: Mapping[str, Any], trust: Trust) -> Role | None:
    """The highest role that any of the person's groups gives."""
    value: Any = claims
    for part in trust.role_claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    held = {value} if isinstance(value, str) else {v for v in list_in(value) if isinstance(v, str)}
    given = [role for role in Role if trust.roles.get(role, frozenset()) & held]
    return given[-1] if given else trust.default_role


def list_in(value: Any) -> Sequence[Any]:
    """A list of somebody's JSON; anything else is an empty one."""
    return value if isinstance(value, list) else ()


def _plain(name: str) -> str:
    """A name that a log can hold: printable, not endless."""
    return "".join(c if c.isprintable() else "?" for c in name)[:MOST_NAME]
