"""Gemini: a key shows its roles, the account it belongs to and, network by network, the address book. Nothing lists the
keys, their trusted addresses, the second factors or the switch that enforces the address book.

Every private call is a POST, so the verb proves nothing: the paths declared here change nothing.
Source of every fact: https://developer.gemini.com/ unless said otherwise.
"""

from __future__ import annotations

import asyncio
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, failure
from auditor.exchanges._shape import Shape, ShapeError, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal, scrub

ccxt_class = "gemini"
credentials = ("apiKey", "secret")
serial = True

_DOCS = "https://developer.gemini.com/"
_PRIVATE = Limit(calls=600, seconds=60, pool="private")
_NETWORKS = [
    "bitcoin",
    "ethereum",
    "bitcoincash",
    "litecoin",
    "zcash",
    "filecoin",
    "dogecoin",
    "tezos",
    "solana",
    "polkadot",
    "avalanche",
    "cosmos",
    "xrpl",
]


def _endpoint(call: str, page: str) -> Endpoint:
    return Endpoint(
        name=call,
        verb="POST",
        host="api.gemini.com",
        path=f"/v1/{call}",
        api=("private",),
        call=f"v1/{call}",
        limit=_PRIVATE,
        source=_DOCS + page,
    )


ROLES = _endpoint("roles", "rest-api/common/admin/roles-endpoint")
ACCOUNT = _endpoint("account", "rest-api/common/admin/account-detail")
ADDRESSES = tuple(
    _endpoint(f"approvedAddresses/account/{network}", "trading/rest-api/fund-management/list-approved-addresses")
    for network in _NETWORKS
)

endpoints = (ROLES, ACCOUNT, *ADDRESSES)
clock: Endpoint | None = None  # Gemini has none; a nonce must only grow, or be the time where the key says so

_MEANINGS = {
    "AccountClosed": "the exchange says that the account is closed (those of the UK, the EU and Australia were in April 2026)",
    "InvalidNonce": "the nonce is not above the last one of this key, or the key wants the time in seconds: audit with a key "
    "that nothing else uses and that has no time-based nonce",
    "MissingRole": "the key lacks the role for this; an audit wants the role Auditor",
}
_FAILURES = {
    code.lower(): failure(known.reason, code, _MEANINGS.get(code))
    for code, known in by_code(
        {
            Reason.VENUE_MAINTENANCE: "Maintenance",
            Reason.VENUE_INCIDENT: "System",
            Reason.RATE_LIMITED: "RateLimit",
            Reason.INVALID_KEY: "InvalidApiKey InvalidSignature MissingApikeyHeader MissingPayloadHeader "
            "MissingSignatureHeader",
            Reason.ACCOUNT_FROZEN: "AccountClosed",
            Reason.IP_NOT_ALLOWED: "ApiKeyIpFilteringFailure RemoteAddressForbidden",
            Reason.PERMISSION_DENIED: "MissingRole",
            Reason.CLOCK_SKEW: "InvalidNonce InvalidTimestampInPayload",
        }
    ).items()
}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`{result: error, reason, message}`. The message names the whole key, so it is never quoted.

    ccxt takes a missing role for a bad key, and a foreign address for nothing it knows.
    """
    del endpoint
    reason = answer.body.get("reason") if isinstance(answer.body, dict) else None
    code = reason if isinstance(reason, str) else "error"
    known = _FAILURES.get(code.lower())
    if known is not None:
        return known
    refused = isinstance(answer.body, dict) and answer.body.get("result") == "error"
    if not refused or answer.status >= 400:  # noqa: PLR2004  (then the status says more)
        return None
    return failure(Reason.MALFORMED_RESPONSE, scrub(code)[:40], "refused with an error we do not know")


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Gemini has no clock to learn")


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first; then the account and every network of the address book, in turn, for their nonces must grow."""
    await _calling_key(door, sheet)
    await asyncio.gather(_account(door, sheet), _address_book(door, sheet))


_ROLES = {
    "isAuditor": ("api_key.can_read",),
    "isTrader": ("api_key.can_trade", "api_key.can_trade_derivatives"),
    "isFundManager": ("api_key.can_withdraw", "api_key.can_transfer"),
}


