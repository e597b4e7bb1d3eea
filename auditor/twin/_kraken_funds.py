"""What Kraken answers about balances and withdrawals: each call needs rights of its own, a withdrawal that came back stands in
the ledger twice, and only the list of recent withdrawals knows an address.

Source: https://docs.kraken.com/api-reference/ (account data; funding).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey
from auditor.twin._holdings import Holdings, Payout, Routes

_PAGE = 50


def routes(held: Holdings, asked: Callable[[], Mapping[str, str]]) -> Routes:
    """The four routes over `held`; `asked` is the form of the request being served."""

    def total(_request: web.Request, key: TwinKey) -> Any:
        _needs(key, "query-open-trades")
        worth = held.total() / (1 if asked().get("asset", "ZUSD") == "ZUSD" else 100_000)
        return _body({"eb": f"{worth:.4f}", "tb": f"{held.trading:.4f}", "m": "0.0000", "n": "0.0000"})

    def balance(_request: web.Request, key: TwinKey) -> Any:
        _needs(key, "query-funds")
        return _body(dict(held.assets))

    def ledgers(_request: web.Request, key: TwinKey) -> Any:
        _needs(key, "query-ledger")
        form = asked()
        known = [] if form.get("aclass", "currency") != "currency" else held.between(int(form["start"]) * 1000, 10**15)
        entries = {f"L{one.number}": _entry(one, "-") for one in known}
        entries |= {f"L{one.number}BACK": _entry(one, "") for one in known if one.state == "Failure"}
        start = int(form.get("ofs", 0))
        return _body({"count": len(entries), "ledger": dict(list(entries.items())[start : start + _PAGE])})

    def status(_request: web.Request, key: TwinKey) -> Any:
        _needs(key, "query-ledger", "withdraw-funds")
        rows = [_row(one) for one in held.between(int(asked()["start"]) * 1000, 10**15)]
        return _body({"withdrawals": rows, "next_cursor": ""} if "cursor" in asked() else rows)

    return {
        ("POST", "/0/private/TradeBalance"): total,
        ("POST", "/0/private/Balance"): balance,
        ("POST", "/0/private/Ledgers"): ledgers,
        ("POST", "/0/private/WithdrawStatus"): status,
    }


def _needs(key: TwinKey, *any_of: str) -> None:
    if not set(any_of) & set(key.about["permissions"]):
        raise Refused(Refusal.MISSING_PERMISSION)


def _body(result: Any) -> dict[str, Any]:
    return {"error": [], "result": result}


def _entry(one: Payout, sign: str) -> dict[str, Any]:
    return {
        "refid": f"INVENT-{one.number}",
        "time": one.at / 1000,
        "type": "withdrawal",
        "subtype": "",
        "aclass": "currency",
        "asset": one.asset,
        "amount": f"{sign}{one.amount}",
        "fee": "0.0001",
        "balance": "1.0",
    }


def _row(one: Payout) -> dict[str, Any]:
    return {
        "method": one.asset,
        "aclass": "currency",
        "asset": one.asset,
        "refid": f"INVENT-{one.number}",
        "txid": "invented",
        "info": one.to,
        "amount": one.amount,
        "fee": "0.0001",
        "time": one.at // 1000,
        "status": one.state,
        "key": "cold wallet",
    }
