"""Which names a venue's connections may look up: the hosts its connector declares, or that of its endpoint, and no other.

The gate looks at the URL; this looks at the name when the socket is made. It knows no venue and no key. Whom an address
belongs to is for TLS to prove; a request without TLS stays on this machine whatever a name server says of `localhost`.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver, ResolveResult


def of(declared: Iterable[str], endpoint: str | None) -> frozenset[str]:
    """The hosts to be reached: the declared ones, or that of the endpoint that stands in for them all."""
    named = urlsplit(endpoint).hostname if endpoint is not None else None
    return frozenset(declared) if endpoint is None else frozenset({named or ""})


def resolver(allowed: frozenset[str], *, plain: bool) -> AbstractResolver:
    """Looks up `allowed` names. Where the request goes without TLS (`plain`), only addresses of this machine count."""
    from aiohttp.resolver import ThreadedResolver

    class Pinned(ThreadedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            if host.lower() not in allowed:
                raise OSError(None, "this name is not one of the venue's")
            found = await super().resolve(host, port, family)
            kept = [one for one in found if not plain or ipaddress.ip_address(one["host"]).is_loopback]
            if not kept:
                raise OSError(None, "this name is not this machine's")
            return kept

    return Pinned()
