"""Carries one declared request to a venue and its answer back: gate, budget, signature, our own socket, a reason.

It knows no fact and no rule. Redirects are refused, proxies of the environment ignored, bodies and times bounded.
Everything that goes wrong leaves here as Unavailable with a reason of the closed list.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Self

from auditor.exchanges import _body, _gate, _hosts, _signer
from auditor.exchanges._base import Answer, Connector, Endpoint, Failure, Unavailable, by_status
from auditor.exchanges._budget import Budgets
from auditor.exchanges._deadline import Deadlines
from auditor.exchanges._http import Connections
from auditor.exchanges._once import Once
from auditor.exchanges._shape import ShapeError
from auditor.exchanges._silence import Silence
from auditor.model.evidence import Reason
from auditor.redaction import Secret, scrub

DEADLINE = 15.0
"""Seconds one attempt may take, from connecting to the last byte."""
CONNECTIONS = 100
ATTEMPTS = 3
FIRST_PAUSE = 0.4
"""Seconds before the second attempt, doubled for the third, each give or take half."""
_LONGEST_PAUSE = 10.0
_LARGEST_SKEW = 86_400_000
_CLOCKS_AGREE = 30.0
"""Seconds that an answer may be on its way, and by which a clock may be wrong without spoiling a signature anywhere."""

_TIMED_OUT = Failure(reason=Reason.TIMEOUT, code="timeout", meaning="no complete answer in time", retry=True)
_SILENT = Failure(reason=Reason.TIMEOUT, code="silence", meaning="no answer in time", retry=True)
_NOT_ASKED = Failure(
    reason=Reason.TIMEOUT,
    code="silence",
    meaning="not asked: the exchange left two other questions without any answer, and has not been heard since",
)
_NO_CONNECTION = Failure(reason=Reason.TIMEOUT, code="connection", meaning="no connection", retry=True)
_NOT_JSON = Failure(
    reason=Reason.MALFORMED_RESPONSE, code="json", meaning="answered with something that is not JSON", retry=True
)
_NONSENSE = Failure(
    reason=Reason.IMPLAUSIBLE_RESPONSE, code="key", meaning="refused a key where none was given or needed"
)
_UNASKABLE = Failure(
    reason=Reason.IMPLAUSIBLE_RESPONSE, code="gate", meaning="the exchange named something that cannot be asked for"
)
_UNSIGNABLE = Failure(
    reason=Reason.INVALID_KEY,
    code="unsigned",
    meaning="this key cannot sign: it is not of the form the exchange gives out; nothing was sent",
    lockout=True,
)
_ABOUT_THE_KEY = {Reason.INVALID_KEY, Reason.ACCOUNT_FROZEN}
_numbers = itertools.count()


class Venue:
    """The connections and budgets of one venue at one address, shared by all its accounts in a run.

    What is the same for every account is asked once a run: public endpoints, and the difference of the clocks.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        endpoint: str | None = None,
        deadline: float = DEADLINE,
        connections: int = CONNECTIONS,
    ) -> None:
        self.connector = connector
        self.connections = connections
        self.endpoint = endpoint.rstrip("/") if endpoint else None
        self._deadlines = Deadlines(deadline)
        self.budgets = Budgets()
        self.skew: int | None = None
        """Milliseconds by which this machine's clock is ahead, once the venue complained."""
        self.heard = 0
        """How often anything came back, refusals included."""
        self.shut: Unavailable | None = None
        """Set once the venue locked out this address: no key asks again."""
        self.unsigned: _signer.Signer | _signer.RuleSigner | None = None
        """For public endpoints: it holds no key."""
        self._connections: Connections | None = None
        self._learning = asyncio.Lock()
        self._public: dict[tuple[str, ...], Once] = {}
        self._doors: dict[bytes, KeyDoor] = {}

    async def __aenter__(self) -> Self:
        await _signer.warm_up(self.connector.ccxt_class)
        self.unsigned = _signer.signer_of(self.connector, {}, self.endpoint)
        hosts = _hosts.of((one.host for one in self.connector.endpoints), self.endpoint)
        names = _hosts.resolver(hosts, plain=(self.endpoint or "").startswith("http:"))
        self._connections = Connections(self.connections, names)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._connections is not None
        self._deadlines.close()
        await self._connections.close()

    def key(self, credentials: Mapping[str, Secret]) -> KeyDoor:
        """The door of one key: the same one however often the key is given, for its nonces and its allowance are one."""
        whose = _signer.same_key(credentials)
        if whose not in self._doors:
            self._doors[whose] = KeyDoor(self, credentials)
        return self._doors[whose]

    async def public(self, place: tuple[str, ...], ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of a public endpoint: asked by the first account that wants it, the same for all."""
        once = self._public.get(place)
        if once is None:
            once = self._public[place] = Once()
        return await once.get(ask)

    async def learn_skew(self, ask: Callable[[Endpoint], Awaitable[Any]]) -> bool:
        """Whether the difference of the clocks is known now; asks the venue's clock once."""
        clock = self.connector.clock
        async with self._learning:
            if self.skew is not None or clock is None:
                return self.skew is not None
            before = time.time()
            try:
                theirs = self.connector.server_time(await ask(clock))
            except (Unavailable, ShapeError):
                return False
            skew = int((before + time.time()) / 2 * 1000) - theirs
            self.skew = skew if abs(skew) <= _LARGEST_SKEW else None
            return self.skew is not None

    async def send(self, request: _signer.SignedRequest) -> Answer:
        """One request over our own connections. Raises Unavailable for whatever is not a complete, bounded JSON answer."""
        import aiohttp

        assert self._connections is not None
        silent = True
        deadline = self._deadlines.start()
        try:
            async with deadline:
                response = await self._connections.send(request.verb, request.url, request.headers, request.body)
                silent = False
                self.heard += 1
                return await _body.read(response)
        except TimeoutError:
            raise Unavailable(_SILENT if silent else _TIMED_OUT) from None
        except (aiohttp.ClientPayloadError, zlib.error):
            raise Unavailable(_body.CUT_OFF) from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(_NO_CONNECTION, f"no connection ({type(error).__name__})") from None
        finally:
            self._deadlines.stop(deadline)


class KeyDoor:
    """Door of one key: declares, waits its turn, signs, sends, classifies, retries what can succeed on a retry.

    Once the venue refused the key or its address, or locked it, nothing more is sent with it: every further call would
    make it worse and could not succeed.
    """

    def __init__(self, venue: Venue, credentials: Mapping[str, Secret]) -> None:
        self._venue = venue
        self._signer = _signer.signer_of(venue.connector, credentials, venue.endpoint)
        self._key = str(next(_numbers))
        self._shut: Unavailable | None = None
        self._turn = asyncio.Lock()
        self._silence = Silence()

    def __repr__(self) -> str:
        return "KeyDoor(•••)"

    async def fetch(self, endpoint: Endpoint, params: Mapping[str, str] | None = None) -> Any:
        """Decoded JSON of a declared endpoint. Raises Unavailable."""
        _gate.check_declared(endpoint, self._venue.connector.endpoints)
        asked = dict(params or {})
        if endpoint.public and endpoint != self._venue.connector.clock:
            place = (endpoint.name, *(part for pair in sorted(asked.items()) for part in pair))
            return await self._venue.public(place, partial(self._ask, endpoint, asked))
        return await self._ask(endpoint, asked)

    async def _ask(self, endpoint: Endpoint, params: Mapping[str, str]) -> Any:
        """Up to ATTEMPTS of one request, and one more where only the clock was wrong."""
        clock_set = endpoint.public
        attempt = 1
        while True:
            since = self._venue.heard
            try:
                return await self._once(endpoint, params)
            except Unavailable as refusal:
                if refusal.failure is _SILENT and not endpoint.public:
                    self._silence.met(endpoint.name, since=since, heard=self._venue.heard, last=attempt >= ATTEMPTS)
                    if self._silence.holds(self._venue.heard):
                        raise
                if refusal.failure.reason is Reason.CLOCK_SKEW and not clock_set:
                    clock_set = True
                    if await self._venue.learn_skew(lambda clock: self._ask(clock, {})):
                        continue
                await asyncio.sleep(self._pause(refusal, endpoint, attempt))
                attempt += 1

    async def _once(self, endpoint: Endpoint, params: Mapping[str, str]) -> Any:
        self._refuse_if_shut(endpoint)
        await self._venue.budgets.take(endpoint.name, endpoint.limit, self._key)
        if self._venue.connector.serial and not endpoint.public:
            async with self._turn:
                return await self._exchange(endpoint, params)
        return await self._exchange(endpoint, params)

    def _refuse_if_shut(self, endpoint: Endpoint) -> None:
        shut = self._venue.shut or (None if endpoint.public else self._shut)
        if shut is not None:
            raise shut.again()
        if self._silence.holds(self._venue.heard) and not endpoint.public:
            raise Unavailable(_NOT_ASKED)

    async def _exchange(self, endpoint: Endpoint, params: Mapping[str, str]) -> Any:
        self._refuse_if_shut(endpoint)
        answer = await self._venue.send(self._signed(endpoint, params))
        failure = self._by_its_clock(
            _judged(self._venue.connector.classify(answer, endpoint), answer, endpoint), answer
        )
        if failure is None:
            return answer.body
        code = "•••" if self._signer.knows(failure.code) else scrub(failure.code)
        failure = replace(failure, code=code, meaning=scrub(failure.meaning))
        refusal = Unavailable(failure, f"{failure.meaning} (HTTP {answer.status}, code {code})")
        refusal.retry_after = _seconds(answer.headers.get("retry-after"))
        if failure.address:
            self._venue.shut = refusal
        if failure.lockout and not endpoint.public:
            self._shut = refusal
        raise refusal

    def _by_its_clock(self, failure: Failure | None, answer: Answer) -> Failure | None:
        """A key is not accused where the venue's clock, as its `Date` tells it, is not ours: some venues say the same of both.

        Nothing more is sent with the key unless the difference can be learnt; once it is, what is said counts.
        """
        if failure is None or failure.reason is not Reason.INVALID_KEY or self._venue.skew is not None:
            return failure
        theirs = _moment(answer.headers.get("date"))
        if not theirs or abs(time.time() - theirs) <= _CLOCKS_AGREE:
            return failure
        meaning = "this machine's clock is not the exchange's; whether the key is good cannot be told until it is"
        return replace(failure, reason=Reason.CLOCK_SKEW, meaning=meaning, lockout=self._venue.connector.clock is None)

    def _signed(self, endpoint: Endpoint, params: Mapping[str, str]) -> _signer.SignedRequest:
        signer = self._venue.unsigned if endpoint.public else self._signer
        assert signer is not None
        signer.set_skew(self._venue.skew or 0)
        try:
            _gate.check_params(params)
            request = signer.sign(endpoint, params)
            _gate.check_signed(request, endpoint, params, self._venue.endpoint)
        except _gate.ParameterError as error:
            if not params:
                raise
            raise Unavailable(_UNASKABLE, f"{_UNASKABLE.meaning}: {error}") from None
        except _signer.UnsignableError as error:
            self._shut = Unavailable(_UNSIGNABLE, f"{_UNSIGNABLE.meaning} ({error})")
            raise self._shut.again() from None
        return request

    def _pause(self, refusal: Unavailable, endpoint: Endpoint, attempt: int) -> float:
        """Seconds to wait before the next attempt; raises `refusal` where another one cannot help, or not soon."""
        failure = refusal.failure
        if not failure.retry or failure.lockout or attempt >= ATTEMPTS:
            raise refusal
        turn = self._venue.budgets.wait(endpoint.name, endpoint.limit, self._key)
        asked = max(refusal.retry_after or 0.0, turn)
        if asked > _LONGEST_PAUSE:
            raise refusal
        backoff: float = FIRST_PAUSE * 2 ** (attempt - 1)
        return max(refusal.retry_after or 0.0, backoff * random.uniform(0.5, 1.5))  # noqa: S311  (jitter, not cryptography)


def _judged(failure: Failure | None, answer: Answer, endpoint: Endpoint) -> Failure | None:
    """What the answer means: the venue's own words, but not against a key where they stand in place of an outage's (an
    internal error, a page that is no JSON) or answer a request that carried no key.
    """
    if failure is not None and failure.reason in _ABOUT_THE_KEY:
        if (answer.body is None or answer.status >= 500) and not failure.unmistakable:  # noqa: PLR2004
            failure = None
        elif endpoint.public:
            return by_status(answer) or _NONSENSE
    if failure is None:
        failure = by_status(answer)
    return _NOT_JSON if failure is None and answer.body is None else failure


def _seconds(header: str | None) -> float | None:
    plain = header is not None and header.isascii() and header.isdigit() and len(header) < 6  # noqa: PLR2004
    return float(header) if plain and header else None


def _moment(header: str | None) -> float | None:
    """The time an answer was made (Unix seconds), as its `Date` says."""
    try:
        return parsedate_to_datetime(header or "").timestamp()
    except (ValueError, OverflowError):
        return None
