"""OKX: one key describes itself; a main-account key also lists sub-accounts and their keys. Nothing lists the main
account's keys, its second factors, its address book or its sessions.

Source of every fact: https://www.okx.com/docs-v5/en/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from auditor.exchanges import _okx_funds
from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names, unless
from auditor.model.evidence import Reason
from auditor.redaction import masked_id

ccxt_class = "okx"
credentials = ("apiKey", "secret", "password")
serial = False

_HOST, _DOCS = "www.okx.com", "https://www.okx.com/docs-v5/en/"
_PAGE, _MOST_PAGES = 100, 100
_KINDS = {"0": "main", "1": "sub", "2": "sub", "5": "custody", "9": "custody", "12": "custody"}
_READS, _KNOWN = {"read_only", "read"}, {"read_only", "read", "trade", "withdraw"}
_RUNNING, _IDLE = {"ongoing", "pre_open"}, {"scheduled", "completed", "canceled"}
_SIDE_SERVICES = {"0", "6", "7", "10", "11"}
"""WebSocket, block trading, bots, spread trading, copy trading: without them the exchange still trades and pays out."""


def _endpoint(call: str, limit: Limit, *, public: bool = False) -> Endpoint:
    path, api = f"/api/v5/{call}", ("public" if public else "private",)
    return Endpoint(
        name=call, verb="GET", host=_HOST, path=path, api=api, call=call, limit=limit, public=public, source=_DOCS
    )


CONFIG = _endpoint("account/config", Limit(calls=5, seconds=2))
SUB_ACCOUNTS = _endpoint("users/subaccount/list", Limit(calls=20, seconds=2))
SUB_KEYS = _endpoint("users/subaccount/apikey", Limit(calls=20, seconds=2))
QUOTA = _endpoint("asset/currencies", Limit(calls=6, seconds=1))
STATUS = _endpoint("system/status", Limit(calls=1, seconds=5, per="address"), public=True)
TIME = _endpoint("public/time", Limit(calls=10, seconds=2, per="address"), public=True)

endpoints = (CONFIG, SUB_ACCOUNTS, SUB_KEYS, QUOTA, STATUS, TIME, *_okx_funds.ENDPOINTS)
funds = _okx_funds.FUNDS
clock = TIME

_NO_SUCH_KEY = (
    "no such key: deleted, unused for 14 days, or of another OKX site, whose keys are answered like deleted ones "
    "(okx is the global site, myokx that of the EEA, okxus that of the US)"
)
_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "50001 50005 50013 50026",
        # A code of the old API: what everybody was answered during the outage of 10 March 2021.
        Reason.VENUE_INCIDENT: "30030",
        Reason.TIMEOUT: "50004",
        Reason.RATE_LIMITED: "50011 50061",
        Reason.INVALID_KEY: "50008 50101 50105 50111 50113 50114",
        Reason.IP_NOT_ALLOWED: "50110 50121",
        # 50035 asks for a key bound to some address; it does not refuse this machine's.
        Reason.PERMISSION_DENIED: "50027 50029 50030 50035 50120 59500",
        Reason.CLOCK_SKEW: "50102 50112",
        Reason.ACCOUNT_FROZEN: "50007 50100",
    }
) | {"50119": failure(Reason.INVALID_KEY, "50119", _NO_SUCH_KEY)}  # HTTP 200 by the documentation, 401 in practice


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """OKX says what is wrong in `code` (text), whatever the HTTP status; ccxt calls a deleted key (50119) a generic error.

    A success must say so: a body without `code`, or with one we do not know, is judged by its status, and is malformed
    where that claims that all is well.
    """
    del endpoint
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    said = str(code)[:20] if isinstance(code, (str, int)) else "none"
    if answer.body is None or said == "0":
        return None
    known = _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")


def server_time(body: Any) -> int:
    """`public/time`: milliseconds as text."""
    return Shape(body)["data"].only()["ts"].integer()


class Site:
    """OKX for the accounts of one region: the same questions, and the same words in the answers, at a host of its own."""

    def __init__(self, host: str, docs: str) -> None:
        self._here = {endpoint: replace(endpoint, host=host, source=docs) for endpoint in endpoints}
        self.endpoints = tuple(self._here.values())
        self.clock = self._here[TIME]
        self.funds = funds.through(lambda door: _DoorTo(door, self._here))

    async def collect(self, door: Door, sheet: Sheet) -> None:
        """As of the global site."""
        await collect(_DoorTo(door, self._here), sheet)


@dataclass(frozen=True, slots=True)
class _DoorTo:
    """A door that asks each question at the host of a site."""

    door: Door
    here: Mapping[Endpoint, Endpoint]

    def fetch(self, endpoint: Endpoint, params: Mapping[str, str] | None = None) -> Awaitable[Any]:
        return self.door.fetch(self.here[endpoint], params)


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because it decides what else may be asked; then the rest at once."""
    is_main, key = await _calling_key(door, sheet)
    subs = [_sub_accounts(door, sheet, key)] if is_main is not False else []
    await asyncio.gather(_status(door, sheet), _quota(door, sheet), *subs)


