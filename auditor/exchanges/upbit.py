"""Upbit (Korea): any key lists every key of the account with its end; one that views withdrawals also shows the state of the
account and the address book. What a key may do, and from where, shows only to a key that manages pockets.

That one may also move assets, so it is no reading key and the path is not taken. Source of every fact:
https://docs.upbit.com/kr unless said otherwise.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason
from auditor.model.facts import format_time, parse_time
from auditor.redaction import mask_personal

ccxt_class = "upbit"
credentials = ("apiKey", "secret")
serial = False

_DOCS = "https://docs.upbit.com/kr/reference/"
_LIMIT = Limit(calls=30, seconds=1, pool="default")


def _endpoint(call: str, page: str) -> Endpoint:
    return Endpoint(name=call, verb="GET", host="api.upbit.com", path=f"/v1/{call}", api=("private",), call=call,
                    limit=_LIMIT, source=_DOCS + page)  # fmt: skip


KEYS = _endpoint("api_keys", "list-api-keys")
CHANCE = _endpoint("withdraws/chance", "rest-api-guide")
ADDRESSES = _endpoint("withdraws/coin_addresses", "출금-허용-주소-리스트-조회")
POCKET_KEYS = _endpoint("pockets/api_keys", "list-pocket-api-keys")
"""Named in a problem, never declared: the right it needs (pocket management) also moves assets."""

endpoints = (KEYS, CHANCE, ADDRESSES)
# Tokens carry a nonce that is never used twice, and no time: there is no clock to learn.
clock: Endpoint | None = None

_FAILURES = by_code(
    {
        Reason.INVALID_KEY: "invalid_access_key jwt_verification expired_access_key no_authorization_token",
        Reason.IP_NOT_ALLOWED: "no_authorization_ip no_authorization_i_p",
        Reason.PERMISSION_DENIED: "out_of_scope open_api_withdraw_locked thirdparty_agreement_required",
        Reason.CLOCK_SKEW: "nonce_used invalid_query_payload",
        Reason.RATE_LIMITED: "too_many_requests",
    }
)
_EXPIRED = failure(Reason.INVALID_KEY, "expired_access_key", "the key has expired; Upbit's keys live for one year")
_FAILURES["expired_access_key"] = _EXPIRED
_TOO_OFTEN = {418, 429}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Upbit says what is wrong in `error.name`, a word, or a status as a number; some refusals of 429 stand without `error`.

    Of these ccxt knows four. A good answer names no error.
    """
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    told = body.get("error") or (body if "name" in body else None)
    if told is None:
        return None
    if answer.status in _TOO_OFTEN:
        return by_status(answer)
    name, message = (told.get("name"), told.get("message")) if isinstance(told, dict) else (told, None)
    if isinstance(name, int):
        judged = by_status(replace(answer, status=name))
        return judged or by_status(answer) or failure(Reason.MALFORMED_RESPONSE, str(name)[:20])
    said = name[:40] if isinstance(name, str) else "none"
    if said not in _FAILURES and "this key has expired" in str(message).lower():
        return _EXPIRED
    unknown = failure(Reason.MALFORMED_RESPONSE, said, "refused with an error we do not know")
    return _FAILURES.get(said) or by_status(answer) or unknown


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Upbit has no clock to learn")


async def collect(door: Door, sheet: Sheet) -> None:
    """The keys first, for any key may list them: a refusal there means the key itself. Then the rest at once."""
    await _keys(door, sheet)
    await asyncio.gather(_state(door, sheet), _addresses(door, sheet))


_COMPLETE = "account.key_inventory_complete"
_NOT_SHOWN = tuple(
    f"api_key.{name}"
    for name in ("permissions", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage",
                 "ip_allowlist")
)  # fmt: skip
_NEEDS_POCKETS = (
    "would show what each key may do and from where; takes a key with pocket management, which may move assets too"
)


