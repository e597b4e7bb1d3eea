"""What Binance answers about wallets and withdrawals: worth by wallet in the asset asked for (BTC unless said), withdrawals by
time and offset, at most 90 days a call.

Source: https://developers.binance.com/docs/wallet/.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey
from auditor.twin._holdings import Holdings, Payout, Routes

_NINETY_DAYS = 90 * 86_400_000
_EMPTY = ("Funding", "Cross Margin", "Isolated Margin", "COIN-M Futures", "Earn", "Options")


def routes(held: Holdings, most: int = 1000) -> Routes:
    """The two routes over `held`; `trading` is the spot wallet."""

    def wallets(request: web.Request, _key: TwinKey) -> list[dict[str, Any]]:
        rate = 1.0 if request.query.get("quoteAsset") == "USDT" else 0.00001
        total = held.total()
        worth = {"Spot": held.trading, "USDⓈ-M Futures": total - held.trading, **dict.fromkeys(_EMPTY, 0.0)}
        return [
            {"activate": bool(value), "balance": str(value * rate), "walletName": name} for name, value in worth.items()
        ]

    def history(request: web.Request, _key: TwinKey) -> list[dict[str, Any]]:
        since, until = (int(request.query[name]) for name in ("startTime", "endTime"))
        if until - since >= _NINETY_DAYS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        start, length = int(request.query.get("offset", 0)), min(most, int(request.query.get("limit", 1000)))
        return [_row(one) for one in held.between(since, until)][start : start + length]

    return {
        ("GET", "/sapi/v1/asset/wallet/balance"): wallets,
        ("GET", "/sapi/v1/capital/withdraw/history"): history,
    }


def spot(held: Holdings) -> list[dict[str, str]]:
    """The balances of the spot account, by asset."""
    return [{"asset": asset, "free": amount, "locked": "0.00000000"} for asset, amount in held.assets.items()]


def _row(one: Payout) -> dict[str, Any]:
    return {
        "id": f"invented{one.number}",
        "amount": one.amount,
        "transactionFee": "0.0001",
        "coin": one.asset,
        "status": int(one.state),
        "address": one.to,
        "addressTag": one.tag,
        "txId": "0xinvented",
        "applyTime": datetime.fromtimestamp(one.at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "network": one.asset,
        "transferType": 0,
    }
