"""Bybit: what an account holds by its own overview and by the unified account, and its withdrawals, which need a master key.

Source: https://bybit-exchange.github.io/docs/v5/ (asset overview, wallet balance, withdraw records).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from auditor.exchanges import _funds
from auditor.exchanges._base import Door, Endpoint, Limit, Sheet
from auditor.exchanges._funds import Columns, Funds, Look, Reading
from auditor.exchanges._shape import Shape, ShapeError

_DOCS = "https://bybit-exchange.github.io/docs/v5/"
_UNIFIED, _NAME = "UnifiedTradingAccount", "the unified account"
_SPAN = timedelta(days=29)
"""One call covers less than 30 days."""
_MOST_PAGES = 200
_STATES = {
    **dict.fromkeys(("securitycheck", "pending", "blockchainconfirmed", "moreinformationrequired"), "pending"),
    "success": "done",
    "fail": "failed",
    "reject": "failed",
    "cancelbyuser": "cancelled",
}
_COLUMNS = Columns(
    at="createTime",
    when=Shape.time_ms,
    asset="coin",
    amount="amount",
    to=("toAddress", "tag"),
    state="status",
    states=_STATES,
)


def _endpoint(name: str, page: str, calls: float, seconds: float = 1) -> Endpoint:
    """`unescaped`: ccxt leaves the values of a Bybit GET as they are."""
    return Endpoint(name=name, verb="GET", host="api.bybit.com", path=f"/v5/{name}", call=f"v5/{name}",
                    api=("private",), limit=Limit(calls=calls, seconds=seconds), unescaped=True,
                    source=_DOCS + page)  # fmt: skip


OVERVIEW = _endpoint("asset/asset-overview", "asset/balance/asset-overview", 10)
UNIFIED = _endpoint("account/wallet-balance", "account/wallet-balance", 50)
WITHDRAWALS = _endpoint("asset/withdraw/query-record", "asset/withdraw/withdraw-record", 300, 60)
ENDPOINTS = (OVERVIEW, UNIFIED, WITHDRAWALS)


async def _overview(door: Door) -> Reading:
    """All accounts together. It comes in the currency that the user chose, unless another is asked for and named in it."""
    table = Shape(await door.fetch(OVERVIEW, {"valuationCurrency": "USD"}))["result"]
    rows = table["list"].rows()
    for row in rows:
        if row["valuationCurrency"].text() != "USD":
            raise ShapeError(f"{row.at}.valuationCurrency: US dollars expected")
    worth = {row["accountType"].text(): row["totalEquity"].number() for row in rows}
    parts = {_NAME: worth[_UNIFIED]} if _UNIFIED in worth else {}
    return Reading(total=table["totalEquity"].number(), parts=parts)


async def _unified(door: Door) -> Reading:
    row = Shape(await door.fetch(UNIFIED, {"accountType": "UNIFIED"}))["result"]["list"].only()
    holds = any(coin["equity"].number() > 0 for coin in row["coin"].rows())
    return Reading(parts={_NAME: row["totalEquity"].number()}, holds=holds)


async def _withdrawals(door: Door, sheet: Sheet, now: datetime) -> None:
    """On chain and inside Bybit. Whole where every span of the window was paged to its end."""
    with sheet.reading(WITHDRAWALS, *_funds.WITHDRAWALS) as seen:
        known: set[str] = set()
        until, oldest = now, now - _funds.WINDOW
        while until > oldest:
            since = max(until - _SPAN, oldest)
            for row in await _pages(door, since, until):
                number = row["withdrawId"].text()
                if number not in known:
                    known.add(number)
                    _funds.payout(seen, row, _COLUMNS)
            until = since
        seen.list_seen("withdrawal")
        seen.account(withdrawals_complete=True)


async def _pages(door: Door, since: datetime, until: datetime) -> list[Shape]:
    start, end = (str(int(moment.timestamp() * 1000)) for moment in (since, until))
    asked = {"withdrawType": "2", "startTime": start, "endTime": end, "limit": "50"}
    rows: list[Shape] = []
    for _ in range(_MOST_PAGES):
        page = Shape(await door.fetch(WITHDRAWALS, asked))["result"]
        rows += page["rows"].rows()
        following = page["nextPageCursor"].text()
        if not following or not page["rows"].rows():
            return rows
        asked["cursor"] = following
    raise ShapeError("$.result.nextPageCursor: the list did not end")


FUNDS = Funds(
    looks=(Look(endpoint=OVERVIEW, read=_overview), Look(endpoint=UNIFIED, read=_unified)), withdrawals=_withdrawals
)
