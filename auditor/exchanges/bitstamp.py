"""Bitstamp: a key proves that it works, and no more. No endpoint shows permissions, bound addresses, other keys, second
factors, logins or an address book; what a key may do is never found out by trying.

Most calls are POSTs, and the one that revokes every key of the account stands among the reads: one path is declared.
Source of every fact: https://www.bitstamp.net/api/ unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Sheet, Unavailable, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason

ccxt_class = "bitstamp"
credentials = ("apiKey", "secret")
serial = False

BALANCES = Endpoint(
    name="account_balances",
    verb="POST",
    host="www.bitstamp.net",
    path="/api/v2/account_balances/",
    api=("private",),
    call="account_balances/",
    limit=Limit(calls=10_000, seconds=600, per="address"),
    adds=frozenset({"foo"}),  # ccxt's stand-in for an empty body
    source="https://www.bitstamp.net/api/",
)

endpoints = (BALANCES,)
clock: Endpoint | None = None

_CODES = {
    Reason.INVALID_KEY: "API0001 API0005 API0008 API0011",
    Reason.IP_NOT_ALLOWED: "API0002",
    Reason.PERMISSION_DENIED: "API0003",
    Reason.CLOCK_SKEW: "API0004 API0017",
    Reason.ACCOUNT_FROZEN: "API0006",
    Reason.MALFORMED_RESPONSE: "API0020",
    Reason.RATE_LIMITED: "400.002 400.067 400.068",
}
_TEXTS = {
    "api key not found": "API0001",
    "ip address not allowed": "API0002",
    "no permission found": "API0003",
    "invalid nonce": "API0004",
    "invalid signature": "API0005",
    "authentication failed": "API0005",
    "your account is frozen": "API0006",
    "wrong api key format": "API0011",
}
"""Older answers carry the text and no code."""
_SUSPENDED = "trading is currently unavailable for your account"
_TAX = "please update your profile with your fatca information"
_MAINTENANCE = "under scheduled maintenance"
_MEANINGS = {
    "API0001": "no such key: deleted, never activated by the link in the mail, or mistyped",
    "API0005": "the secret does not belong to this key",
    "API0008": "the key belongs to no customer any more",
    "API0011": "the key does not have the form of a key",
    "API0003": "the key lacks the permission 'Account balance'; that says nothing of what else it may do",
}
_FAILURES = {
    code: failure(reason, code, _MEANINGS.get(code)) for reason, listed in _CODES.items() for code in listed.split()
}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`{status: "error", reason, code}`, `{response_code, response_explanation}` or `{error}`, whatever the HTTP status.

    ccxt does not read `response_code`, so that a rate limit looks like an outage to it, and calls a frozen account and a
    foreign address a missing permission.
    """
    del endpoint
    body = answer.body
    if not isinstance(body, dict):
        return None
    codes = [
        str(body[name])[:20] for name in ("code", "response_code") if isinstance(body.get(name), (str, int, float))
    ]
    texts = [text.strip().lower() for name in _SAID for text in _texts(body.get(name))]
    named = [_TEXTS[text.rstrip(".")] for text in texts if text.rstrip(".") in _TEXTS]
    if any(_MAINTENANCE in text for text in texts):
        return failure(Reason.VENUE_MAINTENANCE, "maintenance")
    if any(text.startswith((_SUSPENDED, _TAX)) for text in texts):
        return failure(Reason.ACCOUNT_FROZEN, (codes or ["account"])[0])
    known = next((_FAILURES[code] for code in (*codes, *named) if code in _FAILURES), None)
    unknown = failure(Reason.MALFORMED_RESPONSE, (codes or ["error"])[0], "refused with an error we do not know")
    return known or by_status(answer) or unknown


_SAID = ("reason", "error", "response_explanation", "message")


def _texts(value: Any) -> Iterator[str]:
    """Text, or text inside lists and objects (`{"__all__": ["..."]}`)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _texts(child)


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Bitstamp has no clock to learn from")


async def collect(door: Door, sheet: Sheet) -> None:
    """Asks for the balances to see whether the key works, and keeps none of them."""
    with sheet.reading(BALANCES, "api_keys") as seen:
        try:
            rows = Shape(await door.fetch(BALANCES)).rows()
        except Unavailable as refusal:
            if refusal.failure.reason is not Reason.PERMISSION_DENIED:
                raise
            sheet.problem(BALANCES, Reason.PERMISSION_DENIED, refusal.detail, "api_key.can_read", "api_key.enabled")
            seen.row("api_key", is_audit_key=True, kind="hmac")
            return
        for row in rows:
            row["currency"].text()
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, can_read=True)
