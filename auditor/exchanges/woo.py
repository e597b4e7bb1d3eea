"""WOO X: a key that may read lists every key of the account and of its sub-accounts, with permissions and addresses, and
shows whether an authenticator app is bound. Nothing shows when a key was made or used, the logins, or an address list.

Source of every fact: https://developer.woox.io/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason

ccxt_class = "woo"
credentials = ("apiKey", "secret")
serial = False

_PAGES = "https://developer.woox.io/api-reference/endpoint/"
_SIZE, _MOST_PAGES = 1000, 100
_MAIN = "Main"
_KNOWN = {"READ", "TRADE", "WITHDRAWAL"}


def _endpoint(call: str, page: str, *, public: bool = False) -> Endpoint:
    access, section = ("public", "public/") if public else ("private", "")
    limit = Limit(calls=10, seconds=1, per="address") if public else Limit(calls=10, seconds=60)
    return Endpoint(
        name=call,
        verb="GET",
        host="api.woox.io",
        path=f"/v3/{section}{call}",
        api=("v3", access),
        call=call,
        limit=limit,
        public=public,
        source=_PAGES + page,
    )


INFO = _endpoint("account/info", "account/get_account_info")
KEYS = _endpoint("account/credentials", "account/credentials")
SUB_ACCOUNTS = _endpoint("account/subAccounts/all", "account/sub_accounts")
SYSTEM = _endpoint("systemInfo", "public_data/systemInfo", public=True)

endpoints = (INFO, KEYS, SUB_ACCOUNTS, SYSTEM)
clock = SYSTEM

_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "-1011",
        Reason.VENUE_INCIDENT: "-1000",
        Reason.INVALID_KEY: "-1001",
        Reason.RATE_LIMITED: "-1003",
        Reason.CLOCK_SKEW: "317179",
        Reason.ACCOUNT_FROZEN: "302307",
    }
)
_ALIKE = "-1002"
_REFUSED = failure(
    Reason.INVALID_KEY,
    _ALIKE,
    "the exchange does not accept this key: deleted, expired, of another address or permission, or sent by a wrong clock; it "
    "says the same to all, so look at the key's own page before you fear for it",
)
_NEEDS_MORE = failure(
    Reason.PERMISSION_DENIED,
    _ALIKE,
    "takes more than this key may do, or a key of the main account: it says the same to all",
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Only `success: true` is success, whatever the HTTP status: ccxt lets a refusal whose code it does not know pass.

    -1002 is said of the key, its address, its permissions and the clock alike. Where reading is enough it is the key, and
    everything stops; elsewhere the key has been accepted before.
    """
    if not isinstance(answer.body, dict) or answer.body.get("success") is True:
        return None
    told = answer.body.get("code")
    code = str(told)[:20] if isinstance(told, (str, int)) else "success"
    if code == _ALIKE:
        return _REFUSED if endpoint == INFO else _NEEDS_MORE
    unknown = failure(Reason.MALFORMED_RESPONSE, code, "refused with a code we do not know")
    return _FAILURES.get(code) or by_status(answer) or unknown


