"""ccxt as a signer, and nothing else; for an exchange ccxt does not know, the connector's own rule with a lent pen. The only
module that uses ccxt, and the only one of the exchanges that reveals a secret.

A sealed subclass signs; every method of it that could reach a socket raises instead. One template is made per venue and
endpoint, and an instance of it per key with containers of its own: ccxt stores tokens, nonces and clock differences in
`options`, and an instance that shared them would show one account's to another.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import inspect
import re
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol, cast
from urllib.parse import quote, urlencode, urlsplit

from auditor.exchanges import _ccxt
from auditor.exchanges._base import Connector, Endpoint
from auditor.redaction import Secret

_OWN_CONTAINERS = ("options", "headers", "urls", "tokenBucket", "last_request_headers", "accountsById", "balance")
_LEAVES = frozenset({str, int, float, bool, type(None)})
_SHORTEST_PART = 6
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SEEDS = {32, 64}
_SOUND_KEY = "accountaccountaccountaccountaccountaccounta="  # plain text and Base64 at once, a seed by length, an account's key by name
_UNLISTED = {
    "krakenfutures": {
        "urls": {"api": {"auth": "https://futures.kraken.com/api/auth/"}},
        "options": {
            "versions": {"auth": {"GET": {"api-keys/v3/check": "v1"}}},
            "access": {"auth": {"GET": {"api-keys/v3/check": "private"}}},
        },
    }
}
"""Sections of an API that ccxt can sign and does not list."""
_WAYS_OUT = ("open", "get_event_loop", "get_session", "get_socks_proxy_session", "client", "spawn", "delay")


class SealedError(Exception):
    """Something tried to make ccxt send. Our bug, never a venue's answer."""


class UnsignableError(Exception):
    """The key as given cannot sign: not of the form this exchange uses. Says nothing of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What ccxt made of a declared endpoint. Carries credentials: it is sent at once and never shown."""

    verb: str
    url: str
    headers: dict[str, str]
    body: str | None

    def __repr__(self) -> str:
        return f"SignedRequest({self.verb})"


@cache
def _sealed_class(ccxt_class: str) -> type:
    """A subclass of the exchange class in which every coroutine and every way to a session raises."""
    base = _ccxt.exchange_class(ccxt_class)

    async def refuse(*_args: object, **_kwargs: object) -> None:
        raise SealedError(f"{ccxt_class}: ccxt signs and never sends")

    def refuse_now(*_args: object, **_kwargs: object) -> None:
        raise SealedError(f"{ccxt_class}: ccxt signs and never sends")

    sealed: dict[str, Any] = {
        name: refuse for name in dir(base) if inspect.iscoroutinefunction(inspect.getattr_static(base, name, None))
    }
    for name in dir(base):
        if name not in sealed and (name in _WAYS_OUT or name.startswith(("fetch", "watch", "load_"))):
            sealed[name] = refuse_now
    sealed["session"] = property(lambda _self: None, lambda _self, _value: None)
    sealed |= {"all_credentials": False, "check_required_credentials": _checked_once(base)}
    return type(f"Sealed{ccxt_class.capitalize()}", (base,), sealed)


def _checked_once(base: Any) -> Callable[[Any, bool], bool]:
    """Before each signature ccxt looks whether every credential is there; once they are, they are for good."""

    def check(self: Any, error: bool = True) -> bool:  # noqa: FBT001, FBT002  (ccxt's own signature)
        if not self.all_credentials:
            self.all_credentials = bool(base.check_required_credentials(self, error))
        return bool(self.all_credentials)

    return check


@cache
def template(ccxt_class: str, endpoint: str | None) -> Any:
    """The instance whose copies sign for one venue; `endpoint` replaces scheme and host of every URL it knows."""
    instance = _sealed_class(ccxt_class)(
        {"enableRateLimit": False, "aiohttp_trust_env": False, **_UNLISTED.get(ccxt_class, {})}
    )
    if endpoint is not None:
        instance.urls = {**instance.urls, "api": _moved(instance.urls["api"], endpoint.rstrip("/"))}
    return instance


def same_key(credentials: Mapping[str, Secret]) -> bytes:
    """Equal for equal credentials and for no others, so that one key has one signer in a run. Lives in memory alone."""
    parts = [f"{name}={secret.reveal()}" for name, secret in sorted(credentials.items())]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


