"""OKX: one key describes itself; a main-account key also lists sub-accounts and their keys. Nothing lists the main
account's keys, its second factors, its address book or its sessions.

Source of every fact: https://www.okx.com/docs-v5/en/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, failure
from auditor.exchanges._shape import Shape, bound, unless
from auditor.model.evidence import Reason
from auditor.redaction import masked_id

ccxt_class = "okx"
credentials = ("apiKey", "secret", "password")
serial = False

_HOST = "www.okx.com"
_DOCS = "https://www.okx.com/docs-v5/en/"
_PAGE = 100
_MAIN, _SUBS, _CUSTODY = {"0"}, {"1", "2"}, {"5", "9", "12"}


def _endpoint(name: str, call: str, limit: Limit, *, public: bool = False) -> Endpoint:
    section = ("public",) if public else ("private",)
    path = f"/api/v5/{call}"
    return Endpoint(
        name=name, verb="GET", host=_HOST, path=path, api=section, call=call, limit=limit, public=public, source=_DOCS
    )


CONFIG = _endpoint("account/config", "account/config", Limit(calls=5, seconds=2))
SUB_ACCOUNTS = _endpoint("users/subaccount/list", "users/subaccount/list", Limit(calls=20, seconds=2))
SUB_KEYS = _endpoint("users/subaccount/apikey", "users/subaccount/apikey", Limit(calls=20, seconds=2))
QUOTA = _endpoint("asset/currencies", "asset/currencies", Limit(calls=6, seconds=1))
STATUS = _endpoint("system/status", "system/status", Limit(calls=1, seconds=5, per="address"), public=True)
TIME = _endpoint("public/time", "public/time", Limit(calls=10, seconds=2, per="address"), public=True)

endpoints = (CONFIG, SUB_ACCOUNTS, SUB_KEYS, QUOTA, STATUS, TIME)
clock = TIME

_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "50001 50005 50013 50026",
        Reason.TIMEOUT: "50004",
        Reason.RATE_LIMITED: "50011 50061",
        # 50119 also means a key of another regional site; its HTTP status is 200 by the documentation and 401 in practice.
        Reason.INVALID_KEY: "50008 50101 50103 50104 50105 50106 50107 50111 50113 50114 50119",
        Reason.IP_NOT_ALLOWED: "50110 50121",
        Reason.PERMISSION_DENIED: "50027 50029 50030 50035 50120 59500",
        Reason.CLOCK_SKEW: "50102 50112",
        Reason.ACCOUNT_FROZEN: "50007 50100",
    }
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """OKX says what is wrong in `code` (text), whatever the HTTP status; ccxt calls a deleted key (50119) a generic error."""
    del endpoint
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    if code is None or code == "0":
        return None
    return _FAILURES.get(str(code)) or failure(
        Reason.MALFORMED_RESPONSE, str(code)[:20], "refused with a code we do not know"
    )


def server_time(body: Any) -> int:
    """`public/time`: milliseconds as text."""
    return Shape(body)["data"].only()["ts"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because it decides what else may be asked; then the rest at once."""
    is_main = await _calling_key(door, sheet)
    await asyncio.gather(_status(door, sheet), _quota(door, sheet), *([_sub_accounts(door, sheet)] if is_main else []))


async def _calling_key(door: Door, sheet: Sheet) -> bool:
    shows = ("account.kind", "account.parent", "account.kyc_level", "api_keys")
    with sheet.reading(CONFIG, *shows) as seen:
        row = Shape(await door.fetch(CONFIG))["data"].only()
        uid, main_uid = row["uid"].text(), row["mainUid"].text()
        sheet.account_id = uid
        seen.account(kind=_kind(row["type"].text(), uid == main_uid), kyc_level=_level(row))
        if uid != main_uid:
            seen.account(parent=masked_id(main_uid))
        may_manage = uid == main_uid and bool(row["ip"].split())
        _key(seen, row, may_manage=may_manage, is_audit_key=True, kind="hmac")
        if uid == main_uid:
            return True
        seen.account(master_key_over_subaccounts=False)
    return False


def _kind(type_: str, is_main: bool) -> str | None:  # noqa: FBT001
    if type_ in _CUSTODY:
        return "custody"
    if type_ in _MAIN | _SUBS:
        return "main" if is_main else "sub"
    return None


def _level(row: Shape) -> int | None:
    level = row.get("kycLv")
    return level.integer() if level is not None and level.value != "" else None


