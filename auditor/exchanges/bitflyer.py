"""bitFlyer Lightning: a key lists the calls it may make, one word a call. Nothing lists other keys, and nothing shows which
addresses a key is bound to, second factors, saved addresses or sessions.

The addresses it lists are for deposits, and bank accounts are no withdrawal addresses: neither is read.
Source of every fact: https://lightning.bitflyer.com/docs unless said otherwise.
"""

from __future__ import annotations

from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Sheet, by_status, failure
from auditor.exchanges._shape import Shape, ShapeError, unless
from auditor.model.evidence import Reason

ccxt_class = "bitflyer"
credentials = ("apiKey", "secret")
serial = False

_HOST, _DOCS = "api.bitflyer.com", "https://lightning.bitflyer.com/docs?lang=en"

KEY = Endpoint(
    name="me/getpermissions",
    verb="GET",
    host=_HOST,
    path="/v1/me/getpermissions",
    api=("private",),
    call="getpermissions",
    limit=Limit(calls=500, seconds=300),
    source=_DOCS,
)
HEALTH = Endpoint(
    name="gethealth",
    verb="GET",
    host=_HOST,
    path="/v1/gethealth",
    api=("public",),
    call="gethealth",
    limit=Limit(calls=500, seconds=300, per="address"),
    public=True,
    source=_DOCS,
)
endpoints = (KEY, HEALTH)
# ccxt stamps its requests with this machine's seconds, whatever it knows of the venue's clock: there is nothing to learn.
clock: Endpoint | None = None

_TOO_OFTEN = failure(
    Reason.RATE_LIMITED, "-1", "asked too often; the exchange lowers the limit for those who go on", lockout=True
)
_MAINTENANCE = failure(Reason.VENUE_MAINTENANCE, "-2")
_FAILURES = {"-1": _TOO_OFTEN, "-2": _MAINTENANCE}
# One number, -500, stands for most refusals, so the text decides; one that is not known accuses nobody.
_WORDS = {
    "under maintenance": _MAINTENANCE,
    "over api limit": _TOO_OFTEN,
    "key not found": failure(Reason.INVALID_KEY, "-500"),
    "permission denied": failure(Reason.PERMISSION_DENIED, "-500"),
    "timestamp": failure(Reason.CLOCK_SKEW, "-500"),
    "signature": failure(Reason.INVALID_KEY, "-500", "the exchange does not accept the signature of this key"),
    "access-sign": failure(Reason.INVALID_KEY, "-500", "the exchange does not accept the signature of this key"),
}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """The exchange says what is wrong in `error_message`, beside a negative number in `status`, which for a good answer of
    `gethealth` is a word. ccxt makes one generic error of them all, maintenance and limits included.
    """
    del endpoint
    body = answer.body if isinstance(answer.body, dict) else {}
    status, message = body.get("status"), body.get("error_message")
    said = str(status)[:20] if isinstance(status, (int, str)) and not isinstance(status, bool) else "none"
    if message is None and not said.startswith("-"):
        return _TOO_OFTEN if answer.status == 429 else None  # noqa: PLR2004
    text = str(message).lower()
    known = _FAILURES.get(said) or next((found for word, found in _WORDS.items() if word in text), None)
    if known is None and answer.status == 429:  # noqa: PLR2004
        known = _TOO_OFTEN
    return (
        known or by_status(answer) or failure(Reason.MALFORMED_RESPONSE, said, "refused with an error we do not know")
    )


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: bitFlyer has no clock to learn")


async def collect(door: Door, sheet: Sheet) -> None:
    """What the calling key says of itself, then the health of the exchange."""
    await _calling_key(door, sheet)
    await _health(door, sheet)


_READS = {
    "getpermissions",
    "getbalance",
    "getcollateral",
    "getcollateralaccounts",
    "getaddresses",
    "getcoinins",
    "getcoinouts",
    "getbankaccounts",
    "getdeposits",
    "getwithdrawals",
    "getchildorders",
    "getparentorders",
    "getparentorder",
    "getexecutions",
    "getbalancehistory",
    "getpositions",
    "getcollateralhistory",
    "gettradingcommission",
}
_TRADES = {"sendchildorder", "sendparentorder", "cancelchildorder", "cancelparentorder", "cancelallchildorders"}
_PAYS = {"withdraw", "sendcoin"}
_HIDDEN = (
    "bitFlyer does not tell whether a key is bound to addresses, when it was made or used, or which others there are"
)
_NOT_SHOWN = ("api_key.ip_bound", "api_key.ip_allowlist", "api_key.created_at", "api_key.last_used_at")


async def _calling_key(door: Door, sheet: Sheet) -> None:
    """A permission is the path of a call. Whether orders reach derivatives depends on the account, which is not shown."""
    with sheet.reading(KEY, "api_keys") as seen:
        words = [word.strip() for word in Shape(await door.fetch(KEY)).texts() if word.strip()]
        calls = {word.removeprefix("/v1/me/") for word in words}
        if not words:
            raise ShapeError("$: the permission to ask this is not in the list")
        strange = not calls <= _READS | _TRADES | _PAYS
        trades, pays = bool(calls & _TRADES), bool(calls & _PAYS)
        seen.row(
            "api_key",
            is_audit_key=True,
            kind="hmac",
            enabled=True,
            permissions=sorted(set(words)),
            can_read=True,
            can_trade=trades or unless(strange),
            can_trade_derivatives=unless(strange or trades),
            can_transfer=unless(strange or pays),
            can_withdraw=pays or unless(strange),
            can_manage=unless(strange),
        )
        sheet.problem(KEY, Reason.NOT_EXPOSED, _HIDDEN, *_NOT_SHOWN)


_STATES = {
    "NORMAL": "ok",
    "BUSY": "degraded",
    "VERY BUSY": "degraded",
    "SUPER BUSY": "degraded",
    "NO ORDER": "maintenance",
    "STOP": "maintenance",
}


async def _health(door: Door, sheet: Sheet) -> None:
    with sheet.reading(HEALTH, "venue.status") as seen:
        word = Shape(await door.fetch(HEALTH))["status"]
        if word.text() not in _STATES:
            raise ShapeError(f"{word.at}: a state that is not documented")
        seen.venue(status=_STATES[word.text()])
