"""Which ID tokens are believed: one good one, and a table of all the ways in which another is not."""

from __future__ import annotations

import base64
import hmac
import json
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from emw.domain.people import Role
from emw.identity.id_token import Trust, person_of
from emw.service.sign_on import NotVouchedFor

NOW = datetime(2026, 5, 5, 16, 0, tzinfo=UTC)
ISSUER = "https://login.example.org/realms/emw"
KEY = RSAKey.generate_key(2048, {"kid": "k1"})
OTHER = RSAKey.generate_key(2048, {"kid": "k1"})
KEYS = KeySet([RSAKey.import_key(KEY.as_dict(private=False))])
TRUST = Trust(
    issuer=ISSUER,
    client_id="emw",
    roles={
        Role.ADMINISTRATOR: frozenset({"emw-admins"}),
        Role.OPERATOR: frozenset({"emw-desk", "night"}),
        Role.VIEWER: frozenset({"emw-look"}),
    },
)


def claims(**more: Any) -> dict[str, Any]:
    """A good token's claims, changed."""
    told: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "emw",
        "sub": "248289761001",
        "nonce": "no_1",
        "iat": int(NOW.timestamp()) - 5,
        "exp": int(NOW.timestamp()) + 300,
        "preferred_username": "ann",
        "groups": ["staff", "emw-desk"],
        **more,
    }
    return {k: v for k, v in told.items() if v is not ...}


def signed(told: dict[str, Any], key: Any = KEY, **head: Any) -> str:
    """A token as a provider would make it."""
    header = {"alg": "RS256", "kid": "k1", **head}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of `none` even where one wants it
        return jwt.encode(header, told, key, algorithms=[header["alg"]])


def by_hand(head: dict[str, Any], told: dict[str, Any], secret: bytes) -> str:
    """What no library makes: a token signed with HMAC and any bytes as its key."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    text = f"{part(json.dumps(head).encode())}.{part(json.dumps(told).encode())}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"


def refused(token: str) -> str:
    """Why it is not believed."""
    with pytest.raises(NotVouchedFor) as caught:
        person_of(token, KEYS, TRUST, "no_1", NOW)
    return str(caught.value)


def test_a_good_token_names_a_person_and_a_role() -> None:
    person = person_of(signed(claims()), KEYS, TRUST, "no_1", NOW)
    assert (person.name, person.subject, person.issuer, person.role) == (
        "ann", "248289761001", ISSUER, Role.OPERATOR,
    )  # fmt: skip
    several = claims(aud=["emw", "other"], azp="emw")
    assert person_of(signed(several), KEYS, TRUST, "no_1", NOW).name == "ann"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"iss": "https://login.example.org"}, "another issuer"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": ...}, "another issuer"),
        ({"aud": "other"}, "another client"),
        ({"aud": ["other"]}, "another client"),
        ({"aud": ["emw", "other"]}, "another client"),
        ({"aud": ["emw", "other"], "azp": "other"}, "another client"),
        ({"azp": "other"}, "another client"),
        ({"aud": {"emw": 1}}, "another client"),
        ({"aud": ...}, "another client"),
        ({"nonce": "no_2"}, "another login"),
        ({"nonce": ...}, "another login"),
        ({"nonce": 1}, "another login"),
        ({"exp": int(NOW.timestamp()) - 61}, "too old"),
        ({"exp": ...}, "has no exp"),
        ({"exp": "2030-01-01"}, "has no exp"),
        ({"exp": True}, "has no exp"),
        ({"iat": ...}, "has no iat"),
        ({"iat": int(NOW.timestamp()) + 3_600}, "from the future"),
        ({"nbf": int(NOW.timestamp()) + 3_600}, "from the future"),
        ({"nbf": "soon"}, "from the future"),
        ({"sub": ...}, "names nobody"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 7}, "names nobody"),
        ({"sub": "x" * 256}, "names nobody"),
        ({"groups": ["staff"]}, "gives a role"),
        ({"groups": ...}, "gives a role"),
        ({"groups": {"emw-admins": True}}, "gives a role"),
        ({"groups": [["emw-admins"]]}, "gives a role"),
    ],
)
def test_A16_a_token_that_breaks_a_rule_is_refused_by_it(change: dict[str, Any], why: str) -> None:
    assert why in refused(signed(claims(**change)))


def test_A16_signatures_that_are_none_are_refused() -> None:
    good = signed(claims())
    head, body, signature = good.split(".")
    other_body = signed(claims(groups=["emw-admins"])).split(".")[1]
    shared = jwt.encode({"alg": "HS256"}, claims(), OctKey.import_key("a shared secret of 32 letters, yes"))
    # The classic confusion: the public key, which everybody has, taken for a shared secret.
    confused = by_hand({"alg": "HS256", "kid": "k1"}, claims(), KEY.as_pem(private=False))
    for token in (
        signed(claims(), alg="none", key=KEY),
        signed(claims(), alg="none", key=KEY).rstrip(".") + f".{signature}",
        signed(claims(), OTHER),  # the same name, another key
        signed(claims(), OTHER, kid="k2"),
        signed(claims(), alg="RS384"),  # a good key by a way that is not allowed here
        shared,
        confused,
        f"{head}.{other_body}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{signature}.{signature}",
        good + "x",
        "",
        "...",
        "é.é.é",
        "e30.e30.e30",
        "a" * 40_000,
        f"{head}..{signature}",
    ):
        assert "signed" in refused(token) or "too long" in refused(token), token[:60]


def test_the_highest_group_counts_and_a_path_leads_to_nested_ones() -> None:
    def role(trust: Trust = TRUST, **more: Any) -> Role:
        return person_of(signed(claims(**more)), KEYS, trust, "no_1", NOW).role

    assert role(groups=["emw-look", "emw-admins", "night"]) is Role.ADMINISTRATOR
    assert role(groups="emw-look") is Role.VIEWER
    nested = Trust(issuer=ISSUER, client_id="emw", role_claim="realm_access.roles", roles=TRUST.roles)
    assert role(nested, realm_access={"roles": ["night"]}) is Role.OPERATOR
    anybody = Trust(issuer=ISSUER, client_id="emw", roles={}, default_role=Role.VIEWER)
    assert role(anybody) is Role.VIEWER


def test_a_name_is_only_ever_text() -> None:
    told = claims(preferred_username="<b>\x1b[31m" + "y" * 100)
    name = person_of(signed(told), KEYS, TRUST, "no_1", NOW).name
    assert name.startswith("<b>?[31m")
    assert len(name) == 64
    assert (
        person_of(signed(claims(preferred_username=["x"])), KEYS, TRUST, "no_1", NOW).name == "248289761001"
    )


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_no_text_at_all_does_worse_than_be_refused(head: str, body: str, signature: str) -> None:
    refused(f"{head}.{body}.{signature}")


def test_an_old_token_is_believed_for_a_minute_only() -> None:
    token = signed(claims(exp=int(NOW.timestamp())))
    assert person_of(token, KEYS, TRUST, "no_1", NOW + timedelta(seconds=59)).name == "ann"
    with pytest.raises(NotVouchedFor):
        person_of(token, KEYS, TRUST, "no_1", NOW + timedelta(seconds=60))
