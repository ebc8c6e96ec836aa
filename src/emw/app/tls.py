"""TLS as both planes offer it: 1.2 and later, forward secrecy, authenticated ciphers; and when certificates end."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509

from emw.app.config import Config, ConfigError
from emw.service.headend import HeadEnd

log = structlog.get_logger()
SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2. Those of 1.3 are all as good, and not chosen here."""
OLD_SUITES: Final = "AES128-GCM-SHA256:AES256-GCM-SHA384"
"""Without forward secrecy: who records today and steals the key tomorrow reads it all. Old chargers know no better."""
SOON: Final = timedelta(days=30)


def harden(context: ssl.SSLContext, *, old_suites: bool = False) -> ssl.SSLContext:
    """Let nothing weaker in (safety A19), whatever the system's own settings are."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{SUITES}:{OLD_SUITES}" if old_suites else SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def certificate_files(config: Config) -> dict[str, str]:
    """Every certificate that emw shows or trusts by its configuration, by the setting that names it."""
    named = {
        "stations.tls_certificate": config.stations.tls_certificate,
        "operator.tls_certificate": config.operator.tls_certificate,
        "drivers.tls_certificate": config.drivers.tls_certificate,
        "ocpp.client_ca": config.ocpp.client_ca,
    }
    return {setting: path for setting, path in named.items() if path is not None}


def ends_at(path: str, setting: str) -> datetime:
    """When the first certificate of a PEM file ends to be valid. Raises ConfigError for what is none."""
    try:
        certificates = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{setting}: {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{setting}: {path} is no certificate in PEM form") from error
    return min(c.not_valid_after_utc for c in certificates)


def ends_of(config: Config) -> dict[str, datetime]:
    """When each certificate ends, by its setting. Raises ConfigError."""
    return {setting: ends_at(path, setting) for setting, path in certificate_files(config).items()}


def complaints(ends: Mapping[str, datetime], now: datetime) -> Iterator[tuple[str, str]]:
    """What is to be said of certificates that end soon (fault F20): a level, and a sentence."""
    for setting, end in ends.items():
        if end <= now:
            yield "error", f"{setting}: it ended to be valid on {end:%Y-%m-%d}; renew it"
        elif end - now <= SOON:
            yield (
                "warning",
                f"{setting}: it is valid until {end:%Y-%m-%d %H:%M} UTC; renew it",
            )


def warn(ends: Mapping[str, datetime], now: datetime) -> None:
    """Say so in the log."""
    for level, what in complaints(ends, now):
        log.log(40 if level == "error" else 30, "server.certificate", what=what)


def note(config: Config, headend: HeadEnd) -> None:
    """Let the head-end know when each certificate ends, and warn of those that do soon. Raises ConfigError."""
    headend.certificates = ends_of(config)
    warn(headend.certificates, headend.clock.now())
