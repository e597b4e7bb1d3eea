"""Coinbase Exchange (for institutions, once Coinbase Pro): a key that may look shows the profiles and the address book with
the times of its entries. Nothing shows what a key may do, which keys there are, or whether the address book is enforced.

Source of every fact: https://docs.cdp.coinbase.com/exchange/ unless said otherwise.
"""

from __future__ import annotations

from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "coinbaseexchange"
credentials = ("apiKey", "secret", "password")
serial = False

_HOST, _PAGES = "api.exchange.coinbase.com", "https://docs.cdp.coinbase.com/api-reference/exchange-api/rest-api/"
_PRIVATE = Limit(calls=10, seconds=1, pool="private")


def _endpoint(call: str, page: str) -> Endpoint:
    return Endpoint(
        name=call,
        verb="GET",
        host=_HOST,
        path=f"/{call}",
        api=("private",),
        call=call,
        limit=_PRIVATE,
        source=_PAGES + page,
    )


PROFILES = _endpoint("profiles", "profiles/get-profiles")
ADDRESSES = _endpoint("address-book", "address-book/get-address-book")

endpoints = (PROFILES, ADDRESSES)
# ccxt puts this machine's own time into the signature, so what the clock of the venue says could not be used.
clock: Endpoint | None = None

_BAD_PHRASE = "the passphrase does not belong to this key"
_TEXTS = {
    "under maintenance": failure(Reason.VENUE_MAINTENANCE, "under maintenance"),
    "cancel only mode": failure(Reason.VENUE_MAINTENANCE, "cancel only mode"),
    "rate limit exceeded": failure(Reason.RATE_LIMITED, "rate limit exceeded"),
    "request timestamp expired": failure(Reason.CLOCK_SKEW, "request timestamp expired"),
    # Not documented; users of the stream of the same exchange were told so.
    "ip does not match ip whitelist": failure(Reason.IP_NOT_ALLOWED, "ip does not match ip whitelist"),
    "invalid api key": failure(Reason.INVALID_KEY, "invalid api key"),
    "invalid signature": failure(Reason.INVALID_KEY, "invalid signature"),
    "invalid passphrase": failure(Reason.INVALID_KEY, "invalid passphrase", _BAD_PHRASE),
}
"""By what stands in `message`; there are no codes. The first that fits counts."""
_FORBIDDEN = failure(Reason.PERMISSION_DENIED, "403")


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`{message}` and the status. ccxt takes a missing permission (403) for an outage and a removed path for an order.

    A 403 is the venue's own only where it is JSON with a message; a page is that of a firewall.
    """
    del endpoint
    message = answer.body.get("message") if isinstance(answer.body, dict) else None
    if not isinstance(message, str):
        return None
    said = message.lower()
    known = next((meant for text, meant in _TEXTS.items() if text in said), None)
    return known or (_FORBIDDEN if answer.status == 403 else None)  # noqa: PLR2004


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: no clock is asked")


async def collect(door: Door, sheet: Sheet) -> None:
    """The profiles first, for they show that the key is accepted; then the address book."""
    await _calling_key(door, sheet)
    await _address_book(door, sheet)


async def _calling_key(door: Door, sheet: Sheet) -> None:
    """That the key is accepted and may look: every key may, and no endpoint says what else. It belongs to one profile."""
    with sheet.reading(PROFILES, "api_keys") as seen:
        profiles = Shape(await door.fetch(PROFILES)).rows()
        users = {seen.field(profile, "user_id", Shape.text) for profile in profiles} - {None, ""}
        if not users:
            raise ShapeError("$: shows no profile of any user")
        sheet.account_id = next(iter(users)) if len(users) == 1 else None
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, can_read=True)


async def _address_book(door: Door, sheet: Sheet) -> None:
    """Not called complete: destinations at counterparties stand in a book of their own, whose form is not documented.

    `is_verified_self_hosted_wallet` is about who owns a wallet, not about an allow-list; names of businesses are not kept.
    """
    with sheet.reading(ADDRESSES, "addresses") as seen:
        entries = [(row, _destination(row)) for row in Shape(await door.fetch(ADDRESSES)).rows()]
        seen.list_seen("address")
        for row, destination in entries:
            network = row.get("network")  # missing: any network that the asset knows
            seen.row(
                "address",
                public_id=destination,
                asset=seen.field(row, "currency", _text, "address.asset"),  # _ALL_ASSETS_ where it is for all of them
                network=network and seen.field(row, "network", _text, "address.network"),
                label=_label(seen, row),
                created_at=seen.field(row, "address_book_added_at", Shape.time_text, "address.created_at"),
            )


def _destination(row: Shape) -> str:
    """The same address with another tag is another destination."""
    tag = row.get("destination_tag")
    return row["address"].text() + (f":{tag.text()}" if tag is not None and tag.value != "" else "")


def _text(cell: Shape) -> str:
    if not cell.text().strip():
        raise ShapeError(f"{cell.at}: empty")
    return cell.text()


def _label(seen: Seen, row: Shape) -> str | None:
    label = seen.field(row, "label", Shape.text, "address.label") if row.get("label") else None
    return None if label is None else mask_personal(label)
