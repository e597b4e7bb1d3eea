"""Bitget: one key describes itself, in one of two families of calls (unified accounts and classic ones); a main-account
key also lists sub-accounts and their keys. Nothing lists the main account's keys, its second factors or its switches.

Source of every fact: https://www.bitget.com/api-doc/uta/intro and the classic documentation beside it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from auditor.exchanges._base import (
    Answer,
    Door,
    Endpoint,
    Failure,
    Limit,
    Seen,
    Sheet,
    Unavailable,
    by_code,
    by_status,
    failure,
)
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "bitget"
credentials = ("apiKey", "secret", "password")
serial = False

_ADDRESSES_A_PAGE, _PAGE, _MOST_PAGES = 10, 100, 100


def _endpoint(call: str, api: str, calls: float, *, public: bool = False) -> Endpoint:
    """All limits are a second's: of the user, or of the address where the call is public."""
    limit = Limit(calls=calls, seconds=1, per="address" if public else "key")
    api_, source = ("public" if public else "private", api), f"https://www.bitget.com/api-doc/{api}/intro"
    return Endpoint(name=call, verb="GET", host="api.bitget.com", path=f"/api/{call}", call=call, api=api_,
                    limit=limit, public=public, source=source)  # fmt: skip


UNIFIED = _endpoint("v3/account/info", "uta", 5)
CLASSIC = _endpoint("v2/spot/account/info", "spot", 1)
SUBS = _endpoint("v3/user/sub-list", "uta", 10)
SUB_KEYS = _endpoint("v3/user/sub-api-list", "uta", 10)
OLD_SUBS = _endpoint("v2/user/virtual-subaccount-list", "user", 10)
OLD_SUB_KEYS = _endpoint("v2/user/virtual-subaccount-apikey-list", "user", 5)
ADDRESSES = _endpoint("v3/account/withdraw-address", "uta", 1)
TIME = _endpoint("v2/public/time", "common", 20, public=True)
endpoints = (UNIFIED, CLASSIC, SUBS, SUB_KEYS, OLD_SUBS, OLD_SUB_KEYS, ADDRESSES, TIME)
clock = TIME

_FAILURES = by_code(
    {
        # ccxt calls a timeout (40010) a bad key, a server upgrade's kin (40015) and many dead keys generic errors.
        Reason.VENUE_MAINTENANCE: "40200 500",
        Reason.VENUE_INCIDENT: "40015",
        Reason.TIMEOUT: "40010",
        Reason.RATE_LIMITED: "429 30007 1001",
        Reason.INVALID_KEY: "40006 40009 40012 40036 40037 40041",
        Reason.ACCOUNT_FROZEN: "40013 40024 40026 40031",
        Reason.IP_NOT_ALLOWED: "40018 40038",
        # 22010 asks for a key bound to some address, it refuses none. From 40021 on: refusals to withdraw, or of one call.
        Reason.PERMISSION_DENIED: "22010 40014 40016 40023 40025 40048 40061 40068 40085 40021 40052 40063 47003 11000",
        Reason.CLOCK_SKEW: "40004 40005 40008",
    }
)
_NOT_CLASSIC = "40085"
_FAILURES[_NOT_CLASSIC] = failure(Reason.PERMISSION_DENIED, _NOT_CLASSIC, "no classic calls for a unified account")
_ENDLESS = failure(Reason.IMPLAUSIBLE_RESPONSE, "cursor", "the pages of this list come to no end")


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Bitget says what is wrong in `code`, under HTTP 400 or 200 alike. 40024: a frozen account, or a currency not to be bought."""
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    said = str(body.get("code"))[:20] if isinstance(body.get("code"), (str, int)) else "none"
    if answer.body is None or (said == "00000" and answer.status < 400):  # noqa: PLR2004
        return None
    if said == "40024" and "currency" in str(body.get("msg")).lower():
        return failure(Reason.PERMISSION_DENIED, said, "refused for one currency")
    known = _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")


def server_time(body: Any) -> int:
    """`serverTime`: milliseconds as text."""
    return Shape(body)["data"]["serverTime"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because it decides what else may be asked, and in which family; then the rest at once."""
    key, is_main, unified = await _calling_key(door, sheet)
    if unified is False:
        detail = "would show the saved addresses; only unified accounts have this call"
        sheet.problem(ADDRESSES, Reason.NOT_COLLECTED, detail, "addresses")
    asks = [] if unified is False else [_addresses(door, sheet)]
    asks += [_sub_accounts(door, sheet, key, unified is not False)] if is_main is not False else []
    await asyncio.gather(*asks)


