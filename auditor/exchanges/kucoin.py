"""KuCoin: one key describes itself; a master key also lists sub-accounts and their keys. Nothing lists the master's own
keys, its second factors, its address book or when a key was last used.

Source of every fact: https://www.kucoin.com/docs-new and the specification in Kucoin/kucoin-universal-sdk.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "kucoin"
credentials = ("apiKey", "secret", "password")
serial = False

_DOCS = "https://www.kucoin.com/docs-new"
_PAGE, _MOST_PAGES = 100, 100
_DERIVATIVES = {"Futures"}
_TRADE = {"Spot", "Margin", "Futures", "Trade"}  # Trade: of keys made before the products were told apart
_WITHDRAW = "Transfer"  # what the web page calls Withdrawal
_KNOWN = _TRADE | {"General", "InnerTransfer", _WITHDRAW, "Earn"}
_MASKED_NOTHING = set("0*.:/")


def _endpoint(call: str, version: str, weight: int, *, public: bool = False) -> Endpoint:
    """Weights count against 2000 in 30 seconds: of the user (management), or of the address (public)."""
    pool, per = ("public", "address") if public else ("management", "key")
    limit = Limit(calls=2000 / weight, seconds=30, per=per, pool=pool)
    names: dict[str, Any] = {
        "name": call,
        "verb": "GET",
        "host": "api.kucoin.com",
        "path": f"/api/{version}/{call}",
        "call": call,
    }
    api = ("public" if public else "private",)
    return Endpoint(**names, api=api, limit=limit, public=public, unescaped=True, source=_DOCS)


KEY = _endpoint("user/api-key", "v1", 20)
SUB_ACCOUNTS = _endpoint("sub/user", "v2", 20)
SUB_KEYS = _endpoint("sub/api-key", "v1", 20)
SUMMARY = _endpoint("user-info", "v2", 20)
STATUS = _endpoint("status", "v1", 3, public=True)
TIME = _endpoint("timestamp", "v1", 3, public=True)
endpoints = (KEY, SUB_ACCOUNTS, SUB_KEYS, SUMMARY, STATUS, TIME)
clock = TIME

_FAILURES = by_code(
    {
        Reason.VENUE_INCIDENT: "500000",
        Reason.RATE_LIMITED: "429000",
        # ccxt calls an address that is not let in (400006) and a missing permission (400007) what it calls a dead key.
        Reason.INVALID_KEY: "400001 400003 400004 400005",
        Reason.IP_NOT_ALLOWED: "400006",
        Reason.PERMISSION_DENIED: "400007 400303 400700",
        Reason.CLOCK_SKEW: "400002",
        Reason.ACCOUNT_FROZEN: "411100",
    }
)
_CLOUD = failure(Reason.RATE_LIMITED, "1015", "this address asked too often and is shut out for a while", address=True)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """KuCoin says what is wrong in `code`. Code 1015 is Cloudflare's, in a page of text, JSON or not."""
    del endpoint
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    said = str(code)[:20] if isinstance(code, (str, int)) else "none"
    if said == "1015" or (answer.status in {403, 429} and "error code: 1015" in answer.text.lower()):
        return _CLOUD
    if answer.body is None or (said in {"200000", "200"} and answer.status < 400):  # noqa: PLR2004
        return None
    known = _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")


