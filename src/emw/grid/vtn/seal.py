"""Bearer tokens that subscribers give us for their callbacks: sealed at rest, since they must be sent in clear.

AES-256-GCM with a key made from the server's own (`server.key`, mode 0600), as a compact JWE. Neither the log nor the
database nor a backup without that file tells them.
"""

from __future__ import annotations

import hashlib
from typing import Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

HEADER: Final = {"alg": "dir", "enc": "A256GCM"}
ALGORITHMS: Final = ["dir", "A256GCM"]


class Seal:
    """Seals text and opens what it sealed."""

    def __init__(self, key: bytes) -> None:
        """`key`: the server's; what is sealed with is derived from it, so that no key serves two purposes."""
        self._key = OctKey.import_key(hashlib.sha256(b"emw vtn callbacks|" + key).digest())

    def seal(self, text: str) -> str:
        """The text, sealed; another each time."""
        return jwe.encrypt_compact(HEADER, text.encode(), self._key, algorithms=ALGORITHMS)

    def open(self, sealed: str) -> str | None:
        """What was sealed; None: by another key, or it was changed."""
        try:
            found = jwe.decrypt_compact(sealed, self._key, algorithms=ALGORITHMS).plaintext
        except (JoseError, ValueError):
            return None
        return None if found is None else found.decode()
