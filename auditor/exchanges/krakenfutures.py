"""Kraken Futures: a key describes itself, and a main account lists its sub-accounts. Nothing lists the keys, the second
factors or the sign-ins: those belong to the Kraken account, and its spot keys are audited as kraken.

Source of every fact: https://docs.kraken.com/api-reference/ unless said otherwise.
"""

from __future__ import annotations

import re
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, unless
from auditor.model.evidence import Reason

ccxt_class = "krakenfutures"
credentials = ("apiKey", "secret")
serial = False
# ccxt sends no nonce and no time, so there is nothing a clock could set right.
clock: Endpoint | None = None

_HOST, _DOCS = "futures.kraken.com", "https://docs.kraken.com/api-reference/"
CHECK = Endpoint(
    name="api-keys/v3/check",
    verb="GET",
    host=_HOST,
    path="/api/auth/v1/api-keys/v3/check",
    api=("auth",),
    call="api-keys/v3/check",
    limit=Limit(calls=20, seconds=10),  # none is documented
    source=f"{_DOCS}api-keys/check-v3-api-key",
)
SUBACCOUNTS = Endpoint(
    name="subaccounts",
    verb="GET",
    host=_HOST,
    path="/derivatives/api/v3/subaccounts",
    api=("private",),
    call="subaccounts",
    limit=Limit(calls=250, seconds=10),  # 500 points in ten seconds, two a call
    source=f"{_DOCS}subaccounts/get-subaccounts",
)
endpoints = (CHECK, SUBACCOUNTS)

