"""Four exchanges that cost nothing: raw HTTP on loopback, every answer 50 ms late, limits enforced and refusals counted.

Runs in a process of its own, so that what is measured is the client. Every row carries the last six characters of the key
that asked, so that one account's answer in another's evidence would show. Told on stdin which limits hold: the whole of
what is documented, of which the client may use its share.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict, deque
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import parse_qs

LATENCY = 0.05
MADE = 1_700_000_000
_FEWEST = 3
"""Limits that a place must have been asked for, one after the other: two calls say nothing of a rate."""
_KEYS = {"ok-access-key", "x-mbx-apikey", "x-bapi-api-key", "api-key"}


def okx(*rows: object) -> dict[str, object]:
    return {"code": "0", "msg": "", "data": list(rows)}


def okx_key(who: str) -> dict[str, object]:
    about = {"label": f"bot-{who}", "ip": "198.51.100.20", "perm": "read_only"}
    return {"uid": f"1{who}", "mainUid": f"1{who}", "type": "0", "kycLv": "2", **about}


def okx_subs(who: str, query: str) -> dict[str, object]:
    if "after=" in query:
        return okx()
    return okx(*[{"subAcct": f"{name}-{who}", "ts": f"171200000000{name}", "enable": True} for name in (1, 2)])


def okx_sub_key(who: str, query: str) -> dict[str, object]:
    name = parse_qs(query)["subAcct"][0]
    about = {"label": f"of-{name}", "perm": "read_only,trade", "ip": "198.51.100.20", "ts": "1712000000000"}
    return okx({**about, "apiKey": f"key-of-{name}"} if name.endswith(who) else {})


def bybit(**result: object) -> dict[str, object]:
    return {"retCode": 0, "retMsg": "", "result": result, "retExtInfo": {}, "time": 1_795_000_000_000}


def bybit_key(label: str, key: str, **facts: object) -> dict[str, object]:
    groups = ("ContractTrade", "Spot", "Options", "Derivatives", "Exchange", "Wallet")
    ends = {"expiredAt": "2027-01-30T04:05:06Z", "createdAt": "2026-11-01T04:05:06Z"}
    held = {"note": label, "apiKey": key, "permissions": dict.fromkeys(groups, ()), "ips": ["198.51.100.20"]}
    return {**held, **ends, "rsaPublicKey": "", "type": 1, **facts}


def bybit_own(who: str) -> dict[str, object]:
    place = {"userID": int(f"5{who}"), "isMaster": True, "parentUid": "0", "kycLevel": "LEVEL_1"}
    return bybit(**bybit_key(f"bot-{who}", f"own-key-{who}", readOnly=1, **place))


def bybit_sub_key(who: str, query: str) -> dict[str, object]:
    uid = parse_qs(query)["subMemberId"][0]
    row = bybit_key(f"of-{uid}", f"key-of-{uid}", readOnly=False, status=1, flag="hmac")
    return bybit(result=[row] if uid.endswith(who) else [{}], nextPageCursor="")


def bybit_members(who: str) -> dict[str, object]:
    return bybit(subMembers=[{"uid": f"7{who}", "username": f"sub-{who}", "status": 1}])


def binance_key(who: str) -> dict[str, object]:
    off = ("Withdrawals", "InternalTransfer", "Margin", "Futures", "VanillaOptions", "FixApiTrade", "FixReadOnly",
           "SpotAndMarginTrading", "PortfolioMarginTrading")  # fmt: skip
    flags = {f"enable{name}": False for name in off} | {"enableReading": True, "permitsUniversalTransfer": False}
    return {"ipRestrict": True, "createTime": (MADE + int(who)) * 1000, **flags}


def binance_book(who: str) -> list[dict[str, object]]:
    entry = {"address": f"bc1qinvented{who}", "addressTag": "", "coin": "BTC", "network": "BTC", "name": f"book-{who}"}
    return [{**entry, "whiteStatus": True, "origin": "", "originType": "others"}]


def kraken_key(who: str) -> dict[str, object]:
    ends = {"validUntil": "0", "createdTime": "1709290800", "modifiedTime": "1709290800"}
    may = {"permissions": ["query-funds", "query-ledger", "withdraw-funds"], "ipAllowlist": ["198.51.100.20"]}
    named = {"apiKey": f"own-key-{who}", "apiKeyName": f"bot-{who}", "iban": f"AA{who}"}
    return {"error": [], "result": {**named, **may, **ends}}


def kraken_book(who: str) -> dict[str, object]:
    entry = {"address": f"bc1qinvented{who}", "asset": "XBT", "method": "Bitcoin", "key": f"book-{who}"}
    return {"error": [], "result": [{**entry, "verified": True}]}


ANSWERS: dict[str, Callable[[str, str], object]] = {
    "/api/v5/account/config": lambda who, _: okx(okx_key(who)),
    "/api/v5/asset/currencies": lambda *_: okx({"ccy": "BTC", "wdQuota": "1000000", "usedWdQuota": "0"}),
    "/api/v5/users/subaccount/list": okx_subs,
    "/api/v5/users/subaccount/apikey": okx_sub_key,
    "/api/v5/system/status": lambda *_: okx(),
    "/v5/user/query-api": lambda who, _: bybit_own(who),
    "/v5/user/query-sub-members": lambda who, _: bybit_members(who),
    "/v5/asset/transfer/query-sub-member-list": lambda who, _: bybit(
        subMemberIds=[f"7{who}", f"8{who}"], transferableSubMemberIds=[]
    ),
    "/v5/user/sub-apikeys": bybit_sub_key,
    "/v5/system/status": lambda *_: bybit(list=[]),
    "/sapi/v1/account/apiRestrictions": lambda who, _: binance_key(who),
    "/sapi/v1/account/status": lambda *_: {"data": "Normal"},
    "/sapi/v1/capital/withdraw/quota": lambda *_: {"wdQuota": "8000000", "usedWdQuota": "0"},
    "/sapi/v1/capital/withdraw/address/list": lambda who, _: binance_book(who),
    "/sapi/v1/sub-account/list": lambda *_: {"subAccounts": []},
    "/sapi/v1/system/status": lambda *_: {"status": 0, "msg": "normal"},
    "/api/v3/account": lambda who, _: {"uid": int(f"9{who}"), "canTrade": True, "balances": []},
    "/0/private/GetApiKeyInfo": lambda who, _: kraken_key(who),
    "/0/private/WithdrawAddresses": lambda who, _: kraken_book(who),
    "/0/public/SystemStatus": lambda *_: {"error": [], "result": {"status": "online"}},
}


class Limits:
    """What each place was asked lately, in parts of its limit; and how much of it, from the first window's end to the last call."""

    def __init__(self, told: dict[str, list[object]]) -> None:
        self.places = {path: (float(calls), float(seconds), str(pool), per == "key")  # type: ignore[arg-type]
                       for path, (calls, seconds, per, pool) in told.items()}  # fmt: skip
        self.spent: dict[tuple[str, str], deque[tuple[float, float]]] = defaultdict(deque)
        self.kept: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self.fullest = 0.0

    def allow(self, path: str, key: str, now: float) -> bool:
        if path not in self.places:
            return True
        calls, seconds, pool, by_key = self.places[path]
        window = self.spent[pool, key if by_key else ""]
        while window and window[0][0] <= now - seconds:
            window.popleft()
        used = sum(part for _, part in window) + 1 / calls
        if calls >= 4:  # else one call alone is more than a quarter
            self.fullest = max(self.fullest, used)
        window.append((now, 1 / calls))
        if not by_key:
            self.kept[pool].append((now, 1 / calls, seconds))
        return used <= 1 + 1e-9

    def used(self) -> dict[str, float]:
        """By place that is counted by address: the part of the limit that was used while it was asked for."""
        found = {}
        for pool, calls in self.kept.items():
            begun = calls[0][0] + calls[0][2]
            lasted = calls[-1][0] - begun
            if lasted > calls[0][2] and sum(part for _, part, _ in calls) > _FEWEST:
                found[pool] = sum(part for at, part, _ in calls if begun < at) * calls[0][2] / lasted
        return found


