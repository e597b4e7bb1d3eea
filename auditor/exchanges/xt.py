"""XT: a key lists all keys of its user, those of sub-accounts too, with permissions and addresses, and the accounts. Nothing shows
second factors, saved addresses or sessions.

By the documentation the list also holds the secret of every key: it is never taken out of the answer. What the futures' own
account may do says nothing of a key and is not read. Source of every fact: https://doc.xt.com unless said otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal, masked_id

ccxt_class = "xt"
credentials = ("apiKey", "secret")
serial = False

_DOCS = "https://github.com/xt-com/xt-api"
_LIMIT = Limit(calls=10, seconds=1, pool="user")

KEYS = Endpoint(
    name="user/account/api-key",
    verb="GET",
    host="api.xt.com",
    path="/v4/user/account/api-key",
    api=("private", "user"),
    call="user/account/api-key",
    limit=_LIMIT,
    source=f"{_DOCS}/blob/main/_user_center_apikey/queryUserApiKey.md",
)
ACCOUNTS = Endpoint(
    name="user/account",
    verb="GET",
    host="api.xt.com",
    path="/v4/user/account",
    api=("private", "user"),
    call="user/account",
    limit=_LIMIT,
    source=f"{_DOCS}/blob/main/_user_center_account/queryAccountList.md",
)
TIME = Endpoint(
    name="public/time",
    verb="GET",
    host="sapi.xt.com",
    path="/v4/public/time",
    api=("public", "spot"),
    call="time",
    limit=Limit(calls=10, seconds=1, per="address"),
    public=True,
    source=f"{_DOCS}/blob/main/_market/1serverInfo.md",
)
endpoints = (KEYS, ACCOUNTS, TIME)
clock = TIME

_HEADERS = "the exchange misses, or does not accept, a header of the signature; the key itself was not judged"
_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "503 COMMON_002",
        Reason.VENUE_INCIDENT: "500 502 COMMON_003",
        Reason.INVALID_KEY: "AUTH_101 AUTH_102 AUTH_103",
        Reason.IP_NOT_ALLOWED: "AUTH_104",
        Reason.PERMISSION_DENIED: "AUTH_106 ORDER_007 NO_OPERATION_PERMISSION PERMISSION_LIMIT",
        Reason.CLOCK_SKEW: "AUTH_105",
    }
)
_FAILURES |= {f"AUTH_00{digit}": failure(Reason.CLOCK_SKEW, f"AUTH_00{digit}", _HEADERS) for digit in range(1, 8)}
_FAILURES |= {
    code: failure(
        Reason.PERMISSION_DENIED, code, "the account has to set up two of phone, e-mail and authenticator first"
    )
    for code in ("WITHDRAW_003", "DEPOSIT_002")
}
_TOO_OFTEN = failure(
    Reason.RATE_LIMITED, "429", "asked too often; the exchange blocks the key or this address for a while", lockout=True
)
_FAILURES["429"] = _TOO_OFTEN
_UNREACHED = failure(Reason.VENUE_INCIDENT, "400", "the exchange does not reach a part of itself")


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """XT says what is wrong in `mc`, with HTTP 200, and for futures in `error.code`; `rc` 0 is success, and must be said.

    ccxt calls a refused address (AUTH_104) and a clock that is off (AUTH_105) a bad key.
    """
    del endpoint
    if answer.status == 429:  # noqa: PLR2004
        return _TOO_OFTEN
    if answer.body is None:
        return None
    body = answer.body if isinstance(answer.body, dict) else {}
    rc, mc, error = body.get("rc", body.get("returnCode")), body.get("mc"), body.get("error")
    if str(rc) == "0" and mc in (None, "SUCCESS") and not (isinstance(error, dict) and error.get("code")):
        return None
    told: Mapping[str, Any] = error if isinstance(error, dict) else {"code": mc}
    code, words = told.get("code"), str(told.get("msg", "")).lower()
    said = str(code)[:40] if isinstance(code, (str, int)) else "none"
    if said == "400" and "connection refused" in words:
        return _UNREACHED
    unknown = failure(Reason.MALFORMED_RESPONSE, said, "refused with a code we do not know")
    return _FAILURES.get(said) or by_status(answer) or unknown


def server_time(body: Any) -> int:
    """`public/time`: milliseconds."""
    return Shape(body)["result"]["serverTime"].integer()


_COMPLETE = "account.key_inventory_complete"


async def collect(door: Door, sheet: Sheet) -> None:
    """The keys first, then the accounts, then the keys of each sub-account: whether the first list holds those is not said."""
    lists = [await _keys(door, sheet, {})]
    is_main, subs = await _accounts(door, sheet)
    lists += await asyncio.gather(*[_keys(door, sheet, {"userAccountId": one}) for one in sorted(subs or {})])
    if lists[0] is None and subs is None:
        return
    with sheet.reading(KEYS, "api_keys", _COMPLETE) as seen:
        rows = {_identity(row): row for found in lists for row in found or []}
        names = shown_names((subs or {}).values())
        shown = {one: names[name] for one, name in (subs or {}).items()}
        seen_main = is_main or (is_main is None and any(_level(row) == 1 for row in rows.values()))
        made = [key for row in rows.values() if (key := _key(seen, row, shown if seen_main else None))]
        _write(seen, made)
        whole = len(made) == len(rows) and subs is not None and None not in lists
        seen.account(key_inventory_complete=True if whole else None)


async def _keys(door: Door, sheet: Sheet, of: dict[str, str]) -> list[Shape] | None:
    """The entries of one list, or None where it was not shown. Each is an object; what is none is a problem."""
    found: list[list[Shape]] = []
    with sheet.reading(KEYS, "api_keys", _COMPLETE):
        rows = Shape(await door.fetch(KEYS, of))["result"].rows()
        for row in rows:
            row.keys()
        if not rows and not of:
            raise ShapeError("$.result: a list of keys without the one that asked")
        found.append(rows)
    return found[0] if found else None


def _identity(row: Shape) -> str:
    """Tells entries apart that several lists may hold."""
    return str([(name, cell.value) for name in ("id", "accessKey") if (cell := row.get(name))] or id(row))


def _account_id(cell: Shape) -> str:
    """The id of an account: up to 20 digits, as text or as a number."""
    if isinstance(cell.value, bool) or not re.fullmatch(r"[0-9]{1,20}", str(cell.value)):
        raise ShapeError(f"{cell.at}: expected the id of an account")
    return str(cell.value)


def _level(row: Shape) -> Any:
    """1 for a key of the main account, 2 for one of a sub-account; anything where it is not said."""
    level = row.get("userAccountLevel")
    return None if level is None else level.value


def _write(seen: Seen, keys: list[dict[str, Any]]) -> None:
    """Which of the keys is calling is known by its public id, so its row stands beside the list's."""
    calling: dict[str, Any] = {"can_read": True, "enabled": True, "is_audit_key": True}
    if len(keys) == 1 and "public_id" not in keys[0]:
        keys[0] |= calling
    elif all("public_id" in key for key in keys):
        seen.row("api_key", kind="hmac", **calling)
    else:
        detail = "the ids are masked: which key is calling is not shown"
        seen.sheet.problem(KEYS, Reason.NOT_EXPOSED, detail, "api_key.can_read")
    for key in keys:
        seen.row("api_key", **key)
    detail = "which right lets a key make and change other keys is not documented"
    seen.sheet.problem(KEYS, Reason.NOT_EXPOSED, detail, "api_key.can_manage")


