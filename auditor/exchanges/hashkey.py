"""HashKey Global: a key proves that it works and may read. What it may do, where from, which keys there are, the second
factors and the address list are shown to nobody; what checkApiKey answers is documented nowhere, so it is not asked.

Source of every fact: https://hashkeyglobal-apidoc.readme.io/ unless said otherwise.
"""

from __future__ import annotations

from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Sheet, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason

ccxt_class = "hashkey"
credentials = ("apiKey", "secret")
serial = False

ACCOUNTS = Endpoint(
    name="account/type",
    verb="GET",
    host="api-glb.hashkey.com",
    path="/api/v1/account/type",
    api=("private",),
    call="api/v1/account/type",
    limit=Limit(calls=2, seconds=1),
    source="https://hashkeyglobal-apidoc.readme.io/reference/query-sub-account",
)

endpoints = (ACCOUNTS,)
# ccxt puts this machine's own time into the signature, so what the clock of the venue says could not be used.
clock: Endpoint | None = None

_NO_SUCH_KEY = (
    "no such key here: deleted, or of another HashKey site (keys of the licensed Hong Kong exchange are answered alike, and "
    "that exchange is not read)"
)
_ALIKE = "key, address or permission were refused: it says the same to all; look at the key's IP list before its end is feared"
_MEANINGS = {
    "0102": _NO_SUCH_KEY,
    "0103": "the key has expired",
    "-2014": _NO_SUCH_KEY,
    "-2015": _ALIKE,
    "-2023": "the account must be identified (KYC) first; the key itself was not refused",
    "-1101": "the exchange has taken this feature offline",
    "-2001": "the platform is not open yet",
}
_CODES = {
    Reason.VENUE_MAINTENANCE: "-1101 -2001 -1016",
    Reason.VENUE_INCIDENT: "-1000 -1001 -1181",
    Reason.TIMEOUT: "-1007",
    Reason.RATE_LIMITED: "0003 -3145 -1003",
    Reason.CLOCK_SKEW: "-1021",
    Reason.IP_NOT_ALLOWED: "0202",
    Reason.PERMISSION_DENIED: "0104 -1005 -3117 -2023 -1171",
    Reason.INVALID_KEY: "0102 0103 0002 -1002 -2014 -2015 -1022",
}
_FAILURES = {
    code: failure(reason, code, _MEANINGS.get(code)) for reason, listed in _CODES.items() for code in listed.split()
}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`code` and `msg`, with HTTP 200 too, which ccxt takes for success. Codes are text or numbers, `0002` or 2."""
    del endpoint
    told = answer.body.get("code") if isinstance(answer.body, dict) else None
    if isinstance(told, bool) or not isinstance(told, (str, int)):
        return None
    code = _spelled(str(told)[:20])
    if code in {"0000", "0200"}:
        return None
    unknown = failure(Reason.MALFORMED_RESPONSE, code, "refused with a code we do not know")
    return _FAILURES.get(code) or by_status(answer) or unknown


def _spelled(code: str) -> str:
    """Those without a sign have four digits: as a number, they have lost the zeros before them."""
    return code.zfill(4) if code.isascii() and code.isdigit() else code


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: no clock is asked")


async def collect(door: Door, sheet: Sheet) -> None:
    """The accounts of the user, to see whether the key works. Which of them the key belongs to is not shown, so neither is
    whether it is a sub-account's.
    """
    with sheet.reading(ACCOUNTS, "api_keys") as seen:
        rows = Shape(await door.fetch(ACCOUNTS)).rows()
        users = {_text(row["userId"]) for row in rows}
        if len(users) != 1:
            raise ShapeError("$: the accounts of one user expected")
        sheet.account_id = users.pop()
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, can_read=True)


def _text(cell: Shape) -> str:
    if not cell.text().strip():
        raise ShapeError(f"{cell.at}: empty")
    return cell.text()
