"""The way to the scheduler: which addresses may be used, what proves who is there, and what to say where nobody is.

Whoever may submit work to a Dask scheduler runs code on every machine of it. So between machines it is TLS with
certificates on both sides, or nothing.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.errors import UsageError
from auditor.redaction import printable
from auditor.values import frozen

if TYPE_CHECKING:
    from distributed import Client, Security

_ADDRESS = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253}):(?P<port>[0-9]{1,5})")
_EXTRA = "pip install 'exchange-auditor[fleet]'"
_PATIENCE = "10s"
_CERTIFICATES = "--tls-ca, --tls-cert and --tls-key, or Dask's own settings (distributed.comm.tls.ca-file, .client.cert, .client.key)"


@frozen
class Tls:
    """PEM files: who signs for this fleet, and this side's certificate and key. What is left out comes from Dask's settings."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def check(address: str) -> str:
    """The address, where it may be used. Raises UsageError."""
    found = _ADDRESS.fullmatch(address)
    shown = printable(address, limit=80) if "@" not in address else "(not shown)"
    if not found or found["scheme"] not in {"tls", "tcp"} or not 0 < int(found["port"]) < 2**16:
        hint = "for example tls://scheduler.internal:8786"
        raise UsageError(f"--scheduler: {shown} is not the address of a scheduler", hint=hint)
    if found["scheme"] == "tcp" and not is_loopback(found["host"]):
        hint = f"start scheduler and workers with certificates and write tls://{found['host']}:{found['port']}"
        raise UsageError("--scheduler: tcp:// is plain text, and only for this machine itself", hint=hint)
    return address


def is_private(address: str) -> bool:
    """Whether nobody can listen on the way to an address of Dask's."""
    scheme, _, place = address.partition("://")
    return scheme == "tls" or (scheme == "tcp" and is_loopback(place.rpartition(":")[0]))


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def opened(address: str, tls: Tls) -> Iterator[Client]:
    """A connection to the scheduler. Raises UsageError where there is none, or the extra is not installed."""
    check(address)
    problem: str | None = None
    try:
        import dask.config
        import distributed
        import pyarrow as pa  # noqa: F401  (the other half of the extra)
    except ImportError:
        problem = "--scheduler needs Dask and pyarrow, which are not installed"
    if problem is not None:
        raise UsageError(problem, hint=_EXTRA)
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL + 1)  # it tells of every reconnection, and we tell what matters
    security = _security(tls) if address.startswith("tls:") else None
    client = None
    try:
        client = distributed.Client(address, security=security, timeout=_PATIENCE, set_as_default=False, name="auditor")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        problem = type(error).__name__
    if client is None:
        hint = "is it running there? Are all certificates signed by the same authority? " + _CERTIFICATES
        raise UsageError(f"the scheduler {printable(address)} cannot be reached ({problem})", hint=hint)
    with client, dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}):
        yield client


def _security(tls: Tls) -> Security:
    """What Dask needs for TLS. Raises UsageError for a file that is missing or is no certificate."""
    from distributed import Security

    given: dict[str, Any] = {"tls_ca_file": tls.ca, "tls_client_cert": tls.cert, "tls_client_key": tls.key}
    given = {name: str(path.absolute()) for name, path in given.items() if path is not None}
    security = Security(require_encryption=True, **given)
    if not (security.tls_ca_file and security.tls_client_cert):
        raise UsageError("TLS needs the fleet's certificates", hint=f"give {_CERTIFICATES}")
    problem: str | None = None
    try:
        security.get_connection_args("client")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        problem = getattr(error, "strerror", None) or type(error).__name__
    if problem is not None:
        raise UsageError(f"the certificates cannot be used: {printable(problem)}", hint=f"look at {_CERTIFICATES}")
    return security