async def _calling_key(door: Door, sheet: Sheet) -> tuple[dict[str, Any], bool | None, bool | None]:
    """The key's row, whether it is the main account's, and whether it is a unified one (None: not shown). Whether a classic
    account may make the newer call, which asks for no permission, is not said: so the older is next.
    """
    shows = ("account.kind", "account.parent", "account.created_at", "api_keys")
    refusals: list[tuple[Endpoint, Unavailable | ShapeError]] = []
    for endpoint in (UNIFIED, CLASSIC):
        seen = Seen(sheet, endpoint)
        try:
            row = Shape(await door.fetch(endpoint))["data"]
            row["userId"].integer()
            if endpoint == CLASSIC:
                return *_own(seen, row, _list_powers(seen, row, "authorities", _AUTHORITIES)), False
            return *_own(seen, row, _unified_powers(seen, row, "permType")), True
        except (Unavailable, ShapeError) as refused:
            if not (refusals and _tells_the_family(refused, refusals[0][1])):
                refusals.append((endpoint, refused))
            if isinstance(refused, Unavailable) and refused.failure.retry:
                break  # an outage says nothing of the family
    for endpoint, refusal in refusals:
        with sheet.reading(endpoint, *shows):
            raise refusal
    return {}, None, None


def _tells_the_family(refused: Unavailable | ShapeError, before: Unavailable | ShapeError) -> bool:
    """Whether the classic call says no more than that the account is unified, and what the newer one met is the reason."""
    forbidden = isinstance(before, Unavailable) and before.failure.reason is Reason.PERMISSION_DENIED
    return not forbidden and isinstance(refused, Unavailable) and refused.failure.code == _NOT_CLASSIC


def _own(seen: Seen, row: Shape, powers: dict[str, Any]) -> tuple[dict[str, Any], bool | None]:
    """What both families say alike. Neither tells a label, an age or an end of the key itself."""
    seen.sheet.account_id = str(row["userId"].integer())
    parent = seen.field(row, "parentId", _parent, "account.kind", "account.parent")
    is_main = None if parent is None else not parent
    seen.account(kind=None if is_main is None else "main" if is_main else "sub")
    if parent:
        seen.account(parent=f"…{parent[-4:]}", master_key_over_subaccounts=False)
    seen.account(created_at=seen.field(row, "regisTime", Shape.time_ms, "account.created_at"))
    ip_bound, ip_allowlist = seen.field(row, "ips", _ips, "api_key.ip_bound", "api_key.ip_allowlist") or (None, None)
    facts = {"kind": "hmac", "enabled": True, "is_audit_key": True, "ip_bound": ip_bound, "ip_allowlist": ip_allowlist}
    if is_main is False:
        powers["can_manage"] = powers["can_manage"] and None  # a sub-account has none of its own: it is not said
    return seen.row("api_key", **{**powers, **facts, "can_read": True}), is_main


def _parent(cell: Shape) -> str:
    """The id of the main account, "" for a main account's own key: it is filled for a sub-account only."""
    return "" if cell.value in (None, "", 0, "0") else str(cell.integer())


def _ips(cell: Shape) -> tuple[bool, list[str] | None]:
    """Text in a key's own description, a list in the lists of sub-accounts' keys. Empty or null: bound to nothing."""
    return bound([] if cell.value is None else cell.split() if isinstance(cell.value, str) else cell.texts())


_POWERS = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
_TRADE, _DERIVE, _MOVE, _PAY, _RULE = _POWERS
_Table = Mapping[str, tuple[set[str], set[str]]]
"""A venue's word -> the powers it grants, and those it may grant: nothing we could read decides."""
_NOTHING: tuple[set[str], set[str]] = (set(), set())
_UNIFIED: _Table = {
    "uta_trade": ({_TRADE, _DERIVE}, set()),
    "uta_mgt": ({_MOVE, _RULE}, {_TRADE}),  # transfers, sub-accounts and their keys; also leverage, loans and savings
    "withdraw": ({_PAY, _MOVE}, set()),
    "copy_futures_position": ({_TRADE, _DERIVE}, set()),
    "copy_futures_order": ({_TRADE, _DERIVE}, set()),
}
_AUTHORITIES: _Table = {
    **dict.fromkeys(("coor", "cpor", "stor", "smor", "ttor", "wtor", "taxr", "chor", "p2pr", "pllr"), _NOTHING),
    **dict.fromkeys(("taxw", "readonly"), _NOTHING),
    **{word: ({_TRADE, _DERIVE}, set()) for word in ("coow", "cpow", "ttow")},
    **{word: ({_TRADE}, set()) for word in ("stow", "smow")},
    "wtow": ({_MOVE}, set()),
    "wwow": ({_PAY, _MOVE}, set()),
    "chow": ({_RULE}, set()),
    **{word: (set(), {_TRADE, _MOVE, _PAY}) for word in ("p2p", "p2pw")},  # pays coins out to whoever buys them
    "pllw": (set(), {_TRADE}),
    "trade": ({_TRADE}, {_DERIVE, _MOVE, _PAY, _RULE}),  # of an older vocabulary that nobody wrote down
}
_SUB_WORDS: _Table = {
    "read": (set(), set()),
    "spot_trade": ({_TRADE}, set()),
    "margin_trade": ({_TRADE}, set()),
    **{word: ({_TRADE, _DERIVE}, set()) for word in ("contract_trade", "copytrading_trade")},
    **{word: (set(), {_TRADE, _DERIVE}) for word in ("contract_order", "contract_position")},
    **{word: ({_MOVE}, set()) for word in ("transfer", "wallet_transfer")},
    "wallet_withdraw": ({_PAY, _MOVE}, set()),
}


