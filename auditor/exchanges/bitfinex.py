"""Bitfinex: a read-only key shows its own permissions, the account's second factors, its logins and its change log. Nothing
lists the account's keys, and nothing says to which addresses the key is bound.

Every private call is a POST and answers with arrays that grow at the end: under `auth/r/` they read, under `auth/w/` they
change things. Source of every fact: https://docs.bitfinex.com/reference/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "bitfinex"
credentials = ("apiKey", "secret")
serial = True

_DOCS = "https://docs.bitfinex.com/reference/"
_MOST_PAGES = 10


def _read(call: str, page: str) -> Endpoint:
    return Endpoint(
        name=call,
        verb="POST",
        host="api.bitfinex.com",
        path=f"/v2/auth/r/{call}",
        api=("private",),
        call=f"auth/r/{call}",
        limit=Limit(calls=90, seconds=60, per="address"),  # who asks too often is blocked by address
        source=_DOCS + page,
    )


KEY = _read("permissions", "key-permissions")
USER = _read("info/user", "rest-auth-info-user")
LOGINS = _read("logins/hist", "rest-auth-logins-hist")
CHANGES = _read("audit/hist", "rest-auth-audit-hist")
STATUS = Endpoint(
    name="platform/status",
    verb="GET",
    host="api-pub.bitfinex.com",
    path="/v2/platform/status",
    api=("public",),
    call="platform/status",
    limit=Limit(calls=30, seconds=60, per="address"),
    public=True,
    source=_DOCS + "rest-public-platform-status",
)

endpoints = (KEY, USER, LOGINS, CHANGES, STATUS)
# A nonce is no time: it must only grow. Asking again would push a bot on the same key out of step.
clock: Endpoint | None = None

_MONEY = ("wallets", "withdraw", "ui_withdraw", "bfxpay")
_SCOPES = ("account", "history", "orders", "positions", "funding", "settings", *_MONEY)
_RIGHTS = ("read", "write")
_MODES = {"u2f": "hardware_key", "otp": "totp"}
_FACTORS = ("account.enrolled_factors", "account.two_factor_enabled", "account.login_weakest_factor")
_WEAKEST = {(): "none", ("hardware_key",): "phishing_resistant", ("totp",): "totp"}
_TWO_FACTOR = r"\b(2fa|otp|u2f|two[ -]?factor)\b"
_KINDS = {
    "api_key_created": r"\bapi[ _-]?key\b.*\b(created|generated)",
    "api_key_removed": r"\bapi[ _-]?key\b.*\b(deleted|revoked|removed)",
    "api_key_changed": r"\bapi[ _-]?key\b",
    "two_factor_disabled": rf"{_TWO_FACTOR}.*\b(disabled|removed|deleted)",
    "two_factor_enabled": rf"{_TWO_FACTOR}.*\b(enabled|added)",
    "two_factor_changed": _TWO_FACTOR,
    "password_changed": r"\bpassword\b.*\b(changed|updated)",
    "address_added": r"\baddress\b.*\badded",
    "address_removed": r"\baddress\b.*\b(removed|deleted)",
    "settings_changed": r"\A\s*settings\b",
}
"""The words of the change log are not documented: only 'settings: api key created' and 'settings: timezone' are known."""

_NONCE = (
    "the nonce is not above the last one of this key: another program uses the same key, or counts in smaller steps; "
    "audit with a key that nothing else uses"
)
_KEY_OR_ADDRESS = (
    "the exchange does not accept this key: revoked or mistyped, the secret of another one, or used from an address that "
    "is not on its list, for which Bitfinex documents no answer of its own"
)
_BLOCKED = "asked too often: this address is blocked for a minute"
_FAILURES = {
    "20060": failure(Reason.VENUE_MAINTENANCE, "20060"),
    "temporarily_unavailable": failure(Reason.VENUE_MAINTENANCE, "temporarily_unavailable"),
    "10000": failure(Reason.VENUE_INCIDENT, "10000"),
    "11010": failure(Reason.RATE_LIMITED, "11010"),
    "ERR_RATE_LIMIT": failure(Reason.RATE_LIMITED, "ERR_RATE_LIMIT", _BLOCKED, address=True),
    # Mostly answered with HTTP 500, and in words that no outage uses.
    "10100": replace(failure(Reason.INVALID_KEY, "10100", _KEY_OR_ADDRESS), unmistakable=True),
    "ERR_AUTH_FAIL": failure(Reason.INVALID_KEY, "ERR_AUTH_FAIL", _KEY_OR_ADDRESS),
    "10114": failure(Reason.CLOCK_SKEW, "10114", _NONCE),
    "10020": failure(Reason.MALFORMED_RESPONSE, "10020", "refused a parameter"),
}
_GENERIC, _ANY_ERROR = {"10001", "ERR_GENERIC"}, 500


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`["error", code, text]` whatever the HTTP status (mostly 500, which then says nothing more), or an object with `error`
    where a gateway answers.

    ccxt looks only at status 500, so that an error with 200 is data to it, and calls every 10001, the generic error, a
    missing permission.
    """
    del endpoint
    body, by_http = answer.body, by_status(answer)
    if isinstance(body, list):
        code, text = (*body[1:3], None, None)[:2]
        return _refusal(code, text, by_http if answer.status != _ANY_ERROR else None) if body[:1] == ["error"] else None
    if body is None:
        return None
    return _refusal(body.get("error") if isinstance(body, dict) else None, None, by_http)


