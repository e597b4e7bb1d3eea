"""What every twin venue shares: a server on a free port, recorded requests, latency, and failures on command.

Knows no exchange. A venue says how a request is authenticated, how each refusal is spelled, and what its routes serve.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Self

from aiohttp import web

from auditor.values import frozen


class Refusal(StrEnum):
    """What a venue may answer instead of serving; each venue spells it in its own code, text and status."""

    BAD_KEY = "bad_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_TIMESTAMP = "bad_timestamp"
    FOREIGN_IP = "foreign_ip"
    MISSING_PERMISSION = "missing_permission"
    RATE_LIMIT = "rate_limit"
    MAINTENANCE = "maintenance"


class Breakage(StrEnum):
    """What happens to an answer on its way, the same at every venue."""

    HTML_ERROR = "html_error"
    TRUNCATED = "truncated"
    WRONG_SHAPE = "wrong_shape"
    REDIRECT = "redirect"
    SILENCE = "silence"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A documented refusal as it stands in an answer: a status, and a body that is JSON, or text where it is a `str`."""

    status: int
    body: Any

    def response(self) -> web.Response:
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body)
        return web.json_response(self.body, status=self.status)


@frozen
class TwinKey:
    """One sample key: what signs, what it may do, from where, and the venue's own description of it."""

    api_key: str
    secret: str
    password: str = ""
    ips: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()
    about: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Recorded:
    """A request as it arrived."""

    verb: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    key: str | None
    status: int


@dataclass(slots=True)
class Trouble:
    """A failure to be produced for paths that begin with `prefix`, `times` times (None: until told otherwise)."""

    how: Refusal | Breakage | Spoken
    prefix: str = "/"
    times: int | None = None


class Refused(Exception):  # noqa: N818  (a documented answer, not an error)
    """Raised by a venue's code to answer with one of its refusals."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


Route = Callable[[web.Request, TwinKey], Any]


class TwinVenue:
    """Base of the venues. Subclasses set `id`, `signed` and `public` routes, `authenticate` and `refuse`."""

    id: str
    account_name: str
    in_demo: ClassVar[bool] = False
    """Whether the demo shows it: a few venues say enough."""
    credentials: tuple[str, ...] = ("apiKey", "secret")
    further: ClassVar[tuple[Spoken, ...]] = ()
    """Documented refusals of other kinds than those of `Refusal`: each reason a connector may give has an answer here."""

    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Other states the account can be in: an attribute and its new value, or what makes it of the old one; `about` changes
    the venue's description of the first key.
    """

    def __init__(self) -> None:
        self.keys: dict[str, TwinKey] = {key.api_key: key for key in self.sample_keys()}
        self.caller = "198.51.100.7"
        self.latency = 0.0
        self.troubles: list[Trouble] = []
        self.requests: list[Recorded] = []
        self.signed: dict[tuple[str, str], Route] = {}
        self.public: dict[tuple[str, str], Callable[[web.Request], Any]] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    # What a venue defines.

    def sample_keys(self) -> list[TwinKey]:
        """The keys the twin knows; the first one is the key of the demo's audit."""
        raise TypeError("a venue defines its sample keys")

    def situations(self) -> dict[str, dict[str, str]]:
        """Credentials by the name of a situation: each sample key, and the first one in every other state of the account.
        Together they show every fact that a key can show.
        """
        by_key = {f"key {number}": self._named(key) for number, key in enumerate(self.sample_keys(), 1)}
        return by_key | {state: self.sample_credentials() for state in self.states}

    def enter(self, situation: str) -> None:
        """Puts the account into a situation, before anything is asked."""
        for name, change in self.states.get(situation, {}).items():
            if name == "about":
                key = self.sample_keys()[0]
                self.keys[key.api_key] = replace(key, about={**key.about, **change})
            else:
                before = getattr(self, name)
                setattr(self, name, change(before) if callable(change) else copy.deepcopy(change))

    def attested(self) -> dict[str, Any]:
        """What the sample owner states: account facts by name, beside rows and vendors of an attestation file."""
        return {}

    def authenticate(self, request: web.Request, body: str) -> TwinKey:  # noqa: ARG002
        """The key that signed `request`, or Refused."""
        raise TypeError("a venue defines how it authenticates")

    def refuse(self, refusal: Refusal) -> web.Response:  # noqa: ARG002
        """The venue's own answer for a refusal."""
        raise TypeError("a venue defines how it refuses")

    # What they share.

    @property
    def url(self) -> str:
        """The base to give as `endpoint`."""
        return f"http://127.0.0.1:{self.port}"

    def fail(self, how: Refusal | Breakage | Spoken, prefix: str = "/", times: int | None = None) -> None:
        """From now on, answer requests under `prefix` with a failure."""
        self.troubles.append(Trouble(how=how, prefix=prefix, times=times))

    def sample_credentials(self) -> dict[str, str]:
        """The first sample key under the names the configuration uses."""
        return self._named(self.sample_keys()[0])

    def _named(self, key: TwinKey) -> dict[str, str]:
        values = {"apiKey": key.api_key, "secret": key.secret, "password": key.password}
        return {name: values[name] for name in self.credentials}

    async def start(self) -> TwinVenue:
        app = web.Application(client_max_size=2**20)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        await asyncio.sleep(self.latency)
        key: TwinKey | None = None
        trouble = self._trouble(request.path)
        try:
            place = (request.method, self._declared(request))
            if trouble is not None and isinstance(trouble.how, Refusal):
                response = self.refuse(trouble.how)
            elif trouble is not None and isinstance(trouble.how, Spoken):
                response = trouble.how.response()
            elif place in self.public:
                response = web.json_response(self.public[place](request))
            elif place in self.signed:
                key = self.authenticate(request, body)
                response = web.json_response(self.signed[place](request, key))
            else:
                response = web.Response(status=404, text="no such path")
        except Refused as refused:
            response = self.refuse(refused.refusal)
        self._record(request, body, key, response.status)
        return (
            await _broken(response, trouble.how, request) if trouble and isinstance(trouble.how, Breakage) else response
        )

    def _declared(self, request: web.Request) -> str:
        """The path of a request as the routes spell it: a part they call `{name}` may be anything."""
        asked = request.path.split("/")
        for verb, path in (*self.signed, *self.public):
            parts = path.split("/")
            fits = len(parts) == len(asked) and all(
                a == b or a.startswith("{") for a, b in zip(parts, asked, strict=True)
            )
            if verb == request.method and "{" in path and fits:
                return path
        return request.path

    def _trouble(self, path: str) -> Trouble | None:
        for trouble in self.troubles:
            if path.startswith(trouble.prefix) and trouble.times != 0:
                if trouble.times is not None:
                    trouble.times -= 1
                return trouble
        return None

    def _record(self, request: web.Request, body: str, key: TwinKey | None, status: int) -> None:
        self.requests.append(
            Recorded(
                verb=request.method,
                path=request.path,
                query=dict(request.query),
                headers=dict(request.headers),
                body=body,
                key=key.api_key if key else None,
                status=status,
            )
        )


