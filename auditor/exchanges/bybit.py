"""Bybit: one key describes itself; a master key also lists sub-accounts and all their keys. Nothing lists the master's own
keys, its second factors or its switches, and the address book opens only to a key that may withdraw.

Source of every fact: the page under https://bybit-exchange.github.io/docs/v5/ that its endpoint names.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from auditor.exchanges import _bybit_funds
from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, Unavailable, by_code, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "bybit"
credentials = ("apiKey", "secret")
serial = False

_DOCS = "https://bybit-exchange.github.io/docs/v5/"
_LISTED, _IDS_LISTED = 1000, 2000  # where the two lists of sub-accounts that have no pages end, unsaid
_MOST_PAGES = 500
_TOKEN, _NEXT = ("cursor", "nextPageCursor"), ("nextCursor", "nextCursor")


def _endpoint(name: str, page: str, calls: float, seconds: float = 1, *, public: bool = False) -> Endpoint:
    """`unescaped`: ccxt leaves the values of a Bybit GET as they are, and cursors are text that the venue writes."""
    limit = Limit(calls=calls, seconds=seconds, per="address" if public else "key")
    section = ("public",) if public else ("private",)
    return Endpoint(name=name, verb="GET", host="api.bybit.com", path=f"/v5/{name}", call=f"v5/{name}", api=section,
                    limit=limit, public=public, unescaped=True, source=_DOCS + page)  # fmt: skip


KEY = _endpoint("user/query-api", "user/apikey-info", 10)
SUBS = _endpoint("user/query-sub-members", "user/subuid-list", 10)
SUB_PAGES = _endpoint("user/submembers", "user/page-subuid", 5)
SUB_IDS = _endpoint("asset/transfer/query-sub-member-list", "asset/sub-uid-list", 60, 60)
SUB_KEYS = _endpoint("user/sub-apikeys", "user/list-sub-apikeys", 10)
ADDRESSES = _endpoint("asset/withdraw/query-address", "asset/withdraw/withdraw-address", 300)
STATUS = _endpoint("system/status", "system-status", 600, 5, public=True)
TIME = _endpoint("market/time", "market/time", 600, 5, public=True)
endpoints = (KEY, SUBS, SUB_PAGES, SUB_IDS, SUB_KEYS, ADDRESSES, STATUS, TIME, *_bybit_funds.ENDPOINTS)
clock, funds = TIME, _bybit_funds.FUNDS

_FAILURES = by_code(
    {
        # ccxt calls 10016 and 10000 generic errors. 429 in a body is "high server load", and no limit of ours.
        Reason.VENUE_MAINTENANCE: "10016 10019 429 180023",
        Reason.TIMEOUT: "10000",
        Reason.RATE_LIMITED: "10006 10018 10429",
        Reason.INVALID_KEY: "10003 10004 10007 33004 -2015",
        Reason.ACCOUNT_FROZEN: "10008",
        Reason.IP_NOT_ALLOWED: "10009 10010",
        # From 131083 on, refusals to withdraw: they say nothing of the key or of any other call.
        Reason.PERMISSION_DENIED: "10005 10028 180024 131083 131089 131090 131091 131093 131098 141019",
        Reason.CLOCK_SKEW: "10002 -1",
    }
)
_NOT_HERE = "this key is not known here: deleted, or of another regional site or the test network"
_FAILURES["10003"] = failure(Reason.INVALID_KEY, "10003", _NOT_HERE)
# About one product, so that the other calls go on.
_FAILURES["10024"] = Failure(reason=Reason.IP_NOT_ALLOWED, code="10024", meaning="refused by rules of compliance")
_TOO_OFTEN = failure(Reason.RATE_LIMITED, "403", "this address asked too often: wait ten minutes", address=True)
_ENDLESS = failure(Reason.IMPLAUSIBLE_RESPONSE, "cursor", "the pages of this list come to no end")


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Bybit says what is wrong in `retCode`, mostly under HTTP 200. A bare 403 is either 600 requests in 5 seconds from
    this address, which closes it for ten minutes, or a country that is refused; ccxt calls both a rate limit.
    """
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    code = body.get("retCode", body.get("ret_code"))
    said = str(code)[:20] if isinstance(code, (str, int)) else "none"
    if said in _FAILURES:
        return _FAILURES[said]
    if answer.status == 403 and "too frequent" in answer.text.lower():  # noqa: PLR2004
        return _TOO_OFTEN
    if answer.body is None or said == "0" or answer.status >= 400:  # noqa: PLR2004
        return None
    return failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")


