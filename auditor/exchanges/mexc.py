"""MEXC (spot): a key describes itself when its own public part is given; a main account's key also lists sub-accounts and
their keys, and one with the scope for it the address book. Nothing lists the main account's keys, factors or sessions.

The path that describes a key overwrites its addresses under POST: GET alone is declared.
Source of every fact: https://www.mexc.com/api-docs/spot-v3/introduction unless said otherwise.
"""

from __future__ import annotations

import asyncio
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "mexc"
credentials = ("apiKey", "secret")
serial = False

_HOST, _DOCS = "api.mexc.com", "https://www.mexc.com/api-docs/spot-v3/introduction"
_PAGE, _MOST_PAGES = 200, 100


def _endpoint(call: str, weight: int, *, public: bool = False, own_key: str = "") -> Endpoint:
    """Every endpoint has an allowance of its own: a weight of 500 in ten seconds and address."""
    limit, api = Limit(calls=500 / weight, seconds=10, per="address"), ("spot", "public" if public else "private")
    return Endpoint(name=call, verb="GET", host=_HOST, path=f"/api/v3/{call}", api=api, call=call, limit=limit,
                    public=public, own_key=own_key, source=_DOCS)  # fmt: skip


KEY = _endpoint("apiKeyInfo", 1, own_key="accessKey")
ACCOUNT = _endpoint("account", 10)
KYC = _endpoint("kyc/status", 1)
ADDRESSES = _endpoint("capital/withdraw/address", 10)
SUB_ACCOUNTS = _endpoint("sub-account/list", 1)
SUB_KEYS = _endpoint("sub-account/apiKey", 1)
TIME = _endpoint("time", 1, public=True)

endpoints = (KEY, ACCOUNT, KYC, ADDRESSES, SUB_ACCOUNTS, SUB_KEYS, TIME)
clock = TIME

_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "503 604 801 11444",
        Reason.VENUE_INCIDENT: "500 20001 20002",
        Reason.INVALID_KEY: "402 10072 700001 700002 730706",
        Reason.IP_NOT_ALLOWED: "406 700006",
        Reason.PERMISSION_DENIED: "403 511 701 702 703 704 700007",
        Reason.CLOCK_SKEW: "10073 700003",
        Reason.RATE_LIMITED: "429 510",
        Reason.ACCOUNT_FROZEN: "60005",
    }
)
_WORDS = {
    ("500", "under maintenance"): failure(Reason.VENUE_MAINTENANCE, "500"),
    ("400", "api key required"): failure(Reason.INVALID_KEY, "400", "the exchange says that no key was given"),
}
_SUCCESS = {"0", "200"}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """MEXC says what is wrong in `code` and `msg`; a good answer carries no code at all, or 0 or 200.

    ccxt calls a refused address and an unknown key a bad request, a missing read scope a bad key, and looks no further
    where `success` is true.
    """
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    code = body.get("code")
    if code is None and str(body.get("success", True)).lower() == "true":
        return None
    said = str(code)[:20] if isinstance(code, (str, int)) else "none"
    if said in _SUCCESS and str(body.get("success", True)).lower() == "true":
        return None
    words = f"{body.get('msg', '')} {body.get('message', '')}".lower()
    told = next((found for (number, text), found in _WORDS.items() if number == said and text in words), None)
    unknown = failure(Reason.MALFORMED_RESPONSE, said, "refused with a code we do not know")
    return told or _FAILURES.get(said) or by_status(answer) or unknown


