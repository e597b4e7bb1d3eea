"""Binance as its documentation describes it: X-MBX-APIKEY, an HMAC over the query as sent, `code` and `msg` when refused.

Source: https://developers.binance.com/docs/ (request security; API key permission; sub-account; withdrawal addresses).
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin import _binance_funds
from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same
from auditor.twin._holdings import sample

_AHEAD_MS, _WINDOW_MS, _WIDEST_WINDOW_MS = 1000, 5000, 60000
_ALIKE = (401, -2015, "Invalid API-key, IP, or permissions for action.")
_REFUSALS = {
    Refusal.BAD_KEY: (401, -2008, "Invalid Api-Key ID."),
    Refusal.BAD_SIGNATURE: (400, -1022, "Signature for this request is not valid."),
    Refusal.BAD_TIMESTAMP: (400, -1021, "Timestamp for this request is outside of the recvWindow."),
    Refusal.FOREIGN_IP: _ALIKE,
    Refusal.MISSING_PERMISSION: _ALIKE,
    Refusal.RATE_LIMIT: (429, -1003, "Too many requests; please use the websocket for live updates."),
    Refusal.MAINTENANCE: (503, 1, "System is under maintenance."),
}
_READ_ONLY = {
    "ipRestrict": True,
    "createTime": 1733000000000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": False,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableFixApiTrade": False,
    "enableFixReadOnly": False,
    "enableSpotAndMarginTrading": False,
    "enablePortfolioMarginTrading": False,
}


class Twin(TwinVenue):
    """A main account with a bound audit key, a loose bot key and two sub-accounts, one with an unbound trading key."""

    id = "binance"
    in_demo = True
    account_name = "main-binance"
    further: ClassVar[tuple[Spoken, ...]] = (
        Spoken(408, {"code": -1007, "msg": "Timeout waiting for response from backend server."}),
        Spoken(500, {"code": -1000, "msg": "An unknown error occurred."}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.sub_accounts = _sub_accounts()
        self.sub_keys = _sub_keys()
        self.restrictions = _restrictions()
        self.address_book = _address_book()
        self.quota: Any = {"wdQuota": "8000000", "usedWdQuota": "0"}
        self.status: Any = {"status": 0, "msg": "normal"}
        self.account_status: Any = {"data": "Normal"}
        self.largest_page = 200
        self.held = sample("6", "1")
        self.signed = {
            ("GET", "/sapi/v1/account/apiRestrictions"): lambda _request, key: dict(key.about["restrictions"]),
            ("GET", "/sapi/v1/account/status"): lambda _request, _key: self.account_status,
            ("GET", "/api/v3/account"): self._spot_account,
            ("GET", "/sapi/v1/capital/withdraw/address/list"): lambda _request, _key: self.address_book,
            ("GET", "/sapi/v1/capital/withdraw/quota"): lambda _request, _key: self.quota,
            ("GET", "/sapi/v1/sub-account/list"): self._list,
            ("GET", "/sapi/v1/sub-account/subAccountApi"): self._keys_of_sub,
            ("GET", "/sapi/v1/sub-account/subAccountApi/ipRestriction"): self._restriction_of_sub_key,
            **_binance_funds.routes(self.held),
        }
        self.public = {
            ("GET", "/sapi/v1/system/status"): lambda _request: self.status,
            ("GET", "/api/v3/time"): lambda _request: {"serverTime": _now_ms()},
        }

    def sample_keys(self) -> list[TwinKey]:
        """The audit key, the main account's own bot key, and a key made inside a sub-account."""
        bot = {"ipRestrict": False, "enableSpotAndMarginTrading": True, "enableInternalTransfer": True}
        return [
            TwinKey(
                api_key="DemoPublicAuditKeyBinance00000000000000000000000000000000000A001",
                secret="DEMOSECRETBINANCE0000000000000000000000000000000000000000000000A",  # noqa: S106  (invented)
                ips=("198.51.100.7",),
                about={"uid": 810000001, "main": True, "restrictions": {**_READ_ONLY}},
            ),
            TwinKey(
                api_key="DemoPublicBotKeyBinance000000000000000000000000000000000000B002",
                secret="DEMOSECRETBINANCE0000000000000000000000000000000000000000000000B",  # noqa: S106
                about={
                    "uid": 810000001,
                    "main": True,
                    "restrictions": {**_READ_ONLY, **bot, "createTime": 1610000000000},
                },
            ),
            TwinKey(
                api_key="DemoPublicSubKeyBinance000000000000000000000000000000000000C003",
                secret="DEMOSECRETBINANCE0000000000000000000000000000000000000000000000C",  # noqa: S106
                about={"uid": 810000002, "main": False, "restrictions": {**_READ_ONLY, "ipRestrict": False}},
            ),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "email_otp",
                "step_up_weakest_factor": "sms_and_email",
                "enrolled_factors": ["sms", "email", "passkey"],
                "withdrawal_allowlist_enabled": False,
                "anti_phishing_code_set": True,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("X-MBX-APIKEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        query, _, signature = request.rel_url.raw_query_string.rpartition("&signature=")
        try:
            stamp = int(request.query.get("timestamp", ""))
            window = min(int(request.query.get("recvWindow", _WINDOW_MS)), _WIDEST_WINDOW_MS)
        except ValueError:
            raise Refused(Refusal.BAD_TIMESTAMP) from None
        if not -_AHEAD_MS < _now_ms() - stamp <= window:
            raise Refused(Refusal.BAD_TIMESTAMP)
        if not same(hmac_sha256(key.secret, query + body).hex(), signature.lower()):
            raise Refused(Refusal.BAD_SIGNATURE)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message}, status=status)

    def _spot_account(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        can = {"canTrade": True, "canWithdraw": True, "canDeposit": True}
        held = _binance_funds.spot(self.held)
        return {**can, "accountType": "SPOT", "balances": held, "permissions": ["SPOT"], "uid": key.about["uid"]}

    def _main_only(self, key: TwinKey) -> None:
        if not key.about["main"]:
            raise Refused(Refusal.MISSING_PERMISSION)

    def _list(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        """The page size is 1 unless another one is asked for."""
        self._main_only(key)
        size = min(int(request.query.get("limit", 1)), self.largest_page)
        start = (int(request.query.get("page", 1)) - 1) * size
        return {"subAccounts": self.sub_accounts[start : start + size]}

    def _keys_of_sub(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._main_only(key)
        keys = self.sub_keys.get(request.query["email"], [])
        size = min(int(request.query.get("size", 30)), self.largest_page, 100)
        start = (int(request.query.get("page", 1)) - 1) * size
        return {"total": len(keys), "list": keys[start : start + size]}

    def _restriction_of_sub_key(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._main_only(key)
        public_key = request.query["subAccountApiKey"]
        return {"apiKey": public_key, **self.restrictions.get(public_key, {"ipRestrict": "false"})}


def _now_ms() -> int:
    return int(time.time() * 1000)


def _sub_accounts() -> list[dict[str, Any]]:
    common = {"isFreeze": False, "isManagedSubAccount": False, "isAssetManagementSubAccount": False}
    return [
        {
            **common,
            "subUserId": 900001,
            "email": "grid_virtual@demo.invalid",
            "remark": "grid",
            "createTime": 1700000000000,
        },
        {**common, "subUserId": 900002, "email": "arb+two@demo.invalid", "remark": "", "createTime": 1710000000000},
    ]


def _sub_key(email: str, name: str, public_key: str, **can: bool) -> dict[str, Any]:
    off = {"canTrade": False, "canMarginLoanRepay": False, "canFuturesTrade": False}
    off |= {"canUniversalTransfer": False, "canVanillaOptions": False}
    return {"email": email, "apiName": name, "apikey": public_key, **off, **can, "timestamp": 1751000000000}


def _sub_keys() -> dict[str, list[dict[str, Any]]]:
    grid, arb = "grid_virtual@demo.invalid", "arb+two@demo.invalid"
    return {
        grid: [
            _sub_key(grid, "grid-bot", "DemoSubPublicKeyGrid0001", canTrade=True, canFuturesTrade=True),
            _sub_key(grid, "sweeper", "DemoSubPublicKeyGrid0002", canUniversalTransfer=True),
        ],
        arb: [_sub_key(arb, "arbitrage", "DemoSubPublicKeyArb00003", canTrade=True)],
    }


def _restrictions() -> dict[str, dict[str, Any]]:
    bound = {"ipRestrict": "true", "ipList": ["198.51.100.9", "203.0.113.4"], "updateTime": 1751111111111}
    return {
        "DemoSubPublicKeyGrid0001": {"ipRestrict": "false"},
        "DemoSubPublicKeyGrid0002": bound,
        "DemoSubPublicKeyArb00003": bound,
    }


def _address_book() -> list[dict[str, Any]]:
    own = {"addressTag": "", "origin": "", "originType": "Trust Wallet", "whiteStatus": True}
    shared = {
        "origin": "deposit",
        "originType": "others",
        "whiteStatus": False,
        "address": "rInventedExchange00000000000000003",
    }
    return [
        {
            **own,
            "address": "bc1qinvented00000000000000000000000000001",
            "coin": "BTC",
            "name": "cold",
            "network": "BTC",
        },
        {
            **own,
            "address": "TInvented0000000000000000000000002",
            "coin": "USDT",
            "name": "friend",
            "network": "TRX",
            "whiteStatus": False,
        },
        {**shared, "addressTag": "1001", "coin": "XRP", "name": "other exchange", "network": "XRP"},
        {**shared, "addressTag": "2002", "coin": "XRP", "name": "old exchange", "network": "XRP"},
    ]
