"""What Gate answers about balances and withdrawals: a total in the currency asked for (USDT unless said), plain lists, times in
seconds, and at most 30 days of withdrawals a call.

Source: https://www.gate.com/docs/developers/apiv4/en/ (wallet; spot).
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey
from auditor.twin._holdings import Holdings, Payout, Routes

_THIRTY_DAYS = 30 * 86_400


def routes(held: Holdings) -> Routes:
    """The three routes over `held`."""

    def total(request: web.Request, _key: TwinKey) -> dict[str, Any]:
        currency = request.query.get("currency", "USDT")
        worth = held.total() / (100_000 if currency == "BTC" else 1)
        details = {"spot": {"amount": str(held.trading), "currency": currency}}
        return {"total": {"amount": str(worth), "currency": currency}, "details": details}

    def spot(_request: web.Request, _key: TwinKey) -> list[dict[str, str]]:
        return [{"currency": asset, "available": amount, "locked": "0"} for asset, amount in held.assets.items()]

    def history(request: web.Request, _key: TwinKey) -> list[dict[str, Any]]:
        since, until = int(request.query["from"]), int(request.query["to"])
        if until - since > _THIRTY_DAYS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        start, length = int(request.query.get("offset", 0)), min(100, int(request.query.get("limit", 100)))
        return [_row(one) for one in held.between(since * 1000, until * 1000)][start : start + length]

    return {
        ("GET", "/api/v4/wallet/total_balance"): total,
        ("GET", "/api/v4/spot/accounts"): spot,
        ("GET", "/api/v4/wallet/withdrawals"): history,
    }


def _row(one: Payout) -> dict[str, Any]:
    return {
        "id": f"w{one.number}",
        "currency": one.asset,
        "address": one.to,
        "memo": one.tag,
        "amount": one.amount,
        "fee": "1",
        "status": one.state,
        "timestamp": str(one.at // 1000),
        "txid": "",
        "chain": one.asset,
        "withdraw_order_id": "",
    }