async def _calling_key(door: Door, sheet: Sheet) -> tuple[bool | None, dict[str, Any]]:
    """Whether the key is the main account's (None: not shown), and its row."""
    is_main, key = None, {}
    with sheet.reading(CONFIG, "account.kind", "account.parent", "account.kyc_level", "api_keys") as seen:
        row = Shape(await door.fetch(CONFIG))["data"].only()
        uid = seen.field(row, "uid", Shape.text, "account.kind")
        main_uid = seen.field(row, "mainUid", Shape.text, "account.kind", "account.parent")
        sheet.account_id = uid or None
        is_main = uid == main_uid if uid and main_uid else None
        seen.account(kind=_kind(seen.field(row, "type", Shape.text, "account.kind"), is_main))
        if is_main:  # a sub-account is shown the level of its main account, not one of its own
            level = seen.field(
                row, "kycLv", lambda cell: cell.integer() if cell.value != "" else None, "account.kyc_level"
            )
            seen.account(kyc_level=level)
        if is_main is False and main_uid:
            seen.account(parent=masked_id(main_uid))
        key = _key(seen, row, is_main=is_main, can_read=True, enabled=True, is_audit_key=True)
    return is_main, key


def _kind(type_: str | None, is_main: bool | None) -> str | None:  # noqa: FBT001
    """The documented type, unless it contradicts whose key this is."""
    kind = _KINDS.get(type_ or "")
    return kind if kind == "custody" or (is_main is not None and kind == ("main" if is_main else "sub")) else None


def _addresses(cell: Shape) -> list[str]:
    return cell.texts() if isinstance(cell.value, list) else cell.split()


def _key(seen: Seen, row: Shape, *, is_main: bool | None, public_id: str | None = None, **facts: Any) -> dict[str, Any]:
    """One key. `trade` also moves funds between the accounts of the user. A key that may trade or withdraw and is not
    bound dies after 14 days without use; all others never expire.
    """
    row.keys()  # an item that is no object is no key
    words = seen.field(row, "perm", Shape.split, "api_key.permissions") or []
    tokens = {word.lower() for word in words}
    addresses = seen.field(row, "ip", _addresses, "api_key.ip_bound", "api_key.ip_allowlist")
    ip_bound, ip_allowlist = (None, None) if addresses is None else bound(addresses)
    trades, withdraws = "trade" in tokens, "withdraw" in tokens
    strange = not tokens or bool(tokens - _KNOWN)
    found: dict[str, Any] = {
        "label": seen.field(row, "label", Shape.text, "api_key.label"),
        "permissions": sorted(words) or None,
        "can_read": bool(tokens & _READS) or None,
        "can_trade": trades or unless(strange),
        "can_trade_derivatives": trades or unless(strange),
        "can_transfer": trades or withdraws or unless(strange),
        "can_withdraw": withdraws or unless(strange),
        "can_manage": _manages(is_main, ip_bound) if trades else unless(strange),
        "ip_bound": ip_bound,
        "ip_allowlist": ip_allowlist,
        "never_expires": ip_bound if trades or withdraws else None if strange else True,
        "kind": "hmac",
    }
    return seen.row("api_key", public_id=public_id, **{**found, **facts})


def _manages(is_main: bool | None, ip_bound: bool | None) -> bool | None:  # noqa: FBT001
    """Of a key that trades: the calls about sub-accounts are the main account's alone. Those about their keys want a bound
    one; set-transfer-out does not say so, hence unknown for an unbound one.
    """
    return False if is_main is False else (is_main and ip_bound) or None


async def _sub_accounts(door: Door, sheet: Sheet, calling: dict[str, Any]) -> None:
    """The sub-accounts, then the keys of all of them at once, in the order of their names."""
    subs: dict[str, Shape] = {}
    with sheet.reading(SUB_ACCOUNTS, "api_keys", "account.master_key_over_subaccounts") as seen:
        none_exist = await _list(door, seen, subs)
        # A main-account key that may trade may also move funds between sub-accounts (POST /api/v5/asset/transfer). That
        # this one may not says nothing of the main account's other keys, which nobody can list: unknown, not FALSE.
        seen.account(master_key_over_subaccounts=False if none_exist else calling.get("can_transfer") or None)
    shown = shown_names(subs)
    asks = [door.fetch(SUB_KEYS, {"subAcct": name}) for name in shown]
    answers = await asyncio.gather(*asks, return_exceptions=True)
    for (name, shown_name), answer in zip(shown.items(), answers, strict=True):
        with sheet.reading(SUB_KEYS, "api_keys") as seen:
            if isinstance(answer, BaseException):
                raise answer
            _keys_of(seen, answer, sub_account=shown_name, enabled=_enabled(subs[name]))