def server_time(body: Any) -> int:
    """Every answer carries the time, in milliseconds."""
    return Shape(body)["timestamp"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The account first, for a refusal there means the key; then the rest at once."""
    await _account(door, sheet)
    is_main = sheet.account.get("kind") == "main"
    await asyncio.gather(_keys(door, sheet, is_main=is_main), _sub_accounts(door, sheet), _status(door, sheet))


async def _account(door: Door, sheet: Sheet) -> None:
    """That the key is accepted and may read, and whose it is. Names and mailboxes in the answer stay there."""
    with sheet.reading(INFO, "account.kind", "account.two_factor_enabled", "api_keys") as seen:
        row = Shape(await door.fetch(INFO))["data"]
        of = row.get("applicationId")
        sheet.account_id = of.text() or None if of else None
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, can_read=True)
        kind = seen.field(row, "accountType", Shape.text, "account.kind")
        seen.account(kind="main" if kind == _MAIN else None)  # what it says of a sub-account is not documented
        bound_app = seen.field(row, "otpauth", Shape.flag, "account.two_factor_enabled")
        seen.account(two_factor_enabled=bound_app or None)
        if bound_app is False:
            said = "no authenticator app is bound; whether there is another second factor is not shown"
            sheet.problem(INFO, Reason.NOT_EXPOSED, said, "account.two_factor_enabled")


async def _keys(door: Door, sheet: Sheet, *, is_main: bool) -> None:
    """All keys the account can see, by pages; the calling one among them. They are all there are where a main account
    asks and as many came as there are said to be.
    """
    with sheet.reading(KEYS, "api_keys", "account.key_inventory_complete") as seen:
        rows, total = await _listed(door)
        names = [seen.field(row, "accountName", Shape.text, "api_key.sub_account") for row in rows]
        shown = shown_names(name for name in names if name and name != _MAIN)
        ids = [
            _key(seen, row, sub_account=shown.get(name) if name else None)
            for row, name in zip(rows, names, strict=True)
        ]
        whole = is_main and None not in ids and len(ids) == total
        seen.account(key_inventory_complete=whole or None)
        if len(ids) != total:
            said = f"{len(ids)} keys came where there are said to be {total}"
            sheet.problem(KEYS, Reason.IMPLAUSIBLE_RESPONSE, said, "account.key_inventory_complete")


async def _listed(door: Door) -> tuple[list[Shape], int]:
    """The rows of all pages, each key once, and how many there are said to be. The end is a page with nothing new."""
    found: dict[str, Shape] = {}
    total = 0
    for page in range(1, _MOST_PAGES + 1):
        data = Shape(await door.fetch(KEYS, {"page": str(page), "size": str(_SIZE)}))["data"]
        total = data["meta"]["total"].integer()
        rows = data["rows"].rows()
        named = {_name(row, page): row for row in rows}
        fresh = named.keys() - found.keys()
        found = {**named, **found}
        if not fresh or len(found) >= total:
            break
    return list(found.values()), total


def _name(row: Shape, page: int) -> str:
    named = row.get("apiKey")
    return str(named.value) if named else f"{page} {row.at}"


def _key(seen: Seen, row: Shape, *, sub_account: str | None) -> str | None:
    """One key, and its id where that could be read. Words we do not know may mean anything. A right to trade is one for
    spot and futures; which right moves funds between accounts is not documented, but reading is not it.
    """
    words = seen.field(row, "permissions", Shape.texts, "api_key.permissions") or []
    tokens = {word.upper() for word in words}
    strange = not tokens or bool(tokens - _KNOWN)
    trades, reads_only = "TRADE" in tokens or unless(strange), False if tokens == {"READ"} else None
    ip_bound, ip_allowlist = _addresses(seen, row)
    public_id = seen.field(row, "apiKey", _filled, "api_keys")
    seen.row(
        "api_key",
        public_id=public_id,
        sub_account=sub_account,
        kind="hmac",
        permissions=sorted(words) or None,
        can_read="READ" in tokens or None,
        can_trade=trades,
        can_trade_derivatives=trades,
        can_transfer=reads_only,
        can_withdraw="WITHDRAWAL" in tokens or unless(strange),
        can_manage=reads_only,
        ip_bound=ip_bound,
        ip_allowlist=ip_allowlist,
    )
    return public_id


def _addresses(seen: Seen, row: Shape) -> tuple[bool | None, list[str] | None]:
    """By the documentation the field is left out of a key that is bound to no address."""
    if "allowedIPs" not in row.value:
        return False, []
    listed = seen.field(row, "allowedIPs", Shape.texts, "api_key.ip_bound", "api_key.ip_allowlist")
    return (None, None) if listed is None else bound(listed)


def _filled(cell: Shape) -> str:
    if not cell.text().strip():
        raise ShapeError(f"{cell.at}: empty")
    return cell.text()


async def _sub_accounts(door: Door, sheet: Sheet) -> None:
    """Where there are none, no key is over any. Which right is over those that exist is not documented."""
    with sheet.reading(SUB_ACCOUNTS, "account.master_key_over_subaccounts") as seen:
        rows = Shape(await door.fetch(SUB_ACCOUNTS))["data"]["rows"].rows()
        seen.account(master_key_over_subaccounts=None if rows else False)


async def _status(door: Door, sheet: Sheet) -> None:
    with sheet.reading(SYSTEM, "venue.status") as seen:
        status = Shape(await door.fetch(SYSTEM))["data"]["status"].integer()
        seen.venue(status="ok" if status == 0 else "maintenance")
