"""KuCoin as its documentation describes it: KC-API headers, `code` and `data` in every body, sub-accounts and their keys.

Source: https://www.kucoin.com/docs-new (authentication; account info; sub-account API) and the universal SDK's specification.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_WINDOW_MS = 5000
_REFUSALS = {
    Refusal.BAD_KEY: (400, "400003", "KC-API-KEY not exists"),
    Refusal.BAD_SIGNATURE: (400, "400005", "Invalid KC-API-SIGN"),
    Refusal.BAD_TIMESTAMP: (400, "400002", "KC-API-TIMESTAMP Invalid"),
    Refusal.FOREIGN_IP: (400, "400006", "The requested ip address is not in the api whitelist"),
    Refusal.MISSING_PERMISSION: (400, "400007", "Access denied, require more permission"),
    Refusal.RATE_LIMIT: (429, "429000", "Too many requests in a short period of time, please retry later"),
    Refusal.MAINTENANCE: (503, "500000", "Internal Server Error"),
}


def _body(data: Any) -> dict[str, Any]:
    return {"code": "200000", "data": data}


class Twin(TwinVenue):
    """A master account with a reading audit key that is bound, a bot's sub-account and a frozen one."""

    id = "kucoin"
    account_name = "main-kucoin"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "of a sub-account": {
            "about": {"isMaster": False, "parentUid": 184400291, "subName": "gridbot1", "uid": 184400777}
        },
        "made for an app": {
            "about": {"thirdPartyApp": "3commas", "expiredAt": 1793000000000, "ipWhitelist": "198.51.100.7"}
        },
        "without sub-accounts": {"sub_accounts": []},
    }
    further = (Spoken(400, {"code": "411100", "msg": "The user is frozen"}),)
    credentials = ("apiKey", "secret", "password")

    def __init__(self) -> None:
        super().__init__()
        self.sub_accounts = _sub_accounts()
        self.sub_keys = _sub_keys()
        self.engine = "open"
        self.clock_ahead = timedelta(0)
        self.signed = {
            ("GET", "/api/v1/user/api-key"): lambda _request, key: _body(dict(key.about)),
            ("GET", "/api/v2/sub/user"): self._list,
            ("GET", "/api/v1/sub/api-key"): self._keys_of_sub,
            ("GET", "/api/v2/user-info"): self._summary,
        }
        self.public = {
            ("GET", "/api/v1/status"): lambda _request: _body({"status": self.engine, "msg": ""}),
            ("GET", "/api/v1/timestamp"): lambda _request: _body(self._now_ms()),
        }

    def sample_keys(self) -> list[TwinKey]:
        common = {"uid": 184400291, "parentUid": None, "region": "PT", "kycStatus": 1, "apiVersion": 3}
        return [
            TwinKey(
                api_key="66f1c0de0a1b2c0001d3a001",
                secret="0d9e8f7a-demo-4000-8000-secretkucoin1",  # noqa: S106  (invented; the twin knows no other)
                password="Demo-Passphrase-9",  # noqa: S106
                ips=("198.51.100.7",),
                about={
                    **common,
                    "remark": "auditor",
                    "apiKey": "66f1c0de0a1b2c0001d3a001",
                    "permission": "General",
                    "ipWhitelist": "198.**.7",
                    "isMaster": True,
                    "createdAt": 1761900000000,
                    "expiredAt": None,
                    "thirdPartyApp": "",
                    "siteType": "global",
                },
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "enrolled_factors": ["sms", "email", "totp"],
                "withdrawal_allowlist_enabled": False,
            }
        }

    def _now_ms(self) -> int:
        return int((datetime.now(UTC) + self.clock_ahead).timestamp() * 1000)

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("KC-API-KEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("KC-API-TIMESTAMP", "")
        if not stamp.isdigit() or abs(self._now_ms() - int(stamp)) > _WINDOW_MS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        text = stamp + request.method + request.raw_path + body
        signed = self._matches(key, text, request.headers.get("KC-API-SIGN", ""))
        phrase = self._matches(key, key.password, request.headers.get("KC-API-PASSPHRASE", ""))
        if not signed or not phrase or request.headers.get("KC-API-KEY-VERSION") not in {"2", "3"}:
            raise Refused(Refusal.BAD_SIGNATURE)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    @staticmethod
    def _matches(key: TwinKey, text: str, given: str) -> bool:
        return same(base64.b64encode(hmac_sha256(key.secret, text)).decode(), given)

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message}, status=status)

    def _master_only(self, key: TwinKey) -> None:
        if key.about.get("isMaster") is not True:
            raise Refused(Refusal.MISSING_PERMISSION)

    def _list(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._master_only(key)
        page, size = int(request.query.get("currentPage", 1)), int(request.query.get("pageSize", 10))
        items = self.sub_accounts[(page - 1) * size : page * size]
        pages = -(-len(self.sub_accounts) // size)
        counted = {"currentPage": page, "pageSize": size, "totalNum": len(self.sub_accounts), "totalPage": pages}
        return _body({**counted, "items": items})

    def _keys_of_sub(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._master_only(key)
        return _body(self.sub_keys.get(request.query.get("subName", ""), []))

    def _summary(self, _request: web.Request, _key: TwinKey) -> dict[str, Any]:
        return _body({"level": 0, "subQuantity": len(self.sub_accounts), "maxSubQuantity": 5})


def _sub_accounts() -> list[dict[str, Any]]:
    common = {"type": 0, "access": "Spot", "tradeTypes": ["Spot"], "openedTradeTypes": ["Spot"], "hostedStatus": None}
    ids = [("gridbot1", 184400777, 2), ("oldfund2", 184400778, 3)]
    return [
        {**common, "userId": f"65a0b1c2d3e4f50001aa{uid % 10000:04}", "uid": uid, "subName": name, "status": status}
        | {"createdAt": 1750000000000, "remarks": "desk"}
        for name, uid, status in ids
    ]


def _sub_keys() -> dict[str, list[dict[str, Any]]]:
    common = {"apiVersion": 3, "isMaster": False, "uid": 184400777, "subName": "gridbot1"}
    return {
        "gridbot1": [
            {**common, "remark": "grid", "apiKey": "66f1c0de0a1b2c0001d3b001", "permission": "General,Spot,Futures"}
            | {"ipWhitelist": "", "createdAt": 1755000000000},
            {**common, "remark": "sweeper", "apiKey": "66f1c0de0a1b2c0001d3b002", "permission": "General,InnerTransfer"}
            | {"ipWhitelist": "203.**.20,2001:db8::**", "createdAt": 1756000000000},
        ],
        "oldfund2": [
            {**common, "uid": 184400778, "subName": "oldfund2", "remark": "left over", "permission": "General,Spot"}
            | {"apiKey": "66f1c0de0a1b2c0001d3b003", "ipWhitelist": "", "createdAt": 1700000000000}
        ],
    }
