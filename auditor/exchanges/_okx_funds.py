"""OKX: what an account holds, by its own valuation and by the trading account, and its withdrawals. A key with Read is enough.

Source: https://www.okx.com/docs-v5/en/ (asset valuation, balance, withdrawal history).
"""

from __future__ import annotations

from datetime import datetime

from auditor.exchanges import _funds
from auditor.exchanges._base import Door, Endpoint, Limit, Sheet
from auditor.exchanges._funds import Columns, Funds, Look, Reading
from auditor.exchanges._shape import Shape
from auditor.model.evidence import Reason
from auditor.model.facts import parse_time

_DOCS = "https://www.okx.com/docs-v5/en/"
_PAGE, _MOST_PAGES = 100, 200
_STATES = {
    **dict.fromkeys(("0", "1", "4", "5", "6", "7", "8", "9", "10", "12", "15", "16", "17", "19", "-3"), "pending"),
    "2": "done",
    "-1": "failed",
    "-2": "cancelled",
}
_COLUMNS = Columns(
    at="ts",
    when=Shape.time_ms,
    asset="ccy",
    amount="amt",
    to=("to", "tag", "pmtId", "memo"),
    state="state",
    states=_STATES,
)


def _endpoint(call: str, calls: float, seconds: float) -> Endpoint:
    limit = Limit(calls=calls, seconds=seconds)
    return Endpoint(name=call, verb="GET", host="www.okx.com", path=f"/api/v5/{call}", api=("private",), call=call,
                    limit=limit, source=_DOCS)  # fmt: skip


VALUATION = _endpoint("asset/asset-valuation", 1, 1)
TRADING = _endpoint("account/balance", 10, 2)
WITHDRAWALS = _endpoint("asset/withdrawal-history", 6, 1)
ENDPOINTS = (VALUATION, TRADING, WITHDRAWALS)


async def _valuation(door: Door) -> Reading:
    """Everything in US dollars: funding, trading and earn."""
    row = Shape(await door.fetch(VALUATION, {"ccy": "USD"}))["data"].only()
    return Reading(total=row["totalBal"].number(), parts={"the trading account": row["details"]["trading"].number()})


async def _trading(door: Door) -> Reading:
    """`totalEq` is in US dollars; the assets are listed with what there is of each."""
    row = Shape(await door.fetch(TRADING))["data"].only()
    holds = any(asset["eq"].number() > 0 for asset in row["details"].rows())
    return Reading(parts={"the trading account": row["totalEq"].number()}, holds=holds)


async def _withdrawals(door: Door, sheet: Sheet, now: datetime) -> None:
    """Newest first. `after` means "requested before this millisecond": one later than the oldest seen keeps those that share
    it. The end is a page that is older than the window, or with nothing new.
    """
    known: set[str] = set()
    before: int | None = None
    with sheet.reading(WITHDRAWALS, *_funds.WITHDRAWALS) as seen:
        for _ in range(_MOST_PAGES):
            page = {"limit": str(_PAGE)} | ({"after": str(before)} if before is not None else {})
            rows = Shape(await door.fetch(WITHDRAWALS, page))["data"].rows()
            fresh = [row for row in rows if row["wdId"].text() not in known]
            known |= {row["wdId"].text() for row in fresh}
            seen.list_seen("withdrawal")
            young = [row for row in fresh if _young(row, now)]
            for row in young:
                _funds.payout(seen, row, _COLUMNS)
            if rows and not fresh and len(rows) >= _PAGE:
                break
            if len(young) < len(fresh) or not fresh:
                seen.account(withdrawals_complete=True)
                return
            before = min(row["ts"].integer() for row in fresh) + 1
        sheet.problem(WITHDRAWALS, Reason.NOT_COLLECTED, "the list did not end", "account.withdrawals_complete")


def _young(row: Shape, now: datetime) -> bool:
    at = parse_time(row["ts"].time_ms())
    return at is not None and now - at <= _funds.WINDOW


FUNDS = Funds(
    looks=(Look(endpoint=VALUATION, read=_valuation), Look(endpoint=TRADING, read=_trading)), withdrawals=_withdrawals
)
