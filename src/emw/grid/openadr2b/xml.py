"""XML of OpenADR 2.0b, in and out: no entities, no document types, no network; what is read is bounded.

Names are compared without their namespaces when reading (real VTNs differ in them) and are written with the exact
ones of the 2.0b schema. Safety A15.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from lxml import etree
from lxml.builder import ElementMaker

MOST_BYTES: Final = 2 * 1024 * 1024
OADR: Final = "http://openadr.org/oadr-2.0b/2012/07"
EI: Final = "http://docs.oasis-open.org/ns/energyinterop/201110"
PYLD: Final = "http://docs.oasis-open.org/ns/energyinterop/201110/payloads"
XCAL: Final = "urn:ietf:params:xml:ns:icalendar-2.0"
STRM: Final = "urn:ietf:params:xml:ns:icalendar-2.0:stream"
EMIX: Final = "http://docs.oasis-open.org/ns/emix/2011/06"
POWER: Final = "http://docs.oasis-open.org/ns/emix/2011/06/power"
SCALE: Final = "http://docs.oasis-open.org/ns/emix/2011/06/siscale"
NAMES: Final = {
    "oadr": OADR, "ei": EI, "pyld": PYLD, "xcal": XCAL, "strm": STRM, "emix": EMIX, "power": POWER, "scale": SCALE,
}  # fmt: skip

outermost = ElementMaker(namespace=OADR, nsmap={"oadr": OADR})
oadr = ElementMaker(namespace=OADR, nsmap=NAMES)
ei = ElementMaker(namespace=EI)
pyld = ElementMaker(namespace=PYLD)
xcal = ElementMaker(namespace=XCAL)
strm = ElementMaker(namespace=STRM)
emix = ElementMaker(namespace=EMIX)
power = ElementMaker(namespace=POWER)
scale = ElementMaker(namespace=SCALE)

Node = Any
"""An lxml element (lxml comes without types)."""


class BadXml(ValueError):
    """What came is no message of OpenADR 2.0b; the text says why."""


def read(body: bytes) -> Node:
    """The root of a document. Raises BadXml for what is no XML, too large, or has a document type."""
    if len(body) > MOST_BYTES:
        raise BadXml(f"it has more than {MOST_BYTES // 1024} KB")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise BadXml(f"it is no XML: {error}") from error
    if root.getroottree().docinfo.doctype:
        raise BadXml("it has a document type, which no message of OpenADR has")
    return root


def message_in(root: Node) -> Node:
    """The message inside oadrPayload/oadrSignedObject, or inside an oadrSignedObject. Raises BadXml."""
    signed = root if name_of(root) == "oadrSignedObject" else child(root, "oadrSignedObject")
    if signed is None or name_of(root) not in {"oadrPayload", "oadrSignedObject"}:
        raise BadXml(f"<{name_of(root)}> is no oadrPayload with an oadrSignedObject")
    for message in signed:
        if isinstance(message.tag, str):
            return message
    raise BadXml("its oadrSignedObject is empty")


def written(message: Node, sign: Callable[[Node], Node] | None = None) -> bytes:
    """The document that goes out; `sign` makes the signature of its oadrSignedObject.

    A signature counts the namespaces in scope. So the payload declares one only, which the signer knows, and the
    object is signed as it reads in the document, not as it was put together.
    """
    payload = outermost.oadrPayload(oadr.oadrSignedObject(message, {f"{{{OADR}}}Id": "oadrSignedObject"}))
    if sign is not None:
        payload = etree.fromstring(etree.tostring(payload))
        payload.insert(0, sign(payload[0]))
    whole: bytes = etree.tostring(payload, xml_declaration=True, encoding="utf-8")
    return whole


# --- looking


def name_of(node: Node) -> str:
    """An element's name without its namespace."""
    return str(etree.QName(node).localname) if isinstance(node.tag, str) else ""


def children(node: Node | None, name: str) -> Iterator[Node]:
    """The elements of a name right under a node."""
    if node is not None:
        yield from (c for c in node if isinstance(c.tag, str) and name_of(c) == name)


def child(node: Node | None, *path: str) -> Node | None:
    """The first element down a path of names."""
    for name in path:
        node = next(children(node, name), None)
    return node


def text(node: Node | None, *path: str) -> str | None:
    """The text at the end of a path; None: it is not there, or blank."""
    found = child(node, *path) if path else node
    if found is None or found.text is None:
        return None
    return found.text.strip() or None