_WORDS = {"QUERY", "TRADE", "WITHDRAW", "LEVER_LOAN", "FUTURE", "TRANSFER"}
_OLDER = {"QUERY_TRADE", "QUERY_NO_TRADE"}


def _key(seen: Seen, row: Shape, subs: Mapping[str, str] | None) -> dict[str, Any] | None:
    """One key; `subs` are the names of the sub-accounts, or None where the account is one itself.

    `secretKey`, which stands beside these fields, is not touched. Times carry no offset: they are UTC, as the
    documentation's example shows (the id of an account holds the moment it was made).
    """
    account = seen.field(row, "userAccountId", _account_id, "api_key.sub_account") or ""
    of_sub = subs is not None and (_level(row) == 2 or account in subs)  # noqa: PLR2004
    listed = seen.field(row, "bindIps", _addresses, "api_key.ip_bound", "api_key.ip_allowlist")
    ip_bound, ip_allowlist = (None, None) if listed is None else bound(listed)
    locked = seen.field(row, "isLock", Shape.flag, "api_key.enabled")
    found: dict[str, Any] = {
        "kind": "hmac",
        "public_id": seen.field(row, "accessKey", _public_id, "api_keys") or None,
        "label": seen.field(row, "keyName", _label, "api_key.label"),
        "sub_account": (subs or {}).get(account, masked_id(account)) if of_sub else None,
        "ip_bound": ip_bound,
        "ip_allowlist": ip_allowlist,
        "enabled": None if locked is None else not locked,
        "created_at": seen.field(row, "createTime", Shape.time_text, "api_key.created_at"),
        "modified_at": seen.field(row, "updateTime", Shape.time_text, "api_key.modified_at"),
        **_powers(seen.field(row, "roleScopes", _scopes, "api_key.permissions") or []),
    }
    known = {name: value for name, value in found.items() if value is not None}
    return known if known.keys() - {"kind"} else None


