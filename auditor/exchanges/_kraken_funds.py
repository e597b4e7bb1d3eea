"""Kraken: what an account holds, and what left it. The balance needs Funds: Query and Orders: Query open orders & trades
beside the ledger entries that the audit key reads anyway.

Source: https://docs.kraken.com/api-reference/ (trade balance, account balance, ledgers, status of recent withdrawals).
"""

from __future__ import annotations

from datetime import datetime

from auditor.exchanges import _funds
from auditor.exchanges._base import Door, Endpoint, Limit, Sheet
from auditor.exchanges._funds import Columns, Funds, Look, Reading
from auditor.exchanges._shape import Shape, ShapeError

_DOCS = "https://docs.kraken.com/api-reference/"
_MOST_PAGES = 200
_STATES = {"initial": "pending", "pending": "pending", "settled": "pending", "success": "done", "failure": "failed"}
_CLASSES = ("currency", "tokenized_asset")
_COLUMNS = Columns(
    at="time", when=Shape.time_s, asset="asset", amount="amount", to=("info",), state="status", states=_STATES
)
# The counter of the key, as the connector draws on it: a question about the ledger counts twice.
_COUNTER, _LEDGER = Limit(calls=20, seconds=40, pool="counter"), Limit(calls=10, seconds=40, pool="counter")


def _endpoint(name: str, page: str, limit: Limit = _COUNTER) -> Endpoint:
    return Endpoint(name=name, verb="POST", host="api.kraken.com", path=f"/0/private/{name}", api=("private",), call=name,
                    limit=limit, source=_DOCS + page)  # fmt: skip


TOTAL = _endpoint("TradeBalance", "account-data/get-trade-balance")
BALANCES = _endpoint("Balance", "account-data/get-account-balance")
LEDGERS = _endpoint("Ledgers", "account-data/get-ledgers-info", _LEDGER)
STATUS = _endpoint("WithdrawStatus", "funding/get-status-of-recent-withdrawals")
ENDPOINTS = (TOTAL, BALANCES, LEDGERS, STATUS)


async def _total(door: Door) -> Reading:
    """`eb`: the balances of all currencies together, in US dollars as asked for."""
    return Reading(total=Shape(await door.fetch(TOTAL, {"asset": "ZUSD"}))["result"]["eb"].number())


async def _balances(door: Door) -> Reading:
    """What there is of each asset, without its worth."""
    table = Shape(await door.fetch(BALANCES))["result"]
    assets = table.keys()
    return Reading(holds=any(table[asset].number() > 0 for asset in assets))


async def _withdrawals(door: Door, sheet: Sheet, now: datetime) -> None:
    """The ledger says what left; the list of recent withdrawals says where it went. What came back stands
    there twice, under one reference and with both signs.
    """
    since = str(int((now - _funds.WINDOW).timestamp()))
    recent = await _recent(door, sheet, since)
    with sheet.reading(LEDGERS, *_funds.WITHDRAWALS) as seen:
        entries = [entry for kind in _CLASSES for entry in await _ledger(door, since, kind)]
        returned = {entry["refid"].text() for entry in entries if entry["amount"].number() > 0}
        seen.list_seen("withdrawal")
        for entry in entries:
            number = entry["refid"].text()
            if entry["amount"].number() < 0:
                row = _funds.payout(seen, entry, _COLUMNS, beside=recent.get(number))
                row |= {"state": "failed"} if number in returned else {}
        seen.account(withdrawals_complete=True)


async def _ledger(door: Door, since: str, kind: str) -> list[Shape]:
    """Every entry of a class of assets, newest first, fifty at a time. An entry made meanwhile moves the others along."""
    known: dict[str, Shape] = {}
    for _ in range(_MOST_PAGES):
        asked = {"type": "withdrawal", "aclass": kind, "start": since, "ofs": str(len(known))}
        page = Shape(await door.fetch(LEDGERS, asked))["result"]
        entries, count = page["ledger"], page["count"].integer()
        names = entries.keys()
        fresh = {name: entries[name] for name in names if name not in known}
        known |= fresh
        if len(known) >= count:
            return list(known.values())
        if not fresh:
            break
    raise ShapeError("$.result.ledger: the list did not end")


async def _recent(door: Door, sheet: Sheet, since: str) -> dict[str, Shape]:
    """Reference -> the row that says where a withdrawal went and what became of it, as far as there is one."""
    found: dict[str, Shape] = {}
    asked = {"start": since, "cursor": "true", "limit": "500"}
    with sheet.reading(STATUS, "withdrawal.destination", "withdrawal.state"):
        for _ in range(_MOST_PAGES):
            result = Shape(await door.fetch(STATUS, asked))["result"]
            paged = isinstance(result.value, dict)  # without pages it is the list itself
            rows = (result["withdrawals"] if paged else result).rows()
            found |= {row["refid"].text(): row for row in rows}
            following = result.get("next_cursor") if paged else None
            if not rows or following is None or not following.text():
                break
            asked["cursor"] = following.text()
    return found


FUNDS = Funds(
    looks=(Look(endpoint=TOTAL, read=_total), Look(endpoint=BALANCES, read=_balances)), withdrawals=_withdrawals
)
