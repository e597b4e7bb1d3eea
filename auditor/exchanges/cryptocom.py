"""Crypto.com Exchange: one call, which shows the state of the account. Nothing shows what any key may do or from where, not
even the calling one, and nothing lists keys, addresses, factors or sessions.

Every private call is a POST, so the verb proves nothing: one path is declared. Its answer names the person: names,
e-mail addresses, phone numbers and postal addresses are never taken out of it.
Source of every fact: https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html unless said otherwise.
"""

from __future__ import annotations

from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason

ccxt_class = "cryptocom"
credentials = ("apiKey", "secret")
serial = False

ACCOUNTS = Endpoint(
    name="private/get-accounts",
    verb="POST",
    host="api.crypto.com",
    path="/exchange/v1/private/get-accounts",
    api=("v1", "private"),
    call="private/get-accounts",
    limit=Limit(calls=3, seconds=0.1),
    adds=frozenset({"id", "method", "api_key", "sig"}),  # the envelope
    source="https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#private-get-accounts",
)
endpoints = (ACCOUNTS,)
# ccxt does not correct its nonce by a known difference of the clocks, so there is nothing to learn.
clock: Endpoint | None = None

_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "9010001",
        Reason.VENUE_INCIDENT: "50001",
        Reason.TIMEOUT: "40801",
        Reason.RATE_LIMITED: "10006 42901",
        Reason.INVALID_KEY: "40101",
        Reason.IP_NOT_ALLOWED: "10003 40103",
        Reason.PERMISSION_DENIED: "10002 10005 40104",
        Reason.CLOCK_SKEW: "10007 40102",
        Reason.ACCOUNT_FROZEN: "202 406 410",
    }
)
_FAILURES["10001"] = failure(
    Reason.VENUE_INCIDENT,
    "10001",
    "an internal error, or a sub-account's key asked for what only the main account's may",
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Crypto.com says what is wrong in `code`, a number; 0 is success, and a success must say so.

    ccxt takes a refused address (40103) and a tier that is too low (40104) for a bad key, a suspended account for
    nothing in particular, and never calls anything without JSON an outage.
    """
    del endpoint
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    said = str(code)[:20] if isinstance(code, (str, int)) and not isinstance(code, bool) else "none"
    if answer.body is None or said == "0":
        return None
    known = _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: the clock of Crypto.com is not asked for")


_HIDDEN = (
    "Crypto.com shows no key's permissions or addresses to anybody; state what this key may do after a look at the page"
)
_UNSHOWN = tuple(
    f"api_key.{name}"
    for name in ("permissions", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage",
                 "ip_bound", "ip_allowlist", "created_at", "expires_at", "never_expires")
)  # fmt: skip


async def collect(door: Door, sheet: Sheet) -> None:
    """The account, and of the calling key that it can read, for it was answered.

    Of the sub-accounts nothing is kept: they have no keys to show, and whose key this is, is not said. `kyc_level` is a
    word out of a list that is not documented.
    """
    shows = ("account.two_factor_enabled", "account.status", "account.created_at", "api_keys")
    with sheet.reading(ACCOUNTS, *shows) as seen:
        row = Shape(await door.fetch(ACCOUNTS))["result"]["master_account"]
        sheet.account_id = row["uuid"].text() or None
        seen.row("api_key", kind="hmac", can_read=True, enabled=True, is_audit_key=True)
        sheet.problem(ACCOUNTS, Reason.NOT_EXPOSED, _HIDDEN, *_UNSHOWN)
        seen.account(
            two_factor_enabled=seen.field(row, "two_fa_enabled", Shape.flag, "account.two_factor_enabled"),
            status=_status(seen, row),
            created_at=seen.field(row, "create_time", Shape.time_ms, "account.created_at"),
        )


def _status(seen: Seen, row: Shape) -> str | None:
    """Normal only where all four flags say so."""
    flags = {name: seen.field(row, name, Shape.flag, "account.status") for name in (*_BARS, *_OPENS)}
    if any(flags[name] for name in _BARS):
        return "frozen"
    if any(flags[name] is False for name in _OPENS):
        return "restricted" if all(flags[name] is False for name in _BARS) else None
    return None if None in flags.values() else "normal"


_BARS = ("suspended", "terminated")
_OPENS = ("enabled", "tradable")