def server_time(body: Any) -> int:
    """`time`: milliseconds."""
    return Shape(body)["serverTime"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because a refusal there means the key itself; then the rest at once."""
    key = await _calling_key(door, sheet)
    await asyncio.gather(_account(door, sheet), _kyc(door, sheet), _addresses(door, sheet), _subs(door, sheet, key))


async def _calling_key(door: Door, sheet: Sheet) -> dict[str, Any]:
    """The key itself, which can read, for it was answered. How many days are left is no date without a clock: only
    whether it ends at all is kept (-999 is never; unbound keys end after 90 days).
    """
    key: dict[str, Any] = {}
    with sheet.reading(KEY, "api_keys") as seen:
        row = Shape(await door.fetch(KEY))
        days = seen.field(row, "remainingValidity", Shape.integer, "api_key.never_expires")
        status = seen.field(row, "status", Shape.text, "api_key.enabled")
        key |= _key(
            seen,
            row,
            ips="ipWhiteList",
            can_read=True,
            is_audit_key=True,
            never_expires=None if days is None else days == _NEVER if days >= 0 or days == _NEVER else None,
            enabled={"VALID": True, "FROZEN": False, "DELETE": False}.get(status or ""),
        )
    return key


_NEVER = -999
_READS = {"READ_ONLY"} | {f"{area}_READ" for area in ("SPOT_ACCOUNT", "SPOT_DEAL", "SPOT_TRANSFER", "SPOT_WITHDRAW")}
_READS |= {"CONTRACT_ACCOUNT_READ", "CONTRACT_DEAL_READ"}
_WRITES = {f"{word.removesuffix('_READ')}_WRITE" for word in _READS - {"READ_ONLY"}}
_LONG = {"R": "READ", "W": "WRITE"}


def _scope(word: str) -> str:
    """A scope in one spelling: the documentation also writes SPOT_WITHDRAW_R."""
    area, _, way = word.upper().rpartition("_")
    return f"{area}_{_LONG.get(way, way)}" if area else way


def _key(seen: Seen, row: Shape, *, ips: str, **facts: Any) -> dict[str, Any]:
    """One key. Whether a write scope of the contract account, or of withdrawals, also moves funds between accounts is not
    documented: unknown. SPOT_ACCOUNT_WRITE changes the addresses of keys and the keys of sub-accounts.
    """
    row.keys()
    words = seen.field(row, "permissions", Shape.split, "api_key.permissions") or []
    scopes = {_scope(word) for word in words}
    strange = not scopes or not scopes <= _READS | _WRITES
    listed = seen.field(row, ips, Shape.split, "api_key.ip_bound", "api_key.ip_allowlist")
    ip_bound, ip_allowlist = (None, None) if listed is None else bound(listed)
    if not words and listed is None:
        raise ShapeError(f"{row.at}: nothing of the key can be read")
    created = "createTime" if row.get("createTime") is not None else "creatTime"
    found: dict[str, Any] = {
        "kind": "hmac",
        "label": seen.field(row, "note", lambda cell: mask_personal(cell.text()), "api_key.label"),
        "permissions": sorted(words) or None,
        "can_read": bool(scopes & _READS) or None,
        "can_trade": bool(scopes & {"SPOT_DEAL_WRITE", "CONTRACT_DEAL_WRITE"}) or unless(strange),
        "can_trade_derivatives": "CONTRACT_DEAL_WRITE" in scopes or unless(strange),
        "can_transfer": "SPOT_TRANSFER_WRITE" in scopes
        or unless(strange or bool(scopes & {"SPOT_WITHDRAW_WRITE", "CONTRACT_ACCOUNT_WRITE"})),
        "can_withdraw": "SPOT_WITHDRAW_WRITE" in scopes or unless(strange),
        "can_manage": "SPOT_ACCOUNT_WRITE" in scopes or unless(strange),
        "ip_bound": ip_bound,
        "ip_allowlist": ip_allowlist,
        "never_expires": False if ip_bound is False else None,
        "created_at": seen.field(row, created, _moment, "api_key.created_at"),
    }
    return seen.row("api_key", **{**found, **{name: value for name, value in facts.items() if value is not None}})


def _moment(cell: Shape) -> str:
    """Milliseconds in the documentation, RFC 3339 as it was seen."""
    plain = isinstance(cell.value, int) or (isinstance(cell.value, str) and cell.value.isdigit())
    return cell.time_ms() if plain else cell.time_text()


async def _account(door: Door, sheet: Sheet) -> None:
    """Flags of the account, which say nothing of the key. The balances beside them are not read."""
    with sheet.reading(ACCOUNT, "account.status") as seen:
        row = Shape(await door.fetch(ACCOUNT))
        flags = [row[name].flag() for name in ("canTrade", "canWithdraw", "canDeposit")]
        seen.account(status="normal" if all(flags) else "restricted")


async def _kyc(door: Door, sheet: Sheet) -> None:
    """1 unverified, 2 primary, 3 advanced, 4 institutional: counted from 0."""
    with sheet.reading(KYC, "account.kyc_level") as seen:
        level = Shape(await door.fetch(KYC))["status"]
        if level.integer() not in {1, 2, 3, 4}:
            raise ShapeError(f"{level.at}: a level that is not documented")
        seen.account(kyc_level=level.integer() - 1)


async def _addresses(door: Door, sheet: Sheet) -> None:
    """The address book, for which the key needs the scope to read withdrawals (SPOT_WITHDRAW_READ), nothing more."""
    with sheet.reading(ADDRESSES, "addresses", "account.addresses_complete") as seen:
        rows: list[Shape] = []
        last, page = 1, 0
        while page < last:
            page += 1
            answer = Shape(await door.fetch(ADDRESSES, {"page": str(page), "limit": str(_PAGE)}))
            rows += answer["data"].rows()
            last = answer["totalPageNum"].integer()
            if last > _MOST_PAGES or (last > page and not answer["data"].rows()):
                raise ShapeError(f"{answer.at}: the pages of this list come to no end")
        seen.list_seen("address")
        book: dict[tuple[str, str, str], Shape] = {}
        for row in rows:
            with sheet.reading(ADDRESSES, "addresses"):
                book[_destination(row)] = row
        for (asset, network, place), row in book.items():
            label = seen.field(row, "addressTag", _label, "address.label")
            seen.row("address", public_id=place, asset=asset, network=network, label=label)
        odd = any("addresses" in problem.facts for problem in sheet.problems)
        seen.account(addresses_complete=None if odd else True)


def _destination(row: Shape) -> tuple[str, str, str]:
    """Coin, network and address. One address with another memo is another destination."""
    memo = row.get("memo")
    place = row["address"].text() + (f":{memo.text()}" if memo is not None and memo.value != "" else "")
    return row["coin"].text(), row["network"].text(), place


def _label(cell: Shape) -> str | None:
    return None if cell.value is None else mask_personal(cell.text())


async def _subs(door: Door, sheet: Sheet, key: dict[str, Any]) -> None:
    """The sub-accounts, then the keys of all of them at once. Only a main account has any."""
    subs: list[str] = []
    with sheet.reading(SUB_ACCOUNTS, "api_keys", "account.kind", "account.master_key_over_subaccounts") as seen:
        none_exist = await _list(door, seen, subs)
        # That this key may not move funds says nothing of the other keys, which nobody can list: unknown, not FALSE.
        over = None if not subs else key.get("can_transfer") or None
        seen.account(kind="main" if subs else None, master_key_over_subaccounts=False if none_exist else over)
    names = shown_names(subs)
    await asyncio.gather(*[_keys_of(door, sheet, name, shown) for name, shown in names.items()])


async def _list(door: Door, seen: Seen, subs: list[str]) -> bool:
    """Fills `subs`, and says whether there are none. The end is a page with nothing new, whatever its length."""
    for page in range(1, _MOST_PAGES + 1):
        rows = Shape(await door.fetch(SUB_ACCOUNTS, {"page": str(page), "limit": str(_PAGE)}))["subAccounts"].rows()
        names = [seen.field(row, "subAccount", Shape.text, "api_keys") for row in rows]
        fresh = list(dict.fromkeys(name for name in names if name and name not in subs))
        subs += fresh
        if not fresh:
            if len(rows) >= _PAGE:
                seen.sheet.problem(
                    SUB_ACCOUNTS, Reason.IMPLAUSIBLE_RESPONSE, "a full page holds nothing new", "api_keys"
                )
            return not rows and not subs
    seen.sheet.problem(SUB_ACCOUNTS, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", "api_keys")
    return False


async def _keys_of(door: Door, sheet: Sheet, name: str, shown: str) -> None:
    """Whether a listed key still works is not said: unbound ones end after 90 days, and may stay in the list."""
    with sheet.reading(SUB_KEYS, "api_keys") as seen:
        for row in Shape(await door.fetch(SUB_KEYS, {"subAccount": name}))["subAccount"].rows():
            with sheet.reading(SUB_KEYS, "api_keys"):
                public_id = seen.field(row, "apiKey", _public_id)
                _key(seen, row, ips="ip", public_id=public_id, sub_account=shown)


def _public_id(cell: Shape) -> str | None:
    return cell.text() if cell.text() and "*" not in cell.text() else None
