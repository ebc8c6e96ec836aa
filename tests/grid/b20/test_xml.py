"""What a VTN of 2.0b, or whoever stands in its place, can send that is no message: entities, wrapping, garbage."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from openleadr.messaging import create_message

from emw.grid.openadr2b import messages as say
from emw.grid.openadr2b.events import Unreadable, events_in
from emw.grid.openadr2b.signature import Signing, fingerprint_of
from emw.grid.openadr2b.xml import OADR, BadXml, message_in, name_of, read, written

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    """A certificate and its key."""
    cert = trustme.CA().issue_cert("vtn.example", key_type=trustme.KeyType.RSA)
    return cert.cert_chain_pems[0].bytes().decode(), cert.private_key_pem.bytes().decode()


def signed(pair: tuple[str, str], message: object, *, at: datetime = NOW, nonce: str = "n1") -> bytes:
    signing = Signing(*pair)
    return written(message, lambda o: signing.sign(o, now=at, nonce=nonce))


def reader(pair: tuple[str, str]) -> Signing:
    return Signing(*pair, vtn_fingerprint=fingerprint_of(pair[0]))


LAUGHS = "<!DOCTYPE p [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 10)
)


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS.encode() + b"]><oadrPayload><oadrSignedObject><x>&a9;</x></oadrSignedObject></oadrPayload>",
        b'<!DOCTYPE p [<!ENTITY f SYSTEM "file:///etc/passwd">]><oadrPayload>&f;</oadrPayload>',
        b'<!DOCTYPE p SYSTEM "http://127.0.0.1:9/x.dtd"><oadrPayload/>',
        b'<!DOCTYPE p [<!ENTITY % q SYSTEM "http://127.0.0.1:9/x"> %q;]><oadrPayload/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE p [<!ENTITY a "b">]><oadrPayload>&a;</oadrPayload>'.encode(
            "utf-16"
        ),
        b"",
        b"<html><body>Bad gateway</body></html>",
        b"<oadrPayload/>",
        b"<oadrPayload><oadrSignedObject/></oadrPayload>",
        b"<a>" * 5_000,
        b"x" * (3 * 1024 * 1024),
    ],
    ids=[
        "laughs",
        "file",
        "dtd",
        "parameter",
        "utf16",
        "empty",
        "html",
        "no object",
        "nothing",
        "deep",
        "huge",
    ],
)
def test_A15_what_is_no_message_is_refused_at_once(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadXml):
        message_in(read(body))
    assert time.process_time() - began < 5


def test_A15_only_what_is_signed_is_read(pair: tuple[str, str]) -> None:
    good = signed(pair, say.poll("ven-1"))
    found = reader(pair).verified(read(good), NOW)
    assert name_of(message_in(found)) == "oadrPoll"


def _wrapped(body: bytes) -> bytes:
    """A second, unsigned object before the signed one."""
    root = read(body)
    evil = etree.fromstring(written(say.poll("evil")))[0]
    evil.attrib.pop(f"{{{OADR}}}Id")
    root.insert(0, evil)
    return bytes(etree.tostring(root))


def _changed(body: bytes) -> bytes:
    return body.replace(b"ven-1", b"ven-2")


def _unsigned(body: bytes) -> bytes:
    root = read(body)
    root.remove(root[0])
    return bytes(etree.tostring(root))


def test_A15_a_wrapped_message_is_never_the_one_that_is_read(pair: tuple[str, str]) -> None:
    found = reader(pair).verified(read(_wrapped(signed(pair, say.poll("ven-1")))), NOW)
    assert b"evil" not in etree.tostring(found)


@pytest.mark.parametrize("tampered", [_changed, _unsigned])
def test_A15_what_was_changed_or_is_not_signed_is_refused(
    pair: tuple[str, str], tampered: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(BadXml):
        reader(pair).verified(read(tampered(signed(pair, say.poll("ven-1")))), NOW)


def test_A15_a_message_signed_by_another_or_seen_before_or_old_is_refused(pair: tuple[str, str]) -> None:
    other = trustme.CA().issue_cert("vtn.example", key_type=trustme.KeyType.RSA)
    theirs = other.cert_chain_pems[0].bytes().decode(), other.private_key_pem.bytes().decode()
    read_by = reader(pair)
    with pytest.raises(BadXml, match="signed by"):
        read_by.verified(read(signed(theirs, say.poll("v"))), NOW)
    body = signed(pair, say.poll("v"))
    read_by.verified(read(body), NOW)
    with pytest.raises(BadXml, match="seen before"):
        read_by.verified(read(body), NOW)
    with pytest.raises(BadXml, match="too long ago"):
        read_by.verified(read(signed(pair, say.poll("v"), at=NOW - timedelta(hours=1), nonce="n2")), NOW)


def test_a_foreign_signature_holds(pair: tuple[str, str]) -> None:
    certificate, key = pair
    body = create_message("oadrPoll", cert=certificate.encode(), key=key.encode(), ven_id="v")
    found = reader(pair).verified(read(body.encode()), datetime.now(UTC))
    assert name_of(message_in(found)) == "oadrPoll"


@given(st.binary(max_size=400))
def test_A15_bytes_are_a_message_or_refused(body: bytes) -> None:
    try:
        message_in(read(body))
    except BadXml:
        return


TEXTS = st.text(
    alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="<>&"), max_size=12
)


@given(st.dictionaries(st.sampled_from(["id", "mod", "start", "length", "value", "status", "prio"]), TEXTS))
def test_P9_an_event_with_any_texts_is_read_or_named(texts: dict[str, str]) -> None:
    body = f"""<oadrPayload><oadrSignedObject><oadrDistributeEvent><oadrEvent><eiEvent><eventDescriptor>
    <eventID>{texts.get("id", "e")}</eventID><modificationNumber>{texts.get("mod", "0")}</modificationNumber>
    <priority>{texts.get("prio", "0")}</priority><eventStatus>{texts.get("status", "far")}</eventStatus>
    </eventDescriptor><eiActivePeriod><properties><dtstart><date-time>{texts.get("start", "2026-07-01T00:00:00Z")}
    </date-time></dtstart><duration><duration>{texts.get("length", "PT1H")}</duration></duration></properties>
    </eiActivePeriod><eiEventSignals><eiEventSignal><intervals><interval><duration><duration>PT1H</duration>
    </duration><signalPayload><payloadFloat><value>{texts.get("value", "1")}</value></payloadFloat></signalPayload>
    </interval></intervals><signalName>SIMPLE</signalName><signalType>level</signalType></eiEventSignal>
    </eiEventSignals></eiEvent></oadrEvent></oadrDistributeEvent></oadrSignedObject></oadrPayload>"""
    for told in events_in(message_in(read(body.encode()))):
        assert isinstance(told, Unreadable) or told.event_id
