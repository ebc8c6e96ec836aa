"""The one secret emw keeps in clear: the key that each station's control token is made from. A file, mode 0600."""

from __future__ import annotations

import base64
import hmac
import os
import secrets
from pathlib import Path

from emw.app.config import ConfigError

KEY_BYTES = 32


def server_key(path: Path) -> bytes:
    """Read the key, or make it at the first start."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(KEY_BYTES)
        partial = path.with_name(path.name + ".partial")  # whoever is killed here leaves no half of a key
        partial.unlink(missing_ok=True)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{path}: not a key of {KEY_BYTES} bytes; restore it, or delete it and let stations power on"
        )
    return key


def derived_token(key: bytes, prefix: str, *parts: str) -> str:
    """A token of 192 bits that only who has the key can make, for one purpose and one peer."""
    digest = hmac.digest(key, "\x00".join(parts).encode("utf-8", "surrogatepass"), "sha256")
    return f"{prefix}_" + base64.urlsafe_b64encode(digest[:24]).decode().rstrip("=")
