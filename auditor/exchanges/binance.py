"""Binance: a key describes only itself; a main account's key also lists sub-accounts, their keys and the address book.
Nothing lists the main account's keys or their IP lists, its second factors, its allow-list switch or its sessions.

Source of every fact: https://developers.binance.com/docs/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

from auditor.exchanges import _binance_funds
from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "binance"
credentials = ("apiKey", "secret")
serial = False

_DOCS = "https://developers.binance.com/docs/"
_PAGE, _KEY_PAGE, _MOST_PAGES = "200", "100", 500
_PUBLIC_KEY = re.compile(r"[A-Za-z0-9]{12,128}\Z")
_LIGHT, _HEAVY = Limit(calls=12000, seconds=60, per="address"), Limit(calls=1200, seconds=60, per="address")
_SPOT = Limit(calls=300, seconds=60, per="address", pool="api")
_CLOCK = Limit(calls=6000, seconds=60, per="address", pool="api")
_USER = Limit(calls=60, seconds=60)  # weight 3000 of 180000 a minute and user, for each endpoint by itself


def _endpoint(call: str, limit: Limit, page: str, api: str = "sapi", *, public: bool = False) -> Endpoint:
    path = f"/sapi/v1/{call}" if api == "sapi" else f"/api/v3/{call}"
    name, raw = path.removeprefix("/sapi/v1/").lstrip("/"), "sub-account" in call  # ccxt does not escape their values
    return Endpoint(name=name, verb="GET", host="api.binance.com", path=path, api=(api,), call=call, limit=limit,
                    public=public, unescaped=raw, source=_DOCS + page)  # fmt: skip


RESTRICTIONS = _endpoint("account/apiRestrictions", _LIGHT, "wallet/account/api-key-permission")
ACCOUNT_STATUS = _endpoint("account/status", _LIGHT, "wallet/account/account-status")
SPOT_ACCOUNT = _endpoint("account", _SPOT, "binance-spot-api-docs/rest-api/account-endpoints", "private")
ADDRESSES = _endpoint("capital/withdraw/address/list", _HEAVY, "wallet/capital/fetch-withdraw-address")
QUOTA = _endpoint("capital/withdraw/quota", _HEAVY, "wallet/capital/fetch-withdraw-quota")
SUB_ACCOUNTS = _endpoint("sub-account/list", _LIGHT, "sub_account/account-management/Query-Sub-account-List")
SUB_KEYS = _endpoint("sub-account/subAccountApi", _USER, "sub_account/api-management")
SUB_KEY_IPS = _endpoint("sub-account/subAccountApi/ipRestriction", _USER, "sub_account/api-management")
STATUS = _endpoint("system/status", _LIGHT, "wallet", public=True)
TIME = _endpoint("time", _CLOCK, "binance-spot-api-docs/rest-api/general-endpoints", "public", public=True)

_MAIN_ONLY = (SUB_ACCOUNTS, SUB_KEYS, SUB_KEY_IPS)
_ALWAYS = (RESTRICTIONS, ACCOUNT_STATUS, SPOT_ACCOUNT, ADDRESSES, QUOTA, *_MAIN_ONLY, STATUS, TIME)
endpoints = (*_ALWAYS, *_binance_funds.ENDPOINTS)
funds = _binance_funds.funds(SPOT_ACCOUNT)
clock = TIME

_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "-1008 -1016",
        Reason.VENUE_INCIDENT: "-1000 -1001",
        Reason.TIMEOUT: "-1007",
        Reason.RATE_LIMITED: "-1003",
        Reason.CLOCK_SKEW: "-1021",
        Reason.INVALID_KEY: "-2014 -2008 -1022",
        Reason.PERMISSION_DENIED: "-1002 -1099 -9000",
    }
)
_WORDS = {
    "system is under maintenance": Reason.VENUE_MAINTENANCE,
    "api key does not exist": Reason.INVALID_KEY,
    "you don't have permission": Reason.PERMISSION_DENIED,
    "has no operation privilege": Reason.PERMISSION_DENIED,
    "not authorized to execute this request": Reason.PERMISSION_DENIED,
}

_MANAGE = "enableSpotAndMarginTrading"  # also changes the keys of sub-accounts, if there are any
_DERIVATIVES = ("enableFutures", "enableVanillaOptions", "enablePortfolioMarginTrading")
_POWERS = {
    "can_trade": (_MANAGE, "enableFixApiTrade", *_DERIVATIVES),
    "can_trade_derivatives": _DERIVATIVES,
    "can_transfer": ("enableInternalTransfer", "permitsUniversalTransfer"),
    "can_withdraw": ("enableWithdrawals",),
}
_SUB_POWERS = {
    "can_trade": ("canTrade", "canFuturesTrade", "canVanillaOptions"),
    "can_trade_derivatives": ("canFuturesTrade", "canVanillaOptions"),
    "can_transfer": ("canUniversalTransfer",),
}
_ADDRESS = {"asset": "coin", "network": "network", "label": "name"}
_NO_FLAGS = {"ipRestrict", "createTime", "tradingAuthorityExpirationTime", "email", "apiName", "apikey", "timestamp"}
_MORE_THAN_READING = re.compile("Write|Trad|Withdraw|Transfer")
_NEAR_AT = re.compile(r"\S*@\S*")


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Binance says what is wrong in `code` and `msg`, or in `msg` beside `success: false`, whatever the HTTP status; ccxt
    calls a block and a missing permission an outage. An answer of the 5xx kind is an outage whatever it says of the key.
    """
    body = answer.body if isinstance(answer.body, dict) else {}
    code = "" if body.get("code") is None else str(body["code"])[:20]
    words = str(body.get("msg", "")).lower()
    if answer.status == 418 or (code == "-1003" and "banned" in words):  # noqa: PLR2004
        return failure(Reason.RATE_LIMITED, code or "418", "this address is banned, for minutes to days", address=True)
    if answer.status == 403 and not code and "from your country" not in answer.text.lower():  # noqa: PLR2004
        return failure(Reason.RATE_LIMITED, "403", "the exchange's firewall has shut this address out", lockout=True)
    if code in {"", "0", "200", "000000"} and str(body.get("success")).lower() != "false":
        return None
    code = code or "success: false"
    reason = next((reason for said, reason in _WORDS.items() if said in words), None)
    found = failure(reason, code) if reason else _refused_alike(endpoint) if code == "-2015" else _FAILURES.get(code)
    status = by_status(answer)
    outage = status is not None and status.reason is not Reason.MALFORMED_RESPONSE
    if outage and (found is None or (answer.status >= 500 and not found.retry)):  # noqa: PLR2004
        return status
    return found or failure(Reason.MALFORMED_RESPONSE, code, "refused in words we do not know")


