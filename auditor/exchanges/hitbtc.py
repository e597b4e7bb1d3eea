"""HitBTC: a key shows that it works, whether the account has sub-accounts, and with one right more the saved withdrawal
addresses. Rights, bound addresses, second factors and logins are shown to nobody.

A call that lists API keys exists, but what it answers is documented nowhere and might hold secrets: it is not declared. Half
of the facts rest on CryptoMarket's documentation, which runs on the same system. Source: https://api.hitbtc.com.
"""

from __future__ import annotations

import re
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason
from auditor.redaction import mask_personal

ccxt_class = "hitbtc"
credentials = ("apiKey", "secret")
serial = False


def _endpoint(call: str, calls: float) -> Endpoint:
    return Endpoint(
        name=call,
        verb="GET",
        host="api.hitbtc.com",
        path=f"/api/3/{call}",
        api=("private",),
        call=call,
        limit=Limit(calls=calls, seconds=1),
        source="https://api.hitbtc.com",
    )


SUB_ACCOUNTS = _endpoint("sub-account", 20)
ADDRESSES = _endpoint("wallet/crypto/address/white-list", 10)

endpoints = (SUB_ACCOUNTS, ADDRESSES)
clock: Endpoint | None = None

_MANY_CAUSES = (
    "the exchange does not accept this key: deleted or mistyped, the secret of another one, used from an address that is "
    "not on its list, or signed by a clock that is wrong by some seconds; HitBTC answers all of these alike"
)
_FAILURES = by_code(
    {
        Reason.VENUE_INCIDENT: "500",
        Reason.VENUE_MAINTENANCE: "503 20010",
        Reason.TIMEOUT: "504 22008",
        Reason.RATE_LIMITED: "429",
        Reason.INVALID_KEY: "1001 1004 1005",
        Reason.PERMISSION_DENIED: "403 600 1003 20044",
        Reason.ACCOUNT_FROZEN: "10021 21003 21004",
    }
) | {"1002": failure(Reason.INVALID_KEY, "1002", _MANY_CAUSES)}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`{"error": {"code", "message", "description"}}`, the code a number or text, whatever the HTTP status.

    1002 has many causes; a clock is blamed where the text names it. ccxt calls a missing signature (1001) and a forbidden
    account (403) a generic error.
    """
    del endpoint
    if not isinstance(answer.body, dict) or "error" not in answer.body:
        return None
    error = answer.body["error"]
    code = error.get("code") if isinstance(error, dict) else None
    said = str(code)[:20] if isinstance(code, (str, int)) else "error"
    if said == "1002" and re.search(r"timestamp|window|expired", _words(error), re.IGNORECASE):
        return failure(Reason.CLOCK_SKEW, said)
    unknown = failure(Reason.MALFORMED_RESPONSE, said, "refused with an error we do not know")
    return _FAILURES.get(said) or by_status(answer) or unknown


def _words(error: dict[str, Any]) -> str:
    return " ".join(str(error.get(name) or "") for name in ("message", "description"))


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: HitBTC has no clock to learn from")


async def collect(door: Door, sheet: Sheet) -> None:
    """First what needs no right at all, to see that the key works; then the addresses, which show that it may read."""
    key = await _calling_key(door, sheet)
    await _address_book(door, sheet, key)


async def _calling_key(door: Door, sheet: Sheet) -> dict[str, Any] | None:
    """The key, if it works. An account with sub-accounts is a main account; one without may be a sub-account itself.

    Mail addresses of sub-accounts stay here. Which right a transfer between them needs is not documented.
    """
    key: dict[str, Any] | None = None
    with sheet.reading(SUB_ACCOUNTS, "account.kind", "account.master_key_over_subaccounts", "api_keys") as seen:
        rows = Shape(await door.fetch(SUB_ACCOUNTS))["result"].rows()
        key = seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True)
        names = {row["sub_account_id"].text() for row in rows}
        seen.account(kind="main" if names else None, master_key_over_subaccounts=None if names else False)
    return key


async def _address_book(door: Door, sheet: Sheet, key: dict[str, Any] | None) -> None:
    """The white list. Whether it is switched on is not said: an empty one may be off, and a filled one too."""
    with sheet.reading(ADDRESSES, "addresses", "account.addresses_complete", "api_key.can_read") as seen:
        rows = Shape(await door.fetch(ADDRESSES)).rows()
        if key is not None:
            key["can_read"] = True
        entries = [(row["address"].text(), _entry(row)) for row in rows]
        seen.list_seen("address")
        for destination, facts in entries:
            seen.row("address", public_id=destination, **facts)
        seen.account(addresses_complete=True)


def _entry(row: Shape) -> dict[str, Any]:
    label, network = row.get("name"), row.get("network")
    return {
        "asset": row["currency"].text(),
        "network": network.text() if network else None,
        "label": mask_personal(label.text()) if label else None,
    }