async def warm_up(ccxt_class: str | None) -> None:
    """Imports what ccxt has for an exchange off the event loop's thread."""
    if ccxt_class is not None:
        await asyncio.to_thread(_sealed_class, ccxt_class)


@cache
def _class_of_keys(ccxt_class: str, endpoint: str | None) -> type:
    """The template as a class: what all keys have in common stands there once, and each key's instance holds its own alone.

    ccxt gives every instance 165 attributes. A copy of them for each of thousands of keys would be half of the memory an
    account takes, and none of it in the processor's cache when it is needed.
    """
    whole = template(ccxt_class, endpoint)
    held = {name: staticmethod(one) if hasattr(one, "__get__") else one for name, one in vars(whole).items()}
    return type(type(whole).__name__, (type(whole),), held)


@cache
def _copiers(ccxt_class: str, endpoint: str | None) -> dict[str, Callable[[], Any]]:
    """Container of the template -> what makes a deep copy of it."""
    held = {name: getattr(template(ccxt_class, endpoint), name, None) for name in _OWN_CONTAINERS}
    return {name: _copier(table) for name, table in held.items() if isinstance(table, dict)}


def _copier(held: Any) -> Callable[[], Any]:
    """`copy.deepcopy` of a container that does not change, with the walk through it done once: with thousands of keys a
    copy for each counts.
    """
    if type(held) not in {dict, list}:
        return partial(copy.deepcopy, held)
    places = held.items() if type(held) is dict else enumerate(held)
    inner = [(place, _copier(value)) for place, value in places if type(value) not in _LEAVES]

    def again() -> Any:
        made = held.copy()
        for place, copied in inner:
            made[place] = copied()
        return made

    return again if inner else cast("Callable[[], Any]", held.copy)


def _moved(leaf: Any, base: str) -> Any:
    if isinstance(leaf, Mapping):
        return {key: _moved(value, base) for key, value in leaf.items()}
    return base + urlsplit(str(leaf)).path


class Signer:
    """Signs for one key. Its ccxt copy shares no container with any other."""

    def __init__(self, ccxt_class: str, credentials: Mapping[str, Secret], endpoint: str | None) -> None:
        kind: Any = _class_of_keys(ccxt_class, endpoint)
        self._ccxt = kind.__new__(kind)
        for name, copied in _copiers(ccxt_class, endpoint).items():
            setattr(self._ccxt, name, copied())
        self._names = tuple(credentials)
        self._ccxt.headers = {}
        self._ccxt.options["timeDifference"] = 0
        for name, secret in credentials.items():
            setattr(self._ccxt, name, secret.reveal())

    def __repr__(self) -> str:
        return "Signer(•••)"

    def set_skew(self, milliseconds: int) -> None:
        """How far this machine's clock is ahead of the venue's."""
        self._ccxt.options["timeDifference"] = milliseconds

    def knows(self, text: str) -> bool:
        """Whether `text`, as a venue might echo it, is a part of a credential. Parts too short to tell are not."""
        held = (str(getattr(self._ccxt, name, None) or "") for name in self._names)
        return len(text) >= _SHORTEST_PART and any(text in value for value in held)

    def sign(self, endpoint: Endpoint, params: Mapping[str, str]) -> SignedRequest:
        """The request for a declared endpoint. Values are escaped here where ccxt is known to leave them as they are.

        Raises UnsignableError, without the cause: what a cryptographic library says of a key may quote it.
        """
        values = {name: quote(value, safe="") if endpoint.unescaped else value for name, value in params.items()}
        if endpoint.own_key:
            values[endpoint.own_key] = self._own_id()
        signed: dict[str, Any] = {}
        fault = ""
        try:
            signed = _signed(self._ccxt, endpoint, values)
        except _faults_of_keys() as error:
            if not self._names:
                raise
            fault = type(error).__name__
        if fault:
            _signed(self._with_sound_key(), endpoint, values)
            raise UnsignableError(fault)
        headers = {str(name): str(value) for name, value in (signed.get("headers") or {}).items()}
        if not _sendable("".join(headers.values())):
            raise UnsignableError("a line break or control character in a credential")
        return SignedRequest(verb=signed["method"], url=signed["url"], headers=headers, body=signed.get("body"))

    def _own_id(self) -> str:
        """What names the caller: the public part of its key, or its address where it has no key. Raises UnsignableError
        for what is no address: whoever mistook the field put a private key there.
        """
        if "walletAddress" not in self._names:
            return str(self._ccxt.apiKey)
        if not _ADDRESS.fullmatch(str(self._ccxt.walletAddress)):
            raise UnsignableError("an address is 0x and 40 hexadecimal digits; a private key does not belong here")
        return str(self._ccxt.walletAddress)

    def _with_sound_key(self) -> Any:
        """A copy with a key of the right form: if that cannot sign either, the fault is not the key's but ours."""
        sound = copy.copy(self._ccxt)
        sound.options = dict(self._ccxt.options)
        sound.apiKey = sound.secret = sound.password = _SOUND_KEY
        return sound


