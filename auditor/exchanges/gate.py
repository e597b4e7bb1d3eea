"""Gate: one call lists every key of the main account, with permissions, addresses and last use; another describes the
calling one. Nothing shows second factors or switches, and each currency's saved addresses are asked for by name.

Source of every fact: https://www.gate.com/docs/developers/apiv4/en/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
from typing import Any

from auditor.exchanges import _gate_funds
from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "gate"
credentials = ("apiKey", "secret")
serial = False

_DOCS = "https://www.gate.com/docs/developers/apiv4/en/"
_PAGE, _MOST_PAGES = 100, 20
_SHOWN_OF_ID = 12
_CURRENCIES = ("USDT", "USDC", "BTC", "ETH", "SOL", "XRP", "TRX", "BNB", "DOGE", "LTC")


def _endpoint(path: str, section: str, calls: float, *, public: bool = False) -> Endpoint:
    """Limits count in ten seconds. ccxt signs `sub_accounts` under a section of another name."""
    return Endpoint(
        name=path,
        verb="GET",
        host="api.gateio.ws",
        path=f"/api/v4/{path}",
        api=("public" if public else "private", section),
        call=path.removeprefix(f"{section}/"),
        limit=Limit(calls=calls, seconds=10, per="address" if public else "key"),
        public=public,
        source=_DOCS,
    )


DETAIL = _endpoint("account/detail", "account", 150)
KEYS = _endpoint("account/main_keys", "account", 150)
SUBS = _endpoint("sub_accounts", "subAccounts", 80)
SUB_KEYS = _endpoint("sub_accounts/{user_id}/keys", "subAccounts", 80)
ADDRESSES = _endpoint("wallet/saved_address", "wallet", 200)
TIME = _endpoint("spot/time", "spot", 200, public=True)
endpoints = (DETAIL, KEYS, SUBS, SUB_KEYS, ADDRESSES, TIME, *_gate_funds.ENDPOINTS)
clock, funds = TIME, _gate_funds.FUNDS

_FAILURES = by_code(
    {
        Reason.VENUE_INCIDENT: "SERVER_ERROR INTERNAL",
        Reason.VENUE_MAINTENANCE: "TOO_BUSY",
        Reason.RATE_LIMITED: "TOO_MANY_REQUESTS TOO_FAST",
        # ccxt calls a foreign address and a wrong clock what it calls a dead key, and stopped withdrawals an outage.
        Reason.INVALID_KEY: "INVALID_KEY INVALID_CREDENTIALS INVALID_SIGNATURE MISSING_REQUIRED_HEADER",
        Reason.ACCOUNT_FROZEN: "ACCOUNT_LOCKED",
        Reason.IP_NOT_ALLOWED: "IP_FORBIDDEN",
        Reason.PERMISSION_DENIED: "FORBIDDEN READ_ONLY API_WITHDRAW_DISABLED ADDRESS_NOT_USED USER_NOT_FOUND",
        Reason.CLOCK_SKEW: "REQUEST_EXPIRED",
    }
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Gate says what is wrong in `label`, under a status that is not 2xx; what went well has none."""
    del endpoint
    label = answer.body.get("label") if isinstance(answer.body, dict) else None
    if answer.body is None or (label is None and answer.status < 400):  # noqa: PLR2004
        return None
    said = label[:40] if isinstance(label, str) else "none"
    if said == "FORBIDDEN" and "ip not in whitelist" in str(answer.body.get("message")).lower():
        return _FAILURES["IP_FORBIDDEN"]
    known = _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a label we do not know")


