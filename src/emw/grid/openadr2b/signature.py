"""XML signatures of 2.0b's high security: what goes out is signed, and of what comes in only what is signed is read.

A signed document may hold a second, unsigned message beside the signed one (signature wrapping); so the reader gets
the element that the signature covers, and never the document. The signer is known by its certificate's fingerprint:
the last ten bytes of its SHA-256 (2.0b profile, 10.6.1.3).
"""

from __future__ import annotations

import hashlib
import ssl
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from lxml import etree
from signxml import SignatureConfiguration, XMLSigner, XMLVerifier, methods
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.exceptions import SignXMLException

from emw.grid.openadr2b.xml import OADR, BadXml, Node, name_of, text
from emw.grid.openadr3.times import BadTime, instant_of

DS: Final = "http://www.w3.org/2000/09/xmldsig#"
DSP: Final = "http://openadr.org/oadr-2.0b/2012/07/xmldsig-properties"
FRESH: Final = timedelta(minutes=5)
"""How old a signed message may be: clocks differ by a minute (requirement 1), and a poll's answer waits on its way."""
MOST_NONCES: Final = 10_000


def fingerprint_of(certificate_pem: str) -> str:
    """A certificate's fingerprint as VTNs know it: AA:BB:… of the last ten bytes."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem)).digest()[-10:]
    return ":".join(f"{b:02X}" for b in digest)


@dataclass(slots=True)
class Signing:
    """Our key, and by which fingerprint the VTN signs."""

    certificate_pem: str
    key_pem: str = field(repr=False)
    vtn_fingerprint: str = ""
    _seen: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict, repr=False)

    def sign(self, signed_object: Node, *, now: datetime, nonce: str) -> Node:
        """The detached signature of an oadrSignedObject. Raises BadXml where our key can't sign."""
        signer = XMLSigner(
            method=methods.detached,
            signature_algorithm=self._algorithm(),
            c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_0,
        )
        signer.namespaces["oadr"] = OADR
        try:
            return signer.sign(
                signed_object,
                key=self.key_pem,
                cert=self.certificate_pem,
                reference_uri="#oadrSignedObject",
                signature_properties=_replay_protect(now, nonce),
            )
        except (SignXMLException, ValueError) as error:
            raise BadXml(f"emw's key can't sign: {error}") from error

    def _algorithm(self) -> SignatureMethod:
        return (
            SignatureMethod.ECDSA_SHA256 if "EC PRIVATE KEY" in self.key_pem else SignatureMethod.RSA_SHA256
        )

    def verified(self, root: Node, now: datetime) -> Node:
        """The oadrSignedObject that the VTN's signature covers. Raises BadXml with the reason."""
        certificate = text(root.find(f".//{{{DS}}}X509Certificate"))
        if certificate is None:
            raise BadXml("it is not signed")
        pem = f"-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n"
        try:
            who = fingerprint_of(pem)
        except ValueError as error:
            raise BadXml("its certificate can't be read") from error
        if who != self.vtn_fingerprint:
            raise BadXml(f"it is signed by {who}, not by {self.vtn_fingerprint}")
        try:
            found = XMLVerifier().verify(
                root, x509_cert=pem, expect_config=SignatureConfiguration(expect_references=2, location=".//")
            )
        except (SignXMLException, ValueError, etree.LxmlError) as error:
            raise BadXml(f"its signature does not hold: {error}") from error
        parts = [r.signed_xml for r in (found if isinstance(found, list) else [found])]
        self._fresh([p for p in parts if p is not None], now)
        for part in parts:
            if part is not None and name_of(part) == "oadrSignedObject":
                return part
        raise BadXml("its signature covers no oadrSignedObject")

    def _fresh(self, parts: list[Any], now: datetime) -> None:
        """Not old and not seen before."""
        for part in parts:
            protect = part if name_of(part) == "ReplayProtect" else part.find(f".//{{{DSP}}}ReplayProtect")
            if protect is None:
                continue
            said, nonce = text(protect, "timestamp"), text(protect, "nonce")
            try:
                at = None if said is None else instant_of(said).at
            except BadTime:
                at = None
            if at is None or nonce is None or abs(now - at) > FRESH:
                raise BadXml("it was signed too long ago, or says not when")
            if (nonce, said or "") in self._seen:
                raise BadXml("it was seen before")
            self._seen[nonce, said or ""] = None
            while len(self._seen) > MOST_NONCES:
                self._seen.popitem(last=False)
            return
        raise BadXml("its signature says not when it was made")


def _replay_protect(now: datetime, nonce: str) -> Node:
    protect = etree.Element(
        f"{{{DSP}}}ReplayProtect", nsmap={"dsp": DSP}, attrib={"Id": "myid", "Target": "#mytarget"}
    )
    etree.SubElement(protect, f"{{{DSP}}}timestamp").text = now.isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )
    etree.SubElement(protect, f"{{{DSP}}}nonce").text = nonce
    return protect
