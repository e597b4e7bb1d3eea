"""MEXC (spot) as its documentation describes it: the X-MEXC-APIKEY header, a hex HMAC of the query at its end, flat answers
without an envelope, and refusals as `code` and `msg`.

Source: https://www.mexc.com/api-docs/spot-v3/introduction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_REFUSALS = {
    Refusal.BAD_KEY: (400, 10072, "Api key info invalid"),
    Refusal.BAD_SIGNATURE: (400, 700002, "Signature for this request is not valid."),
    Refusal.BAD_TIMESTAMP: (400, 700003, "Timestamp for this request is outside of the recvWindow."),
    Refusal.FOREIGN_IP: (400, 700006, "No permission: 192.0.2.99 is not in the IP white list"),
    Refusal.MISSING_PERMISSION: (400, 700007, "No permission to access the endpoint"),
    Refusal.RATE_LIMIT: (429, 429, "Too Many Requests"),
    Refusal.MAINTENANCE: (503, 503, "Service not available, please try again"),
}
_PAGE = 10


class Twin(TwinVenue):
    """A main account: an unbound audit key in its 90 days, one sub-account with a bot's key that may withdraw."""

    id = "mexc"
    account_name = "main-mexc"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without sub-accounts": {"subs": []},
        "a key that moves funds": {"about": {"permissions": "SPOT_TRANSFER_WRITE"}},
    }
    further = (
        Spoken(500, {"code": 500, "msg": "Internal error"}),
        Spoken(400, {"code": 60005, "msg": "your account is abnormal"}),
        Spoken(400, {"code": 98765, "msg": "not documented"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.clock_ahead = timedelta(0)
        self.flags: dict[str, Any] = {"canTrade": True, "canWithdraw": True, "canDeposit": True}
        self.kyc: Any = "3"
        self.addresses = _addresses()
        self.subs = _subs()
        self.sub_keys = _sub_keys()
        self.signed = {
            ("GET", "/api/v3/apiKeyInfo"): self._key_info,
            ("GET", "/api/v3/account"): self._account,
            ("GET", "/api/v3/kyc/status"): self._kyc,
            ("GET", "/api/v3/capital/withdraw/address"): self._book,
            ("GET", "/api/v3/sub-account/list"): self._sub_list,
            ("GET", "/api/v3/sub-account/apiKey"): self._keys_of_sub,
        }
        self.public = {
            ("GET", "/api/v3/time"): lambda _request: {"serverTime": int(self._now().timestamp() * 1000)},
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="mx0vDEMOauditor0001",
                secret="d3m0d3m0d3m0d3m0d3m0d3m0d3m0d3m0",  # noqa: S106  (invented; the twin knows no other)
                about={
                    "note": "audit",
                    "createTime": "2026-10-01T09:15:00.000+00:00",
                    "permissions": "SPOT_ACCOUNT_READ,SPOT_DEAL_READ,SPOT_WITHDRAW_READ,CONTRACT_ACCOUNT_READ",
                    "remainingValidity": 40,
                    "ipWhiteList": "",
                    "status": "VALID",
                },
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "email_otp",
                "enrolled_factors": ["email", "totp"],
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "sms",
            }
        }

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.clock_ahead

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("X-MEXC-APIKEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        said, _, signature = request.rel_url.raw_query_string.rpartition("&signature=")
        if not same(hmac_sha256(key.secret, said + body).hex(), signature):
            raise Refused(Refusal.BAD_SIGNATURE)
        stamp, window = request.query.get("timestamp", ""), request.query.get("recvWindow", "5000")
        if not (stamp.isdigit() and window.isdigit() and int(window) <= 60_000):  # noqa: PLR2004
            raise Refused(Refusal.BAD_TIMESTAMP)
        if abs(self._now().timestamp() * 1000 - int(stamp)) > int(window):
            raise Refused(Refusal.BAD_TIMESTAMP)
        listed = [entry for entry in key.about["ipWhiteList"].split(",") if entry]
        if listed and not any(ip_address(self.caller) in ip_network(entry, strict=False) for entry in listed):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message}, status=status)

    def _needs(self, key: TwinKey, scope: str) -> None:
        if scope not in key.about["permissions"].split(","):
            raise Refused(Refusal.MISSING_PERMISSION)

    def _key_info(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._needs(key, "SPOT_ACCOUNT_READ")
        asked = request.query.get("accessKey", "")
        if asked != key.api_key:
            return {"code": 730706 if asked else 730707, "msg": "API KEY information does not exist"}
        return {**key.about, "accessKey": key.api_key}

    def _account(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._needs(key, "SPOT_ACCOUNT_READ")
        held = [{"asset": "USDT", "free": "1234.5", "locked": "0"}]
        return {**self.flags, "updateTime": None, "accountType": "SPOT", "balances": held, "permissions": ["SPOT"]}

    def _kyc(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._needs(key, "SPOT_ACCOUNT_READ")
        return {"status": self.kyc}

    def _book(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._needs(key, "SPOT_WITHDRAW_READ")
        page, length = int(request.query.get("page", 1)), int(request.query.get("limit", 20))
        rows = self.addresses[(page - 1) * length : page * length]
        pages = -(-len(self.addresses) // length)
        return {"data": rows, "totalRecords": len(self.addresses), "page": page, "totalPageNum": pages}

    def _sub_list(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._needs(key, "SPOT_ACCOUNT_READ")
        page, length = int(request.query.get("page", 1)), int(request.query.get("limit", _PAGE))
        return {"subAccounts": self.subs[(page - 1) * length : page * length]}

    def _keys_of_sub(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._needs(key, "SPOT_ACCOUNT_READ")
        return {"subAccount": self.sub_keys.get(request.query.get("subAccount", ""), [])}


def _addresses() -> list[dict[str, Any]]:
    """Addresses that cannot exist."""
    return [
        {"coin": "USDT", "network": "TRC20", "address": "TDEMOaddr3", "addressTag": "cold", "memo": None},
        {"coin": "XRP", "network": "XRP", "address": "rDEMOaddr4", "addressTag": "other exchange", "memo": "104512"},
    ]


def _subs() -> list[dict[str, Any]]:
    return [
        {"subAccount": "mexcbot01", "isFreeze": False, "createTime": 1730000000000, "uid": "77001122"},
        {"subAccount": "mexcbot02", "isFreeze": True, "createTime": 1731000000000, "uid": "77001123"},
    ]


def _sub_keys() -> dict[str, list[dict[str, Any]]]:
    return {
        "mexcbot01": [
            {
                "note": "grid",
                "apiKey": "mx0vDEMOsubkey0001",
                "permissions": "SPOT_ACCOUNT_READ,SPOT_DEAL_WRITE,SPOT_WITHDRAW_WRITE",
                "ip": "",
                "creatTime": 1731000000000,
            }
        ],
        "mexcbot02": [
            {
                "note": "arb",
                "apiKey": "mx0vDEMOsubkey0002",
                "permissions": "SPOT_ACCOUNT_READ,CONTRACT_DEAL_WRITE",
                "ip": "203.0.113.9,203.0.113.10",
                "createTime": 1732000000000,
            }
        ],
    }