def server_time(body: Any) -> int:
    """`data`: milliseconds."""
    return Shape(body)["data"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because it decides what else may be asked; then the rest at once."""
    is_main, key = await _calling_key(door, sheet)
    subs = [_sub_accounts(door, sheet, key)] if is_main is not False else []
    await asyncio.gather(_status(door, sheet), *subs)


async def _calling_key(door: Door, sheet: Sheet) -> tuple[bool | None, dict[str, Any]]:
    """Whether the key is the master account's (None: not shown), and its row."""
    is_main, key = None, {}
    with sheet.reading(KEY, "account.kind", "account.parent", "api_keys") as seen:
        row = Shape(await door.fetch(KEY))["data"]
        row["apiKey"].text()
        uid = seen.field(row, "uid", Shape.integer)
        sheet.account_id = str(uid) if uid else None
        is_main, parent = _place(seen, row)
        if is_main is not None:
            seen.account(kind="main" if is_main else "sub")
        if is_main is False:
            shown = f"…{parent[-4:]}" if parent else None
            seen.account(parent=shown, master_key_over_subaccounts=False)
        ends = seen.field(row, "expiredAt", _expiry, "api_key.expires_at", "api_key.never_expires")
        key = _key(seen, row, is_main=is_main, can_read=True, enabled=True, is_audit_key=True, expires_at=ends or None)
        if ends == "":
            # Bound to no address, a key that trades dies after 30 days without use; one that only reads never does.
            lives = key.get("ip_bound") or key.get("can_trade") is False
            key |= {"never_expires": True} if lives else {}
        if _app(row):
            key["third_party"] = True  # an empty name proves nothing: a personal key may be in a vendor's page, too
    return is_main, key


def _place(seen: Seen, row: Shape) -> tuple[bool | None, str]:
    """Whether a master account holds the key, unless two fields contradict each other; and the id of its master."""
    parent_cell = row.get("parentUid")
    parent = "" if parent_cell is None or parent_cell.value in ("", 0, "0") else str(parent_cell.value)[:40]
    is_master = seen.field(row, "isMaster", Shape.flag, "account.kind")
    if is_master and parent:
        detail = "isMaster and parentUid contradict each other"
        seen.sheet.problem(KEY, Reason.IMPLAUSIBLE_RESPONSE, detail, "account.kind", "account.parent")
        return None, ""
    return is_master, parent


def _app(row: Shape) -> bool:
    app = row.get("thirdPartyApp")
    return app is not None and isinstance(app.value, str) and bool(app.value.strip())


def _expiry(cell: Shape) -> str:
    """A time, or "" for never: null by the newer types, -1 in the call that sets it."""
    never = cell.value is None or cell.value in ("", 0, -1, "0", "-1")
    return "" if never else cell.time_ms()


def _ips(row: Shape) -> tuple[bool | None, list[str] | None]:
    """KuCoin leaves the list out, or empty, for a key that is bound to nothing, and masks the octets (`198.**.17`) of one
    that is: then the addresses stay unknown, and so does the binding where what is shown may stand for any address.
    """
    cell = row.get("ipWhitelist")
    entries = [] if cell is None else cell.texts() if isinstance(cell.value, list) else cell.split()
    ip_bound, listed = bound(entries)
    if not any("*" in entry for entry in listed or []):
        return ip_bound, listed
    hidden = any("*" in entry and set(entry) <= _MASKED_NOTHING for entry in listed or [])
    return (None if ip_bound and hidden else ip_bound), None


def _key(seen: Seen, row: Shape, *, is_main: bool | None, public_id: str | None = None, **facts: Any) -> dict[str, Any]:
    """One key. `Transfer` is the right to withdraw; `InnerTransfer` moves funds between accounts of the user, master and
    sub-accounts. A word we do not know may grant anything.
    """
    shows = [f"api_key.{name}" for name in ("can_trade", "can_transfer", "can_withdraw", "can_manage", "permissions")]
    words = seen.field(row, "permission", Shape.split, *shows) or []
    tokens = set(words)
    strange = not tokens or not tokens <= _KNOWN
    withdraws, trades = _WITHDRAW in tokens, bool(tokens & _TRADE)
    ip_bound, ip_allowlist = _read(seen, row)
    found: dict[str, Any] = {
        "label": seen.field(row, "remark", lambda cell: mask_personal(cell.text()), "api_key.label"),
        "permissions": sorted(words) or None,
        "can_read": "General" in tokens or None,
        # Earn buys and redeems products, which is close to trading; the old Trade says nothing of futures or transfers.
        "can_trade": trades or unless(strange or "Earn" in tokens),
        "can_trade_derivatives": bool(tokens & _DERIVATIVES) or unless(strange or "Trade" in tokens),
        "can_transfer": withdraws or "InnerTransfer" in tokens or unless(strange or "Trade" in tokens),
        "can_withdraw": withdraws or unless(strange),
        # By the specification, General on a master key makes, changes and deletes keys of sub-accounts.
        "can_manage": unless(strange) if is_main is False else (is_main and "General" in tokens) or None,
        "ip_bound": ip_bound,
        "ip_allowlist": ip_allowlist,
        "created_at": seen.field(row, "createdAt", Shape.time_ms, "api_key.created_at"),
        "kind": "hmac",
    }
    return seen.row("api_key", public_id=public_id, **{**found, **facts})


def _read(seen: Seen, row: Shape) -> tuple[bool | None, list[str] | None]:
    try:
        return _ips(row)
    except ShapeError as error:
        shows = ("api_key.ip_bound", "api_key.ip_allowlist")
        seen.sheet.problem(seen.endpoint, Reason.MALFORMED_RESPONSE, str(error), *shows)
        return None, None


async def _sub_accounts(door: Door, sheet: Sheet, calling: dict[str, Any]) -> None:
    """The sub-accounts and how many there are, then the keys of all of them at once, in the order of their names."""
    subs: dict[str, Shape] = {}
    with sheet.reading(SUB_ACCOUNTS, "api_keys", "account.master_key_over_subaccounts") as seen:
        none_exist = await _list(door, seen, subs)
        # That this key may not move their funds says nothing of the master's other keys: unknown, not FALSE.
        moves = "InnerTransfer" in calling.get("permissions", []) or None
        seen.account(master_key_over_subaccounts=False if none_exist else (subs and moves) or None)
        await _count(door, sheet, len(subs))
    shown = shown_names(subs)
    asks = [door.fetch(SUB_KEYS, {"subName": name}) for name in shown]
    answers = await asyncio.gather(*asks, return_exceptions=True)
    for (name, shown_name), answer in zip(shown.items(), answers, strict=True):
        with sheet.reading(SUB_KEYS, "api_keys") as seen:
            if isinstance(answer, BaseException):
                raise answer
            _keys_of(seen, answer, subs[name], shown_name)


async def _list(door: Door, seen: Seen, subs: dict[str, Shape]) -> bool:
    """Fills `subs` and says whether the account has none. The pages are counted by the venue."""
    known: set[str] = set()
    for page in range(1, _MOST_PAGES + 1):
        params = {"currentPage": str(page), "pageSize": str(_PAGE)}
        answer = Shape(await door.fetch(SUB_ACCOUNTS, params))["data"]
        rows = answer["items"].rows()
        fresh = {json.dumps(row.value, sort_keys=True): row for row in rows}
        repeated = bool(rows) and fresh.keys() <= known
        known |= fresh.keys()
        for row in rows:
            name = seen.field(row, "subName", Shape.text, "api_keys")
            subs |= {name: row} if name else {}
        last, total = answer["totalPage"].integer(), answer["totalNum"].integer()
        if page >= last or not rows or repeated:
            if len(known) != total:
                detail = "the list of sub-accounts is not as long as it says"
                seen.sheet.problem(SUB_ACCOUNTS, Reason.IMPLAUSIBLE_RESPONSE, detail, "api_keys")
            return not known and total == 0
    seen.sheet.problem(SUB_ACCOUNTS, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", "api_keys")
    return False


async def _count(door: Door, sheet: Sheet, listed: int) -> None:
    """The number of sub-accounts, told a second time: more than were listed means that some are not shown."""
    with sheet.reading(SUMMARY, "api_key.sub_account"):
        if Shape(await door.fetch(SUMMARY))["data"]["subQuantity"].integer() > listed:
            detail = "the account has more sub-accounts than are listed"
            sheet.problem(SUMMARY, Reason.IMPLAUSIBLE_RESPONSE, detail, "api_keys")


def _keys_of(seen: Seen, answer: Any, sub: Shape, shown_name: str) -> None:
    """An expired key is answered as one that does not exist, and there is no switch: what is listed may be used, but what
    keys of a frozen sub-account (3) may still do is not said.
    """
    rows = Shape(answer)["data"].rows()
    state = seen.field(sub, "status", Shape.integer, "api_key.enabled")
    usable = True if state == 2 else None  # noqa: PLR2004
    for row in rows:
        with seen.sheet.reading(SUB_KEYS, "api_keys"):
            row.keys()
            public_id = seen.field(row, "apiKey", _unmasked)
            _key(seen, row, is_main=False, public_id=public_id, sub_account=shown_name, enabled=usable)


def _unmasked(cell: Shape) -> str | None:
    return cell.text() if cell.text() and "*" not in cell.text() else None


async def _status(door: Door, sheet: Sheet) -> None:
    """The state of the trading engine: ccxt calls cancel-only maintenance as well."""
    with sheet.reading(STATUS, "venue.status") as seen:
        state = Shape(await door.fetch(STATUS))["data"]["status"].text()
        known = {"open": "ok", "cancelonly": "degraded", "close": "maintenance"}
        if state not in known:
            raise ShapeError("$.data.status: a state we do not know")
        seen.venue(status=known[state])
