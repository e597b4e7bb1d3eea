"""Bithumb: any key lists every key of the account with its end; one that views withdrawals also shows the state of the
account and the registered addresses. Nothing shows what any key may do or which addresses it is bound to.

Notices are texts in Korean without a beginning and an end of what they announce: they are no status and are not read.
Source of every fact: https://apidocs.bithumb.com unless said otherwise.
"""

from __future__ import annotations

import asyncio
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason
from auditor.model.facts import format_time, parse_time
from auditor.redaction import mask_personal

ccxt_class = "bithumb"
credentials = ("apiKey", "secret")
serial = False

_DOCS = "https://apidocs.bithumb.com/reference/"
_LIMIT = Limit(calls=140, seconds=1, per="address", pool="private")


def _endpoint(call: str, page: str) -> Endpoint:
    return Endpoint(name=call, verb="GET", host="api.bithumb.com", path=f"/v1/{call}", api=("private",), call=f"v1/{call}",
                    limit=_LIMIT, source=_DOCS + page)  # fmt: skip


KEYS = _endpoint("api_keys", "api-키-리스트-조회")
CHANCE = _endpoint("withdraws/chance", "출금-가능-정보")
ADDRESSES = _endpoint("withdraws/coin_addresses", "출금-허용-주소-리스트-조회")

endpoints = (KEYS, CHANCE, ADDRESSES)
# ccxt does not correct the time in its tokens by a known difference of the clocks, so there is nothing to learn.
clock: Endpoint | None = None

