"""TLS handshakes that fail leave a line in the log: else nobody learns why a station with an old certificate is away.

The address is not in it: below TLS the event loop keeps it to itself.
"""

from __future__ import annotations

import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import structlog

log = structlog.get_logger()
EACH_S: Final = 60.0
"""A reason is told at once, then so often at most, with how many there were: who scans ports must not fill a log."""
MOST_REASONS: Final = 100
MEANS: Final = {
    "HTTP_REQUEST": "it speaks no TLS: its URL must begin with wss or https",
    "NO_SHARED_CIPHER": "it knows no cipher with forward secrecy; see stations.tls_without_forward_secrecy",
    "UNSUPPORTED_PROTOCOL": "it knows no TLS 1.2",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust our certificate: the authority of it must be installed there",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not trust our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not trust our certificate, or its name is another than in its URL",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "by its clock our certificate is not valid",
}
"""What OpenSSL's reasons mean where they are met most."""


class Refusals:
    """Tells the log of handshakes that failed, each reason once a minute. `certificate`: the file that was shown."""

    def __init__(self, certificate: str, time_s: Callable[[], float] = time.monotonic) -> None:
        self._certificate = certificate
        self._time_s = time_s
        self._silent_until: dict[str, float] = {}
        self._more: Counter[str] = Counter()

    def failed(self, error: ssl.SSLError) -> None:
        """A handshake failed."""
        why, now_s = why_of(error), self._time_s()
        if why not in self._silent_until and len(self._silent_until) >= MOST_REASONS:
            return
        self._more[why] += 1
        if now_s >= self._silent_until.get(why, now_s):
            self._silent_until[why] = now_s + EACH_S
            log.info("server.tls_refused", certificate=self._certificate, why=why, times=self._more.pop(why))


def why_of(error: ssl.SSLError) -> str:
    """Why a handshake failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not taken: {error.verify_message}"
    reason = getattr(error, "reason", None) or str(error)  # one that OpenSSL did not raise has none
    return MEANS.get(reason, reason.lower().replace("_", " "))


def watched(context: ssl.SSLContext, refusals: Refusals) -> ssl.SSLContext:
    """The context, whose failed handshakes are told."""

    class Watched(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                refusals.failed(error)
                raise

    kind: Any = Watched
    context.sslobject_class = kind
    return context
