"""Kraken (spot): a key describes itself, and nothing else. No endpoint lists the account's keys, factors or sessions; the
address book answers only to keys that may withdraw, so it is read only where the key in hand already may.

Every private call is a POST, so the verb proves nothing: two paths are declared, and neither changes anything.
Source of every fact: https://docs.kraken.com/api-reference/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from auditor.exchanges import _kraken_funds
from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Sheet, failure
from auditor.exchanges._shape import Shape, ShapeError, bound, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal, scrub

ccxt_class = "kraken"
credentials = ("apiKey", "secret")
serial = True

_HOST, _DOCS = "api.kraken.com", "https://docs.kraken.com/api-reference/"


def _endpoint(verb: str, section: str, name: str, limit: Limit, page: str) -> Endpoint:
    path, api, public, page = f"/0/{section}/{name}", (section,), section == "public", _DOCS + page
    return Endpoint(
        name=name, verb=verb, host=_HOST, path=path, api=api, call=name, limit=limit, public=public, source=page
    )


# One counter a key: 20 calls, one forgotten every two seconds, by docs.kraken.com/exchange/guides/rest/ratelimits. The
# lowest tier has 15 and three seconds; an audit's share of 20 keeps well below that too.
_COUNTER, _PUBLIC = Limit(calls=20, seconds=40, pool="counter"), Limit(calls=15, seconds=15, per="address")
KEY = _endpoint("POST", "private", "GetApiKeyInfo", _COUNTER, "account-data/get-api-key-info")
ADDRESSES = _endpoint("POST", "private", "WithdrawAddresses", _COUNTER, "funding/get-withdrawal-addresses")
STATUS = _endpoint("GET", "public", "SystemStatus", _PUBLIC, "market-data/get-system-status")

endpoints = (KEY, ADDRESSES, STATUS, *_kraken_funds.ENDPOINTS)
funds = _kraken_funds.FUNDS
# A nonce is no time: it must only grow. Asking again after "Invalid nonce" would push the owner's bot on the same key
# out of step and bring the lockout nearer, so no clock is offered to learn from.
clock: Endpoint | None = None

_READS = {"query-funds", "query-open-trades", "query-closed-trades", "query-ledger"}
_TRADES = {"modify-trades", "close-trades"}
_BOOK_CHANGES = {"add-withdraw-address", "update-withdraw-address"}
_OTHERS = {"withdraw-funds", "add-funds", "earn-funds", "export-data", "create-ws-token"} | _BOOK_CHANGES
_BOOK = {"withdraw-funds", "query-funds"}
_CLASSES = ("currency", "tokenized_asset")
_MODES = {"online": "ok", "maintenance": "maintenance", "cancel_only": "degraded", "post_only": "degraded"}

_ERROR = re.compile(r"\s*([EW][A-Za-z]+)\s*:\s*([^:\[]+)")
_LOCKOUT = "EGeneral:Temporary lockout"
_MEANINGS = {
    _LOCKOUT: "locked out for some minutes after too many refused calls; every further call makes it longer",
    "EAPI:Invalid key": "the exchange does not accept this key: deleted, expired or mistyped, or used from an address that "
    "is not on its list, for which Kraken documents no answer of its own",
    "EAPI:Invalid signature": "the secret does not belong to this key",
    "EAPI:Invalid nonce": "the nonce is not above the last one of this key: a bot uses the same key, or a clock went back; "
    "audit with a dedicated key that nothing else uses",
}
_CODES = {
    Reason.VENUE_MAINTENANCE: "EService:Unavailable; EService:Busy; EService:Market in cancel_only mode; "
    "EService:Market in post_only mode",
    Reason.VENUE_INCIDENT: "EGeneral:Internal error; EDatabase:Internal error",
    Reason.RATE_LIMITED: "EAPI:Rate limit exceeded; EOrder:Rate limit exceeded; EGeneral:Too many requests; "
    f"EService:Throttled; {_LOCKOUT}",
    Reason.INVALID_KEY: "EAPI:Invalid key; EAPI:Invalid signature",
    Reason.ACCOUNT_FROZEN: "EAuth:Account temporary disabled; EAuth:Account unconfirmed; ETrade:User Locked",
    Reason.PERMISSION_DENIED: "EGeneral:Permission denied; EAccount:Invalid permissions",
    Reason.CLOCK_SKEW: "EAPI:Invalid nonce",
}
_FAILURES = {
    code.lower(): failure(reason, code, _MEANINGS.get(code), lockout=code == _LOCKOUT)
    for reason, listed in _CODES.items()
    for code in listed.split("; ")
}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Kraken answers HTTP 200 and names every error in `error`, as `<E|W><category>:<text>[:<extra>]`.

    W is a warning. ccxt matches the whole text, so that "EGeneral:Internal error[50]" means nothing to it; it does not
    know "EAPI:Invalid signature", and takes a lockout for a rate limit that may be asked again.
    """
    said = answer.body.get("error") if isinstance(answer.body, dict) else None
    listed = said if isinstance(said, list) else [said] if said else []
    found = [refusal for error in listed if (refusal := _refusal(error, endpoint)) is not None]
    return min(found, key=_precedence, default=None)