async def _broken(response: web.Response, how: Breakage, request: web.Request) -> web.StreamResponse:
    spoiled: dict[Breakage, Callable[[], Awaitable[web.StreamResponse]]] = {
        Breakage.HTML_ERROR: _html,
        Breakage.REDIRECT: _redirect,
        Breakage.EMPTY: _empty,
        Breakage.SILENCE: _silence,
        Breakage.WRONG_SHAPE: lambda: _wrong_shape(response),
        Breakage.TRUNCATED: lambda: _truncated(response, request),
    }
    return await spoiled[how]()


async def _html() -> web.StreamResponse:
    return web.Response(status=502, content_type="text/html", text="<html><h1>502 Bad Gateway</h1><p>cloud</p></html>")


async def _redirect() -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})


async def _empty() -> web.StreamResponse:
    return web.Response(status=200, text="")


async def _silence() -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError("unreachable")


async def _wrong_shape(response: web.Response) -> web.StreamResponse:
    body = json.loads(response.text or "null")
    return web.json_response(_misshapen(body), status=response.status)


def _misshapen(value: Any) -> Any:
    """Every text a number, every number a list, every list an object: JSON that parses and means nothing."""
    if isinstance(value, dict):
        return {
            name: child if name in {"code", "retCode", "error"} else _misshapen(child) for name, child in value.items()
        }
    if isinstance(value, list):
        return {str(number): _misshapen(child) for number, child in enumerate(value)} or {"empty": None}
    return [value]


async def _truncated(response: web.Response, request: web.Request) -> web.StreamResponse:
    whole = response.body if isinstance(response.body, bytes) else b""
    stream = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(whole))})
    await stream.prepare(request)
    await stream.write(whole[: len(whole) // 2])
    if request.transport is not None:
        request.transport.close()
    return stream


def hmac_sha256(secret: str, text: str) -> bytes:
    """HMAC-SHA256, for the venues that sign with it."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()


def same(one: str, other: str) -> bool:
    """Constant-time comparison of two signatures."""
    return hmac.compare_digest(one.encode(), other.encode())
