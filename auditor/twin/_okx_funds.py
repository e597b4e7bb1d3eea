"""What OKX answers about holdings and withdrawals: valuation, trading account, withdrawal history (newest first, by `after`).

Source: https://www.okx.com/docs-v5/en/ (funding account; trading account).
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from auditor.twin._base import TwinKey
from auditor.twin._holdings import Holdings, Payout, Routes

_PER_DOLLAR = {"USD": 1.0, "USDT": 1.0, "BTC": 0.00001}


def routes(held: Holdings, most: int = 100) -> Routes:
    """The three routes over `held`; a page has `most` rows at most."""

    def valuation(request: web.Request, _key: TwinKey) -> dict[str, Any]:
        rate = _PER_DOLLAR[request.query.get("ccy", "BTC")]
        total = held.total()
        details = {"trading": str(held.trading * rate), "funding": str((total - held.trading) * rate)}
        return _body([{"totalBal": str(total * rate), "details": {**details, "earn": "0", "classic": "0"}, "ts": "1"}])

    def trading(_request: web.Request, _key: TwinKey) -> dict[str, Any]:
        details = [{"ccy": asset, "eq": amount, "cashBal": amount} for asset, amount in held.assets.items()]
        return _body([{"totalEq": str(held.trading), "details": details, "uTime": "1"}])

    def history(request: web.Request, _key: TwinKey) -> dict[str, Any]:
        older_than = int(request.query.get("after", 10**15))
        length = min(most, int(request.query.get("limit", 100)))
        return _body([_row(one) for one in held.between(0, older_than - 1)][:length])

    return {
        ("GET", "/api/v5/asset/asset-valuation"): valuation,
        ("GET", "/api/v5/account/balance"): trading,
        ("GET", "/api/v5/asset/withdrawal-history"): history,
    }


def _body(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": data}


def _row(one: Payout) -> dict[str, Any]:
    return {
        "ccy": one.asset,
        "chain": f"{one.asset}-Invented",
        "amt": one.amount,
        "ts": str(one.at),
        "from": "owner@demo.invalid",
        "to": one.to,
        "toAddrType": "1",
        "state": one.state,
        "wdId": one.number,
        "txId": "",
        "fee": "1",
        **({"tag": one.tag} if one.tag else {}),
    }
