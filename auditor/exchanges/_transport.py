"""Carries one declared request to a venue and its answer back: gate, budget, signature, our own socket, a reason.

It knows no fact and no rule. Redirects are refused, proxies of the environment ignored, bodies and times bounded.
Everything that goes wrong leaves here as Unavailable with a reason of the closed list.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from auditor.exchanges import _gate, _signer
from auditor.exchanges._base import Answer, Connector, Endpoint, Failure, Unavailable, by_status
from auditor.exchanges._budget import Budgets
from auditor.model.evidence import Reason
from auditor.redaction import Secret, scrub

if TYPE_CHECKING:
    import aiohttp

DEADLINE = 15.0
"""Seconds one attempt may take, from connecting to the last byte."""
ATTEMPTS = 3
LARGEST_BODY = 16 * 2**20
_LONGEST_PAUSE = 10.0
_MOVED = range(300, 400)
_DEEPEST = 64

_TIMED_OUT = Failure(reason=Reason.TIMEOUT, code="timeout", meaning="no complete answer in time", retry=True)
_NO_CONNECTION = Failure(reason=Reason.TIMEOUT, code="connection", meaning="no connection", retry=True)
_REDIRECTED = Failure(
    reason=Reason.MALFORMED_RESPONSE, code="redirect", meaning="answered with a redirect; not followed"
)
_TOO_LARGE = Failure(reason=Reason.MALFORMED_RESPONSE, code="size", meaning="answered with more than 16 MiB")
_NOT_JSON = Failure(
    reason=Reason.MALFORMED_RESPONSE, code="json", meaning="answered with something that is not JSON", retry=True
)


class Venue:
    """The connections and budgets of one venue at one address, shared by all its accounts in a run."""

    def __init__(self, connector: Connector, *, endpoint: str | None = None, deadline: float = DEADLINE) -> None:
        self.connector = connector
        self.endpoint = endpoint.rstrip("/") if endpoint else None
        self.deadline = deadline
        self.budgets = Budgets()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100, enable_cleanup_closed=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self.deadline),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": "exchange-auditor", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._session is not None
        await self._session.close()

    def key(self, credentials: Mapping[str, Secret]) -> KeyDoor:
        """The door of one key."""
        return KeyDoor(self, credentials)

    async def send(self, request: _signer.SignedRequest) -> Answer:
        """One request over our own session. Raises Unavailable for whatever is not a complete, bounded JSON answer."""
        import aiohttp
        import yarl

        assert self._session is not None
        try:
            async with self._session.request(
                request.verb,
                yarl.URL(request.url, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as response:
                raw = await _bounded(response)
                return _answer(response.status, raw, response.headers)
        except TimeoutError:
            raise Unavailable(_TIMED_OUT) from None
        except (aiohttp.ClientPayloadError, zlib.error):
            raise Unavailable(_NOT_JSON, "the answer was cut off") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(_NO_CONNECTION, f"no connection ({type(error).__name__})") from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    if response.status in _MOVED:
        raise Unavailable(_REDIRECTED)
    raw = bytearray()
    async for chunk in response.content.iter_chunked(2**16):
        raw += chunk
        if len(raw) > LARGEST_BODY:
            raise Unavailable(_TOO_LARGE)
    if response.headers.get("Content-Encoding", "identity").lower() in {"gzip", "deflate"}:
        inflated = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(bytes(raw), LARGEST_BODY + 1)
        if len(inflated) > LARGEST_BODY:
            raise Unavailable(_TOO_LARGE)
        return inflated
    return bytes(raw)


def _answer(status: int, raw: bytes, headers: Mapping[str, str]) -> Answer:
    text = raw[:2000].decode("utf-8", "replace")
    try:
        body = json.loads(raw, parse_constant=_no_constant)
        _refuse_depth(body)
    except (ValueError, RecursionError):
        body = None
    return Answer(status=status, body=body, text=text, headers={name.lower(): value for name, value in headers.items()})


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _refuse_depth(body: Any) -> None:
    level = [body]
    for _ in range(_DEEPEST):
        level = [child for item in level if isinstance(item, (dict, list)) for child in _children(item)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _children(item: dict[str, Any] | list[Any]) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else item


class KeyDoor:
    """Door of one key: declares, waits its turn, signs, sends, classifies, retries what can succeed on a retry.

    Once the venue refused the key or its address, or locked it, nothing more is sent with it: every further call would
    make it worse and could not succeed.
    """

    def __init__(self, venue: Venue, credentials: Mapping[str, Secret]) -> None:
        self._venue = venue
        self._signer = _signer.Signer(venue.connector.ccxt_class, credentials, venue.endpoint)
        self._public = _signer.Signer(venue.connector.ccxt_class, {}, venue.endpoint)
        self._key = str(id(self))
        self._shut: Unavailable | None = None
        self._skew_known = False
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return "KeyDoor(•••)"

    async def fetch(self, endpoint: Endpoint, params: Mapping[str, str] | None = None) -> Any:
        """Decoded JSON of a declared endpoint. Raises Unavailable."""
        _gate.check_declared(endpoint, self._venue.connector.endpoints)
        pause = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            await asyncio.sleep(pause)
            try:
                return await self._once(endpoint, params or {})
            except Unavailable as refusal:
                pause = await self._pause_after(refusal, attempt)
        raise AssertionError("the last attempt raises")

    async def _once(self, endpoint: Endpoint, params: Mapping[str, str]) -> Any:
        await self._venue.budgets.take(endpoint.name, endpoint.limit, self._key)
        if self._venue.connector.serial and not endpoint.public:
            async with self._turn:
                return await self._exchange(endpoint, params)
        return await self._exchange(endpoint, params)

    async def _exchange(self, endpoint: Endpoint, params: Mapping[str, str]) -> Any:
        if self._shut is not None and not endpoint.public:
            raise self._shut
        request = (self._public if endpoint.public else self._signer).sign(endpoint, params)
        _gate.check_signed(request, endpoint, params, self._venue.endpoint)
        answer = await self._venue.send(request)
        failure = self._venue.connector.classify(answer, endpoint) or by_status(answer)
        if failure is None and answer.body is None:
            failure = _NOT_JSON
        if failure is None:
            return answer.body
        refusal = Unavailable(failure, scrub(f"{failure.meaning} (HTTP {answer.status}, code {failure.code})"))
        refusal.retry_after = _seconds(answer.headers.get("retry-after"))
        if failure.lockout and not endpoint.public:
            self._shut = refusal
        raise refusal

    async def _pause_after(self, refusal: Unavailable, attempt: int) -> float:
        """Seconds to wait before the next attempt; raises `refusal` where another one cannot help."""
        failure = refusal.failure
        if failure.reason is Reason.CLOCK_SKEW and not self._skew_known and self._venue.connector.clock is not None:
            self._skew_known = True
            await self._learn_skew(self._venue.connector.clock)
            return 0.0
        if not failure.retry or failure.lockout or attempt == ATTEMPTS or refusal is self._shut:
            raise refusal
        asked = refusal.retry_after or 0.0
        if asked > _LONGEST_PAUSE:
            raise refusal
        backoff: float = 0.2 * 2**attempt
        return max(asked, backoff * random.uniform(0.5, 1.5))  # noqa: S311  (jitter, not cryptography)

    async def _learn_skew(self, clock: Endpoint) -> None:
        before = time.time()
        body = await self.fetch(clock)
        local = (before + time.time()) / 2 * 1000
        self._signer.set_skew(int(local) - self._venue.connector.server_time(body))


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() and len(header) < 6 else None  # noqa: PLR2004