_FAILURES = {
    code.lower(): found
    for code, found in by_code(
        {
            Reason.VENUE_MAINTENANCE: "unavailable marketUnavailable",
            Reason.RATE_LIMITED: "apiLimitExceeded",
            Reason.CLOCK_SKEW: "nonceBelowThreshold nonceDuplicate",
        }
    ).items()
} | {"server error": failure(Reason.VENUE_INCIDENT, "Server Error")}
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
_REFUSED = "authenticationerror"
_NO_KEY = failure(
    Reason.INVALID_KEY,
    _REFUSED,
    "refused: a bad key or signature, or an address that is not on its list; Kraken has one answer for them",
)
_NOT_ALLOWED = failure(
    Reason.PERMISSION_DENIED, _REFUSED, "refused: the right is missing (or the key; Kraken has one answer for both)"
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Three spellings: `{"result": "error", "error": text}` under HTTP 200, `{"errors": [{"message": text}]}`, and HTTP 401
    with `{"error", "message", "suberror"}` from the service that checks keys, which ccxt calls a generic error.

    "authenticationError" also answers a missing right. Only the call that needs none can blame the key.
    """
    if not isinstance(answer.body, dict):
        return None if answer.body is None else failure(Reason.MALFORMED_RESPONSE, "none", "not an answer of Kraken's")
    said = _said(answer.body)
    if said is None and answer.body.get("result", "success") == "success":
        return None
    word = (said or "none").lower()
    if word == _REFUSED or (answer.status == 401 and endpoint == CHECK and word not in _FAILURES):  # noqa: PLR2004
        return _NO_KEY if endpoint == CHECK else _NOT_ALLOWED
    unknown = failure(Reason.MALFORMED_RESPONSE, word[:20], "refused with an error we do not know")
    return _FAILURES.get(word) or by_status(answer) or unknown


def _said(body: dict[str, Any]) -> str | None:
    """What went wrong in the venue's own words; None where nothing is named."""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    text = body.get("error") or (first.get("message") if isinstance(first, dict) else None)
    return text.strip() if isinstance(text, str) else None if text is None and not errors else "none"


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: requests carry no time here")


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first; then the sub-accounts."""
    key = await _calling_key(door, sheet)
    shows = ("account.kind", "account.parent", "account.master_key_over_subaccounts")
    with sheet.reading(SUBACCOUNTS, *shows) as seen:
        answer = Shape(await door.fetch(SUBACCOUNTS))
        master = seen.field(answer, "masterAccountUid", Shape.text, *shows[:2])
        others = answer["subaccounts"].rows()  # their names, mail addresses and balances are not looked at
        if master and sheet.account_id and master != sheet.account_id:
            seen.account(kind="sub", parent=f"…{master[-4:]}", master_key_over_subaccounts=False)
        elif master and sheet.account_id:
            # That this key may not move funds says nothing of the others, which nobody can list: unknown, not FALSE.
            seen.account(
                kind="main", master_key_over_subaccounts=(key.get("can_transfer") or None) if others else False
            )


async def _calling_key(door: Door, sheet: Sheet) -> dict[str, Any]:
    """What the key says of itself. `iiban` is not read. The key is enabled, for it was answered."""
    key: dict[str, Any] = {}
    with sheet.reading(CHECK, "api_keys") as seen:
        row = Shape(await door.fetch(CHECK))
        sheet.account_id = seen.field(row, "accountUid", Shape.text, "account.kind") or None
        ip_bound, ip_allowlist = _binding(seen, row)
        found: dict[str, Any] = {
            "public_id": seen.field(row, "apiKey", Shape.text) or None,
            "created_at": seen.field(row, "createdAt", Shape.time_text, "api_key.created_at"),
            "ip_bound": ip_bound,
            "ip_allowlist": ip_allowlist,
            **_powers(seen, row),
        }
        if all(value is None for value in found.values()):
            raise ShapeError("$: nothing of the key can be read")
        key.update(seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, **found))
    return key


def _powers(seen: Seen, row: Shape) -> dict[str, Any]:
    """`general` at FULL_ACCESS is "trading and everything except withdrawals"; `transfer` is called Withdrawal API in the
    web page, and at FULL_ACCESS pushes funds to the owner's Kraken wallet: an exit, for whoever has that account too.
    """
    names = ("read", "trade", "trade_derivatives", "transfer", "withdraw", "manage")
    table = seen.field(row, "permissions", _levels, *[f"api_key.can_{name}" for name in names], "api_key.permissions")
    if table is None:
        return {}
    general, transfer = table.get("general"), table.get("transfer")
    strange = bool(table.keys() - {"general", "transfer"})  # another area may open anything
    does = {"FULL_ACCESS": True, "READ_ONLY": False, "NO_ACCESS": False}
    trades, withdraws = does.get(general or ""), does.get(transfer or "")
    reads = {general, transfer} & {"READ_ONLY", "FULL_ACCESS"}
    shut = strange or trades is None or withdraws is None
    return {
        "permissions": sorted(f"{area}:{level}" for area, level in table.items()),
        "can_read": bool(reads) or unless(shut),
        "can_trade": trades or unless(strange or trades is None),
        "can_trade_derivatives": trades or unless(strange or trades is None),
        "can_transfer": trades or withdraws or unless(shut),
        "can_withdraw": withdraws or unless(strange or withdraws is None),
        "can_manage": unless(strange or trades is not False),  # whether "everything" includes keys is not said
    }


def _levels(table: Shape) -> dict[str, str]:
    """Area -> level. What is no plain word is named without being repeated: it may be anything."""
    told = {area: table[area].text().strip() for area in table.keys()}  # noqa: SIM118
    return {_plain(area): _plain(level) for area, level in told.items()}


def _plain(word: str) -> str:
    return word if _WORD.fullmatch(word) else "?"


def _binding(seen: Seen, row: Shape) -> tuple[bool | None, list[str] | None]:
    """One block of old (text or null) beside the list that replaced it: either binds, and only both together do not."""
    shows = ("api_key.ip_bound", "api_key.ip_allowlist")
    old = row.get("allowedCidrBlock")
    one = [] if old is None else seen.field(row, "allowedCidrBlock", lambda cell: [cell.text()], *shows)
    listed = seen.field(row, "allowedCidrBlocks", Shape.texts, *shows)
    if one is None or (listed is None and not bound(one)[0]):
        return None, None
    return bound(sorted({*one, *(listed or [])}))
