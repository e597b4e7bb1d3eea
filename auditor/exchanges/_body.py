"""The body of an HTTP answer: bounded in bytes, also after decompression, in values and in depth; decoded without NaN, infinity or a key twice.

Knows no venue and no key. What it cannot read is no answer: a reason, or a body of None.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from auditor.exchanges._base import Answer, Failure, Unavailable
from auditor.model.evidence import Reason

if TYPE_CHECKING:
    import aiohttp

LARGEST = 8 * 2**20
"""Bytes, before and after decompression."""
_TEXT = 2000
_MOVED = range(300, 400)
_DEEPEST = 64
"""Tables and lists within each other."""
_MOST_VALUES = 300_000
"""Each costs about a hundred bytes once decoded, and the longest lists of any exchange hold a hundredth of that."""

CUT_OFF = Failure(reason=Reason.MALFORMED_RESPONSE, code="cut", meaning="the answer was cut off", retry=True)
_REDIRECTED = Failure(
    reason=Reason.MALFORMED_RESPONSE, code="redirect", meaning="answered with a redirect; not followed"
)
_TOO_LARGE = Failure(reason=Reason.MALFORMED_RESPONSE, code="size", meaning="answered with more than 8 MiB")


async def read(response: aiohttp.ClientResponse) -> Answer:
    """The answer, complete. Raises Unavailable where it is a redirect, too large or cut off; `body` is None where it is
    not JSON we would read. Leaves the connection to others, or closed where the answer was not read to its end.
    """
    try:
        raw = await _bounded(response)
    finally:
        if not response.closed:
            response.close()
    text = raw[:_TEXT].decode("utf-8", "replace")
    return Answer(status=response.status, body=_decoded(raw), text=text, headers=response.headers)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    if response.status in _MOVED:
        raise Unavailable(_REDIRECTED)
    raw = await response.content.readany()  # mostly all there is
    if not response.content.at_eof():
        raw = await _rest(response, bytearray(raw))
    if len(raw) > LARGEST:
        raise Unavailable(_TOO_LARGE)
    if response.headers.get("Content-Encoding", "identity").lower() in {"gzip", "deflate"}:
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        inflated = inflater.decompress(raw, LARGEST + 1)
        if len(inflated) > LARGEST:
            raise Unavailable(_TOO_LARGE)
        if not inflater.eof:
            raise Unavailable(CUT_OFF)
        return inflated
    return raw


async def _rest(response: aiohttp.ClientResponse, raw: bytearray) -> bytes:
    while len(raw) <= LARGEST and (chunk := await response.content.readany()):
        raw += chunk
    return bytes(raw)


def _decoded(raw: bytes) -> Any:
    """As `json.loads` reads bytes, with a decoder that is made once."""
    try:
        plain = raw.isascii() and 0 not in raw[:4]  # as `detect_encoding` finds out too, in a microsecond
        text = raw.decode() if plain else raw.decode(json.detect_encoding(raw), "surrogatepass")
        brackets = text.count("[") + text.count("{")
        if brackets + text.count(",") > _MOST_VALUES:
            return None
        body = _DECODER.decode(text)
        if brackets > _DEEPEST:
            _refuse_depth(body)
    except (ValueError, RecursionError):
        return None
    return body


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What stands twice says two things, and readers differ in which of them they believe."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice")
    return table


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_table)


def _refuse_depth(body: Any) -> None:
    level = _inside([body])
    for _ in range(_DEEPEST):
        if not level:
            return
        level = [child for item in level for child in _inside(item.values() if isinstance(item, dict) else item)]
    if level:
        raise ValueError("nested too deeply")


def _inside(values: Iterable[Any]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, (dict, list))]