def _key(seen: Seen, row: Shape, *, may_manage: bool, public_id: str | None = None, **facts: Any) -> None:
    """One key. `trade` also moves funds between the accounts of the user and, with a bound address, manages sub-account
    keys. A key that may trade or withdraw and is not bound dies after 14 days without use; all others never expire.
    """
    tokens = set(row["perm"].split())
    ip_bound, ip_allowlist = bound(row["ip"].split())
    trades, withdraws = "trade" in tokens, "withdraw" in tokens
    strange = bool(tokens - {"read_only", "read", "trade", "withdraw"}) or not tokens
    seen.row(
        "api_key",
        public_id=public_id,
        label=row["label"].text(),
        permissions=sorted(tokens),
        can_read=bool(tokens & {"read_only", "read", "trade"}) or unless(strange),
        can_trade=trades or unless(strange),
        can_trade_derivatives=trades or unless(strange),
        can_transfer=trades or withdraws or unless(strange),
        can_withdraw=withdraws or unless(strange),
        can_manage=(trades and may_manage) or unless(strange),
        ip_bound=ip_bound,
        ip_allowlist=ip_allowlist,
        never_expires=None if strange else ip_bound or not (trades or withdraws),
        **facts,
    )


async def _sub_accounts(door: Door, sheet: Sheet) -> None:
    """Sub-accounts, newest first, by pages; then the keys of all of them at once."""
    names: list[str] = []
    with sheet.reading(SUB_ACCOUNTS, "api_keys", "account.master_key_over_subaccounts") as seen:
        older_than: dict[str, str] = {}
        while True:
            rows = Shape(await door.fetch(SUB_ACCOUNTS, {"limit": str(_PAGE), **older_than}))["data"].rows()
            fresh = [row for row in rows if row["subAcct"].text() not in names]
            names += [row["subAcct"].text() for row in fresh]
            if len(rows) < _PAGE or not fresh:
                break
            older_than = {"after": str(min(row["ts"].integer() for row in fresh))}
        seen.account(master_key_over_subaccounts=_over_subaccounts(sheet, names))
    await asyncio.gather(*[_keys_of(door, sheet, name) for name in names])


def _over_subaccounts(sheet: Sheet, names: list[str]) -> bool | None:
    """A main-account key that may trade may also move funds between sub-accounts (POST /api/v5/asset/transfer).

    That this key may not says nothing of the main account's other keys, which nobody can list: unknown, not FALSE.
    """
    calling = (sheet.rows["api_key"] or [{}])[0].get("can_transfer")
    return False if not names else calling or None


async def _keys_of(door: Door, sheet: Sheet, name: str) -> None:
    with sheet.reading(SUB_KEYS, "api_keys") as seen:
        for row in Shape(await door.fetch(SUB_KEYS, {"subAcct": name}))["data"].rows():
            public_id = row["apiKey"].text()
            shown = public_id if "*" not in public_id else None
            created = row["ts"].time_ms()
            _key(seen, row, may_manage=False, public_id=shown, sub_account=name, created_at=created, kind="hmac")


async def _quota(door: Door, sheet: Sheet) -> None:
    """Quota and use are per user and in US dollars, the same on every row; one currency is enough."""
    with sheet.reading(QUOTA, "account.withdrawal_limit_daily_usd", "account.withdrawn_last_24h_usd") as seen:
        rows = Shape(await door.fetch(QUOTA, {"ccy": "USDT"}))["data"].rows()
        quotas = [row["wdQuota"].number() for row in rows if row["wdQuota"].value != ""]
        used = [row["usedWdQuota"].number() for row in rows if row["usedWdQuota"].value != ""]
        seen.account(
            withdrawal_limit_daily_usd=max(quotas, default=None), withdrawn_last_24h_usd=max(used, default=None)
        )


async def _status(door: Door, sheet: Sheet) -> None:
    """Only production (env 1) and only what runs now: ccxt lets the last listed event win, a planned one too."""
    with sheet.reading(STATUS, "venue.status") as seen:
        running = [
            row
            for row in Shape(await door.fetch(STATUS))["data"].rows()
            if row["env"].text() == "1" and row["state"].text() in {"ongoing", "pre_open"}
        ]
        stopped = any(row["state"].text() == "ongoing" and row["maintType"].text() != "3" for row in running)
        seen.venue(status="maintenance" if stopped else "degraded" if running else "ok")
