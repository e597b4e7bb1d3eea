"""Binance: what an account holds by wallet, whether the spot wallet agrees, and its withdrawals. Reading is enough by the current
pages; an older one wants Permits Universal Transfer for the wallets. A key that is refused there shows no balance.

Source: https://developers.binance.com/docs/wallet/ (query user wallet balance, withdraw history).
"""

from __future__ import annotations

from datetime import datetime

from auditor.exchanges import _funds
from auditor.exchanges._base import Door, Endpoint, Limit, Sheet
from auditor.exchanges._funds import Columns, Funds, Look, Reading
from auditor.exchanges._shape import Shape
from auditor.model.evidence import Reason

_DOCS = "https://developers.binance.com/docs/wallet/"
_PAGE, _MOST_PAGES = 1000, 20
_STATES = {"0": "pending", "1": "cancelled", "2": "pending", "3": "failed", "4": "pending", "5": "failed", "6": "done"}
_COLUMNS = Columns(
    at="applyTime",
    when=Shape.time_text,
    asset="coin",
    amount="amount",
    to=("address", "addressTag"),
    state="status",
    states=_STATES,
)


def _endpoint(call: str, limit: Limit, page: str) -> Endpoint:
    return Endpoint(name=call, verb="GET", host="api.binance.com", path=f"/sapi/v1/{call}", api=("sapi",), call=call,
                    limit=limit, source=_DOCS + page)  # fmt: skip


# Weight 60 of 12000 a minute and address; weight 18000 of 180000 a minute and user.
WALLETS = _endpoint(
    "asset/wallet/balance", Limit(calls=200, seconds=60, per="address"), "asset/query-user-wallet-balance"
)
WITHDRAWALS = _endpoint("capital/withdraw/history", Limit(calls=10, seconds=60), "capital/withdraw-history")
ENDPOINTS = (WALLETS, WITHDRAWALS)


async def _wallets(door: Door) -> Reading:
    """In USDT, which stands for the US dollar here: the sum over all wallets, the empty ones named too."""
    rows = Shape(await door.fetch(WALLETS, {"quoteAsset": "USDT"})).rows()
    worth = {row["walletName"].text(): row["balance"].number() for row in rows}
    return Reading(total=sum(worth.values()), parts={"the spot wallet": worth["Spot"]} if "Spot" in worth else {})


def _spot(endpoint: Endpoint) -> Look:
    """The spot account lists assets and not their worth: it can only say that nothing is not true."""

    async def read(door: Door) -> Reading:
        rows = Shape(await door.fetch(endpoint, {"omitZeroBalances": "true"}))["balances"].rows()
        held = any(row["free"].number() + row["locked"].number() > 0 for row in rows)
        return Reading(parts={}, holds=held)

    return Look(endpoint=endpoint, read=read)


async def _withdrawals(door: Door, sheet: Sheet, now: datetime) -> None:
    """One call covers less than 90 days, by pages of 1000."""
    since, until = (str(int(moment.timestamp() * 1000)) for moment in (now - _funds.WINDOW, now))
    with sheet.reading(WITHDRAWALS, *_funds.WITHDRAWALS) as seen:
        for page in range(_MOST_PAGES):
            asked = {"startTime": since, "endTime": until, "limit": str(_PAGE), "offset": str(page * _PAGE)}
            rows = Shape(await door.fetch(WITHDRAWALS, asked)).rows()
            seen.list_seen("withdrawal")
            for row in rows:
                _funds.payout(seen, row, _COLUMNS)
            if len(rows) < _PAGE:
                seen.account(withdrawals_complete=True)
                return
        sheet.problem(WITHDRAWALS, Reason.NOT_COLLECTED, "the list did not end", "account.withdrawals_complete")


def funds(spot: Endpoint) -> Funds:
    """With the spot account (`spot`), which the connector reads for other reasons too, as the second witness."""
    return Funds(looks=(Look(endpoint=WALLETS, read=_wallets), _spot(spot)), withdrawals=_withdrawals)