def _list_powers(seen: Seen, row: Shape, field: str, table: _Table) -> dict[str, Any]:
    """Powers by a list of words. No word, or one that we do not know, may stand for anything."""
    shows = [f"api_key.{name}" for name in (*_POWERS, "permissions")]
    words = seen.field(row, field, Shape.texts, *shows) or []
    strange = not words or not set(words) <= table.keys()
    granted = {power for word in words for power in table.get(word, _NOTHING)[0]}
    perhaps = {power for word in words for power in table.get(word, _NOTHING)[1]}
    facts = {power: True if power in granted else None if strange or power in perhaps else False for power in _POWERS}
    return {**facts, "permissions": sorted(words) or None, "can_read": bool(words) or None}


def _unified_powers(seen: Seen, row: Shape, field: str) -> dict[str, Any]:
    """The type decides: an area of a read-only key is one to look at. It is `read-only` in a key's own description and
    `read_only` in the list of a sub-account's keys. There is no reading form of `withdraw`: such a key is not understood.
    """
    facts = _list_powers(seen, row, "permissions", _UNIFIED)
    words = facts["permissions"] or []
    said = (seen.field(row, field, Shape.text, *(f"api_key.{name}" for name in _POWERS)) or "").replace("_", "-")
    read_only = {"read-only": True, "read-and-write": False, "read-write": False}.get(said)
    contradicts = bool(read_only) and "withdraw" in words
    if contradicts:
        detail = "a read-only key with the right to withdraw contradicts itself"
        seen.sheet.problem(seen.endpoint, Reason.IMPLAUSIBLE_RESPONSE, detail, f"api_key.{_PAY}", f"api_key.{_MOVE}")
    strange = not words or not set(words) <= _UNIFIED.keys()
    for power in _POWERS:
        if read_only:
            facts[power] = unless(strange or (contradicts and power in {_PAY, _MOVE}))
        elif read_only is None:
            facts[power] = facts[power] and None
    return facts | {"permissions": [*words, said] if words and said else facts["permissions"]}


_LISTS = {
    SUBS: ("list", "cursor", "cursor"),
    SUB_KEYS: ("items", "cursor", "cursor"),
    ADDRESSES: ("addressList", "cursor", "cursor"),
    OLD_SUBS: ("subAccountList", "endId", "idLessThan"),
}
"""Where the rows stand, where the place of the next page, and as what it is asked for."""


async def _pages(door: Door, endpoint: Endpoint, params: dict[str, str]) -> AsyncIterator[Shape]:
    """The rows of all pages, each once."""
    (rows, place, asked), at = _LISTS[endpoint], dict[str, str]()
    known: set[str] = set()
    for _ in range(_MOST_PAGES):
        data = Shape(await door.fetch(endpoint, {**params, **at}))["data"]
        listed = data[rows].rows()
        page = {json.dumps(row.value, sort_keys=True): row for row in listed}
        for text, row in page.items():
            if text not in known:
                yield row
        if not _goes_on(endpoint, data, len(listed)):
            return
        if page.keys() <= known:
            break
        known |= page.keys()
        at = {asked: data[place].text() if isinstance(data[place].value, str) else str(data[place].integer())}
    raise Unavailable(_ENDLESS)


def _goes_on(endpoint: Endpoint, data: Shape, count: int) -> bool:
    """By `hasNext`; but addresses end with fewer than ten, the most of a page, and the classic list with an empty page."""
    if endpoint == ADDRESSES:
        return count >= _ADDRESSES_A_PAGE
    if endpoint == OLD_SUBS:
        return count > 0 and (last := data.get("endId")) is not None and last.value != ""
    return data["hasNext"].flag()