def _refusal(code: Any, text: Any, otherwise: Failure | None) -> Failure:
    said, words = (str(one)[:60] if isinstance(one, (str, int)) else "" for one in (code, text))
    known = _FAILURES.get(said) or _FAILURES.get(words)
    if known is None and said in _GENERIC:
        denied = re.search(r"permission|not allowed|forbidden", words, re.IGNORECASE)
        known = failure(Reason.PERMISSION_DENIED, said) if denied else None
    unknown = failure(Reason.MALFORMED_RESPONSE, said or "error", "refused with an error we do not know")
    return known or otherwise or unknown


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Bitfinex counts nonces and has no clock to learn")


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, alone; then the rest at once. The log covers what both halves of it cover."""
    await _calling_key(door, sheet)
    _, _, logins, changes = await asyncio.gather(
        _status(door, sheet),
        _user(door, sheet),
        _log(door, sheet, LOGINS, _login),
        _log(door, sheet, CHANGES, _change),
    )
    if logins is not None and changes is not None:
        later = LOGINS if logins > changes else CHANGES
        with sheet.reading(later, "account.events_cover_from") as seen:
            seen.account(events_cover_from=Shape(max(logins, changes)).time_ms())


def _places(row: Shape) -> Shape:
    """A list as an object keyed by place: arrays grow, and a place that is not there is missing, never empty."""
    return Shape({str(place): cell.value for place, cell in enumerate(row.rows())}, row.at)


async def _calling_key(door: Door, sheet: Sheet) -> None:
    with sheet.reading(KEY, "api_keys") as seen:
        rows = [_places(row) for row in Shape(await door.fetch(KEY)).rows()]
        if not rows:
            raise ShapeError("$: no permission is named")
        granted: dict[str, Flags] = {}
        for row in rows:
            word, flags = _grant(seen, row)
            granted[word] = (_either(granted, word, flags, 0), _either(granted, word, flags, 1))
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, **_powers(granted))


Flags = tuple[bool | None, bool | None]


def _either(granted: dict[str, Flags], word: str, flags: Flags, place: int) -> bool | None:
    """A scope that is named twice is granted where either says so."""
    said = (flags[place], granted.get(word, flags)[place])
    return True if True in said else unless(None in said)


def _grant(seen: Seen, row: Shape) -> tuple[str, Flags]:
    """A scope and whether the key may read and write it."""
    reads = seen.field(row, "1", Shape.flag, "api_key.permissions", "api_key.can_read")
    writes = seen.field(row, "2", Shape.flag, "api_key.permissions")
    return row["0"].text(), (reads, writes)


def _powers(granted: dict[str, Flags]) -> dict[str, Any]:
    """A scope that is not named is unknown, and one we do not know makes everything unknown that it might grant.

    Orders of spot, margin and derivatives are one call (auth/w/order/submit). `wallets` moves funds between wallets and
    between a master account and its sub-accounts. Whether lending (`funding`) counts as a trade, and what `account` and
    `settings` may change, nobody says.
    """
    strange = any(flags != (False, False) for word, flags in granted.items() if word not in _SCOPES)
    spelled = {f"{word}:{name}": flag for word, two in granted.items() for name, flag in zip(_RIGHTS, two, strict=True)}

    def writes(*scopes: str) -> bool | None:
        flags = [granted.get(scope, (None, None))[1] for scope in scopes]
        return True if True in flags else unless(strange or None in flags)

    reads = [granted.get(scope, (None, None))[0] for scope in _SCOPES]
    return {
        "permissions": None if None in spelled.values() else sorted(word for word in spelled if spelled[word]),
        "can_read": True if True in reads else unless(strange or None in reads),
        "can_trade": writes("orders", "positions") or unless(writes("funding") is not False),
        "can_trade_derivatives": writes("orders", "positions"),
        "can_transfer": writes("wallets"),
        "can_withdraw": writes("withdraw", "ui_withdraw"),
        "can_manage": unless(writes("account", "settings") is not False),
    }


async def _user(door: Door, sheet: Sheet) -> None:
    """Names, mail address and countries stay here. Places 21 to 25 and 28 to 31 are disputed between sources: not read."""
    shows = ("account.kind", "account.kyc_level", "account.created_at", "account.last_login_at", *_FACTORS)
    with sheet.reading(USER, *shows) as seen:
        row = _places(Shape(await door.fetch(USER)))
        own = row["0"].integer()
        sheet.account_id = str(own)
        master = seen.field(row, "16", _number_or_zero, "account.kind")
        heads = seen.field(row, "18", Shape.flag, "account.kind")
        seen.account(
            kind=_kind(own, master, heads=heads),
            kyc_level=seen.field(row, "5", Shape.integer, "account.kyc_level"),
            created_at=seen.field(row, "3", Shape.time_ms, "account.created_at"),
            last_login_at=seen.field(row, "44", _moment, "account.last_login_at"),
        )
        _factors(seen, row)


def _kind(own: int, master: int | None, *, heads: bool | None) -> str | None:
    """`MASTER_ACCOUNT_ID` is that of the master "if the account is a sub-account"; unknown where the two places disagree."""
    if heads is None or master is None:
        return None
    if master in {0, own}:
        return "main"
    return None if heads else "sub"


def _number_or_zero(cell: Shape) -> int:
    return 0 if cell.value is None else cell.integer()


def _moment(cell: Shape) -> str:
    """Milliseconds in one copy of the documentation, text in the others."""
    return cell.time_text() if isinstance(cell.value, str) and not cell.value.isdigit() else cell.time_ms()


def _factors(seen: Seen, row: Shape) -> None:
    """`[]` is no second factor, null is not said. With both methods on, nobody says whether the weaker one logs in."""

    def read(cell: Shape) -> list[str] | None:
        if cell.value is None:
            seen.sheet.problem(USER, Reason.NOT_EXPOSED, "the second factors are not shown", *_FACTORS)
            return None
        return cell.texts()

    modes = seen.field(row, "26", read, *_FACTORS)
    if modes is None:
        return
    factors = sorted({_MODES.get(mode.strip().lower(), "") for mode in modes})
    if "" in factors:
        seen.sheet.problem(USER, Reason.MALFORMED_RESPONSE, "a second factor we do not know", *_FACTORS)
        seen.account(two_factor_enabled=len(factors) > 1 or None)
        return
    weakest = _WEAKEST.get(tuple(factors))
    seen.account(enrolled_factors=factors, two_factor_enabled=bool(factors), login_weakest_factor=weakest)


Entry = tuple[int, dict[str, Any]]


async def _log(door: Door, sheet: Sheet, endpoint: Endpoint, read: Callable[[Shape], Entry]) -> int | None:
    """Every entry as an event, newest page first. Returns since which millisecond the log is whole; None where nobody knows.

    The first page is asked without parameters, an older one by `end`, which includes its millisecond. What was read stays
    when an older page fails.
    """
    known: set[str] = set()
    since: int | None = None
    with sheet.reading(endpoint, "events") as seen:
        for _ in range(_MOST_PAGES):
            rows = Shape(await door.fetch(endpoint, {} if since is None else {"end": str(since)})).rows()
            fresh = {spelled: row for row in rows if (spelled := json.dumps(row.value)) not in known}
            entries = [(name, *entry) for name, row in fresh.items() if (entry := _readable(row, read)) is not None]
            if entries or not fresh:
                seen.list_seen("event")
            for name, _, facts in entries:
                seen.row("event", public_id=f"{endpoint.name} {name}", **facts)
            known |= fresh.keys()
            before, since = since, min([at for _, at, _ in entries], default=since)
            if len(entries) < len(fresh):
                since = None
                raise ShapeError("$: an entry of the log cannot be read")
            if since is None or since == before:
                return since
        sheet.problem(endpoint, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", "events")
    return since


def _readable(row: Shape, read: Callable[[Shape], Entry]) -> Entry | None:
    try:
        return read(_places(row))
    except ShapeError:
        return None


def _login(row: Shape) -> Entry:
    """Past logins; of failed ones the documentation says nothing."""
    return row["2"].integer(), {"kind": "login", "at": row["2"].time_ms(), **_ip(row.get("4")), **_extra(row.get("7"))}


def _change(row: Shape) -> Entry:
    text = row["2"].text()
    kind = next((kind for kind, words in _KINDS.items() if re.search(words, text, re.IGNORECASE)), "other")
    facts = {"kind": kind, "at": row["0"].time_ms(), "text": mask_personal(text), **_ip(row.get("5"))}
    return row["0"].integer(), facts


def _ip(cell: Shape | None) -> dict[str, str]:
    return {} if cell is None else {"ip": cell.text()}


def _extra(cell: Shape | None) -> dict[str, str]:
    """Place and browser: an object in the documentation, JSON inside a string in the recordings. Odd ones are left out."""
    about = cell.value if cell is not None else None
    try:
        about = json.loads(about) if isinstance(about, str) else about
    except (ValueError, RecursionError):
        return {}
    if not isinstance(about, dict):
        return {}
    agent, geo = about.get("user_agent"), about.get("geo")
    parts = [agent.get(name) for name in ("browser", "os")] if isinstance(agent, dict) else []
    browser = ", ".join(part for part in parts if isinstance(part, str) and part)
    country = re.search(r"(?:\A|, ?)([A-Z]{2})\Z", geo) if isinstance(geo, str) else None
    found = {"country": country[1] if country else "", "text": mask_personal(browser)}
    return {name: value for name, value in found.items() if value}


async def _status(door: Door, sheet: Sheet) -> None:
    with sheet.reading(STATUS, "venue.status") as seen:
        runs = Shape(await door.fetch(STATUS)).only().flag()
        seen.venue(status="ok" if runs else "maintenance")