def server_time(body: Any) -> int:
    """`server_time`: milliseconds."""
    return Shape(body)["server_time"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, then the rest at once."""
    calling: dict[str, Any] | None = None
    with sheet.reading(DETAIL, "account.kind", "api_keys") as seen:
        row = Shape(await door.fetch(DETAIL))
        sheet.account_id = str(row["user_id"].integer())
        calling = _detail(seen, row)
    keys, subs, _ = await asyncio.gather(_keys(door, sheet, calling), _subs(door, sheet), _addresses(door, sheet))
    alone = None if subs is None else not subs
    shown = [await _keys_of(door, sheet, user_id) for user_id in subs or ()]
    if calling is not None and keys is None and alone is None and _refused(sheet):
        with sheet.reading(DETAIL) as seen:  # a sub-account's key is shown neither list, but still itself
            facts = {name: calling[name] for name in ("ip_bound", "ip_allowlist", "symbol_restricted")}
            seen.row("api_key", is_audit_key=True, can_read=True, enabled=True, kind="hmac", **facts)
    with sheet.reading(KEYS) as seen:
        seen.account(
            key_inventory_complete=(keys is not None and keys.whole and subs is not None and all(shown)) or None
        )
        owners = {str(mark["user_id"]) for mark in keys.marks} if keys else set()
        # Both lists are the main account's: a sub-account that is shown keys of its own would not be shown the other.
        seen.account(kind="main" if alone is not None and owners == {sheet.account_id} else None)
        usable = [row for row in (keys.rows if keys else []) if row.get("enabled") is not False]
        if alone is False and any(row.get("can_transfer") for row in usable):
            seen.account(master_key_over_subaccounts=True)


def _refused(sheet: Sheet) -> bool:
    denied = {problem.endpoint for problem in sheet.problems if problem.reason is Reason.PERMISSION_DENIED}
    return {KEYS.name, SUBS.name} <= denied


def _detail(seen: Seen, row: Shape) -> dict[str, Any]:
    """What tells the calling key from others, and the facts in it: its addresses, its markets and its mode."""
    ip_bound, ip_allowlist = seen.field(row, "ip_whitelist", _ips, "api_key.ip_bound") or (None, None)
    pairs = seen.field(row, "currency_pairs", _pairs, "api_key.symbol_restricted")
    inner = row.get("key")
    mode = inner.get("mode") if inner is not None and isinstance(inner.value, dict) else None
    return {
        "ip_bound": ip_bound,
        "ip_allowlist": ip_allowlist,
        "symbol_restricted": None if pairs is None else bool(pairs),
        "pairs": pairs,
        "mode": None if mode is None else str(mode.value),
    }


def _ips(cell: Shape) -> tuple[bool, list[str] | None]:
    return bound(cell.split() if isinstance(cell.value, str) else cell.texts())


def _pairs(cell: Shape) -> list[str]:
    return sorted(pair for pair in cell.texts() if pair.strip())


class _Keys:
    """The rows of the list, with what tells them apart, and whether every one could be read."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.marks: list[dict[str, Any]] = []
        self.whole = True


async def _keys(door: Door, sheet: Sheet, calling: dict[str, Any] | None) -> _Keys | None:
    """Every key of the main account. The ids are masked, so the calling one is known by what only it can be."""
    found: _Keys | None = None
    with sheet.reading(KEYS, "account.kind", "account.key_inventory_complete", "api_keys") as seen:
        listed = Shape(await door.fetch(KEYS)).rows()
        found = _Keys()
        for row in listed:
            before = len(found.rows)
            with sheet.reading(KEYS, "api_keys"):
                _key(seen, row, found)
            found.whole = found.whole and len(found.rows) > before
        seen.list_seen("api_key")
        if calling is not None:
            _point_out(sheet, found, calling)
    return found


def _point_out(sheet: Sheet, found: _Keys, calling: dict[str, Any]) -> None:
    """Marks the calling key: the only one in use that may look at the account and has its addresses, markets and mode."""
    same = [
        row
        for row, mark in zip(found.rows, found.marks, strict=True)
        if row.get("enabled") is not False
        and (mark["products"] is None or "account" in mark["products"])
        and all(mark[name] is None or calling[name] in (None, mark[name]) for name in ("pairs", "mode"))
        and (row.get("ip_allowlist") is None or calling["ip_allowlist"] is None or _same_ips(row, calling))
    ]
    if len(same) == 1:
        same[0] |= {"is_audit_key": True, "can_read": True, "enabled": True}
    elif same:
        detail = "several keys fit the one that makes the calls: which of them it is cannot be told"
        sheet.problem(KEYS, Reason.NOT_EXPOSED, detail, "api_key.is_audit_key")
    else:
        found.whole = False
        sheet.problem(KEYS, Reason.IMPLAUSIBLE_RESPONSE, "the key that makes the calls is not in the list", "api_keys")


def _same_ips(row: dict[str, Any], calling: dict[str, Any]) -> bool:
    return set(row["ip_allowlist"]) == set(calling["ip_allowlist"])


_DERIVATIVES = {"futures", "delivery", "options"}
_TRADE = _DERIVATIVES | {"spot", "margin", "unified", "copy", "pilot", "alpha", "crossx"}
_PERHAPS_DERIVATIVES = {"unified", "copy", "crossx"}
_PERHAPS_TRADE = {"earn", "loan", "otc", "custody"}
_PERHAPS_PAYS = {"otc", "custody"}
_PERHAPS_MANAGES = {"account", "wallet", "custody"}
_PRODUCTS = _TRADE | _PERHAPS_TRADE | {"wallet", "account"}


def _key(seen: Seen, row: Shape, found: _Keys, sub_account: str | None = None) -> None:
    """One key of the list. A field that is not as documented leaves its own facts unknown, and hides no other."""
    row.keys()
    powers, products = _powers(seen, row)
    ip_bound, ip_allowlist = seen.field(row, "ip_whitelist", _ips, "api_key.ip_bound") or (None, None)
    unsaid = sub_account is not None and row.get("currency_pairs") is None  # of a sub-account's key nobody says
    pairs = None if unsaid else seen.field(row, "currency_pairs", _pairs, "api_key.symbol_restricted")
    state = seen.field(row, "state", Shape.integer, "api_key.enabled")
    mode, owner = row.get("mode"), row.get("user_id")
    facts = {
        "label": seen.field(row, "name", lambda cell: mask_personal(cell.text()), "api_key.label"),
        **powers,
        "ip_bound": ip_bound,
        "ip_allowlist": ip_allowlist,
        "symbol_restricted": None if pairs is None else bool(pairs),
        # Locked and frozen are 2 and 3, or 3 and 2, by the page: neither may be used.
        "enabled": {1: True, 2: False, 3: False}.get(-1 if state is None else state),
        "kind": "hmac",
        "sub_account": sub_account,
        **_times(seen, row),
    }
    found.rows.append(seen.row("api_key", public_id=_public_id(row), **facts))
    shown = None if mode is None else str(mode.value)
    found.marks.append({"user_id": owner and owner.value, "products": products, "pairs": pairs, "mode": shown})


def _public_id(row: Shape) -> str | None:
    """The first twelve digits of the id, which is all that is shown; by the table it is an object that says nothing."""
    cell = row.get("key")
    shown = cell.value.partition("*")[0] if cell is not None and isinstance(cell.value, str) else ""
    return shown[:_SHOWN_OF_ID] if len(shown) >= _SHOWN_OF_ID else None


def _times(seen: Seen, row: Shape) -> dict[str, Any]:
    """Seconds, as number or text. A last use at the very moment of creation is probably none, which is not enough."""
    made = seen.field(row, "created_at", Shape.time_s, "api_key.created_at")
    changed = "updated_at" if row.get("updated_at") is not None else "update_at"
    used = seen.field(row, "last_access", _moment, "api_key.last_used_at", "api_key.never_used")
    return {
        "created_at": made,
        "modified_at": seen.field(row, changed, Shape.time_s, "api_key.modified_at"),
        "last_used_at": used or None,
        "never_used": False if used and made and used > made else None,
    }


def _moment(cell: Shape) -> str:
    return "" if cell.value in (0, "0", "") else cell.time_s()


def _powers(seen: Seen, row: Shape) -> tuple[dict[str, Any], set[str] | None]:
    """Products, each to look at or to use. `wallet` to use is transfers and withdrawals alike; no product is no power. Of a
    product that we do not know, or that does not say which, anything may follow.
    """
    names = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage", "permissions")
    listed = seen.field(row, "perms", _perms, *(f"api_key.{name}" for name in names))
    if listed is None:
        return {}, None
    uses = {name for name, read_only in listed.items() if read_only is False}
    unsaid = {name for name, read_only in listed.items() if read_only is None}
    strange = not listed.keys() <= _PRODUCTS

    def may(granting: set[str], perhaps: set[str]) -> bool | None:
        if uses & granting:
            return True
        return None if strange or unsaid & (granting | perhaps) or uses & perhaps else False

    shown = {True: ":read_only", False: "", None: ":?"}
    return {
        "permissions": sorted(f"{name}{shown[read_only]}" for name, read_only in listed.items()),
        "can_read": True if listed else None,
        "can_trade": may(_TRADE, _PERHAPS_TRADE),
        "can_trade_derivatives": may(_DERIVATIVES, _PERHAPS_DERIVATIVES),
        "can_transfer": may({"wallet"}, _PERHAPS_PAYS),
        "can_withdraw": may({"wallet"}, _PERHAPS_PAYS),
        "can_manage": may(set(), _PERHAPS_MANAGES),  # which product makes keys of sub-accounts is not documented
    }, set(listed)


def _perms(cell: Shape) -> dict[str, bool | None]:
    """Product -> whether it may only be looked at; None where that is not said, or is said both ways."""
    found: dict[str, bool | None] = {}
    for row in cell.rows():
        name, flag = row["name"].text(), row.get("read_only")
        read_only = None if flag is None else flag.flag()
        found[name] = read_only if found.get(name, read_only) == read_only else False
    return found


async def _subs(door: Door, sheet: Sheet) -> list[str] | None:
    """The ids of the sub-accounts; None where they were not shown."""
    subs: list[str] | None = None
    with sheet.reading(SUBS, "api_keys", "account.kind", "account.master_key_over_subaccounts") as seen:
        subs = [str(row["user_id"].integer()) for row in Shape(await door.fetch(SUBS)).rows()]
        seen.account(master_key_over_subaccounts=None if subs else False)
    return subs


async def _keys_of(door: Door, sheet: Sheet, user_id: str) -> bool:
    """The keys of one sub-account, known by its number: its names may be mail addresses. Whether all could be read."""
    whole = False
    with sheet.reading(SUB_KEYS, "api_keys") as seen:
        found, rows = _Keys(), Shape(await door.fetch(SUB_KEYS, {"user_id": user_id})).rows()
        for row in rows:
            with sheet.reading(SUB_KEYS, "api_keys"):
                _key(seen, row, found, sub_account=user_id)
        whole = len(found.rows) == len(rows)
    return whole  # noqa: RET504  (a refusal ends the block above, not this)


async def _addresses(door: Door, sheet: Sheet) -> None:
    """Saved addresses, asked for currency by currency: which others the account may have saved some for, nobody says."""
    shows = ("addresses", "account.addresses_complete")
    with sheet.reading(ADDRESSES, *shows) as seen:
        for currency in _CURRENCIES:
            await _book(door, seen, currency)
        seen.list_seen("address")
        detail = f"asked for {len(_CURRENCIES)} common currencies only; each would be a question of its own"
        sheet.problem(ADDRESSES, Reason.NOT_COLLECTED, detail, *shows)


async def _book(door: Door, seen: Seen, currency: str) -> None:
    for page in range(1, _MOST_PAGES + 1):
        rows = Shape(await door.fetch(ADDRESSES, {"currency": currency, "limit": str(_PAGE), "page": str(page)})).rows()
        for row in rows:
            where = seen.field(row, "address", Shape.text, "addresses")
            if where:
                _address(seen, row, where)
        if len(rows) < _PAGE:
            return
    raise ShapeError(f"$: the pages of {currency} come to no end")


def _address(seen: Seen, row: Shape, where: str) -> None:
    """One saved address. `verified` is what the pages call trusted: withdrawals to it skip every code. An exposure, not a
    safeguard (https://www.gate.com/help/guide/deposit_withdrawa/22600).
    """
    tag = row.get("tag")
    asset = seen.field(row, "currency", lambda cell: cell.text().upper(), "address.asset")
    seen.row(
        "address",
        public_id=f"{where}:{tag.value}" if tag is not None and tag.value != "" else where,
        asset=asset or None,
        network=seen.field(row, "chain", Shape.text, "address.network") or None,
        label=seen.field(row, "name", lambda cell: mask_personal(cell.text()), "address.label"),
        skips_second_factor=seen.field(row, "verified", Shape.flag, "address.skips_second_factor"),
    )
