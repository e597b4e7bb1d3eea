"""BloFin: a key describes itself, and nothing else. No endpoint lists keys, sub-accounts, addresses, factors or sessions,
and a key that may write does not say what: trading, transfers and withdrawals are one word.

Source of every fact: https://docs.blofin.com/index.html unless said otherwise.
"""

from __future__ import annotations

from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal, masked_id

ccxt_class = "blofin"
credentials = ("apiKey", "secret", "password")
# ccxt takes the millisecond as the nonce, and a nonce that repeats is refused.
serial = True

KEY = Endpoint(
    name="user/query-apikey",
    verb="GET",
    host="openapi.blofin.com",
    path="/api/v1/user/query-apikey",
    api=("private",),
    call="user/query-apikey",
    limit=Limit(calls=1500, seconds=300, per="address"),
    source="https://docs.blofin.com/index.html",
)
endpoints = (KEY,)
# ccxt does not correct its timestamp by a known difference of the clocks, so there is nothing to learn.
clock: Endpoint | None = None

_FAILURES = by_code(
    {
        Reason.VENUE_INCIDENT: "500",
        Reason.VENUE_MAINTENANCE: "503",
        Reason.RATE_LIMITED: "429",
        Reason.INVALID_KEY: "152401 152402 152408 152409",
        Reason.IP_NOT_ALLOWED: "152406",
        Reason.PERMISSION_DENIED: "152403 152404",
        Reason.CLOCK_SKEW: "152405 152407 152410",
    }
)
_FAILURES["152402"] = failure(
    Reason.INVALID_KEY, "152402", "the key has expired: one without an address ends after 90 days"
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """BloFin says what is wrong in `code` (text) and `msg`; "0" is success, and a success must say so.

    ccxt calls a rate limit without JSON an outage, an internal error in JSON nothing in particular, and does not know
    152403.
    """
    del endpoint
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    said = str(code)[:20] if isinstance(code, (str, int)) and not isinstance(code, bool) else "none"
    if answer.body is None or said == "0":
        return None
    if said == "401" and "invalid signature" in str(answer.body.get("msg", "")).lower():
        return failure(Reason.INVALID_KEY, said, "the secret does not belong to this key")
    known = _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: the clock of BloFin is not asked for")


_POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
_BINDING = ("api_key.ip_bound", "api_key.ip_allowlist")
_WORDS = {True: "read only", False: "read and write"}


async def collect(door: Door, sheet: Sheet) -> None:
    """The one call there is. The key can read and works, for it was answered."""
    with sheet.reading(KEY, "account.kind", "account.parent", "api_keys") as seen:
        row = Shape(await door.fetch(KEY))["data"]
        powers = _powers(seen, row)
        ip_bound, ip_allowlist = seen.field(row, "ips", _ips, *_BINDING) or (None, None)
        if ip_bound is None and powers["permissions"] is None:
            raise ShapeError(f"{row.at}: nothing of the key can be read")
        sheet.account_id = seen.field(row, "uid", Shape.text) or None
        _place(seen, row, sheet.account_id)
        type_ = seen.field(row, "type", Shape.integer, "api_key.third_party")
        seen.row(
            "api_key",
            **powers,
            **(seen.field(row, "expireTime", _expiry, "api_key.expires_at", "api_key.never_expires") or {}),
            kind="hmac",
            label=seen.field(row, "apiName", lambda cell: mask_personal(cell.text()), "api_key.label"),
            can_read=True,
            ip_bound=ip_bound,
            ip_allowlist=ip_allowlist,
            created_at=seen.field(row, "createTime", Shape.time_ms, "api_key.created_at"),
            # 2 is a key linked to a third party; a key of one's own may still have been pasted into a vendor's page.
            third_party=type_ == 2 or None,  # noqa: PLR2004
            enabled=True,
            is_audit_key=True,
        )


def _powers(seen: Seen, row: Shape) -> dict[str, Any]:
    """`readOnly` 1 excludes everything else; 0 says that the key may write, and nothing of what."""
    shows = [f"api_key.{name}" for name in _POWERS]
    read_only = seen.field(row, "readOnly", Shape.flag, *shows)
    if read_only is False:
        detail = "the key may write; whether it trades, transfers or withdraws is shown in the page only"
        seen.sheet.problem(KEY, Reason.NOT_EXPOSED, detail, *shows)
    powers = dict.fromkeys(_POWERS, False) if read_only else {}
    return {**powers, "permissions": None if read_only is None else [_WORDS[read_only]]}


def _ips(cell: Shape) -> tuple[bool, list[str] | None]:
    return bound(cell.split() if isinstance(cell.value, str) else cell.texts())


def _expiry(cell: Shape) -> dict[str, Any]:
    """Milliseconds as text. What a key that never ends carries is not documented: 0 is taken for it, "" for nothing said."""
    if cell.value in ("", None):
        return {}
    if cell.integer() == 0:
        return {"never_expires": True}
    return {"never_expires": False, "expires_at": cell.time_ms()}


def _place(seen: Seen, row: Shape, uid: str | None) -> None:
    """Whose key it is: `parentUid` is "0" for the main account."""
    parent = seen.field(row, "parentUid", Shape.text, "account.kind", "account.parent")
    if parent == "0":
        seen.account(kind="main")
    elif parent and parent.isdigit() and parent != uid:
        seen.account(kind="sub", parent=masked_id(parent))
