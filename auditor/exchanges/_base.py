"""What a connector is made of: the endpoints it declares, how it reads an error, and the sheet it writes facts on.

A connector never holds a client. It is handed `fetch(endpoint, params)`, which answers with decoded JSON or raises
`Unavailable` with a reason of the closed list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, Self, TypeVar

from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Problem, Reason, Source
from auditor.model.facts import LISTS, of_scope
from auditor.redaction import printable, scrub

T = TypeVar("T")
_MOST_DETAILS = 50
"""Problems of one endpoint that are told in full."""
_LONGEST_DETAIL = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A documented rate: `calls` in `seconds`, counted per `key` (user) or per `address` (caller's IP).

    Endpoints that name the same `pool` draw on one allowance, each call taking 1/`calls` of it: a weight of 10 out of
    6000 a minute is 600 calls in 60 seconds. Without a pool an endpoint has an allowance of its own.
    """

    calls: float
    seconds: float
    per: str = "key"
    pool: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One read the connector declares. What is not declared is never signed and never sent.

    `host` and `path` are those of the URL; `api` and `call` are the section and path under which ccxt signs it. A path may
    hold a parameter as `{name}`, which only a plain word can fill.
    `unescaped` marks the calls whose parameter values ccxt leaves as they are.
    """

    name: str
    verb: str
    host: str
    path: str
    api: tuple[str, ...]
    call: str
    limit: Limit
    public: bool = False
    unescaped: bool = False
    own_key: str = ""
    """The parameter in which the exchange wants the public part of the calling key: the signer adds it."""
    adds: frozenset[str] = frozenset()
    """Parameters that the signer of this exchange adds beside the usual ones (`_gate.ADDED_BY_SIGNERS`)."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer as it came: `body` is decoded JSON, or None where it is not JSON; `text` is the start of it."""

    status: int
    body: Any
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a refusal means. `retry` only where the same request can succeed; `lockout` where another call makes it worse.

    `address` where it is this machine that is locked out, whatever the key: then no key of the run asks again.
    `unmistakable` where the venue says this of a key with a server error's status, in words that no outage uses.
    """

    reason: Reason
    code: str
    meaning: str
    retry: bool = False
    lockout: bool = False
    address: bool = False
    unmistakable: bool = False


_MEANINGS = {
    Reason.PERMISSION_DENIED: "this key may not ask for that",
    Reason.IP_NOT_ALLOWED: "the exchange does not accept this address",
    Reason.INVALID_KEY: "the exchange does not accept this key",
    Reason.VENUE_MAINTENANCE: "the exchange is down for maintenance or overloaded",
    Reason.VENUE_INCIDENT: "the exchange answered with an internal error",
    Reason.RATE_LIMITED: "asked too often",
    Reason.CLOCK_SKEW: "this machine's clock, or the nonce of the key, is not accepted",
    Reason.TIMEOUT: "the exchange says that it timed out",
    Reason.MALFORMED_RESPONSE: "the answer is not what the exchange documents",
    Reason.ACCOUNT_FROZEN: "the exchange says that the account or its API is frozen",
    Reason.VENUE_CLOSED: "the exchange is closed",
}
_MAY_PASS = {Reason.VENUE_MAINTENANCE, Reason.VENUE_INCIDENT, Reason.RATE_LIMITED, Reason.TIMEOUT}
_STAYS = {Reason.IP_NOT_ALLOWED, Reason.INVALID_KEY, Reason.ACCOUNT_FROZEN}


def failure(
    reason: Reason, code: str, meaning: str | None = None, *, lockout: bool = False, address: bool = False
) -> Failure:
    """A failure with the usual consequences of its reason; `lockout` where another call would make it worse, `address`
    where it would for every key on this machine.
    """
    stop = lockout or address or reason in _STAYS
    meaning = meaning or _MEANINGS[reason]
    retry = reason in _MAY_PASS and not stop
    return Failure(reason=reason, code=code, meaning=meaning, retry=retry, lockout=stop, address=address)


def by_code(codes: Mapping[Reason, str]) -> dict[str, Failure]:
    """A table of a venue's own codes, given as text separated by blanks under the reason they mean."""
    return {code: failure(reason, code) for reason, listed in codes.items() for code in listed.split()}