async def _keys(door: Door, sheet: Sheet) -> None:
    """All keys of the account. Which of them is calling is known by its public id, so its row stands beside the list's."""
    with sheet.reading(KEYS, "api_keys", _COMPLETE) as seen:
        rows = Shape(await door.fetch(KEYS)).rows()
        if not rows:
            raise ShapeError("$: a list of keys without the one that asked")
        listed = [_key(sheet, seen, row) for row in rows]
        whole = [key for key in listed if key is not None]
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
        sheet.problem(POCKET_KEYS, Reason.NOT_COLLECTED, _NEEDS_POCKETS, *_NOT_SHOWN)


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
_FIRST_BOUND = "2023-03-19"
"""Keys issued in Korea since 2022-03-18 must be bound (docs.upbit.com/changelog), and each lives for one year."""


def _lifetime(cell: Shape) -> dict[str, Any]:
    """When a key ends, and what follows: it lives for exactly one year, which cannot be extended, and was made that long
    before. Every Korean key of today is bound to addresses; other sites of Upbit, whose times are not Korea's, also give
    out unbound ones.
    """
    text = cell.time_text()
    moment = parse_time(text)
    assert moment is not None
    korean = cell.text().strip().endswith("+09:00")
    found: dict[str, Any] = {"expires_at": text, "never_expires": False}
    if korean and text >= _FIRST_BOUND:
        last_day = moment.month == 2 and moment.day == 29  # noqa: PLR2004
        made = moment.replace(year=moment.year - 1, day=28 if last_day else moment.day)
        found |= {"created_at": format_time(made), "ip_bound": True}
    return found


async def _state(door: Door, sheet: Sheet) -> None:
    """The state of the account, of which Upbit tells beside what could be withdrawn; the balance there is not read."""
    with sheet.reading(CHANCE, "account.status", "account.two_factor_enabled") as seen:
        member = Shape(await door.fetch(CHANCE, {"currency": "BTC", "net_type": "BTC"}))["member_level"]
        locked = seen.field(member, "locked", Shape.flag, "account.status")
        held = seen.field(member, "wallet_locked", Shape.flag, "account.status")
        normal = "normal" if locked is False and held is False else None
        status = "frozen" if locked else "restricted" if held and locked is False else normal
        seen.account(status=status, two_factor_enabled=_two_factor(seen, member))


def _two_factor(seen: Seen, member: Shape) -> bool | None:
    """Whether the two-channel authentication is set up, not which. The older name spoke of one channel of several."""
    older = member.get("kakao_pay_auth_verified")
    if older is not None and member.get("two_factor_auth_verified") is None:
        return seen.field(member, "kakao_pay_auth_verified", Shape.flag, "account.two_factor_enabled") or None
    return seen.field(member, "two_factor_auth_verified", Shape.flag, "account.two_factor_enabled")


async def _addresses(door: Door, sheet: Sheet) -> None:
    """The addresses the API may pay to. The names of their owners stay at the door."""
    with sheet.reading(ADDRESSES, "addresses", "account.addresses_complete") as seen:
        rows = Shape(await door.fetch(ADDRESSES)).rows()
        book = [(_destination(row), row) for row in rows]
        seen.list_seen("address")
        for (asset, network, place), row in book:
            label = seen.field(
                row, "wallet_type" if row.get("wallet_type") else "exchange_name", _label, "address.label"
            )
            seen.row("address", public_id=place, asset=asset, network=network, label=label)
        seen.account(addresses_complete=True)


def _destination(row: Shape) -> tuple[str, str, str]:
    """Coin, network and address. One address with another second address (a memo) is another destination."""
    memo = row.get("secondary_address")
    place = row["withdraw_address"].text() + (f":{memo.text()}" if memo is not None and memo.value != "" else "")
    return row["currency"].text(), row["net_type"].text(), place


def _label(cell: Shape) -> str | None:
    return None if cell.value is None else mask_personal(cell.text())
