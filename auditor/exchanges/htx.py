"""HTX: a key of the master user lists every key of that user and of its sub-users, with permissions and addresses. Nothing
shows when a key was last used, second factors or switches, and each currency's saved addresses are asked for by name.

Source of every fact: https://huobiapi.github.io/docs/spot/v1/en/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "htx"
credentials = ("apiKey", "secret")
serial = False

_DOCS = "https://huobiapi.github.io/docs/spot/v1/en/"
_ADDRESSES_A_PAGE, _MOST_PAGES = 500, 20
_CURRENCIES = ("usdt", "btc", "eth", "trx")
_TRADE, _WITHDRAW = "trade", "withdraw"  # how the third permission is spelled is not documented
_KNOWN = {"readonly", _TRADE, _WITHDRAW}
_SIGNED_WITH = frozenset({"AccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp", "Signature"})


def _endpoint(call: str, *, public: bool = False, version: str = "v2") -> Endpoint:
    """Calls without a limit of their own share ten a second: of the user, or of the address where no key is sent."""
    limit = Limit(calls=10, seconds=1, per="address" if public else "key", pool="public" if public else "user")
    section = {("v2", False): "v2Private", ("v2", True): "v2Public", ("v1", True): "public"}[version, public]
    return Endpoint(
        name=call,
        verb="GET",
        host="api.huobi.pro",
        path=f"/{version}/{call}",
        api=(section,),
        call=call,
        limit=limit,
        adds=frozenset() if public else _SIGNED_WITH,
        public=public,
        source=_DOCS,
    )


UID = _endpoint("user/uid")
KEYS = _endpoint("user/api-key")
SUBS = _endpoint("sub-user/user-list")
ADDRESSES = _endpoint("account/withdraw/address")
STATUS = _endpoint("market-status", public=True)
TIME = _endpoint("common/timestamp", public=True, version="v1")
endpoints = (UID, KEYS, SUBS, ADDRESSES, STATUS, TIME)
clock = TIME

_FAILURES = by_code(
    {
        Reason.VENUE_MAINTENANCE: "system-maintenance",
        Reason.VENUE_INCIDENT: "gateway-internal-error 500",
        Reason.RATE_LIMITED: "rate-too-many-requests base-request-exceed-frequency-limit 429",
        Reason.INVALID_KEY: "1003 login-required",
        Reason.PERMISSION_DENIED: "1002 403",
    }
)
_UNSIGNED = "api-signature-not-valid"
_SIGNATURE = "the signature is not accepted: a wrong key or secret, or an address that is not in the key's list"


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """HTX says what is wrong under HTTP 200: newer calls by a `code` that is not 200, of which ccxt raises two, older ones
    by `status` and `err-code`. Only an answer that says success, with its content, is one.
    """
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    if answer.body is None:
        return None
    told = next((body[name] for name in ("err-code", "err_code", "code") if body.get(name) is not None), None)
    said = str(told)[:40] if isinstance(told, (str, int)) and not isinstance(told, bool) else "none"
    well = said == "200" or (said == "none" and body.get("status") == "ok")
    if well and answer.status < 400 and body.get("data") is not None:  # noqa: PLR2004
        return None
    text = next((str(body[name]) for name in ("err-msg", "err_msg", "message") if body.get(name) is not None), "")
    known = _by_text(said, text) or _FAILURES.get(said) or by_status(answer)
    return known or failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know, or with nothing")


_TEXTS = (
    (r"incorrect access key", Reason.INVALID_KEY),
    (r"no permission", Reason.PERMISSION_DENIED),
    (r"\btime(stamp)?\b", Reason.CLOCK_SKEW),
    (r"\bip\b", Reason.IP_NOT_ALLOWED),
)


def _by_text(said: str, text: str) -> Failure | None:
    """One code stands for a dead key, a missing permission, a wrong clock and a foreign address; and 403 for a dead key and
    for a sub-user who asks what only the master may. Only the text tells.
    """
    if said not in {_UNSIGNED, "403"}:
        return None
    reasons = [reason for pattern, reason in _TEXTS if re.search(pattern, text.lower())]
    if reasons:
        return failure(reasons[0], said)
    return failure(Reason.INVALID_KEY, said, _SIGNATURE) if said == _UNSIGNED else None


def server_time(body: Any) -> int:
    """`data`: milliseconds."""
    return Shape(body)["data"].integer()


async def collect(door: Door, sheet: Sheet) -> None:
    """The user first, whose number every list asks for; then the rest at once."""
    with sheet.reading(UID, "account.kind", "account.key_inventory_complete", "api_keys") as seen:
        sheet.account_id = str(Shape(await door.fetch(UID))["data"].integer())
        # Which key of the list is calling is known by its public id, so this row stands beside the list's. It may read,
        # is in use, and signs as ccxt does.
        seen.row("api_key", is_audit_key=True, can_read=True, enabled=True, kind="hmac")
    listed, subs_listed, _, _ = await asyncio.gather(
        _own_keys(door, sheet), _sub_users(door, sheet), _addresses(door, sheet), _status(door, sheet)
    )
    with sheet.reading(KEYS) as seen:
        seen.account(key_inventory_complete=(listed is not None and subs_listed is not None) or None)
        if subs_listed and listed is not None:
            may = {row.get("can_transfer") for row in listed if row.get("enabled") is not False}
            # All keys of the master are known: the first list of its kind that can prove that none is over the sub-users.
            seen.account(master_key_over_subaccounts=True if True in may else None if None in may else False)


async def _own_keys(door: Door, sheet: Sheet) -> list[dict[str, Any]] | None:
    """Every key of the user, or None where one could not be read. Only the master is answered."""
    if sheet.account_id is None:
        return None
    shows = ("account.kind", "account.key_inventory_complete", "api_keys")
    rows, whole = [], False
    with sheet.reading(KEYS, *shows) as seen:
        listed = Shape(await door.fetch(KEYS, {"uid": sheet.account_id}))["data"].rows()
        if not listed:
            raise ShapeError("$.data: a list of keys without the one that asked")
        rows = _write(seen, listed, is_main=True)
        whole = len(rows) == len(listed) and all("public_id" in row for row in rows)
        seen.account(kind="main")
    return rows if whole else None


def _write(seen: Seen, listed: list[Shape], *, is_main: bool, **facts: Any) -> list[dict[str, Any]]:
    rows = []
    for row in listed:
        with seen.sheet.reading(KEYS, "account.key_inventory_complete", "api_keys"):
            rows.append(_key(seen, row, is_main=is_main, **facts))
    return rows


def _key(seen: Seen, row: Shape, *, is_main: bool, usable: bool = True, **facts: Any) -> dict[str, Any]:
    """One key. Trading is transferring, too, and on a master key making and changing keys of sub-users. A word we do not
    know may grant anything; whether a sub-user's trading covers derivatives is a setting of that sub-user.
    """
    row.keys()
    names = ("permissions", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage")
    words = seen.field(row, "permission", Shape.split, *(f"api_key.{name}" for name in names)) or []
    tokens = {word.lower() for word in words}
    strange = not tokens or not tokens <= _KNOWN
    trades, pays = _TRADE in tokens, _WITHDRAW in tokens
    ips = seen.field(row, "ipAddresses", _ips, "api_key.ip_bound", "api_key.ip_allowlist")
    ip_bound, ip_allowlist = (None, None) if ips is None else ips
    days = seen.field(row, "validDays", Shape.integer, "api_key.never_expires")
    status = seen.field(row, "status", Shape.text, "api_key.enabled")
    harmless = ip_bound or (not strange and not trades and not pays)
    return seen.row(
        "api_key",
        public_id=seen.field(row, "accessKey", _public_id, "api_keys") or None,
        label=seen.field(row, "note", lambda cell: mask_personal(cell.text()), "api_key.label"),
        permissions=sorted(words) or None,
        can_read=True if "readonly" in tokens else None,
        can_trade=trades or unless(strange),
        can_trade_derivatives=(is_main or None) if trades else unless(strange),
        can_transfer=trades or pays or unless(strange),
        can_withdraw=pays or unless(strange),
        can_manage=unless(strange) if not is_main else trades or unless(strange),
        ip_bound=ip_bound,
        ip_allowlist=ip_allowlist,
        # An unbound key that trades dies of disuse, permanent or not. Whether the days are those left is not said.
        never_expires=False if days is not None and days >= 0 else (harmless or None) if days == -1 else None,
        enabled=False if status == "expired" else True if status == "normal" and usable else None,
        created_at=seen.field(row, "createTime", Shape.time_ms, "api_key.created_at"),
        modified_at=seen.field(row, "updateTime", Shape.time_ms, "api_key.modified_at"),
        **facts,
    )


def _ips(cell: Shape) -> tuple[bool, list[str] | None]:
    return bound(cell.texts() if isinstance(cell.value, list) else cell.split())


def _public_id(cell: Shape) -> str:
    """The whole id; one with asterisks would identify nothing."""
    return "" if "*" in cell.text() else cell.text()


async def _sub_users(door: Door, sheet: Sheet) -> bool | None:
    """Whether there are sub-users; None where they, or the keys of one, could not be read to the end."""
    subs: dict[str, str | None] = {}
    whole = False
    shows = ("api_keys", "account.key_inventory_complete", "account.master_key_over_subaccounts")
    with sheet.reading(SUBS, *shows) as seen:
        whole = await _list(door, seen, subs)
        if whole and not subs:
            seen.account(master_key_over_subaccounts=False)
    asks = [door.fetch(KEYS, {"uid": uid}) for uid in sorted(subs)]
    answers = await asyncio.gather(*asks, return_exceptions=True)
    for uid, answer in zip(sorted(subs), answers, strict=True):
        read = False
        with sheet.reading(KEYS, "api_keys", "account.key_inventory_complete") as seen:
            if isinstance(answer, BaseException):
                raise answer
            rows = Shape(answer)["data"].rows()
            usable = subs[uid] == "normal"  # what a key of a locked sub-user may still do is not said
            read = len(_write(seen, rows, is_main=False, usable=usable, sub_account=uid)) == len(rows)
        whole = whole and read
    return bool(subs) if whole else None


async def _list(door: Door, seen: Seen, subs: dict[str, str | None]) -> bool:
    """Fills `subs` with the state of each sub-user, and says whether every row could be read. The last page names no next."""
    whole, at = True, dict[str, str]()
    for _ in range(_MOST_PAGES):
        body = Shape(await door.fetch(SUBS, at))
        before = len(subs)
        for row in body["data"].rows():
            uid = seen.field(row, "uid", Shape.integer, "api_keys")
            whole = whole and uid is not None
            if uid is not None:
                subs[str(uid)] = seen.field(row, "userState", Shape.text, "api_key.enabled")
        following = body.get("nextId")
        if following is None:
            return whole
        at = {"fromId": str(following.integer())}
        if len(subs) == before:
            break
    raise ShapeError("$: the pages of this list come to no end")


async def _addresses(door: Door, sheet: Sheet) -> None:
    """The addresses that the API may pay to, currency by currency: which others have saved ones, nobody says."""
    shows = ("addresses", "account.addresses_complete")
    with sheet.reading(ADDRESSES, *shows) as seen:
        for currency in _CURRENCIES:
            await _book(door, seen, currency)
        seen.list_seen("address")
        detail = f"asked for {len(_CURRENCIES)} common currencies only; each would be a question of its own"
        sheet.problem(ADDRESSES, Reason.NOT_COLLECTED, detail, *shows)


async def _book(door: Door, seen: Seen, currency: str) -> None:
    at: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        body = Shape(await door.fetch(ADDRESSES, {"currency": currency, "limit": str(_ADDRESSES_A_PAGE), **at}))
        rows = body["data"].rows()
        for row in rows:
            where = seen.field(row, "address", Shape.text, "addresses")
            if where:
                tag = row.get("addressTag")
                asset = seen.field(row, "currency", lambda cell: cell.text().upper(), "address.asset")
                seen.row(
                    "address",
                    public_id=f"{where}:{tag.value}" if tag is not None and tag.value != "" else where,
                    asset=asset or None,
                    network=seen.field(row, "chain", Shape.text, "address.network") or None,
                    label=seen.field(row, "note", lambda cell: mask_personal(cell.text()), "address.label"),
                )
        following = body.get("nextId")
        if len(rows) < _ADDRESSES_A_PAGE or following is None:
            return
        at = {"fromId": str(following.integer())}
    raise ShapeError(f"$: the pages of {currency} come to no end")


async def _status(door: Door, sheet: Sheet) -> None:
    """The state of the market: ccxt calls cancel-only maintenance as well."""
    with sheet.reading(STATUS, "venue.status") as seen:
        state = Shape(await door.fetch(STATUS))["data"]["marketStatus"].integer()
        known = {1: "ok", 2: "maintenance", 3: "degraded"}
        if state not in known:
            raise ShapeError("$.data.marketStatus: a state we do not know")
        seen.venue(status=known[state])