_STATUSES = {
    418: failure(Reason.RATE_LIMITED, "418", "the exchange has banned this address for asking too often", address=True),
    429: failure(Reason.RATE_LIMITED, "429"),
    451: failure(Reason.IP_NOT_ALLOWED, "451", "the exchange does not serve the country of this address"),
    503: failure(Reason.VENUE_MAINTENANCE, "503"),
    504: failure(Reason.TIMEOUT, "504"),
}
_WALL = Failure(
    reason=Reason.VENUE_INCIDENT,
    code="403",
    meaning="turned away by a page in front of the exchange (a firewall, or an outage); the key itself was not judged",
)
_WALLED_COUNTRY = failure(Reason.IP_NOT_ALLOWED, "403", "the exchange does not serve the country of this address")


def by_status(answer: Answer) -> Failure | None:
    """What the HTTP status alone can mean, for an answer that carries no code of the venue (a proxy's page, say).

    Never `invalid_key`: a 401 without the venue's own words is as likely an incident as a revoked key. A bare 403 is
    what a firewall says both to an address it dislikes and to everybody while it is broken: it is not retried, and it is
    a refusal of the address only where the page says so (CloudFront: "block access from your country").
    """
    if answer.status in _STATUSES:
        return _STATUSES[answer.status]
    if answer.status == 403:  # noqa: PLR2004
        return _WALLED_COUNTRY if "from your country" in answer.text.lower() else _WALL
    if answer.status >= 500:  # noqa: PLR2004
        return failure(Reason.VENUE_INCIDENT, str(answer.status))
    if answer.status >= 400:  # noqa: PLR2004
        return failure(Reason.MALFORMED_RESPONSE, str(answer.status), "refused without a code the exchange documents")
    return None


class Unavailable(Exception):  # noqa: N818  (a state of the world, not a fault of ours)
    """An endpoint did not give what was asked. `detail` is scrubbed text."""

    def __init__(self, failure: Failure, detail: str = "") -> None:
        super().__init__(failure.reason.value)
        self.failure = failure
        self.detail = detail or failure.meaning
        self.retry_after: float | None = None

    def again(self) -> Unavailable:
        """The same refusal for another caller, without the first one's traceback."""
        return Unavailable(self.failure, self.detail)


class Door(Protocol):
    """The only way out: one key of one account at one venue."""

    def fetch(self, endpoint: Endpoint, params: Mapping[str, str] | None = None) -> Awaitable[Any]:
        """Decoded JSON of a declared endpoint. Raises Unavailable."""
        ...


class Connector(Protocol):
    """A module of this package: one exchange. `ccxt_class` names the class that signs for it; where ccxt knows none it is
    None, and the module has a function `sign` (`_signer.Rule`).
    """

    ccxt_class: str | None
    credentials: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    clock: Endpoint | None
    serial: bool
    """Whether requests of one key must go one at a time (increasing nonces)."""

    def classify(self, answer: Answer, endpoint: Endpoint) -> Failure | None:
        """What a refusal means by the venue's own code and text; None where the venue's code says all is well, or where
        there is no code of the venue: then the transport goes by the HTTP status.
        """
        ...

    def server_time(self, body: Any) -> int:
        """Milliseconds since 1970 from the answer of `clock`."""
        ...

    async def collect(self, door: Door, sheet: Sheet) -> None:
        """Reads all it may and writes facts on the sheet."""
        ...


UNSTORED = frozenset({"public_id", "goes_to"})
"""What a row may carry that is no fact and goes no further than the snapshot is made."""


