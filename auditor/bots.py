"""For programs that hold a ccxt instance of their own: what its key may do, and whether that is no more than it should be.

The instance is read and never used: it gets no attribute and opens no connection; the questions go out over our own
transport. Whatever cannot be known is a reason to say no.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
import threading
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from auditor import collect, endpoints, snapshots
from auditor.errors import UsageError
from auditor.exchanges import _load, _venue
from auditor.exchanges._base import Connector, Sheet
from auditor.identity import Identity
from auditor.model.evidence import Problem, Reason
from auditor.model.venue import Remedy
from auditor.redaction import Secret, printable
from auditor.values import frozen

T = TypeVar("T")

POWERS = {
    "can_trade": ("trade", "trade"),
    "can_trade_derivatives": ("trade", "trade derivatives"),
    "can_transfer": ("transfer", "move funds between accounts"),
    "can_withdraw": ("withdraw", "withdraw"),
    "can_manage": ("manage", "create or change keys or sub-accounts"),
}
"""Fact -> the word that allows it, and what it means."""
WORDS = ("read", "trade", "transfer", "withdraw", "manage")
_LOST = ("api_keys",)
_HELD = ("apiKey", "secret", "password", "uid", "login", "twofa", "accountId", "privateKey", "walletAddress", "token")
_QUIET = {Reason.PERMISSION_DENIED, Reason.NOT_COLLECTED}
_SIGNS = ("secret", "privateKey", "token")
"""What signs: one that the connector does not use belongs to a key that it does not ask about."""
_PROXIES = (
    "proxyUrl",
    "proxy_url",
    "httpProxy",
    "http_proxy",
    "httpsProxy",
    "https_proxy",
    "socksProxy",
    "socks_proxy",
)
_WAYS_ROUND = (
    *(f"{name}{ending}" for name in _PROXIES for ending in ("", "Callback", "_callback")),
    *("proxy", "proxies", "aiohttpProxy", "aiohttp_proxy"),
)
_REHEARSALS = ("sandboxMode", "sandbox", "testnet", "enableDemoTrading")


@frozen
class Verdict:
    """Whether a key does no more than it should, and why not. It is as true as `ok`, so that `if` reads it rightly.

    `reasons` are lines for people, empty where all is well; `facts` is what `key_facts` gives.
    """

    ok: bool
    reasons: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __bool__(self) -> bool:
        return self.ok


def key_facts(exchange: Any, *, address_confirmed: bool = False) -> Any:
    """What the key of a ccxt instance may do: the facts `api_key.*` of the catalogue by name (`can_trade`, `ip_bound` ...),
    and `problems`, what could not be seen and why. A name that is not there is unknown.

    A `dict`; of an instance of ccxt.async_support or ccxt.pro a coroutine that gives it. `address_confirmed`: this machine's
    address is on the key's list, for exchanges that switch off a key used from elsewhere. Raises UsageError for what is no
    ccxt instance, or of an exchange that is not known here; an exchange that does not answer is among the problems.
    """
    return _answered(exchange, _read(exchange, confirmed=address_confirmed))


def preflight(exchange: Any, allow: Iterable[str] = frozenset({"read"}), *, address_confirmed: bool = False) -> Any:
    """Whether the key of a ccxt instance can do no more than `allow` says, and only from addresses it is bound to.

    A `Verdict`; of an async instance a coroutine that gives it. `allow` holds words of WORDS, or is one text of them
    separated by commas; reading is never held against a key, and `trade` does not imply `transfer`. What is not known is
    not ok, unless it is allowed anyhow. Raises UsageError, also for a word that is not known.
    """
    words = allowed(allow)

    async def judged() -> Verdict:
        return judge(await _read(exchange, confirmed=address_confirmed), words, str(exchange.id))

    _check_instance(exchange)
    return _answered(exchange, judged())


def allowed(allow: Iterable[str]) -> frozenset[str]:
    """The words of `--allow`. Raises UsageError for one that is not known."""
    words = [word.strip() for word in (allow.split(",") if isinstance(allow, str) else allow)]
    for word in words:
        if word not in WORDS:
            close = difflib.get_close_matches(word, WORDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"what can be allowed: {', '.join(WORDS)}"
            raise UsageError(f"{printable(word, limit=40)!r} is nothing that can be allowed", hint=hint)
    return frozenset(words)


async def facts_of(
    exchange: str, held: Mapping[str, Secret], *, endpoint: str | None = None, others: tuple[Secret, ...] = ()
) -> dict[str, Any]:
    """As of `key_facts`, for a key in hand. `exchange` has a venue file."""
    connector = _load.connector(exchange)
    if connector is None:
        return unread("the exchange offers no API that is read here")
    return _shown(exchange, await collect.one_key(connector, held, endpoint=endpoint, others=others))


def judge(facts: Mapping[str, Any], words: frozenset[str], exchange: str) -> Verdict:
    """The verdict on what a key showed. `words` as of `allowed`; `exchange` is for the remedies of its venue file."""
    if "can_read" not in facts and not facts.keys() & POWERS.keys():
        return Verdict(ok=False, reasons=_why_unread(facts), facts=facts)
    remedies = _venue.load(exchange).remedies if exchange in _venue.ids() else {}
    reasons = [f"the key was not read to the end: {_told(one)}" for one in facts["problems"] if _cut_short(one)]
    for fact, (word, meaning) in POWERS.items():
        if word in words or facts.get(fact) is False:
            continue
        if facts.get(fact) is None:
            reasons.append(f"whether the key can {meaning} ({fact}) is unknown: {_why(facts, fact)}")
            continue
        implied = " (trade does not imply it)" if word == "transfer" and "trade" in words else ""
        reasons.append(f"the key can {meaning}, and {word} is not allowed{implied}{_steps(remedies, f'drop_{word}')}")
    if facts.get("ip_bound") is None:
        reasons.append(f"whether the key is bound to an address (ip_bound) is unknown: {_why(facts, 'ip_bound')}")
    elif facts["ip_bound"] is not True:
        reasons.append(f"the key is not bound to an address{_steps(remedies, 'bind_ip')}")
    return Verdict(ok=not reasons, reasons=tuple(reasons), facts=facts)


def _cut_short(problem: Mapping[str, Any]) -> bool:
    """Whether the whole account was given up: an endpoint that was not asked might have shown more powers."""
    return problem["endpoint"] == "account" and set(_LOST) <= set(problem.get("facts", ()))


def _steps(remedies: Mapping[str, Remedy], name: str) -> str:
    return f": {' '.join(remedies[name].steps)}" if name in remedies else ""


def _why(facts: Mapping[str, Any], fact: str) -> str:
    """The problem that names the fact; else one that cost keys, unless it is about what this key may not ask for anyhow."""
    named = [one for one in facts["problems"] if f"api_key.{fact}" in one.get("facts", ())]
    failed = [
        one for one in facts["problems"] if set(_LOST) & set(one.get("facts", ())) and one["reason"] not in _QUIET
    ]
    return _told((named or failed)[0]) if named or failed else "the exchange does not show it to this key"


def _why_unread(facts: Mapping[str, Any]) -> tuple[str, ...]:
    lost = [one for one in facts["problems"] if set(_LOST) & set(one.get("facts", ()))] or facts["problems"]
    told = dict.fromkeys(_told(one) for one in lost) or ["the exchange showed nothing of it"]
    return tuple(f"what the key may do could not be read: {one}" for one in told)


def _told(problem: Mapping[str, Any]) -> str:
    return f"{problem['reason']}: {printable(problem['detail'], limit=400)}"


def _answered(exchange: Any, reading: Coroutine[Any, Any, T]) -> T | Coroutine[Any, Any, T]:
    if inspect.iscoroutinefunction(getattr(type(exchange), "fetch", None)):
        return reading
    return _awaited(reading)


def _awaited(reading: Coroutine[Any, Any, T]) -> T:
    """The result, from a loop in a thread of its own: the caller's may be running, and asyncio.run would unset one that is not."""
    ended: list[asyncio.Task[T]] = []

    async def read() -> None:
        task = asyncio.ensure_future(reading)
        await asyncio.wait([task])
        ended.append(task)

    thread = threading.Thread(target=lambda: asyncio.run(read()), daemon=True)
    thread.start()
    thread.join()
    return ended[0].result()


