"""Which addresses may stand in for an exchange's: this machine, or an https host that the person at the terminal named."""

from __future__ import annotations

import re

_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[::1\]|[A-Za-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*)/?"
)
_LOOPBACK = re.compile(r"localhost|\[::1\]|127(\.(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])){3}")
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def fault(text: str, allowed: frozenset[str]) -> str | None:
    """Why an endpoint may not be used, or None. It is never quoted: there may be a password in it."""
    found = _ENDPOINT.fullmatch(text)
    if not found:
        return "is not a plain http or https address: no user, query, fragment, dot segment or unusual host or port"
    host, port = found["host"].lower(), found["port"]
    if int(port or 1) >= 2**16:
        return "has a port above 65535"
    if _LOOPBACK.fullmatch(host):
        return None
    if not _HOST.fullmatch(host):
        return "has a host that is neither a loopback address nor a plain name"
    if found["scheme"] != "https":
        return "is not on this machine: it must be https, and its host named with --allow-endpoint"
    named = {entry.lower() for entry in allowed}
    return None if named & {host, f"{host}:{port}"} else "has a host that --allow-endpoint does not name"