_FAILURES = by_code(
    {
        Reason.INVALID_KEY: "invalid_access_key jwt_verification invalid_query_payload 5300",
        Reason.IP_NOT_ALLOWED: "NotAllowIP",
        Reason.PERMISSION_DENIED: "out_of_scope two_factor_auth_required 5302",
        Reason.ACCOUNT_FROZEN: "blocked_member_id",
        Reason.CLOCK_SKEW: "expired_jwt",
        Reason.VENUE_INCIDENT: "5400",
    }
)
_WORDS = {
    ("5302", "access ip"): failure(Reason.IP_NOT_ALLOWED, "5302"),
    ("5100", "request time"): failure(Reason.CLOCK_SKEW, "5100"),
}
# To list the keys takes no permission and no query. What has just done so is a good key, whatever is said of its token.
_ELSEWHERE = {
    "jwt_verification": failure(
        Reason.PERMISSION_DENIED,
        "jwt_verification",
        "refused as a bad token, which is also what a key without the permission is told",
    ),
    "invalid_query_payload": failure(
        Reason.MALFORMED_RESPONSE, "invalid_query_payload", "the exchange does not accept the signature of the query"
    ),
}
_BLOCKED = failure(
    Reason.RATE_LIMITED, "429", "asked too often; the exchange blocks this address for five minutes", address=True
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Bithumb says what is wrong in `error.name`, and under its first generation in `status`, four digits as text.

    ccxt knows none of the words. Refused calls count towards the limit, and over it this address is blocked.
    """
    if answer.status == 429:  # noqa: PLR2004
        return _BLOCKED
    body = answer.body if isinstance(answer.body, dict) else {}
    told = body.get("error")
    if told is None and body.get("status") in (None, "0000"):
        return None
    if told is None:
        told = {"name": body["status"], "message": body.get("message")}
    name, message = (told.get("name"), told.get("message")) if isinstance(told, dict) else (told, None)
    said = str(name)[:40] if isinstance(name, (str, int)) else "none"
    words = next(
        (found for (code, text), found in _WORDS.items() if code == said and text in str(message).lower()), None
    )
    elsewhere = None if endpoint == KEYS else _ELSEWHERE.get(said)
    unknown = failure(Reason.MALFORMED_RESPONSE, said, "refused with an error we do not know")
    return words or elsewhere or _FAILURES.get(said) or by_status(answer) or unknown


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Bithumb has no clock to learn")


async def collect(door: Door, sheet: Sheet) -> None:
    """The keys first, for any key may list them: a refusal there means the key itself. Then the rest at once."""
    await _keys(door, sheet)
    await asyncio.gather(_state(door, sheet), _addresses(door, sheet))


_COMPLETE = "account.key_inventory_complete"
_NOT_SHOWN = tuple(
    f"api_key.{name}"
    for name in ("permissions", "can_trade", "can_transfer", "can_withdraw", "can_manage", "ip_allowlist")
)
_HIDDEN = "Bithumb shows no key's permissions or addresses to anybody; state them after a look at the page"


async def _keys(door: Door, sheet: Sheet) -> None:
    """All keys of the account. Which of them is calling is known by its public id, so its row stands beside the list's."""
    with sheet.reading(KEYS, "api_keys", _COMPLETE) as seen:
        rows = Shape(await door.fetch(KEYS)).rows()
        if not rows:
            raise ShapeError("$: a list of keys without the one that asked")
        whole = [key for row in rows if (key := _key(sheet, seen, row))]
        calling: dict[str, Any] = {"can_read": True, "enabled": True, "is_audit_key": True}
        if len(rows) == 1 and whole and "public_id" not in whole[0]:
            whole[0] |= calling
        elif all("public_id" in key for key in whole):
            seen.row("api_key", kind="hmac", **calling)
        else:
            sheet.problem(
                KEYS, Reason.NOT_EXPOSED, "the ids are masked: which key is calling is not shown", "api_key.can_read"
            )
        for key in whole:
            seen.row("api_key", **key)
        seen.account(key_inventory_complete=True if len(whole) == len(rows) else None)
        sheet.problem(KEYS, Reason.NOT_EXPOSED, _HIDDEN, *_NOT_SHOWN)


def _key(sheet: Sheet, seen: Seen, row: Shape) -> dict[str, Any] | None:
    """One key of the list, which also holds keys that have expired: whether it works is not said."""
    found: dict[str, Any] = {}
    with sheet.reading(KEYS, "api_keys", _COMPLETE):
        row.keys()
        ends = seen.field(row, "expire_at", _lifetime, *_FROM_THE_END) or {}
        public_id = seen.field(row, "access_key", _public_id, "api_keys")
        if not ends and public_id is None:
            raise ShapeError(f"{row.at}: nothing of the key can be read")
        found |= {"kind": "hmac", **ends, **({"public_id": public_id} if public_id else {})}
    return found or None


def _public_id(cell: Shape) -> str:
    """The id, or nothing where it is masked: asterisks identify nothing."""
    return cell.text() if cell.text().replace("-", "").replace("_", "").isalnum() else ""


_FROM_THE_END = tuple(f"api_key.{name}" for name in ("expires_at", "never_expires", "created_at", "ip_bound"))
_FIRST_BOUND = "2026-04-22"
"""The day as of which the page of this list says that no key is given out without addresses."""


def _lifetime(cell: Shape) -> dict[str, Any]:
    """When a key ends, and what follows: it lives for exactly one year, which cannot be extended, and was made that long
    before; and every key is bound to one to five addresses.
    """
    text = cell.time_text()
    moment = parse_time(text)
    assert moment is not None
    found: dict[str, Any] = {"expires_at": text, "never_expires": False}
    if text >= _FIRST_BOUND:
        last_day = moment.month == 2 and moment.day == 29  # noqa: PLR2004
        made = moment.replace(year=moment.year - 1, day=28 if last_day else moment.day)
        found |= {"created_at": format_time(made), "ip_bound": True}
    return found


async def _state(door: Door, sheet: Sheet) -> None:
    """The state of the account, of which Bithumb tells beside what could be withdrawn; the balance there is not read."""
    with sheet.reading(CHANCE, "account.status", "account.two_factor_enabled") as seen:
        member = Shape(await door.fetch(CHANCE, {"currency": "BTC", "net_type": "BTC"}))["member_level"]
        locked = seen.field(member, "locked", Shape.flag, "account.status")
        held = seen.field(member, "wallet_locked", Shape.flag, "account.status")
        normal = "normal" if locked is False and held is False else None
        verified = seen.field(member, "two_factor_auth_verified", Shape.flag, "account.two_factor_enabled")
        status = "frozen" if locked else "restricted" if held and locked is False else normal
        seen.account(status=status, two_factor_enabled=verified)


async def _addresses(door: Door, sheet: Sheet) -> None:
    """The registered addresses: those that may be paid a million won and more. Smaller sums may find other ones, so the
    list is not called complete. The names of the owners stay at the door.
    """
    with sheet.reading(ADDRESSES, "addresses") as seen:
        book = [(_destination(row), row) for row in Shape(await door.fetch(ADDRESSES)).rows()]
        seen.list_seen("address")
        for (asset, network, place), row in book:
            label = (
                None if row.get("exchange_name") is None else seen.field(row, "exchange_name", _label, "address.label")
            )
            seen.row("address", public_id=place, asset=asset, network=network, label=label)


def _destination(row: Shape) -> tuple[str, str, str]:
    """Coin, network and address. One address with another second address (a memo) is another destination."""
    memo = row.get("secondary_address")
    place = row["withdraw_address"].text() + (f":{memo.text()}" if memo is not None and memo.value != "" else "")
    return row["currency"].text(), row["net_type"].text(), place


def _label(cell: Shape) -> str:
    return mask_personal(cell.text())
