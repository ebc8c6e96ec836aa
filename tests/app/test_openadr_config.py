"""The `[openadr]` settings: what they become, and that each wrong one is named before the start."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from emw.app import openadr_config
from emw.app.openadr_config import OpenAdrSection, VtnParts, Wrong, vtns_of
from emw.domain.signals import SignalKind
from emw.grid.openadr3.settings import Amount
from emw.outgoing import OutgoingRules

URL = "https://vtn.example.org/openadr3/3.1.0"


def parts(*vtns: dict[str, Any]) -> list[VtnParts]:
    section = msgspec.convert({"vtn": list(vtns)}, OpenAdrSection)
    return vtns_of(section, OutgoingRules(networks=(ip_network("10.0.0.0/8"),)))


def vtn(**more: Any) -> dict[str, Any]:
    return {"name": "utility", "url": URL, **more}


def test_what_a_program_leaves_out_is_as_for_its_vtn() -> None:
    (made,) = parts(
        vtn(
            territory="East",
            levels={"1": "10 %", "3": "1.5 MW"},
            program=[
                {"name": "summer", "levels": {"1": "200 kW"}, "payloads": {"CONTROL_SETPOINT": "reduce_kw"}}
            ],
        )
    )
    meaning = made.settings.meaning_of("p1", "summer")
    assert meaning is not None
    assert meaning.territory_id == "East"
    assert meaning.levels == {1: Amount(kw=200.0), 3: Amount(kw=1_500.0)}
    assert meaning.payloads == {"CONTROL_SETPOINT": SignalKind.REDUCE_KW}
    assert made.settings.meaning_of("p2", "winter") is None


def test_an_address_in_the_url_opens_that_address_and_no_other() -> None:
    (made,) = parts(vtn(url="https://192.168.7.9:8443/x"))
    assert made.rules.networks == (ip_network("192.168.7.9/32"),)
    (named,) = parts(vtn())
    assert ip_network("10.0.0.0/8") in named.rules.networks


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"url": "vtn.example.org"}, "https://"),
        ({"url": "http://vtn.example.org/x"}, "plain HTTP"),
        ({"client_id": "emw"}, "client_secret"),
        ({"client_id": "emw", "client_secret_env": "EMW_NO_SUCH_THING"}, "EMW_NO_SUCH_THING"),
        ({"client_id": "emw", "client_secret_file": "/nowhere/secret"}, "/nowhere/secret"),
        ({"levels": {"2": "a lot"}}, "25 %"),
        ({"levels": {"2": "120 %"}}, "more than all"),
        ({"time_zone": "Middle/Earth"}, "Middle/Earth"),
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"target": [{"target": "(", "territory": "East", "match": "regex"}]}, "regular expression"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"ven_id": "v1"}, '"2.0b"'),
        ({"version": "2.0b", "sign_messages": True}, "vtn_fingerprint"),
        ({"version": "2.0b", "vtn_fingerprint": "AA:BB"}, "certificate"),
    ],
)
def test_P9_a_wrong_setting_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(Wrong, match=r"openadr\.vtn 'utility'") as told:
        parts(vtn(**wrong))
    assert named in str(told.value)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(Wrong, match="two are named"):
        parts(vtn(), vtn())


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    with pytest.raises(Wrong, match="chmod 600"):
        parts(vtn(client_id="emw", client_secret_file=str(secret)))
    secret.chmod(0o600)
    (made,) = parts(vtn(client_id="emw", client_secret_file=str(secret)))
    assert made.settings.client_secret == "s3cret"
    assert "s3cret" not in repr(made)


def test_keys_of_2_0b_are_read_and_never_shown(tmp_path: Path) -> None:
    cert = trustme.CA().issue_cert("ven.example", key_type=trustme.KeyType.RSA)
    crt, key = tmp_path / "crt.pem", tmp_path / "key.pem"
    cert.cert_chain_pems[0].write_to_path(str(crt))
    cert.private_key_pem.write_to_path(str(key))
    (made,) = parts(
        vtn(
            url="https://vtn.example.org",
            version="2.0b",
            certificate=str(crt),
            key=str(key),
            sign_messages=True,
            vtn_fingerprint="aa:bb:cc:dd:ee:ff:00:11:22:33",
        )
    )
    assert made.tls is not None
    assert made.keys is not None
    assert made.keys.vtn_fingerprint == "AA:BB:CC:DD:EE:FF:00:11:22:33"
    assert "PRIVATE KEY" not in repr(made)


def test_2_0b_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openadr_config, "EXTRA", ("no_such_module",))
    with pytest.raises(Wrong, match=r"pip install 'emw\[oadr20b\]'"):
        parts(vtn(url="https://vtn.example.org", version="2.0b"))