def server_time(body: Any) -> int:
    """`time`, which every answer carries: milliseconds."""
    return Shape(body)["time"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because it decides what else may be asked; then the rest at once."""
    is_main, key = await _calling_key(door, sheet)
    subs = [_sub_accounts(door, sheet, key)] if is_main is not False else []
    await asyncio.gather(_status(door, sheet), _addresses(door, sheet, key), *subs)


async def _calling_key(door: Door, sheet: Sheet) -> tuple[bool | None, dict[str, Any]]:
    """Whether the key is the master account's (None: not shown), and its row."""
    is_main, key = None, {}
    with sheet.reading(KEY, "account.kind", "account.parent", "account.kyc_level", "api_keys") as seen:
        row = Shape(await door.fetch(KEY))["result"]
        row["apiKey"].text()
        rsa = seen.field(row, "rsaPublicKey", Shape.text, "api_key.kind")
        kind = None if rsa is None else "rsa" if rsa else "hmac"
        key = _key(seen, row, kind=kind, can_read=True, enabled=True, is_audit_key=True)
        uid = seen.field(row, "userID", Shape.integer)
        sheet.account_id = str(uid) if uid else None
        is_main, parent = _place(seen, row)
        level = seen.field(row, "kycLevel", Shape.text, "account.kyc_level")
        # LEVEL_DEFAULT proves no level: the field is about persons, and a verified company shows it as well.
        seen.account(kyc_level={"LEVEL_1": 1, "LEVEL_2": 2}.get(level or ""))
        if is_main is False:
            seen.account(
                kind="sub", parent=f"…{str(parent)[-4:]}" if parent else None, master_key_over_subaccounts=False
            )
        elif is_main:
            seen.account(kind="main")
    return is_main, key


def _place(seen: Seen, row: Shape) -> tuple[bool | None, int | None]:
    """Whether a master account holds the key, unless the two fields that say so differ; and the id of the master else."""
    parent = seen.field(row, "parentUid", Shape.integer, "account.parent")
    is_master = seen.field(row, "isMaster", Shape.flag, "account.kind")
    if None not in {parent, is_master} and is_master != (parent == 0):
        detail = "isMaster and parentUid contradict each other"
        seen.sheet.problem(KEY, Reason.IMPLAUSIBLE_RESPONSE, detail, "account.kind", "account.parent")
        return None, None
    return is_master, parent


_DERIVATIVES = {"Order", "Position", "OptionsTrade", "DerivativesTrade", "BlockTrade", "CopyTrading"}
_TRADE = _DERIVATIVES | {"SpotTrade", "ExchangeHistory"}
_WALLET = {"AccountTransfer", "SubMemberTransfer", "SubMemberTransferList", "Withdraw"}
_MAY_TRADE = {"Earn", "FiatConvertBrokerOrder"}
_MAY_PAY = {"FiatP2POrder", "Advertising", "FaitPayOrder", "FiatConvertBrokerOrder", "BitCard"}
_TOKENS = _TRADE | _WALLET | _MAY_TRADE | _MAY_PAY | {"Affiliate", "ByXPost", "NFTQueryProductList"}
_TRADING = {"ContractTrade", "Spot", "Options", "Derivatives", "Exchange"}


def _powers(seen: Seen, row: Shape) -> dict[str, Any]:
    """`readOnly` (1, or true in the list of a sub-account's keys) overrides the lists of permissions, which stay filled.

    A list that is missing is not an empty one, and a word we do not know may grant anything.
    """
    names = ("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
    shows = [f"api_key.{name}" for name in names]
    read_only = seen.field(row, "readOnly", Shape.flag, *shows)
    lists = seen.field(row, "permissions", _lists, *shows, "api_key.permissions") or {}
    tokens = {token for listed in lists.values() for token in listed}
    strange = not tokens <= _TOKENS
    no_trade = strange or not lists.keys() >= _TRADING or bool(tokens & _MAY_TRADE)
    no_wallet = strange or "Wallet" not in lists

    def may(granting: set[str], *, unclear: bool) -> bool | None:
        if tokens & granting:
            return None if read_only is None else not read_only
        return None if unclear and not read_only else False

    mode = {True: ["Read-Only"], False: ["Read-Write"], None: []}[read_only]
    return {
        "permissions": [*sorted(tokens), *mode] if lists else None,
        "can_read": read_only or bool(tokens) or None,
        "can_trade": may(_TRADE, unclear=no_trade),
        "can_trade_derivatives": may(_DERIVATIVES, unclear=no_trade),
        "can_transfer": may(_WALLET, unclear=no_wallet or bool(tokens & _MAY_PAY)),
        "can_withdraw": may({"Withdraw"}, unclear=no_wallet),
        "can_manage": may(_WALLET, unclear=no_wallet),  # each of them opens the calls that make and change keys
    }


def _lists(table: Shape) -> dict[str, list[str]]:
    return {name: listed.texts() for name in table.keys() if (listed := table.get(name)) is not None}  # noqa: SIM118


def _ips(cell: Shape) -> tuple[bool, list[str] | None]:
    return bound(cell.split() if isinstance(cell.value, str) else cell.texts())


def _expiry(cell: Shape) -> str:
    """A time, or "" for never, which is spelled 1970. `deadlineDay` adds nothing, and is -2 where it does not apply."""
    never = str(cell.value) == "0" or str(cell.value).startswith("1970-01-01")
    return "" if never else cell.time_text()


def _public_id(cell: Shape) -> str | None:
    return cell.text() if cell.text() and "*" not in cell.text() else None


def _key(seen: Seen, row: Shape, **facts: Any) -> dict[str, Any]:
    """One key. A field that is not as documented leaves its own facts unknown, and hides no other."""
    powers = _powers(seen, row)
    ip_bound, ip_allowlist = seen.field(row, "ips", _ips, "api_key.ip_bound", "api_key.ip_allowlist") or (None, None)
    ends = seen.field(row, "expiredAt", _expiry, "api_key.expires_at", "api_key.never_expires")
    type_ = seen.field(row, "type", Shape.integer, "api_key.third_party")
    found: dict[str, Any] = {
        "public_id": seen.field(row, "apiKey", _public_id),
        "label": seen.field(row, "note", lambda cell: mask_personal(cell.text()), "api_key.label"),
        **powers,
        "ip_bound": ip_bound,
        "ip_allowlist": ip_allowlist,
        "created_at": seen.field(row, "createdAt", Shape.time_text, "api_key.created_at"),
        "expires_at": ends or None,
        "never_expires": None if ends is None else not ends,
        # 2 is a connected app; 1 is a personal key, which may have been pasted into a vendor's page all the same.
        "third_party": type_ == 2 or None,  # noqa: PLR2004
    }
    return seen.row("api_key", **{**found, **facts})


async def _pages(
    door: Door, endpoint: Endpoint, params: dict[str, str], rows: str, cursor: tuple[str, str] | None
) -> AsyncIterator[Shape]:
    """The rows of all pages, each once. `cursor` is what it is called in the question and in the answer."""
    known: set[str] = set()
    at: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        result = Shape(await door.fetch(endpoint, {**params, **at}))["result"]
        page = {json.dumps(row.value, sort_keys=True): row for row in result[rows].rows()}
        for text, row in page.items():
            if text not in known:
                yield row
        # The last page may carry a cursor too, to an empty one.
        if cursor is None or not page or result[cursor[1]].value in ("", "0", None):
            return
        if page.keys() <= known:
            break
        known |= page.keys()
        at = {cursor[0]: result[cursor[1]].text()}
    raise Unavailable(_ENDLESS)


async def _sub_accounts(door: Door, sheet: Sheet, key: dict[str, Any]) -> None:
    """Sub-accounts with their names, or by id alone: the first list stays shut to a key without the Wallet category."""
    subs, listed = await _members(door, sheet)
    with sheet.reading(SUB_IDS, "account.master_key_over_subaccounts", *([] if listed else ["api_keys"])) as seen:
        result = Shape(await door.fetch(SUB_IDS))["result"]
        ids = result["subMemberIds"].rows()
        for row in ids:
            with sheet.reading(SUB_IDS, "api_keys"):
                subs.setdefault(str(row.integer()), Shape({}))
        if len(ids) >= _IDS_LISTED and not listed:
            sheet.problem(SUB_IDS, Reason.NOT_COLLECTED, "only the first 2000 sub-accounts are listed", "api_keys")
        movable = {str(row.integer()) for row in result["transferableSubMemberIds"].rows()}
        moves = key.get("can_transfer") is True and "SubMemberTransfer" in key.get("permissions", [])
        # That this key may not says nothing of the master's other keys, which nobody can list: unknown, not FALSE.
        over = (moves and subs.keys() <= movable) or None
        seen.account(master_key_over_subaccounts=over if subs else False)
    names = _names(subs)
    await asyncio.gather(*[_keys_of(door, sheet, uid, names[uid], subs[uid]) for uid in sorted(subs)])


async def _members(door: Door, sheet: Sheet) -> tuple[dict[str, Shape], bool]:
    """The rows of sub-accounts by id, and whether the list was read to its end."""
    subs: dict[str, Shape] = {}
    listed = False
    for endpoint, params, cursor in ((SUBS, {}, None), (SUB_PAGES, {"pageSize": "100"}, _NEXT)):
        if endpoint is SUBS or len(subs) >= _LISTED:
            listed = False
            with sheet.reading(endpoint, "api_key.sub_account") as seen:
                async for row in _pages(door, endpoint, params, "subMembers", cursor):
                    uid = seen.field(row, "uid", Shape.integer, "api_keys")
                    subs |= {} if uid is None else {str(uid): row}
                listed = True
    return subs, listed


def _names(subs: dict[str, Shape]) -> dict[str, str]:
    """Id -> a name to show: the user name, and the id where there is none or where two share one."""
    texts = {uid: str(row.value.get("username") or "") for uid, row in subs.items()}
    often = Counter(texts.values())
    real = {uid: text if text and often[text] == 1 else f"{text} {uid}".strip() for uid, text in texts.items()}
    shown = shown_names(real.values())
    return {uid: shown[name] for uid, name in real.items()}


async def _keys_of(door: Door, sheet: Sheet, uid: str, name: str, sub: Shape) -> None:
    with sheet.reading(SUB_KEYS, "api_keys") as seen:
        async for row in _pages(door, SUB_KEYS, {"subMemberId": uid, "limit": "20"}, "result", _TOKEN):
            with sheet.reading(SUB_KEYS, "api_keys"):
                row.keys()
                flag = seen.field(row, "flag", Shape.text, "api_key.kind")
                kind = {"hmac": "hmac", "rsa": "rsa"}.get((flag or "").lower())
                state = seen.field(row, "status", Shape.integer, "api_key.enabled")
                # 1 permanent, 3 valid, 4 valid for some days: but what a key of a frozen sub-account (4) may do is not said.
                valid = state in {1, 3, 4} and str(sub.value.get("status")) != "4"
                _key(seen, row, sub_account=name, kind=kind, enabled=False if state == 2 else valid or None)  # noqa: PLR2004


async def _addresses(door: Door, sheet: Sheet, key: dict[str, Any]) -> None:
    """Only with a key that may withdraw anyway: nobody should be asked to grant that for an audit."""
    shows = ("addresses", "account.addresses_complete")
    if key.get("can_withdraw") is not True:
        detail = (
            "would show the saved addresses and which of them skip the second factor; asks for a key that may withdraw"
        )
        sheet.problem(ADDRESSES, Reason.NOT_COLLECTED, detail, *shows)
        return
    with sheet.reading(ADDRESSES, *shows) as seen:
        whole = True
        async for row in _pages(door, ADDRESSES, {"addressType": "2", "limit": "50"}, "rows", _TOKEN):
            where = seen.field(row, "address", Shape.text, *shows)
            whole = whole and where is not None
            if where is not None:
                _address(seen, row, where)
        seen.list_seen("address")
        seen.account(addresses_complete=whole or None)


def _address(seen: Seen, row: Shape, where: str) -> None:
    """One saved address. `verified` is the opposite of a safeguard: withdrawals to it ask for no code."""
    tag = row.get("tag")  # one address of an exchange serves many people
    state = seen.field(row, "status", Shape.integer, "address.state")
    made = "createdAt" if row.get("createdAt") is not None else "createAt"
    seen.row(
        "address",
        public_id=f"{where}:{tag.value}" if tag is not None and tag.value != "" else where,
        asset=seen.field(row, "coin", Shape.text, "address.asset") or None,
        network=seen.field(row, "chain", Shape.text, "address.network") or None,
        label=seen.field(row, "remark", lambda cell: mask_personal(cell.text()), "address.label"),
        state={0: "active", 1: "pending"}.get(-1 if state is None else state),
        created_at=seen.field(row, made, Shape.time_s, "address.created_at"),
        skips_second_factor=seen.field(row, "verified", Shape.flag, "address.skips_second_factor"),
    )


async def _status(door: Door, sheet: Sheet) -> None:
    """What runs now: ccxt counts demo trading as well, and events that concern other accounts only."""
    with sheet.reading(STATUS, "venue.status") as seen:
        events = Shape(await door.fetch(STATUS))["result"]["list"].rows()
        worst = max([_effect(event, sheet.account_id) for event in events], default=0)
        seen.venue(status=("ok", "degraded", "maintenance")[worst])


def _effect(event: Shape, uid: str | None) -> int:
    """0 none, 1 degraded (an incident, no stop of trading, or perhaps of other accounts), 2 maintenance."""
    state = event["state"].text()
    if state in {"scheduled", "completed", "canceled"} or event["env"].integer() != 1:
        return 0
    if state != "ongoing":
        raise ShapeError(f"{event.at}.state: a state we do not know")
    tails = tuple(str(tail.integer()) for tail in event["uidSuffix"].rows())
    if tails and uid is not None and not uid.endswith(tails):
        return 0
    stops = {service.integer() for service in event["serviceTypes"].rows()} & {1, 2}
    return 2 if stops and event["maintainType"].integer() != 3 and (uid or not tails) else 1  # noqa: PLR2004