@dataclass(slots=True)
class Sheet:
    """The facts one key showed. Rows may carry `public_id` beside catalogue facts, which identifies a key or an address, and
    `goes_to`, where a withdrawal went: both are dropped before anything is stored. A list stays None until an endpoint
    showed it.
    """

    account: dict[str, Any] = field(default_factory=dict)
    venue: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]] | None] = field(default_factory=lambda: dict.fromkeys(LISTS))
    sources: dict[str, Source] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    account_id: str | None = None
    """The venue's id of the account, to notice two keys of different accounts. Never stored."""
    _told: Counter[str | Problem] = field(default_factory=Counter, repr=False, compare=False)

    def reading(self, endpoint: Endpoint, *shows: str) -> Seen:
        """Facts written inside come from `endpoint`; if it fails, a problem says which facts (`shows`) it would have shown.

        `shows` are fact paths, or a list name (`api_keys`) for the list as a whole.
        """
        return Seen(self, endpoint, shows)

    def problem(self, endpoint: Endpoint, reason: Reason, detail: str, *shows: str) -> None:
        """Something that could not be observed. `detail` may quote the venue: it is cleaned here.

        An answer may be wrong in a million places: from some point on no more is said than which facts are affected.
        """
        full = self._told[endpoint.name] >= _MOST_DETAILS
        cleaned = "and more of the kind" if full else printable(scrub(detail), limit=_LONGEST_DETAIL)
        problem = Problem(endpoint=endpoint.name, reason=reason, detail=cleaned, facts=shows)
        if problem not in self._told:
            self._told.update([problem, endpoint.name])
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class Seen:
    """Writes facts that one endpoint showed. None is dropped: what the endpoint left out stays unknown.

    As a context manager it notes what was not shown; by hand, for `contextlib` costs as much again as what is read inside.
    """

    sheet: Sheet
    endpoint: Endpoint
    shows: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, Unavailable):
            self.sheet.problem(self.endpoint, error.failure.reason, error.detail, *self.shows)
        elif isinstance(error, ShapeError):
            self.sheet.problem(self.endpoint, Reason.MALFORMED_RESPONSE, str(error), *self.shows)
        else:
            return False
        return True

    @property
    def _source(self) -> Source:
        return _source_of(self.endpoint.verb, self.endpoint.path)

    def field(self, row: Shape, name: str, read: Callable[[Shape], T], *shows: str) -> T | None:
        """One field of `row`, or None and a problem saying which facts it would have shown: one that is missing or odd
        must not cost the others.
        """
        try:
            return read(row[name])
        except ShapeError as error:
            self.sheet.problem(self.endpoint, Reason.MALFORMED_RESPONSE, str(error), *shows)
            return None

    def account(self, **facts: Any) -> None:
        """Facts of the account."""
        self._write("account", self.sheet.account, facts)

    def venue(self, **facts: Any) -> None:
        """Facts of the venue."""
        self._write("venue", self.sheet.venue, facts)

    def list_seen(self, scope: str) -> None:
        """The list of `scope` (`api_key`, `address` ...) was read, even if it is empty."""
        if self.sheet.rows[scope] is None:
            self.sheet.rows[scope] = []
        before, source = self.sheet.sources.get(LISTS[scope]), self._source
        if before is None:
            self.sheet.sources[LISTS[scope]] = source
        elif before is not source:  # a list may come from several endpoints
            places = dict.fromkeys([*(before.ref or "").split(", "), source.ref or ""])
            self.sheet.sources[LISTS[scope]] = Source(by="api", ref=", ".join(places))

    def row(self, scope: str, *, public_id: str | None = None, **facts: Any) -> dict[str, Any]:
        """One row of the list of `scope`. Returns it, so that a second endpoint may add to it."""
        known = _known(scope, facts)
        self.list_seen(scope)
        if public_id is not None:
            known["public_id"] = public_id
        rows = self.sheet.rows[scope]
        assert rows is not None
        rows.append(known)
        return known

    def _write(self, scope: str, target: dict[str, Any], facts: dict[str, Any]) -> None:
        source = self._source
        for name, value in _known(scope, facts).items():
            target[name] = value
            self.sheet.sources[f"{scope}.{name}"] = source


@cache
def _source_of(verb: str, path: str) -> Source:
    """The same for every account that was shown something there: made once, and not for each fact."""
    return Source(by="api", ref=f"{verb} {path}")


def _known(scope: str, facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that are not None, as a file can hold them. A connector that misspells one or gives it a wrong type is our
    bug, or a venue's value we did not foresee.
    """
    listed, known = of_scope(scope), {}
    for name, value in facts.items():
        if value is not None:
            known[name] = stored = _storable(value)
            wrong = listed[name].check(stored)
            if wrong:
                raise ShapeError(f"{scope}.{name}: {wrong}")
    return known


def _storable(value: Any) -> Any:
    """A value that a file can hold: JSON can spell half a surrogate pair, also as the name of a permission."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    return [_storable(item) for item in value] if isinstance(value, list) else value