async def _sub_accounts(door: Door, sheet: Sheet, calling: dict[str, Any], unified: bool) -> None:  # noqa: FBT001
    """The sub-accounts, then the keys of all of them at once."""
    endpoint, uid_field, name_field = (SUBS, "subUid", "username") if unified else (OLD_SUBS, "subAccountUid", "label")
    names: dict[str, str] = {}
    with sheet.reading(endpoint, "api_keys", "account.master_key_over_subaccounts") as seen:
        count = 0
        async for row in _pages(door, endpoint, {"limit": str(_PAGE)} if unified else {}):
            count += 1
            uid = seen.field(row, uid_field, lambda cell: str(cell.integer()), "api_keys")
            if uid is not None:
                names[uid] = _name(row, name_field)
        # That this key may not move their funds says nothing of the main account's other keys: unknown, not FALSE.
        seen.account(master_key_over_subaccounts=calling.get("can_transfer") or None if count else False)
    if calling.get("ip_bound") is False and not unified and names:
        sheet.problem(OLD_SUB_KEYS, Reason.PERMISSION_DENIED, "asks for a key that is bound to an address", "api_keys")
        return
    shown = shown_names(f"{name} {uid}".strip() for uid, name in names.items())
    answers = await asyncio.gather(*[_keys_of(door, uid, unified) for uid in sorted(names)], return_exceptions=True)
    for uid, answer in zip(sorted(names), answers, strict=True):
        with sheet.reading(SUB_KEYS if unified else OLD_SUB_KEYS, "api_keys") as seen:
            if isinstance(answer, BaseException):
                raise answer
            for row in answer:
                _sub_key(seen, row, shown[f"{names[uid]} {uid}".strip()])


def _name(row: Shape, field: str) -> str:
    """The name, and whether it is an AI agent's, which was made together with a key of its own. Addresses are cut off."""
    name, type_ = row.get(field), row.get("type")
    shown = mask_personal(name.value).partition("@")[0] if name is not None and isinstance(name.value, str) else ""
    return f"{shown} (agent)".strip() if type_ is not None and type_.value == "agent" else shown


async def _keys_of(door: Door, uid: str, unified: bool) -> list[Shape]:  # noqa: FBT001
    if unified:
        return [row async for row in _pages(door, SUB_KEYS, {"subUid": uid, "limit": str(_PAGE)})]
    return Shape(await door.fetch(OLD_SUB_KEYS, {"subAccountUid": uid}))["data"].rows()


def _sub_key(seen: Seen, row: Shape, sub_account: str) -> None:
    """One key of a sub-account. `ts` of the unified list is not documented, so no time is taken from it."""
    with seen.sheet.reading(seen.endpoint, "api_keys"):
        row.keys()
        unified = seen.endpoint == SUB_KEYS
        powers = _unified_powers(seen, row, "type") if unified else _list_powers(seen, row, "permList", _SUB_WORDS)
        ips, label = ("ips", "note") if unified else ("ipList", "label")
        ip_bound, ip_allowlist = seen.field(row, ips, _ips, "api_key.ip_bound", "api_key.ip_allowlist") or (None, None)
        shown = row.get("apiKey", "apikey", "subAccountApiKey")
        id_ = shown.value if shown is not None and isinstance(shown.value, str) and "*" not in shown.value else None
        seen.row(
            "api_key",
            public_id=id_ or None,
            **{
                **powers,
                "can_manage": powers["can_manage"] and None,
                "ip_bound": ip_bound,
                "ip_allowlist": ip_allowlist,
            },
            label=seen.field(row, label, lambda cell: mask_personal(cell.text()), "api_key.label"),
            sub_account=sub_account,
        )


async def _addresses(door: Door, sheet: Sheet) -> None:
    """The address book. It tells nothing of the switch that lets withdrawals go nowhere else."""
    shows = ("addresses", "account.addresses_complete")
    with sheet.reading(ADDRESSES, *shows) as seen:
        whole = True
        async for row in _pages(door, ADDRESSES, {"limit": str(_ADDRESSES_A_PAGE)}):
            where = seen.field(row, "address", Shape.text, *shows)
            whole = whole and bool(where)
            if where:
                memo = row.get("memo") or Shape("")
                seen.row(
                    "address",
                    public_id=f"{where}:{memo.value}" if memo.value != "" else where,
                    asset=seen.field(row, "coin", Shape.text, "address.asset") or None,
                    network=seen.field(row, "chain", Shape.text, "address.network") or None,
                    label=seen.field(row, "label", lambda cell: mask_personal(cell.text()), "address.label"),
                    created_at=seen.field(row, "createdTime", Shape.time_ms, "address.created_at"),
                )
        seen.list_seen("address")
        seen.account(addresses_complete=whole or None)
