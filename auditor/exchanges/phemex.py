"""Phemex: nearly blind. That a key may read, and the sub-accounts of a main account; no rights, addresses or age of a key,
no address book, no switches, no log.

Source of every fact: https://phemex-docs.github.io/ unless said otherwise.
"""

from __future__ import annotations

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, by_code, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason

ccxt_class = "phemex"
credentials = ("apiKey", "secret")
serial = False
clock: Endpoint | None = None  # ccxt signs with this machine's own time, whatever a clock says

_PAGE, _MOST_PAGES = 50, 40
_OLD_DOCS = "https://github.com/phemex/phemex-api-docs/blob/master/Public-Contract-API-en.md"


def _endpoint(call: str, calls: float, source: str) -> Endpoint:
    """`calls` out of what the group "others" allows in a minute."""
    limit = Limit(calls=calls, seconds=60, pool="others")
    return Endpoint(
        name=call,
        verb="GET",
        host="api.phemex.com",
        path=f"/{call}",
        api=("private",),
        call=call,
        limit=limit,
        source=source,
    )


WALLETS = _endpoint("spot/wallets", 100, "https://phemex-docs.github.io/#query-wallets")
CHILDREN = _endpoint("phemex-user/users/children", 20, _OLD_DOCS)
endpoints = (WALLETS, CHILDREN)

_FAILURES = by_code(
    {
        Reason.PERMISSION_DENIED: "34003 39996 403",
        Reason.RATE_LIMITED: "39995 429",
        Reason.ACCOUNT_FROZEN: "11022",
    }
)
_TEXTS = {
    "failed to load api key": Reason.INVALID_KEY,
    "failed to find api-key": Reason.INVALID_KEY,
    "api key not found": Reason.INVALID_KEY,
    "signature verification failed": Reason.INVALID_KEY,
    "request ip mismatch": Reason.IP_NOT_ALLOWED,
    "insufficient privilege": Reason.PERMISSION_DENIED,
    "request expired": Reason.CLOCK_SKEW,
}
"""What the codes 401 and 10500 mean: each of them stands for everything that has to do with a key."""
_GONE = failure(Reason.NOT_EXPOSED, "404", "the exchange does not offer this call any more")


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`code` says what is wrong, as number or text; 401 and 10500 say it only in their text, which ccxt does not read for 401:
    it takes a foreign address and a missing right for a bad key. Market data has `{"error": {"code", "message"}}`.
    """
    body = answer.body if isinstance(answer.body, dict) else {}
    error = body["error"] if isinstance(body.get("error"), dict) else body
    code, text = error.get("code"), str(error.get("msg", error.get("message"))).lower()
    said = str(code)[:20] if isinstance(code, (str, int)) and not isinstance(code, bool) else "none"
    if said == "0" and answer.status < 400:  # noqa: PLR2004
        return None
    if said in {"401", "10500"}:
        reason = next((reason for words, reason in _TEXTS.items() if words in text), Reason.MALFORMED_RESPONSE)
        meaning = "refused in words we do not know" if reason is Reason.MALFORMED_RESPONSE else None
        return failure(reason, said, meaning)
    if said in _FAILURES:
        return _FAILURES[said]
    if answer.status == 404 and endpoint == CHILDREN:  # noqa: PLR2004
        return _GONE
    if answer.status == 403 and body:  # noqa: PLR2004  (the documentation's word for a missing right; a page is a wall)
        return _FAILURES["403"]
    unknown = failure(Reason.MALFORMED_RESPONSE, said, "answered with a code we do not know")
    return None if answer.body is None else by_status(answer) or unknown


def server_time(body: object) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: Phemex is signed with this machine's time")


_FAMILY = ("account.kind", "account.parent", "account.master_key_over_subaccounts")
_SILENT = [
    f"api_key.{name}"
    for name in (
        *("can_trade", "can_trade_derivatives", "can_transfer", "can_withdraw", "can_manage"),
        *("ip_bound", "ip_allowlist", "created_at", "expires_at", "never_expires", "last_used_at"),
    )
]


async def collect(door: Door, sheet: Sheet) -> None:
    """A small question that the key must be allowed to read for; then the sub-accounts."""
    with sheet.reading(WALLETS, "api_keys") as seen:
        answer = await door.fetch(WALLETS, {"currency": "USDT"})
        Shape(answer)["data"].rows()  # what is in the wallet is nobody's business here
        seen.row("api_key", is_audit_key=True, kind="hmac", enabled=True, can_read=True)
        sheet.problem(WALLETS, Reason.NOT_EXPOSED, "Phemex shows what a key may do in its web page only", *_SILENT)
    with sheet.reading(CHILDREN, *_FAMILY) as seen:
        _family(seen, await _users(door, sheet))


async def _users(door: Door, sheet: Sheet) -> list[tuple[int, int]]:
    """Id and id of the parent of every user that is listed. Names, mail addresses and balances are not looked at.

    The flags `totp`, `passwordState` and `status` are documented nowhere, and read as nothing.
    """
    users: dict[int, int] = {}
    offset = 0
    for _ in range(_MOST_PAGES):
        asked = {"offset": str(offset), "limit": str(_PAGE), "withCount": "true"}
        found = Shape(await door.fetch(CHILDREN, asked))["data"]
        rows = found["rows"].rows()
        users |= {row["userId"].integer(): row["parentId"].integer() for row in rows}
        offset += len(rows)
        if not rows:
            raise ShapeError("$.data.rows: fewer users than there are said to be, or none")
        if len(users) >= found["total"].integer():
            return list(users.items())
    sheet.problem(CHILDREN, Reason.NOT_COLLECTED, f"stopped after {_MOST_PAGES} pages", *_FAMILY)
    return []


def _family(seen: Seen, users: list[tuple[int, int]]) -> None:
    """The main account has no parent, and lists itself beside its sub-accounts; a user alone under a parent is one of them."""
    mains = [user for user, parent in users if parent == 0]
    if len(mains) == 1:
        seen.sheet.account_id = str(mains[0])
        # What the keys may do is not shown: whether one of them rules the sub-accounts is unknown.
        seen.account(kind="main", master_key_over_subaccounts=False if len(users) == 1 else None)
    elif not mains and len(users) == 1:
        seen.sheet.account_id = str(users[0][0])
        seen.account(kind="sub", parent=f"…{str(users[0][1])[-4:]}", master_key_over_subaccounts=False)
    elif users:
        raise ShapeError("$.data.rows: not one main account among them")