def _faults_of_keys() -> tuple[type[Exception], ...]:
    """What comes of signing with a key that is not of the right form."""
    import ccxt
    from cryptography.exceptions import UnsupportedAlgorithm

    return (ccxt.BaseError, ValueError, TypeError, LookupError, AttributeError, UnsupportedAlgorithm)


def _signed(instance: Any, endpoint: Endpoint, values: dict[str, str]) -> dict[str, Any]:
    return cast("dict[str, Any]", instance.sign(endpoint.call, list(endpoint.api), endpoint.verb, values))


def _sendable(header: str) -> bool:
    return header.isprintable() and header.isascii()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A request that is to be signed: `target` is path and query; `milliseconds` is the time by the venue's clock."""

    verb: str
    target: str
    milliseconds: int


class Pen(Protocol):
    """Lent to a connector's `sign`: the public half of the key, and signatures by the other half, never that itself."""

    public_id: str

    def ed25519(self, message: bytes) -> bytes:
        """The signature (64 bytes). Raises UnsignableError where the secret is no seed."""
        ...


Rule = Callable[[Pen, Draft], dict[str, str]]
"""How one exchange wants a request signed: the headers it asks for."""


class RuleSigner:
    """Signs GETs for one key by a connector's own rule. The same face as Signer."""

    def __init__(self, rule: Rule, credentials: Mapping[str, Secret], endpoint: str | None) -> None:
        self._rule = rule
        self._held = {name: secret.reveal() for name, secret in credentials.items()}
        self._base = endpoint.rstrip("/") if endpoint else None
        self._skew = 0
        self.public_id = self._held.get("apiKey", "")

    def __repr__(self) -> str:
        return "RuleSigner(•••)"

    def set_skew(self, milliseconds: int) -> None:
        """How far this machine's clock is ahead of the venue's."""
        self._skew = milliseconds

    def knows(self, text: str) -> bool:
        """As of Signer."""
        return len(text) >= _SHORTEST_PART and any(text in value for value in self._held.values())

    def sign(self, endpoint: Endpoint, params: Mapping[str, str]) -> SignedRequest:
        """The request for a declared endpoint. Raises UnsignableError for a key that cannot sign it."""
        target = endpoint.path + (f"?{urlencode(params, quote_via=quote)}" if params else "")
        headers: dict[str, str] = {}
        if not endpoint.public:
            if not self.public_id or not _sendable(self.public_id):
                raise UnsignableError("no public id that can be sent")
            now = int(time.time() * 1000) - self._skew
            headers = self._rule(self, Draft(verb=endpoint.verb, target=target, milliseconds=now))
        if not _sendable("".join(headers.values())):
            raise UnsignableError("a line break or control character in a credential")
        url = (self._base or f"https://{endpoint.host}") + target
        return SignedRequest(verb=endpoint.verb, url=url, headers=headers, body=None)

    def ed25519(self, message: bytes) -> bytes:
        """By the seed that `secret` holds as Base64: its 32 bytes, or those and the 32 public ones after them."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            raw = b64decode(self._held.get("secret", ""), validate=True)
        except ValueError:
            raw = b""
        if len(raw) not in _SEEDS:
            raise UnsignableError("not an Ed25519 key in Base64")
        return Ed25519PrivateKey.from_private_bytes(raw[:32]).sign(message)


class _WithRule(Protocol):
    def sign(self, pen: Pen, draft: Draft) -> dict[str, str]: ...


def signer_of(connector: Connector, credentials: Mapping[str, Secret], endpoint: str | None) -> Signer | RuleSigner:
    """Signs by ccxt where it knows the exchange, else by the connector's own `sign`."""
    if connector.ccxt_class is not None:
        return Signer(connector.ccxt_class, credentials, endpoint)
    return RuleSigner(cast("_WithRule", connector).sign, credentials, endpoint)
