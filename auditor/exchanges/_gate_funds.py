"""Gate: what an account holds over all its wallets, whether the spot wallet agrees, and its withdrawals. Wallet: Read Only shows
the total and the withdrawals; the spot wallet needs Spot: Read Only.

Source: https://www.gate.com/docs/developers/apiv4/en/ (total balances, spot accounts, withdrawal records).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from auditor.exchanges import _funds
from auditor.exchanges._base import Door, Endpoint, Limit, Sheet
from auditor.exchanges._funds import Columns, Funds, Look, Reading
from auditor.exchanges._shape import Shape, ShapeError

_DOCS = "https://www.gate.com/docs/developers/apiv4/en/"
_SPAN = timedelta(days=29)
"""One call covers 30 days at most."""
_PAGE, _MOST_PAGES = 100, 100
_STATES = {
    **dict.fromkeys(
        ("request", "manual", "bcode", "extpend", "verify", "proces", "pend", "dmove", "review"), "pending"
    ),
    "done": "done",
    "cancel": "cancelled",
    "fail": "failed",
    "invalid": "failed",
}
_COLUMNS = Columns(
    at="timestamp",
    when=Shape.time_s,
    asset="currency",
    amount="amount",
    to=("address", "memo"),
    state="status",
    states=_STATES,
)


def _endpoint(section: str, call: str, calls: float) -> Endpoint:
    path = f"{section}/{call}"
    return Endpoint(name=path, verb="GET", host="api.gateio.ws", path=f"/api/v4/{path}", api=("private", section), call=call,
                    limit=Limit(calls=calls, seconds=10), source=_DOCS)  # fmt: skip


TOTAL = _endpoint("wallet", "total_balance", 80)
SPOT = _endpoint("spot", "accounts", 200)
WITHDRAWALS = _endpoint("wallet", "withdrawals", 200)
ENDPOINTS = (TOTAL, SPOT, WITHDRAWALS)


async def _total(door: Door) -> Reading:
    """In the currency asked for, which the answer names."""
    total = Shape(await door.fetch(TOTAL, {"currency": "USD"}))["total"]
    if total["currency"].text() != "USD":
        raise ShapeError(f"{total.at}.currency: US dollars expected")
    return Reading(total=total["amount"].number())


async def _spot(door: Door) -> Reading:
    rows = Shape(await door.fetch(SPOT)).rows()
    return Reading(holds=any(row["available"].number() + row["locked"].number() > 0 for row in rows))


async def _withdrawals(door: Door, sheet: Sheet, now: datetime) -> None:
    """Whole where every span of the window was paged to its end."""
    with sheet.reading(WITHDRAWALS, *_funds.WITHDRAWALS) as seen:
        known: set[str] = set()
        until, oldest = now, now - _funds.WINDOW
        while until > oldest:
            since = max(until - _SPAN, oldest)
            for row in await _pages(door, since, until):
                number = row["id"].text()
                if number not in known:
                    known.add(number)
                    _funds.payout(seen, row, _COLUMNS)
            until = since
        seen.list_seen("withdrawal")
        seen.account(withdrawals_complete=True)


async def _pages(door: Door, since: datetime, until: datetime) -> list[Shape]:
    start, end = (str(int(moment.timestamp())) for moment in (since, until))
    rows: list[Shape] = []
    for page in range(_MOST_PAGES):
        asked = {"from": start, "to": end, "limit": str(_PAGE), "offset": str(page * _PAGE)}
        listed = Shape(await door.fetch(WITHDRAWALS, asked)).rows()
        rows += listed
        if len(listed) < _PAGE:
            return rows
    raise ShapeError("$: the list did not end")


FUNDS = Funds(looks=(Look(endpoint=TOTAL, read=_total), Look(endpoint=SPOT, read=_spot)), withdrawals=_withdrawals)