def _refusal(error: Any, endpoint: Endpoint) -> Failure | None:
    match = _ERROR.match(error) if isinstance(error, str) else None
    code = f"{match[1]}:{' '.join(match[2].split())}" if match else "error"
    if match and code.startswith("W"):
        return None
    known = _FAILURES.get(code.lower())
    if known is None:
        return failure(Reason.MALFORMED_RESPONSE, scrub(code)[:60], "refused with an error we do not know")
    if endpoint == KEY and known.reason is Reason.PERMISSION_DENIED:
        return replace(known, meaning="refused, though this needs no permission: is this address on the key's list?")
    return known


def _precedence(refusal: Failure) -> int:
    """Of several errors: a lockout, for nothing may follow it; then an outage, which may have caused the others."""
    return 0 if refusal.code == _LOCKOUT else 1 if refusal.retry else 2


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Kraken counts nonces and has no clock to learn")


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first, because it decides whether the address book may be asked for; then the rest at once."""
    tokens = await _calling_key(door, sheet)
    await asyncio.gather(_status(door, sheet), _address_book(door, sheet, tokens))


async def _calling_key(door: Door, sheet: Sheet) -> set[str]:
    """What the key says of itself, part by part: a part that is missing or misshapen leaves the others standing.

    `lastUsed` is not read: this very call refreshes it. The key is enabled, for it was answered.
    """
    facts: dict[str, Any] = {}
    with sheet.reading(KEY, "api_keys") as seen:
        row = Shape(await door.fetch(KEY))["result"]
        row.keys()
        for read, shows in _PARTS:
            with sheet.reading(KEY, *[f"api_key.{name}" for name in shows.split()]):
                facts |= read(row)
        if not facts:
            raise ShapeError(f"{row.at}: nothing of the key can be read")
        sheet.account_id = facts.pop("account_id", None)
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, **facts)
    return set(facts.get("permissions", ()))


def _either(row: Shape, name: str) -> Shape:
    """A field in camelCase (the documentation) or snake_case (a client library's recording). Neither is unknown."""
    snake = re.sub(r"(?=[A-Z])", "_", name).lower()
    one, other = row.get(name), row.get(snake)
    found = one or other
    if found is None:
        raise ShapeError(f"{row.at}.{name}: missing")
    if other is not None and other.value != found.value:
        raise ShapeError(f"{row.at}.{name}: said twice, and differently")
    return found


def _ids(row: Shape) -> dict[str, Any]:
    """`iban` is Kraken's id of the account, not a bank's. It and the public half of the key are never stored."""
    found = {"public_id": row.get("apiKey", "api_key"), "account_id": row.get("iban")}
    return {name: value.text().strip() for name, value in found.items() if value is not None and value.text().strip()}


def _powers(row: Shape) -> dict[str, Any]:
    """Permissions by the table of GetApiKeyInfo; a word that is not in it may mean anything, so nothing is FALSE beside it.

    "Create & Modify Orders" also creates sub-accounts and "Withdraw" also moves funds to them (docs.kraken.com/exchange/
    guides/general/subaccounts), both for institutions only: unknown. Futures take keys of another venue, but whether a
    trading key reaches them through the unified account is not documented: unknown.
    """
    tokens = {token.strip() for token in _either(row, "permissions").texts() if token.strip()}
    strange = bool(tokens - _READS - _TRADES - _OTHERS) or not tokens
    trades, withdraws = bool(tokens & _TRADES), "withdraw-funds" in tokens
    return {
        "permissions": sorted(tokens),
        "can_read": bool(tokens & _READS) or unless(strange or bool(tokens & _OTHERS)),
        "can_trade": trades or unless(strange),
        "can_trade_derivatives": unless(strange or trades),
        "can_transfer": unless(strange or withdraws),
        "can_withdraw": withdraws or unless(strange),
        "can_manage": unless(strange or trades),
    }


def _binding(row: Shape) -> dict[str, Any]:
    ip_bound, ip_allowlist = bound(_either(row, "ipAllowlist").texts())
    return {"ip_bound": ip_bound, "ip_allowlist": ip_allowlist}


def _expiry(row: Shape) -> dict[str, Any]:
    """Seconds since 1970 as text; "0" is never."""
    until = _either(row, "validUntil")
    if until.number() == 0:
        return {"never_expires": True}
    return {"never_expires": False, "expires_at": until.time_s()}


_PARTS: tuple[tuple[Callable[[Shape], dict[str, Any]], str], ...] = (
    (_ids, ""),
    (lambda row: {"label": mask_personal(_either(row, "apiKeyName").text())}, "label"),
    (_powers, "can_read can_trade can_trade_derivatives can_transfer can_withdraw can_manage"),
    (_binding, "ip_bound ip_allowlist"),
    (_expiry, "expires_at never_expires"),
    (lambda row: {"created_at": _either(row, "createdTime").time_s()}, "created_at"),
    (lambda row: {"modified_at": _either(row, "modifiedTime").time_s()}, "modified_at"),
)
"""What a part of the answer shows, and how it is read."""


_NO_BOOK = (
    "would show the saved withdrawal addresses; Kraken shows them only to keys that may query and withdraw funds, "
    "and a key for an audit should not be one"
)


async def _address_book(door: Door, sheet: Sheet, tokens: set[str]) -> None:
    """Asked by asset class, because the documentation does not say what is left out without one; then it is complete."""
    shows = ("addresses", "account.addresses_complete")
    if not tokens >= _BOOK:
        sheet.problem(ADDRESSES, Reason.PERMISSION_DENIED if tokens else Reason.NOT_COLLECTED, _NO_BOOK, *shows)
        return
    with sheet.reading(ADDRESSES, *shows) as seen:
        answers = [Shape(await door.fetch(ADDRESSES, {"aclass": name}))["result"].rows() for name in _CLASSES]
        book = {_identity(row): row for rows in answers for row in rows}
        entries = [(identity, _entry(row)) for identity, row in book.items()]
        seen.list_seen("address")
        for (asset, network, destination, _), facts in entries:
            seen.row("address", public_id=destination, asset=asset, network=network, **facts)
        seen.account(addresses_complete=True)


def _identity(row: Shape) -> tuple[str, str, str, str]:
    """Asset, network, address and label. The same address with another tag is another destination."""
    tag = row.get("tag", "memo")
    destination = row["address"].text() + (f":{tag.text()}" if tag is not None and tag.value != "" else "")
    return row["asset"].text(), row["method"].text(), destination, row["key"].text()


def _entry(row: Shape) -> dict[str, Any]:
    """`verified` is the owner's click in Kraken's mail, so its absence is no safeguard lost but an address not yet usable."""
    verified = row.get("verified")
    state = None if verified is None else "active" if verified.flag() else "pending"
    return {"label": mask_personal(row["key"].text()), "state": state}


async def _status(door: Door, sheet: Sheet) -> None:
    """The trading engine's mode. ccxt calls every mode but `online` maintenance."""
    with sheet.reading(STATUS, "venue.status") as seen:
        mode = Shape(await door.fetch(STATUS))["result"]["status"]
        if mode.text() not in _MODES:
            raise ShapeError(f"{mode.at}: a mode that is not documented")
        seen.venue(status=_MODES[mode.text()])
