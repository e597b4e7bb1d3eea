"""Robinhood's Crypto Trading API: a key proves that it works and whether the account may trade. The API has no call that
withdraws, transfers or makes keys, so no key of it can; everything else is shown to nobody.

ccxt does not know it: `sign` is the documented rule. The private API behind the app is out of bounds.
Source of every fact: https://docs.robinhood.com/crypto/trading/ unless said otherwise.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Sheet, Unavailable, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.exchanges._signer import Draft, Pen
from auditor.model.evidence import Reason

ccxt_class: str | None = None
credentials = ("apiKey", "secret")
serial = False

ACCOUNT = Endpoint(
    name="trading/accounts",
    verb="GET",
    host="trading.robinhood.com",
    path="/api/v1/crypto/trading/accounts/",
    api=(),
    call="",
    limit=Limit(calls=100, seconds=60),
    source="https://docs.robinhood.com/crypto/trading/",
)

endpoints = (ACCOUNT,)
clock: Endpoint | None = None

_STATES = {"active": "normal", "sell_only": "restricted", "deactivated": "restricted"}
_KINDS = {"validation_error", "client_error", "server_error"}
_UNAUTHORISED, _FORBIDDEN = 401, 403
_MANY_CAUSES = (
    "the exchange does not accept this key: unknown, or not the half of the pair that was registered, or signed by a clock "
    "that is wrong by more than 30 seconds; users have met the same answer when asking too often: ask once more later"
)
_INACTIVE = failure(
    Reason.PERMISSION_DENIED, "inactive", "the exchange knows this key and says that it is switched off", lockout=True
)
_SCOPE = "this key may not ask for the account; that says nothing of what else it may do"


def sign(pen: Pen, draft: Draft) -> dict[str, str]:
    """Key, seconds, path with query, verb and body (none here) in one text, signed by Ed25519; valid for 30 seconds."""
    stamp = str(draft.milliseconds // 1000)
    signature = pen.ed25519(f"{pen.public_id}{stamp}{draft.target}{draft.verb}".encode())
    return {"x-api-key": pen.public_id, "x-timestamp": stamp, "x-signature": b64encode(signature).decode()}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`{type, errors: [{attr, detail}]}`, and plain text before the key is looked at.

    A 401 has many causes: one that names the clock or the rate is believed, and without the venue's own form it is a
    page of somebody else.
    """
    del endpoint
    if answer.status == _UNAUTHORISED and re.search(r"credential is not active", answer.text, re.IGNORECASE):
        return _INACTIVE
    body = answer.body
    kind = str(body.get("type"))[:20] if isinstance(body, dict) else ""
    if not isinstance(body, dict) or not (kind in _KINDS or "errors" in body):
        return None
    words = " ".join(_details(body.get("errors")))
    if kind == "server_error":
        return by_status(answer) or failure(Reason.VENUE_INCIDENT, kind)
    if answer.status == _UNAUTHORISED:
        return _unauthorised(words)
    if answer.status == _FORBIDDEN and kind == "client_error":
        return failure(Reason.PERMISSION_DENIED, str(_FORBIDDEN), _SCOPE)
    return by_status(answer) or failure(Reason.MALFORMED_RESPONSE, kind, "refused with an error we do not know")


def _unauthorised(words: str) -> Failure:
    if re.search(r"throttl|too many|rate.?limit", words, re.IGNORECASE):
        return failure(Reason.RATE_LIMITED, "401")
    if re.search(r"timestamp|expired", words, re.IGNORECASE):
        return failure(Reason.CLOCK_SKEW, "401")
    return failure(Reason.INVALID_KEY, "401", _MANY_CAUSES)


def _details(errors: Any) -> list[str]:
    rows = errors if isinstance(errors, list) else []
    return [str(row.get("detail") or "") for row in rows if isinstance(row, dict)]


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Robinhood has no clock to learn from")


async def collect(door: Door, sheet: Sheet) -> None:
    """The account's number and buying power stay here."""
    with sheet.reading(ACCOUNT, "account.status", "api_keys") as seen:
        try:
            row = Shape(await door.fetch(ACCOUNT))
        except Unavailable as refusal:
            if refusal.failure.reason is not Reason.PERMISSION_DENIED:
                raise
            shows = ("account.status", "api_key.can_read")
            sheet.problem(ACCOUNT, Reason.PERMISSION_DENIED, refusal.detail, *shows)
            seen.row("api_key", **_KEY, enabled=refusal.failure.code != _INACTIVE.code)
            return
        sheet.account_id = row["account_number"].text() or None
        seen.row("api_key", **_KEY, enabled=True, can_read=True)
        seen.account(status=seen.field(row, "status", _state, "account.status"))


_KEY: dict[str, Any] = {
    "is_audit_key": True,
    "kind": "ed25519",
    "can_trade_derivatives": False,
    "can_transfer": False,
    "can_withdraw": False,
    "can_manage": False,
}
"""What no key of this API can do, because no documented call does it: it reads, places orders for coins and cancels them."""


def _state(cell: Shape) -> str:
    if cell.text() not in _STATES:
        raise ShapeError(f"{cell.at}: a state we do not know")
    return _STATES[cell.text()]