async def _read(exchange: Any, *, confirmed: bool) -> dict[str, Any]:
    _check_instance(exchange)
    name = _known(exchange)
    connector = _load.connector(name)
    if connector is None:
        return unread("the exchange offers no API that is read here")
    endpoint = _loopback(exchange)
    obstacle = _obstacle(exchange, name, connector, endpoint, confirmed=confirmed)
    if obstacle:
        return unread(f"nothing was sent: {obstacle}")
    mine = {field: Secret(value) for field in _HELD if (value := _text(exchange, field))}
    held = {field: mine[field] for field in connector.credentials}
    others = tuple(secret for field, secret in mine.items() if field not in held)
    return await facts_of(name, held, endpoint=endpoint, others=others)


def _check_instance(exchange: Any) -> None:
    wanted = ("id", "urls", "fetch", "sign")
    if isinstance(exchange, type) or not all(hasattr(exchange, name) for name in wanted):
        raise UsageError("expected an instance of a ccxt exchange", hint="such as ccxt.kraken({...})")


def _known(exchange: Any) -> str:
    """The exchange as it is named here: its id, or that of the class it inherits from where both talk to the same hosts."""
    names = _venue.ids()
    if exchange.id in names:
        return str(exchange.id)
    for parent in type(exchange).__mro__[1:]:
        connector = _load.connector(parent.__name__) if parent.__name__ in names else None
        if connector is not None and _asked(connector) <= _hosts(exchange):
            return parent.__name__
    said = printable(str(exchange.id), limit=40)
    raise UsageError(f"there is no exchange {said!r}", hint=f"known: {', '.join(names)}")


def _text(exchange: Any, name: str) -> str:
    value = getattr(exchange, name, None)
    return value if isinstance(value, str) and value.strip() else ""


