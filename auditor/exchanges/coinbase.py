"""Coinbase (Advanced Trade): a key shows what it may do, and its user when the account was made. Nothing lists the keys,
their addresses, the second factors or the address book.

A key is made in the developer portal (CDP); every request carries a token signed with it, valid for two minutes.
Source of every fact: https://docs.cdp.coinbase.com/ unless said otherwise.
"""

from __future__ import annotations

from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, failure
from auditor.exchanges._shape import Shape, ShapeError, unless
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "coinbase"
credentials = ("apiKey", "secret")
serial = False

_HOST, _DOCS = "api.coinbase.com", "https://docs.cdp.coinbase.com/"
# coinbase-app/api-architecture/rate-limiting; the allowance of Advanced Trade is counted by the second and larger.
_HOURLY = Limit(calls=10_000, seconds=3600, pool="key")

KEY = Endpoint(
    name="brokerage/key_permissions",
    verb="GET",
    host=_HOST,
    path="/api/v3/brokerage/key_permissions",
    api=("v3", "private"),
    call="brokerage/key_permissions",
    limit=_HOURLY,
    source=_DOCS + "api-reference/advanced-trade-api/rest-api/data-api/get-api-key-permissions",
)
USER = Endpoint(
    name="user",
    verb="GET",
    host=_HOST,
    path="/v2/user",
    api=("v2", "private"),
    call="user",
    limit=_HOURLY,
    source=_DOCS + "coinbase-app/oauth2-integration/available-apis",
)

endpoints = (KEY, USER)
# ccxt puts this machine's own time into the token, so what a clock of the venue says could not be used.
clock: Endpoint | None = None

_FAILURES = by_code(
    {
        Reason.VENUE_INCIDENT: "internal_server_error internal 13",
        Reason.VENUE_MAINTENANCE: "unavailable 14",
        Reason.INVALID_KEY: "authentication_error invalid_token revoked_token expired_token",
        Reason.PERMISSION_DENIED: "permission_denied invalid_scope two_factor_required 7 402",
        Reason.RATE_LIMITED: "rate_limit_exceeded resource_exhausted 8",
        Reason.ACCOUNT_FROZEN: "identity_verification_required jumio_verification_required unverified_email "
        "jumio_face_match_verification_required personal_details_required",
    }
)
_TEXTS = {
    "request timestamp expired": failure(Reason.CLOCK_SKEW, "timestamp"),
    "missing required scopes": failure(Reason.PERMISSION_DENIED, "scopes"),
    "ip blocked": failure(Reason.IP_NOT_ALLOWED, "ip blocked"),
}
_BARE = Failure(
    reason=Reason.MALFORMED_RESPONSE,
    code="401",
    meaning="answered 'Unauthorized' and not why: the key may be deleted or mistyped, used from an address that is not on "
    "its list, or this machine's clock be wrong; Coinbase has also said so to valid keys. Ask again before deleting it",
    retry=True,
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """Three spellings: `errors[].id` (v2), `error` with a message (v3), and gRPC's `code` with a message.

    ccxt takes a missing scope (`invalid_scope`) for a bad key and gRPC's 7 for an outage. A bare 401 is no verdict on the
    key: it is what a deleted key, a foreign address and a wrong clock are told alike, and at times a valid key.
    """
    del endpoint
    if answer.body is None and answer.status == 401 and answer.text.strip().lower() == "unauthorized":  # noqa: PLR2004
        return _BARE
    said = list(_said(answer.body))
    for text, known in _TEXTS.items():
        if any(text in message.lower() for _, message in said):
            return known
    found = [_FAILURES[code] for code, _ in said if code in _FAILURES]
    if answer.status == 402:  # noqa: PLR2004
        found.append(_FAILURES["402"])
    return min(found, key=lambda refusal: not refusal.retry, default=None)  # an outage may have caused the others


def _said(body: Any) -> list[tuple[str, str]]:
    """Codes and messages of a refusal; a body that carries none is not one."""
    if not isinstance(body, dict):
        return []
    listed = body.get("errors")
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    pairs = [(item.get("id"), item.get("message")) for item in items]
    if "error" in body or "code" in body:
        pairs.append((body.get("error") or body.get("code"), body.get("message") or body.get("error_description")))
    return [(_word(code), _word(message)) for code, message in pairs]


def _word(value: Any) -> str:
    return str(value).lower()[:200] if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: no clock is asked")


async def collect(door: Door, sheet: Sheet) -> None:
    """The calling key first; then its user."""
    await _calling_key(door, sheet)
    await _user(door, sheet)


_RIGHTS = ("can_view", "can_trade", "can_transfer", "can_receive")


async def _calling_key(door: Door, sheet: Sheet) -> None:
    """What this key may do, and nothing else of it: no address, no date, no name.

    `can_transfer` of Coinbase sends funds out; `can_trade` also moves them between portfolios and makes and deletes those.
    """
    with sheet.reading(KEY, "api_keys") as seen:
        row = Shape(await door.fetch(KEY))
        views, trades, sends = (_right(seen, row, name) for name in ("can_view", "can_trade", "can_transfer"))
        if views is None and trades is None and sends is None:
            raise ShapeError(f"{row.at}: says nothing of the key's rights")
        receives = row.get("can_receive") and _right(seen, row, "can_receive")  # a newer field
        granted = {"view": views, "trade": trades, "transfer": sends, "receive": receives}
        strange = _strange(row)
        harmless = trades is False and sends is False and not strange
        seen.row(
            "api_key",
            is_audit_key=True,
            enabled=True,
            permissions=[name for name, held in granted.items() if held] + strange or None,
            can_read=views or _unless(views, strange),
            can_trade=trades or _unless(trades, strange),
            can_trade_derivatives=None if trades else _unless(trades, strange),
            can_transfer=trades or sends or (False if harmless else None),
            can_withdraw=sends or _unless(sends, strange),
            can_manage=False if harmless else None,
        )


def _right(seen: Seen, row: Shape, name: str) -> bool | None:
    shows = {
        "can_view": ("api_key.can_read",),
        "can_trade": (
            "api_key.can_trade",
            "api_key.can_trade_derivatives",
            "api_key.can_transfer",
            "api_key.can_manage",
        ),
        "can_transfer": ("api_key.can_withdraw", "api_key.can_transfer", "api_key.can_manage"),
    }
    return seen.field(row, name, Shape.flag, *shows.get(name, ("api_key.permissions",)))


def _strange(row: Shape) -> list[str]:
    """Rights we do not know that are not plainly off: beside them nothing is FALSE."""
    return sorted(
        mask_personal(Shape(name).text().removeprefix("can_"))
        for name in row.keys()  # noqa: SIM118
        if name.startswith("can_") and name not in _RIGHTS and row[name].value not in (False, None)
    )


def _unless(held: bool | None, strange: list[str]) -> bool | None:  # noqa: FBT001
    """FALSE where the right is shown and off, and no right is shown that we do not know."""
    return None if held is None else unless(bool(strange))


async def _user(door: Door, sheet: Sheet) -> None:
    """Name, e-mail, country and picture are left where they are. A key that may not see the profile is shown less of it."""
    with sheet.reading(USER, "account.created_at") as seen:
        user = Shape(await door.fetch(USER))["data"]
        sheet.account_id = seen.field(user, "id", Shape.text) or None
        made = user.get("created_at")
        if made is None:
            sheet.problem(USER, Reason.NOT_EXPOSED, "the profile is not shown to this key", "account.created_at")
        else:
            seen.account(created_at=made.time_text())