async def _list(door: Door, seen: Seen, subs: dict[str, Shape]) -> bool:
    """Fills `subs`, newest first, and says whether the account has none. `after` means "made before this millisecond": one
    later than the oldest seen keeps those that share it. The end is a page with nothing older, whatever its length.
    """
    before: int | None = None
    for _ in range(_MOST_PAGES):
        page = {"limit": str(_PAGE)} | ({"after": str(before)} if before is not None else {})
        rows = Shape(await door.fetch(SUB_ACCOUNTS, page))["data"].rows()
        names = [seen.field(row, "subAcct", Shape.text, "api_keys") for row in rows]
        fresh = {name: row for name, row in zip(names, rows, strict=True) if name and name not in subs}
        subs |= fresh
        made = [moment for row in rows if (moment := seen.field(row, "ts", Shape.integer, "api_keys")) is not None]
        if rows and not fresh and len(rows) >= _PAGE:
            seen.sheet.problem(SUB_ACCOUNTS, Reason.IMPLAUSIBLE_RESPONSE, "a full page holds nothing new", "api_keys")
        following = min(made) + bool(fresh) if made else None
        if following is None or (before is not None and not fresh and following >= before):
            return before is None and not rows
        before = following
    seen.sheet.problem(SUB_ACCOUNTS, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", "api_keys")
    return False


def _enabled(sub: Shape) -> bool | None:
    """OKX deletes keys and has no switch for them; but what a key of a frozen sub-account may still do is not said."""
    return True if isinstance(sub.value, dict) and sub.value.get("enable") is True else None


def _keys_of(seen: Seen, answer: Any, **facts: Any) -> None:
    for row in Shape(answer)["data"].rows():
        made = seen.field(row, "ts", Shape.time_ms, "api_key.created_at")
        _key(seen, row, is_main=False, public_id=seen.field(row, "apiKey", _unmasked), created_at=made, **facts)


def _unmasked(cell: Shape) -> str | None:
    """The public id; the documentation shows it as asterisks, which identify nothing."""
    return cell.text() if cell.text() and "*" not in cell.text() else None


async def _quota(door: Door, sheet: Sheet) -> None:
    """Quota and use are per user and in US dollars, the same on every row; one currency that every entity lists is enough."""
    shows = ("account.withdrawal_limit_daily_usd", "account.withdrawn_last_24h_usd")
    with sheet.reading(QUOTA, *shows) as seen:
        rows = Shape(await door.fetch(QUOTA, {"ccy": "BTC"}))["data"].rows()
        limits = {seen.field(row, "wdQuota", _dollars, shows[0]) for row in rows} - {None}
        used = {seen.field(row, "usedWdQuota", _dollars, shows[1]) for row in rows} - {None}
        if len(limits) > 1 or len(used) > 1:
            sheet.problem(QUOTA, Reason.IMPLAUSIBLE_RESPONSE, "one currency shows several quotas", *shows)
            return
        if not limits and not used:
            sheet.problem(QUOTA, Reason.NOT_EXPOSED, "no quota is shown for this account", *shows)
        seen.account(withdrawal_limit_daily_usd=next(iter(limits), None), withdrawn_last_24h_usd=next(iter(used), None))


def _dollars(cell: Shape) -> float | None:
    """An amount, or None where the cell is empty. A negative one is no amount."""
    if (amount := None if cell.value == "" else cell.number()) is not None and amount < 0:
        raise ShapeError(f"{cell.at}: a negative amount")
    return amount


async def _status(door: Door, sheet: Sheet) -> None:
    """Only production (env 1) and only what runs now: ccxt lets the last listed event win, a planned one too."""
    with sheet.reading(STATUS, "venue.status") as seen:
        events = Shape(await door.fetch(STATUS))["data"].rows()
        states = [_effect(event) for event in events if event["env"].text() == "1"]
        seen.venue(status=next((worst for worst in ("maintenance", "degraded") if worst in states), "ok"))


def _effect(event: Shape) -> str:
    """What one event means now: trading stops unless it is a disruption (3), a side service, or about to reopen."""
    state = event["state"].text()
    if state in _IDLE:
        return "ok"
    if state not in _RUNNING:
        raise ShapeError(f"{event.at}.state: a state we do not know")
    aside = event["maintType"].text() == "3" or event["serviceType"].text() in _SIDE_SERVICES
    return "degraded" if aside or state == "pre_open" else "maintenance"