def _obstacle(exchange: Any, name: str, connector: Connector, endpoint: str | None, *, confirmed: bool) -> str | None:
    """Why an answer to our questions would be about something else than the key as the program uses it, or do harm."""
    missing = [field for field in connector.credentials if not _text(exchange, field)]
    if missing:
        return f"the instance has no {' and no '.join(missing)}"
    elsewhere = _elsewhere(exchange, connector, endpoint)
    if elsewhere:
        return elsewhere
    unused = [field for field in _SIGNS if field not in connector.credentials and _text(exchange, field)]
    if unused:
        return f"the instance also signs with a {unused[0]}, and the exchange shows nothing of what that may do"
    if _venue.load(name).warn_before_first_call and not confirmed:
        return (
            "the exchange switches off a key that is used from an address it does not know; confirm that this machine's "
            "address is on the key's list: address_confirmed=True"
        )
    return None


def _elsewhere(exchange: Any, connector: Connector, endpoint: str | None) -> str | None:
    """Why the program's requests and ours would not reach the same account of the same exchange from the same address."""
    options = exchange.options if isinstance(exchange.options, dict) else {}
    if getattr(exchange, "isSandboxModeEnabled", False) or any(options.get(word) is True for word in _REHEARSALS):
        return "the instance is in sandbox or demo mode"
    here = any(endpoints.fault(address, frozenset()) is None for address in _addresses(exchange))
    if endpoint is None and (here or not _asked(connector) <= _hosts(exchange)):
        return (
            "the instance talks to another host than the one that is asked here (a sandbox, a regional site or a proxy)"
        )
    if any(getattr(exchange, proxy, None) for proxy in _WAYS_ROUND):
        return "the instance goes out through a proxy, and the exchange would see another address"
    if connector.serial and _counts_by_itself(exchange, options):
        return "the instance counts its requests in a way of its own, and those sent here could make its next ones fail"
    return None


def _counts_by_itself(exchange: Any, options: Mapping[str, Any]) -> bool:
    """Whether its nonces are not ccxt's milliseconds. Ours are, and an exchange refuses what is below the last one it saw."""
    written = getattr(getattr(type(exchange), "nonce", None), "__module__", "")
    return (
        "nonce" in vars(exchange)
        or not written.startswith("ccxt.")
        or options.get("nonce") not in (None, "milliseconds")
    )


def _asked(connector: Connector) -> set[str]:
    return {one.host for one in connector.endpoints if not one.public} or {one.host for one in connector.endpoints}


def _leaves(part: Any) -> list[str]:
    if isinstance(part, Mapping):
        return [leaf for child in part.values() for leaf in _leaves(child)]
    return [part] if isinstance(part, str) and part.startswith("http") else []


def _addresses(exchange: Any) -> set[str]:
    """Scheme and host of every place that the instance sends requests to."""
    hostname = str(getattr(exchange, "hostname", None) or "")
    urls = exchange.urls.get("api") if isinstance(exchange.urls, Mapping) else None
    parts = [urlsplit(leaf.replace("{hostname}", hostname)) for leaf in _leaves(urls)]
    return {f"{part.scheme}://{part.netloc}" for part in parts}


def _hosts(exchange: Any) -> set[str]:
    return {urlsplit(address).hostname or "" for address in _addresses(exchange)}


def _loopback(exchange: Any) -> str | None:
    """The one address on this machine that the instance was pointed at, or None."""
    addresses = _addresses(exchange)
    address = next(iter(addresses), "")
    return address if len(addresses) == 1 and endpoints.fault(address, frozenset()) is None else None


def unread(detail: str) -> dict[str, Any]:
    """Facts that say only why there are none."""
    problem = Problem(endpoint="credentials", reason=Reason.NOT_COLLECTED, detail=detail, facts=_LOST)
    return {"problems": [problem.to_document()]}


def _shown(exchange: str, sheet: Sheet) -> dict[str, Any]:
    """The facts of the calling key and all problems, read with the same care as in an audit. What two answers say
    differently is unknown.
    """
    made = snapshots.build(
        name=exchange,
        exchange=exchange,
        sheets=[sheet],
        attestation=None,
        identity=Identity.ephemeral("preflight"),
        now=datetime.now(UTC),
    )
    (snapshot,) = snapshots.suspect_incidents([made])
    problems = list(snapshot.problems)
    rows = [row for row in snapshot.api_keys or [] if row.get("is_audit_key")]
    facts = {name: value for name, value in rows[0].items() if name != "fingerprint"} if len(rows) == 1 else {}
    for path, source in snapshot.sources.items():
        if source.contradicts and facts.pop(path.removeprefix("api_key."), None) is not None:
            detail = f"two answers of the exchange differ: {source.contradicts}"
            reason = Reason.IMPLAUSIBLE_RESPONSE
            problems.insert(0, Problem(endpoint="account", reason=reason, detail=detail, facts=(path,)))
    return {**facts, "problems": [problem.to_document() for problem in problems]}
