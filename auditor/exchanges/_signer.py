"""ccxt as a signer, and nothing else. The only module that imports ccxt.

A sealed subclass signs; every method of it that could reach a socket raises instead. One template instance is made per
venue and endpoint, and a shallow copy per key with containers of its own: ccxt stores tokens, nonces and clock
differences in `options`, and a copy that shared them would show one account's to another.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from urllib.parse import quote, urlsplit

from auditor.exchanges._base import Endpoint
from auditor.redaction import Secret

_OWN_CONTAINERS = ("options", "headers", "urls", "tokenBucket", "last_request_headers", "accountsById", "balance")
_SHORTEST_PART = 6
_SOUND_KEY = "c291bmQ="  # plain text and Base64 at once
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
    import ccxt.async_support

    base: type = getattr(ccxt.async_support, ccxt_class)

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
    return type(f"Sealed{ccxt_class.capitalize()}", (base,), sealed)


@cache
def template(ccxt_class: str, endpoint: str | None) -> Any:
    """The instance whose copies sign for one venue; `endpoint` replaces scheme and host of every URL it knows."""
    instance = _sealed_class(ccxt_class)({"enableRateLimit": False, "aiohttp_trust_env": False})
    if endpoint is not None:
        instance.urls = {**instance.urls, "api": _moved(instance.urls["api"], endpoint.rstrip("/"))}
    return instance


async def warm_up(ccxt_class: str) -> None:
    """Imports ccxt off the event loop's thread: its package loads every exchange, which takes a third of a second."""
    await asyncio.to_thread(_sealed_class, ccxt_class)


def _moved(leaf: Any, base: str) -> Any:
    if isinstance(leaf, Mapping):
        return {key: _moved(value, base) for key, value in leaf.items()}
    return base + urlsplit(str(leaf)).path


class Signer:
    """Signs for one key. Its ccxt copy shares no container with any other."""

    def __init__(self, ccxt_class: str, credentials: Mapping[str, Secret], endpoint: str | None) -> None:
        self._ccxt = copy.copy(template(ccxt_class, endpoint))
        for name in _OWN_CONTAINERS:
            held = getattr(self._ccxt, name, None)
            if isinstance(held, dict):
                setattr(self._ccxt, name, copy.deepcopy(held))
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
        import ccxt
        from cryptography.exceptions import UnsupportedAlgorithm

        values = {name: quote(value, safe="") if endpoint.unescaped else value for name, value in params.items()}
        signed: dict[str, Any] = {}
        fault = ""
        try:
            signed = _signed(self._ccxt, endpoint, values)
        except (ccxt.BaseError, ValueError, TypeError, LookupError, AttributeError, UnsupportedAlgorithm) as error:
            if not self._names:
                raise
            fault = type(error).__name__
        if fault:
            _signed(self._with_sound_key(), endpoint, values)
            raise UnsignableError(fault)
        headers = {str(name): str(value) for name, value in (signed.get("headers") or {}).items()}
        if any(not _sendable(value) for value in headers.values()):
            raise UnsignableError("a line break or control character in a credential")
        return SignedRequest(verb=signed["method"], url=signed["url"], headers=headers, body=signed.get("body"))

    def _with_sound_key(self) -> Any:
        """A copy with a key of the right form: if that cannot sign either, the fault is not the key's but ours."""
        sound = copy.copy(self._ccxt)
        sound.options = dict(self._ccxt.options)
        sound.apiKey = sound.secret = sound.password = _SOUND_KEY
        return sound


def _signed(instance: Any, endpoint: Endpoint, values: dict[str, str]) -> dict[str, Any]:
    return cast("dict[str, Any]", instance.sign(endpoint.call, list(endpoint.api), endpoint.verb, values))


def _sendable(header: str) -> bool:
    return header.isprintable() and header.isascii()