def _powers(words: list[str]) -> dict[str, Any]:
    """What the scopes allow. The older pair of words tells of trading only; what a pledge of margin moves is not written."""
    scopes = {word.upper() for word in words}
    strange = not scopes or not scopes <= _WORDS | _OLDER
    older, pays = bool(scopes & _OLDER), "WITHDRAW" in scopes
    return {
        "permissions": sorted(words) or None,
        "can_read": bool(scopes & ({"QUERY"} | _OLDER)) or None,
        "can_trade": bool(scopes & {"TRADE", "FUTURE", "QUERY_TRADE"}) or unless(strange or "LEVER_LOAN" in scopes),
        "can_trade_derivatives": "FUTURE" in scopes or unless(strange or older),
        "can_transfer": "TRANSFER" in scopes or unless(strange or older or pays or "LEVER_LOAN" in scopes),
        "can_withdraw": pays or unless(strange or older),
    }


def _scopes(cell: Shape) -> list[str]:
    return [word for word in re.split(r"[,;\s]+", cell.text()) if word]


def _addresses(cell: Shape) -> list[str]:
    """Addresses with commas between them; null, as in the documentation's examples, and empty text are none."""
    return [] if cell.value is None else cell.split()


def _label(cell: Shape) -> str | None:
    return None if cell.value is None else mask_personal(cell.text())


def _public_id(cell: Shape) -> str:
    """The id, or nothing where it is masked: asterisks identify nothing."""
    return cell.text() if cell.text().replace("-", "").isalnum() else ""


async def _accounts(door: Door, sheet: Sheet) -> tuple[bool | None, dict[str, str] | None]:
    """Whether the key is the main account's, and its sub-accounts by id with their names; None where that was not shown."""
    is_main, subs = None, None
    shows = ("account.kind", "account.created_at", "account.master_key_over_subaccounts")
    with sheet.reading(ACCOUNTS, *shows, _COMPLETE) as seen:
        rows = Shape(await door.fetch(ACCOUNTS))["result"].rows()
        levels = [(row["level"].integer(), _account_id(row["id"]), row["accountName"].text(), row) for row in rows]
        if not rows or {level for level, *_ in levels} - {1, 2}:
            raise ShapeError("$.result: no account of a level that is documented")
        own = [(one, row) for level, one, _, row in levels if level == 1]
        is_main, subs = bool(own), {one: name for level, one, name, _ in levels if level == 2}  # noqa: PLR2004
        own = own or [(one, row) for _, one, _, row in levels]
        if len(own) == 1:
            sheet.account_id = own[0][0]
            made = seen.field(own[0][1], "createTime", Shape.time_text, "account.created_at")
            seen.account(created_at=made)
        seen.account(kind="main" if is_main else "sub", master_key_over_subaccounts=None if subs else False)
        subs = subs if is_main else {}
    return is_main, subs
