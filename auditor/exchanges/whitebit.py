"""WhiteBIT: a main account's key lists sub-accounts, their keys and the addresses of those. Nothing shows the calling key
itself, the main account's other keys, factors, the address book or devices.

A request from an address that is not on the key's list makes WhiteBIT switch the key off: whoever calls the audit has
asked about the address before. Every private call is a POST, beside others that create, edit, reset and delete.
Source of every fact: https://docs.whitebit.com/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, Unavailable, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, shown_names
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "whitebit"
credentials = ("apiKey", "secret")
serial = True

_HOST, _DOCS, _MOST_PAGES = "whitebit.com", "https://docs.whitebit.com/", 200
_PRIVATE, _PUBLIC = Limit(calls=1000, seconds=10), Limit(calls=2000, seconds=10, per="address")


def _endpoint(call: str) -> Endpoint:
    return Endpoint(name=call, verb="POST", host=_HOST, path=f"/api/v4/{call}", api=("v4", "private"), call=call,
                    limit=_PRIVATE, adds=frozenset({"request", "nonceWindow"}), source=_DOCS)  # fmt: skip


SUBS = _endpoint("sub-account/list")
SUB_KEYS = _endpoint("sub-account/api-key/list")
KEY_IPS = _endpoint("sub-account/api-key/ip-address/list")
STATUS = Endpoint(
    name="platform/status",
    verb="GET",
    host=_HOST,
    path="/api/v4/public/platform/status",
    api=("v4", "public"),
    call="platform/status",
    limit=_PUBLIC,
    public=True,
    source=_DOCS,
)
endpoints = (SUBS, SUB_KEYS, KEY_IPS, STATUS)
# A nonce is no time: it must only grow. Asking again after a refused one would push the owner's bot on the same key out
# of step, so no clock is offered to learn from.
clock: Endpoint | None = None

_OFF = (
    "the key is switched off, or this address is not on its list, in which case WhiteBIT switches it off: it says the same "
    "to both. Look at the key in the page before anything is sent again"
)
_NONCE = "the nonce is not above the last one of this key: audit with a key that nothing else uses"
_WORDS = (
    ("enable your key in api settings", failure(Reason.IP_NOT_ALLOWED, "unauthorized", _OFF)),
    ("not authorized to perform this action", failure(Reason.PERMISSION_DENIED, "not authorized")),
    ("have permission to use this endpoint", failure(Reason.PERMISSION_DENIED, "no permission")),
    ("account is not confirmed", failure(Reason.PERMISSION_DENIED, "not confirmed")),
    ("unauthorized request", failure(Reason.INVALID_KEY, "10")),
    ("nonce", failure(Reason.CLOCK_SKEW, "nonce", _NONCE)),
)
_TOO_MANY, _REPEATED = "too many requests", failure(Reason.CLOCK_SKEW, "too many requests", _NONCE)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """WhiteBIT says what is wrong in `message`; a good answer has neither that nor a `code`, not even 0.

    The text is matched here because ccxt has one of the texts wrong ("perform self action") and does not know others.
    "Too many requests" without HTTP 429 is what the documentation says of a nonce that did not grow.
    """
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    refused = bool({"code", "message", "errors"} & body.keys()) or body.get("success") is False
    if answer.body is None or not refused:
        return None
    said = str(body.get("code", "none"))[:20]
    words = f"{body.get('message', '')} {body.get('errors', '')}".lower()
    found = next((found for text, found in _WORDS if text in words), None)
    if found is None and _TOO_MANY in words and answer.status not in {418, 429}:
        found = _REPEATED
    if found is None and said == "10":
        found = failure(Reason.INVALID_KEY, said)
    unknown = failure(Reason.MALFORMED_RESPONSE, said, "refused in words we do not know")
    return found or by_status(answer) or unknown


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: WhiteBIT counts nonces and has no clock to learn")


_HIDDEN = "WhiteBIT shows no key of the main account to anybody; state what this key may do after a look at the page"
_UNSHOWN = tuple(
    f"api_key.{name}"
    for name in ("permissions", "can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage",
                 "ip_bound", "ip_allowlist", "created_at")
)  # fmt: skip
_ENDLESS = failure(Reason.IMPLAUSIBLE_RESPONSE, "offset", "the pages of this list come to no end")


async def collect(door: Door, sheet: Sheet) -> None:
    """The sub-accounts first, because a refusal there means the key itself; then the rest."""
    subs = await _subs(door, sheet)
    await asyncio.gather(_status(door, sheet), _sub_keys(door, sheet, subs))


async def _pages(door: Door, endpoint: Endpoint) -> AsyncIterator[Shape]:
    """The rows of all pages. The first is asked for without a word, as most accounts fit on it; an offset only counts."""
    offset = 0
    for _ in range(_MOST_PAGES):
        answer = Shape(await door.fetch(endpoint, {"offset": str(offset)} if offset else {}))
        rows = answer["data"].rows()
        if offset and answer["offset"].integer() != offset:
            break
        for row in rows:
            yield row
        offset += len(rows)
        if not rows or len(rows) < answer["limit"].integer():
            return
    raise Unavailable(_ENDLESS)


async def _subs(door: Door, sheet: Sheet) -> dict[str, Shape]:
    """Sub-accounts by id. The calling key can read and works, for it was answered; nothing else of it is shown."""
    subs: dict[str, Shape] = {}
    shows = ("api_keys", "api_key.sub_account", "account.kind", "account.master_key_over_subaccounts")
    with sheet.reading(SUBS, *shows) as seen:
        async for row in _pages(door, SUBS):
            id_ = seen.field(row, "id", Shape.text, "api_key.sub_account")
            subs |= {id_: row} if id_ else {}
        seen.row("api_key", kind="hmac", can_read=True, enabled=True, is_audit_key=True)
        sheet.problem(SUBS, Reason.NOT_EXPOSED, _HIDDEN, *_UNSHOWN)
        seen.account(kind="main" if subs else None, master_key_over_subaccounts=None if subs else False)
    return subs


async def _sub_keys(door: Door, sheet: Sheet, subs: dict[str, Shape]) -> None:
    """The keys of all sub-accounts, and then the addresses of each. `apiSecret` beside them is not taken out."""
    names = _names(subs)
    found: list[tuple[str, dict[str, Any]]] = []
    with sheet.reading(SUB_KEYS, "api_keys") as seen:
        async for row in _pages(door, SUB_KEYS):
            with sheet.reading(SUB_KEYS, "api_keys"):
                owner = row["subAccountId"].text()
                key = _key(seen, row, subs.get(owner))
                key["sub_account"] = names.get(owner, owner)
                id_ = seen.field(row, "id", Shape.text, "api_key.ip_bound", "api_key.ip_allowlist")
                found += [(id_, key)] if id_ else []
    await asyncio.gather(*[_addresses_of(door, sheet, id_, key) for id_, key in found])


def _names(subs: dict[str, Shape]) -> dict[str, str]:
    """Id -> a name to show: the alias, or the id where there is none or where two share one."""
    alias = {id_: row.get("alias") for id_, row in subs.items()}
    given = {id_: cell.text() if cell and isinstance(cell.value, str) else "" for id_, cell in alias.items()}
    given = {id_: name or id_ for id_, name in given.items()}
    texts = list(given.values())
    real = {id_: name if texts.count(name) == 1 else f"{name} {id_}" for id_, name in given.items()}
    shown = shown_names(real.values())
    return {id_: shown[name] for id_, name in real.items()}


_TYPES: dict[str, dict[str, bool]] = {
    "1": {"can_read": True, "can_trade": True, "can_withdraw": False},
    "2": {"can_read": True, "can_trade": True, "can_withdraw": True},
    "trade": {"can_read": True, "can_trade": True},
}


def _key(seen: Seen, row: Shape, sub: Shape | None) -> dict[str, Any]:
    """One key of a sub-account. Type 1 reads and trades, 2 pays out too. Where a key is restricted to some endpoints, what
    its type would grant is unknown; what it does not grant stays out of reach.
    """
    type_ = seen.field(row, "type", _word, "api_key.can_read", "api_key.can_trade", "api_key.can_withdraw")
    restricted = seen.field(row, "restrictAccess", Shape.flag, "api_key.can_trade", "api_key.can_withdraw")
    powers = {name: can for name, can in _TYPES.get(type_ or "", {}).items() if restricted is False or not can}
    enabled = seen.field(row, "isEnabled", Shape.flag, "api_key.enabled")
    blocked = sub is None or sub.value.get("status") != "active"  # what its keys may still do is not said
    return seen.row(
        "api_key",
        **powers,
        kind="hmac",
        public_id=seen.field(row, "apiKey", _public_id),
        label=seen.field(row, "title", lambda cell: mask_personal(cell.text()), "api_key.label"),
        permissions=None if type_ is None else [f"type {mask_personal(type_)}"],
        enabled=None if enabled and blocked else enabled,
        last_used_at=seen.field(row, "lastActivity", _moment, "api_key.last_used_at"),
    )


def _word(cell: Shape) -> str:
    return str(cell.integer()) if isinstance(cell.value, int) else cell.text()


def _public_id(cell: Shape) -> str | None:
    return cell.text() if cell.text() and "*" not in cell.text() else None


def _moment(cell: Shape) -> str | None:
    """Seconds since 1970. What 0 or nothing means is not documented."""
    return None if cell.value in (0, "0", "", None) else cell.time_s()


async def _addresses_of(door: Door, sheet: Sheet, id_: str, key: dict[str, Any]) -> None:
    with sheet.reading(KEY_IPS, "api_key.ip_bound", "api_key.ip_allowlist"):
        listed = Shape(await door.fetch(KEY_IPS, {"apiKeyId": id_}))["data"].texts()
        key["ip_bound"], key["ip_allowlist"] = bound(listed)


async def _status(door: Door, sheet: Sheet) -> None:
    """The venue's own word; ccxt asks for a ping instead, and does not see maintenance."""
    with sheet.reading(STATUS, "venue.status") as seen:
        word = Shape(await door.fetch(STATUS))["status"]
        if word.integer() not in {0, 1}:
            raise ShapeError(f"{word.at}: expected 0 or 1")
        seen.venue(status="ok" if word.integer() else "maintenance")