class Wire(asyncio.Protocol):
    told: ClassVar[dict[str, int]] = {"requests": 0, "refused": 0, "connections": 0}
    limits: ClassVar[Limits] = Limits({})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.rest = transport, b""
        self.told["connections"] += 1

    def data_received(self, data: bytes) -> None:
        head, end, body = (self.rest + data).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        held = dict(line.split(": ", 1) for line in lines) if end else {}
        if not end or len(body) < int(held.get("Content-Length", 0)):
            self.rest += data
            return
        self.rest = b""
        path, _, query = first.split(" ")[1].partition("?")
        key = next((value for name, value in held.items() if name.lower() in _KEYS), "")
        status, said = self._answer(path, query, key)
        raw = json.dumps(said).encode()
        top = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        asyncio.get_running_loop().call_later(LATENCY, self.transport.write, top.encode() + raw)

    def _answer(self, path: str, query: str, key: str) -> tuple[int, object]:
        if path == "/told":
            return 200, {**self.told, "used": self.limits.used(), "fullest": self.limits.fullest}
        self.told["requests"] += 1
        if path not in ANSWERS:
            return 404, {}
        if not self.limits.allow(path, key, asyncio.get_running_loop().time()):
            self.told["refused"] += 1
            return 429, {}
        return 200, ANSWERS[path](key[-6:], query)


async def serve() -> None:
    Wire.limits = Limits(json.loads(sys.stdin.readline()))
    server = await asyncio.get_running_loop().create_server(Wire, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
