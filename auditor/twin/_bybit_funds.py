"""What Bybit answers about assets and withdrawals: an overview in the user's own currency unless another is asked for, the
unified account in US dollars, withdrawals by time (below 30 days a call) and cursor.

Source: https://bybit-exchange.github.io/docs/v5/asset/.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey
from auditor.twin._holdings import Holdings, Payout, Routes

_THIRTY_DAYS = 30 * 86_400_000


def routes(held: Holdings, body: Any, most: int = 50) -> Routes:
    """The three routes over `held`; `body` wraps a result. Withdrawals are the master's alone."""

    def overview(request: web.Request, _key: TwinKey) -> Any:
        currency = request.query.get("valuationCurrency", "EUR")
        total = held.total()
        worth = {"UnifiedTradingAccount": held.trading, "FundingAccount": total - held.trading}
        rows = [
            {"accountType": name, "totalEquity": f"{value:.2f}", "valuationCurrency": currency, "coinDetail": []}
            for name, value in worth.items()
        ]
        return body({"totalEquity": f"{total:.2f}", "list": rows})

    def unified(_request: web.Request, _key: TwinKey) -> Any:
        coins = [{"coin": asset, "equity": amount, "usdValue": "1"} for asset, amount in held.assets.items()]
        return body({"list": [{"accountType": "UNIFIED", "totalEquity": str(held.trading), "coin": coins}]})

    def history(request: web.Request, key: TwinKey) -> Any:
        if not key.about["isMaster"]:
            raise Refused(Refusal.MISSING_PERMISSION)
        since, until = int(request.query["startTime"]), int(request.query["endTime"])
        if until - since >= _THIRTY_DAYS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        start, length = int(request.query.get("cursor", 0)), min(most, int(request.query.get("limit", 50)))
        rows = [_row(one) for one in held.between(since, until)]
        following = str(start + length) if start + length < len(rows) else ""
        return body({"rows": rows[start : start + length], "nextPageCursor": following})

    return {
        ("GET", "/v5/asset/asset-overview"): overview,
        ("GET", "/v5/account/wallet-balance"): unified,
        ("GET", "/v5/asset/withdraw/query-record"): history,
    }


def _row(one: Payout) -> dict[str, Any]:
    return {
        "coin": one.asset,
        "chain": one.asset,
        "amount": one.amount,
        "txID": "",
        "status": one.state,
        "toAddress": one.to,
        "tag": one.tag,
        "withdrawFee": "1",
        "createTime": str(one.at),
        "updateTime": str(one.at + 300_000),
        "withdrawId": one.number,
        "withdrawType": 0,
    }