async def _calling_key(door: Door, sheet: Sheet) -> None:
    """The roles of the key. Any of them may read; Auditor goes with no other; keys and accounts are made by an
    administrator, a role that only keys of a whole group can have and that is shown only to those.
    """
    with sheet.reading(ROLES, "api_keys") as seen:
        row = Shape(await door.fetch(ROLES))
        held = {name: seen.field(row, name, Shape.flag, *shows) for name, shows in _ROLES.items()}
        if all(value is None for value in held.values()):
            raise ShapeError(f"{row.at}: says nothing of the key's roles")
        strange = [name for name in row.keys() if _is_role(name) and row[name].value not in (False, None)]  # noqa: SIM118
        trades, pays = held["isTrader"], held["isFundManager"]
        if held["isAuditor"] and (trades or pays or strange):
            sheet.problem(
                ROLES, Reason.IMPLAUSIBLE_RESPONSE, "an auditor's key with other roles", "api_key.permissions"
            )
            strange.append("isAuditor")
        seen.row(
            "api_key",
            is_audit_key=True,
            kind="hmac",
            enabled=True,
            permissions=_words([name for name in [*held, *strange] if held.get(name, True)]),
            can_read=any(held.values()) or None,
            can_trade=_role(trades, strange),
            can_trade_derivatives=None if trades else _role(trades, strange),
            can_transfer=_role(pays, strange),
            can_withdraw=_role(pays, strange),
            can_manage=_manages(row, strange),
        )


def _words(names: list[str]) -> list[str] | None:
    return sorted({mask_personal(Shape(name).text().removeprefix("is")) for name in names}) or None


def _is_role(name: str) -> bool:
    return name.startswith("is") and name[2:3].isupper() and name not in _ROLES


def _role(held: bool | None, strange: list[str]) -> bool | None:  # noqa: FBT001
    """A role that is there, is not there, or may be hidden in one that we do not know."""
    return held or (None if held is None else unless(bool(strange)))


def _manages(row: Shape, strange: list[str]) -> bool | None:
    admin = row.get("isAccountAdmin")
    return True if admin is not None and admin.value is True else unless(bool(strange))


async def _account(door: Door, sheet: Sheet) -> None:
    """People's names stay at the door. When somebody last signed in is known only where it is known of everybody."""
    with sheet.reading(ACCOUNT, "account.created_at", "account.kind", "account.last_login_at") as seen:
        answer = Shape(await door.fetch(ACCOUNT))
        reference = answer.get("memo_reference_code")
        sheet.account_id = str(reference.value) if reference is not None and reference.value else None
        account = answer["account"]
        made = seen.field(account, "created", Shape.time_ms, "account.created_at")
        type_ = seen.field(account, "type", Shape.text, "account.kind")
        seen.account(created_at=made, kind="custody" if type_ == "custody" else None)
        people = seen.field(answer, "users", Shape.rows, "account.last_login_at") or []
        signed_in = [seen.field(one, "lastSignIn", Shape.time_text, "account.last_login_at") for one in people]
        known = [moment for moment in signed_in if moment is not None]
        seen.account(last_login_at=max(known) if known and len(known) == len(signed_in) else None)


async def _address_book(door: Door, sheet: Sheet) -> None:
    """All networks, in their order. The book is not called complete: networks that Gemini adds are asked for by no call
    known here. An empty book does not tell whether withdrawals are limited to it.
    """
    answers = await asyncio.gather(*[door.fetch(one) for one in ADDRESSES], return_exceptions=True)
    for endpoint, answer in zip(ADDRESSES, answers, strict=True):
        with sheet.reading(endpoint, "addresses") as seen:
            if isinstance(answer, BaseException):
                raise answer
            _entries(seen, Shape(answer))


def _entries(seen: Seen, answer: Shape) -> None:
    entries = [(row, row["address"].text()) for row in answer["approvedAddresses"].rows()]
    seen.list_seen("address")
    for row, destination in entries:
        seen.row(
            "address",
            public_id=destination,
            network=seen.field(row, "network", Shape.text, "address.network"),
            label=_label(seen, row),
            state=seen.field(row, "status", _state, "address.state"),
            created_at=seen.field(row, "createdAt", Shape.time_ms, "address.created_at"),
        )


def _label(seen: Seen, row: Shape) -> str | None:
    label = seen.field(row, "label", Shape.text, "address.label")
    return None if label is None else mask_personal(label)


def _state(cell: Shape) -> str:
    """`pending-time` waits for seven days; other words that begin with `pending` wait for somebody's approval."""
    word = cell.text()
    if word == "active" or word.startswith("pending"):
        return "active" if word == "active" else "pending"
    raise ShapeError(f"{cell.at}: a state that is not documented")
