"""Luno: nothing describes a key, not even the calling one, and nothing lists keys, second factors, addresses or sessions. That a
key can read shows where it is answered; what it may do to others who granted it access is listed.

Every request carries the secret itself. Bank accounts are no withdrawal addresses and are not read.
Source of every fact: https://www.luno.com/en/developers/api unless said otherwise.
"""

from __future__ import annotations

from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason

ccxt_class = "luno"
credentials = ("apiKey", "secret")
serial = False

_LIMIT = Limit(calls=300, seconds=60, pool="private")
_PAGE, _MOST_PAGES = 100, 100


def _endpoint(call: str, source: str) -> Endpoint:
    return Endpoint(name=call, verb="GET", host="api.luno.com", path=f"/api/1/{call}", api=("private",), call=call,
                    limit=_LIMIT, source=source)  # fmt: skip


BALANCE = _endpoint("balance", "https://www.luno.com/en/developers/api")
LINKED = _endpoint("users/linked", "https://github.com/luno/luno-go")

endpoints = (BALANCE, LINKED)
# Requests carry neither a time nor a nonce.
clock: Endpoint | None = None

_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "ErrUnderMaintenance",
        Reason.VENUE_INCIDENT: "ErrInternal",
        Reason.TIMEOUT: "ErrDeadlineExceeded",
        Reason.INVALID_KEY: "ErrApiKeyRevoked ErrUnauthorised",
        Reason.PERMISSION_DENIED: "ErrInsufficientPerms",
        Reason.RATE_LIMITED: "ErrTooManyRequests",
    }
)
_ACCOUNT = {
    "ErrVerificationLevelTooLow": (Reason.PERMISSION_DENIED, "the account is not verified far enough for that"),
    "ErrUserNotVerifiedForCurrency": (Reason.PERMISSION_DENIED, "the account is not verified for that currency"),
    "ErrAccountIsMigrating": (Reason.VENUE_MAINTENANCE, "the exchange is moving this account; it will answer later"),
}
_FAILURES |= {code: failure(reason, code, meaning) for code, (reason, meaning) in _ACCOUNT.items()}
_REFUSED = failure(Reason.INVALID_KEY, "401", "no such key, a wrong secret, or a key that was revoked")


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Luno says what is wrong in `error_code`. A missing, wrong or revoked key is answered with 401, by the documentation, and
    in practice under codes that are not listed, or none; only a refusal in Luno's own form counts as one.
    """
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    code = body.get("error_code") or ("none" if body.get("error") else None)
    if code is None:
        return None
    said = code[:40] if isinstance(code, str) else "none"
    known = _FAILURES.get(said) or (_REFUSED if answer.status == 401 else by_status(answer))  # noqa: PLR2004
    return known or failure(Reason.MALFORMED_RESPONSE, said, "refused with an error we do not know")


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Luno has no clock to learn")


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first: whether it is answered is all there is to see of it. Then who granted it access."""
    key = await _calling_key(door, sheet)
    await _linked(door, sheet, key)


_HIDDEN = "Luno shows no key's permissions to anybody; state what this key may do after a look at the page"
_NOT_SHOWN = tuple(
    f"api_key.{name}"
    for name in ("permissions", "can_trade", "can_transfer", "can_withdraw", "can_manage", "ip_bound", "created_at")
)


async def _calling_key(door: Door, sheet: Sheet) -> dict[str, Any]:
    """The key may view balances, for it was answered. The balances are not read, and of one asset only asked for."""
    key: dict[str, Any] = {}
    with sheet.reading(BALANCE, "api_keys") as seen:
        _rows(Shape(await door.fetch(BALANCE, {"assets": "XBT"}))["balance"])
        key = seen.row("api_key", kind="hmac", can_read=True, enabled=True, is_audit_key=True)
        sheet.problem(BALANCE, Reason.NOT_EXPOSED, _HIDDEN, *_NOT_SHOWN)
    return key


def _rows(cell: Shape) -> list[Shape]:
    """The items of a list, which may be null where there are none; nothing is concluded from there being none."""
    return [] if cell.value is None else cell.rows()


_GRANTS = {
    "Perm_W_Send": ("can_withdraw",),
    "Perm_W_Withdrawals": ("can_withdraw",),
    "Perm_W_Orders": ("can_trade",),
    "Perm_W_ClientDebit": ("can_transfer",),
    "Perm_W_ClientCredit": ("can_transfer",),
}


async def _linked(door: Door, sheet: Sheet, key: dict[str, Any]) -> None:
    """Other people who let this key act for them, and what it may do there: that is TRUE of the key. What is not granted
    there proves nothing of the key's own account. Who they are stays at the door.
    """
    with sheet.reading(LINKED, "api_key.can_trade", "api_key.can_transfer", "api_key.can_withdraw") as seen:
        known: set[str] = set()
        for page in range(_MOST_PAGES):
            asked = {"limit": str(_PAGE), "offset": str(page * _PAGE)}
            rows = _rows(Shape(await door.fetch(LINKED, asked))["users"])
            fresh = [row for row in rows if row["user_id"].text() not in known]
            known |= {row["user_id"].text() for row in fresh}
            for row in fresh:
                _grant(seen, row, key)
            if not fresh or len(rows) < _PAGE:
                return
        seen.sheet.problem(LINKED, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", "api_key.can_withdraw")


def _grant(seen: Seen, row: Shape, key: dict[str, Any]) -> None:
    for word in seen.field(row, "permissions", Shape.texts, "api_key.can_withdraw") or []:
        if key:
            key |= dict.fromkeys(_GRANTS.get(word, ()), True)