def _refused_alike(endpoint: Endpoint) -> Failure:
    """-2015 says wrong key, wrong address or missing permission. Where reading is enough, it is the key or the address.

    The address, then: a deleted key has codes of its own (-2008, -2014), and who is sent to the key's IP list finds it
    deleted there, while who is told that the key was revoked looks for a thief who is not there.
    """
    if endpoint == RESTRICTIONS:
        both = "the exchange does not accept this address, or the key is deleted: it says the same to both"
        return failure(Reason.IP_NOT_ALLOWED, "-2015", both)
    needs = "takes a key of the main account" if endpoint in _MAIN_ONLY else "takes more than this key may do"
    return failure(
        Reason.PERMISSION_DENIED, "-2015", f"{needs}, or address or key were refused: it says the same to all"
    )


def server_time(body: Any) -> int:
    """`/api/v3/time`: milliseconds."""
    return Shape(body)["serverTime"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because a refusal there means the key itself; then the rest at once."""
    await _calling_key(door, sheet)
    reads = (_status, _account_id, _account_status, _quota, _addresses, _sub_accounts)
    await asyncio.gather(*[read(door, sheet) for read in reads])


def _powers(seen: Seen, row: Shape, powers: dict[str, tuple[str, ...]], margin: str) -> dict[str, Any]:
    """The facts of a key's flags: FALSE only where every flag for it is there and off, and nothing else may grant it.

    A flag we do not know grants anything unless it speaks of reading. Margin borrows and, by its name in the web page,
    transfers: neither trade nor transfer is FALSE beside it.
    """
    said: dict[str, bool | None] = {}
    for flag in sorted({flag for several in powers.values() for flag in several}):
        facts_of = [f"api_key.{fact}" for fact, several in powers.items() if flag in several]
        said[flag] = seen.field(row, flag, Shape.flag, *facts_of)
    said[margin] = seen.field(row, margin, Shape.flag, "api_key.can_trade", "api_key.can_transfer")
    if set(said.values()) == {None}:
        raise ShapeError(f"{row.at}: none of the documented permissions")
    on = {name for name, value in row.value.items() if str(value).lower() in {"true", "1"}} - _NO_FLAGS
    strange = any("Read" not in name or _MORE_THAN_READING.search(name) for name in on - said.keys())
    facts: dict[str, Any] = {"permissions": sorted(on)}
    for fact, several in powers.items():
        values = [said[flag] for flag in several]
        unsure = strange or None in values or (fact in {"can_trade", "can_transfer"} and said[margin] is not False)
        facts[fact] = True if True in values else None if unsure else False
    return {**facts, "can_manage": None if strange or said.get(_MANAGE, False) is not False else False}


async def _calling_key(door: Door, sheet: Sheet) -> None:
    """The key itself, but not the addresses it is bound to. A withdrawing one that is unbound is reported as it is seen.
    That it answers at all takes the right to read.
    """
    with sheet.reading(RESTRICTIONS, "api_keys") as seen:
        row = Shape(await door.fetch(RESTRICTIONS))
        facts = _powers(seen, row, _POWERS, "enableMargin")
        facts["ip_bound"] = seen.field(row, "ipRestrict", Shape.flag, "api_key.ip_bound")
        facts["created_at"] = seen.field(row, "createTime", _moment, "api_key.created_at")
        seen.row("api_key", can_read=True, enabled=True, is_audit_key=True, **facts)


def _moment(cell: Shape) -> str | None:
    return cell.time_ms() if cell.value not in (0, "0", "") else None


async def _account_id(door: Door, sheet: Sheet) -> None:
    """Only the account's id. `canWithdraw` beside it is a flag of the account and says nothing of the key."""
    with sheet.reading(SPOT_ACCOUNT):
        account = Shape(await door.fetch(SPOT_ACCOUNT, {"omitZeroBalances": "true"}))
        sheet.account_id = str(account["uid"].integer())


async def _account_status(door: Door, sheet: Sheet) -> None:
    """One word; only `Normal` is documented, and what another one means is not guessed."""
    with sheet.reading(ACCOUNT_STATUS, "account.status") as seen:
        if Shape(await door.fetch(ACCOUNT_STATUS))["data"].text().lower() != "normal":
            raise ShapeError("$.data: not Normal, the only status the exchange documents: look at the account")
        seen.account(status="normal")


async def _quota(door: Door, sheet: Sheet) -> None:
    """US dollars over 24 hours, on chain and to other users together."""
    limit, used = "account.withdrawal_limit_daily_usd", "account.withdrawn_last_24h_usd"
    with sheet.reading(QUOTA, limit, used) as seen:
        quota = Shape(await door.fetch(QUOTA))
        seen.account(withdrawal_limit_daily_usd=seen.field(quota, "wdQuota", Shape.number, limit))
        seen.account(withdrawn_last_24h_usd=seen.field(quota, "usedWdQuota", Shape.number, used))


def _name(cell: Shape) -> str | None:
    return mask_personal(cell.text()) or None


def _filled(cell: Shape) -> str:
    if cell.text().strip():
        return cell.text()
    raise ShapeError(f"{cell.at}: empty")


async def _addresses(door: Door, sheet: Sheet) -> None:
    """The whole address book in one answer. `whiteStatus` marks one address: it proves neither that the account-wide
    switch is on nor that a withdrawal to it asks for less, so nothing is made of it.
    """
    whole = "addresses", "account.addresses_complete"
    with sheet.reading(ADDRESSES, *whole) as seen:
        rows = Shape(await door.fetch(ADDRESSES)).rows()
        seen.list_seen("address")
        complete: bool | None = True
        for row in rows:
            where = seen.field(row, "address", _filled, *whole)
            if where is None:
                complete = None
                continue
            tag = row.get("addressTag")  # one address of an exchange serves many people: another tag, another owner
            known = {fact: seen.field(row, name, _name, f"address.{fact}") for fact, name in _ADDRESS.items()}
            seen.row("address", public_id=f"{where}:{tag.value}" if tag and tag.value != "" else where, **known)
        seen.account(addresses_complete=complete)


async def _sub_accounts(door: Door, sheet: Sheet) -> None:
    """Only a main account's key may list sub-accounts, so an answer proves the kind. Then the keys of all at once.

    With `enableInternalTransfer` it moves funds between all of them (POST sub-account/universalTransfer). That this key
    may not says nothing of the main account's other keys, which nobody can list: unknown, not FALSE. The page size is 1
    unless asked for, and a short page may be one whose size was not honoured: the end is a page without anybody new.
    """
    found: dict[str, Shape] = {}
    calling = (sheet.rows["api_key"] or [{}])[0]
    granted = calling.get("permissions", [])
    with sheet.reading(SUB_ACCOUNTS, "api_keys", "account.kind", "account.master_key_over_subaccounts") as seen:
        for page in range(1, _MOST_PAGES + 1):
            known = len(found)
            rows = Shape(await door.fetch(SUB_ACCOUNTS, {"page": str(page), "limit": _PAGE}))["subAccounts"].rows()
            for row in rows:
                email = seen.field(row, "email", _filled, "api_keys")
                if email:
                    found.setdefault(email, row)
            over = (found and "enableInternalTransfer" in granted) or None
            seen.account(kind="main", master_key_over_subaccounts=over if rows or known else False)
            if found and _MANAGE in granted:
                calling["can_manage"] = True
            if len(found) == known:
                break
        else:
            sheet.problem(SUB_ACCOUNTS, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", "api_keys")
    await asyncio.gather(*[_keys_of(door, sheet, email, name) for email, name in _names(found).items()])


def _names(found: dict[str, Shape]) -> dict[str, str]:
    """E-mail address -> a name without one: the owner's remark and the address's first letter, numbered where alike."""
    alike: Counter[str] = Counter()
    names: dict[str, str] = {}
    for email in sorted(found):
        remark = found[email].get("remark")
        text = remark.text() if remark is not None and isinstance(remark.value, str) else ""
        known_as = _NEAR_AT.sub("•••", mask_personal(text)).strip()
        name = f"{known_as} ({email[0]}•••)" if known_as else f"{email[0]}•••"
        alike[name] += 1
        names[email] = f"{name} ({alike[name]})" if alike[name] > 1 else name
    return names


async def _keys_of(door: Door, sheet: Sheet, email: str, name: str) -> None:
    """The keys of one sub-account, by pages, then the addresses each is bound to."""
    keys: dict[str, dict[str, Any]] = {}
    with sheet.reading(SUB_KEYS, "api_keys") as seen:
        for page in range(1, _MOST_PAGES + 1):
            answer = Shape(await door.fetch(SUB_KEYS, {"email": email, "page": str(page), "size": _KEY_PAGE}))
            known, total = len(keys), answer["total"].integer()
            for row in answer["list"].rows():
                public_key = seen.field(row, "apikey", _filled, "api_keys")
                if public_key and public_key not in keys:
                    keys[public_key] = _sub_key(seen, row, public_key, name)
            if len(keys) >= total or len(keys) == known:
                break
        if len(keys) < total:
            raise ShapeError("$.list: fewer keys than the total says")
    await asyncio.gather(*[_addresses_of(door, sheet, email, key, row) for key, row in keys.items()])


def _sub_key(seen: Seen, row: Shape, public_key: str, name: str) -> dict[str, Any]:
    """A sub-account's key. No flag says that it reads or withdraws, and rights over the FIX interface are not shown, so
    trading is never known to be off. `timestamp` is not said to be the time of creation.
    """
    powers = _powers(seen, row, _SUB_POWERS, "canMarginLoanRepay")
    powers["can_trade"] = powers["can_trade"] or None
    label = seen.field(row, "apiName", _name, "api_key.label")
    shown = public_key if _PUBLIC_KEY.match(public_key) else None
    return seen.row("api_key", public_id=shown, sub_account=name, label=label, **powers)


async def _addresses_of(door: Door, sheet: Sheet, email: str, public_key: str, row: dict[str, Any]) -> None:
    """`ipRestrict` is text here. `updateTime` is when the restriction last changed, not the key: no `modified_at`."""
    with sheet.reading(SUB_KEY_IPS, "api_key.ip_bound", "api_key.ip_allowlist"):
        if not _PUBLIC_KEY.match(public_key):
            raise ShapeError("$.list: a key's public part is not whole, so its addresses cannot be asked for")
        answer = Shape(await door.fetch(SUB_KEY_IPS, {"email": email, "subAccountApiKey": public_key}))
        restricted, listed = answer["ipRestrict"].flag(), answer.get("ipList")
        entries = [entry for entry in listed.texts() if entry.strip()] if listed is not None else []
        if restricted and not entries:
            row["ip_bound"] = True  # to the addresses of a third party, which are not shown
        else:
            row["ip_bound"], row["ip_allowlist"] = bound(entries) if restricted else (False, [])


async def _status(door: Door, sheet: Sheet) -> None:
    """The exchange's own flag over its wallet interface: 0 or 1."""
    with sheet.reading(STATUS, "venue.status") as seen:
        flag = Shape(await door.fetch(STATUS))["status"].integer()
        if flag not in {0, 1}:
            raise ShapeError("$.status: expected 0 or 1")
        seen.venue(status="maintenance" if flag else "ok")
