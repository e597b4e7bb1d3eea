"""The request gate: a request passes only if its connector declared exactly this verb, host and path.

It looks twice: before signing at the declaration, and after signing at the URL itself, because a signer may put a
parameter where it becomes a path, a fragment or a second parameter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from auditor.exchanges._base import Endpoint
from auditor.exchanges._signer import SignedRequest

ADDED_BY_SIGNERS = frozenset({"timestamp", "recvWindow", "recv_window", "signature", "nonce"})
"""What most signers add; an endpoint names what else its own does (`adds`)."""
_PLACE = re.compile(r"\{([a-z_]+)\}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NEVER_IN_URLS = re.compile(r'[ #\\"<>]')
_LONGEST_URL = 8192
_LONGEST_HEADER = 8000  # some venues want in a header what is in the body


class GateError(Exception):
    """A request that was not declared. Our bug or an attack; never sent, never retried."""


class ParameterError(GateError):
    """A value, usually one that the venue itself gave, cannot be asked for without the request becoming another one."""


def check_declared(endpoint: Endpoint, declared: tuple[Endpoint, ...]) -> None:
    """Refuses an endpoint that is not, in every field, one the connector declared."""
    for one in declared:
        if one is endpoint:  # nearly always, and a hundred times as fast as comparing every field
            return
    if endpoint not in declared:
        raise GateError(f"{endpoint.verb} {endpoint.path} is not declared")


def check_params(params: Mapping[str, str]) -> None:
    """Refuses what no signer could be trusted with: values that are not text, or not text that can be sent."""
    for name, value in params.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise GateError("a parameter is not text")
        if not value:  # a signer may drop it, or stumble
            raise ParameterError("a parameter is empty")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ParameterError("a parameter is not Unicode text") from None


def placed_in(path: str, params: Mapping[str, str]) -> str:
    """A declared path with its `{name}` replaced by that parameter. What goes there is a plain word and can name no other path."""
    for name in _PLACE.findall(path) if "{" in path else ():
        value = params.get(name, "")
        if not _WORD.fullmatch(value):
            raise ParameterError(f"{name} is no plain word, and stands in a path")
        path = path.replace("{" + name + "}", value)
    return path


def check_signed(request: SignedRequest, endpoint: Endpoint, params: Mapping[str, str], base: str | None) -> None:
    """Refuses a signed request that differs from what was declared and asked for. `base` is the endpoint override."""
    if len(request.url) > _LONGEST_URL or not request.url.isascii() or not request.url.isprintable():
        raise ParameterError("the signed URL is too long, or holds characters that do not belong in one")
    if _NEVER_IN_URLS.search(request.url):
        raise ParameterError("the signed URL holds a space, a fragment or a quote")
    if max(map(len, request.headers.values()), default=0) > _LONGEST_HEADER:
        raise ParameterError("a header of the signed request is too long")
    begin = (base or f"https://{endpoint.host}").rstrip("/")
    place, _, query = request.url.partition("?")
    path = endpoint.path
    if "{" in path:
        path = placed_in(path, params)
        params = {name: value for name, value in params.items() if "{" + name + "}" not in endpoint.path}
    if place != begin + path or request.verb != endpoint.verb:
        raise GateError(f"the signed request is not {endpoint.verb} {endpoint.path} at {urlsplit(begin).netloc}")
    if request.verb == "GET" and request.body:
        raise GateError(f"the signed request of {endpoint.path} carries a body")
    sent = [*_pairs(query), *_body_pairs(request.body)]
    carried = dict(sent)
    added = carried.keys() - params.keys() - ADDED_BY_SIGNERS - endpoint.adds
    if endpoint.own_key:
        added.discard(endpoint.own_key)
    lost = any(name not in carried or carried[name] != value for name, value in params.items())
    if len(carried) != len(sent) or added or lost:
        raise ParameterError(f"the signed request of {endpoint.path} carries other parameters than asked for")


def _pairs(query: str) -> list[tuple[str, str]]:
    """As `parse_qsl` with blank values, which is slow; where nothing is escaped there is nothing to it but splitting."""
    if "%" in query or "+" in query:
        return parse_qsl(query, keep_blank_values=True)
    parts = [part.partition("=") for part in query.split("&") if part]
    return [(name, value) for name, _, value in parts]


def _body_pairs(body: str | None) -> list[tuple[str, str]]:
    if not body:
        return []
    if body.startswith("{"):
        outer = json.loads(body, object_pairs_hook=list)
        # Crypto.com: what is asked for stands in an object of its own.
        inner = [pair for name, value in outer if name == "params" and isinstance(value, list) for pair in value]
        plain = [(name, value) for name, value in outer if name != "params" or not isinstance(value, list)]
        return [(str(name), str(value)) for name, value in [*plain, *inner]]
    return _pairs(body)
