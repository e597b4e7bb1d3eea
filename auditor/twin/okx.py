"""OKX as its documentation describes it: OK-ACCESS headers, `code` and `msg` in every body, sub-accounts and their keys.

Source: https://www.okx.com/docs-v5/en/ (REST authentication; account configuration; sub-account; status).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin import _okx_funds
from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same
from auditor.twin._holdings import sample

_WINDOW_SECONDS = 30
_REFUSALS = {
    Refusal.BAD_KEY: (401, "50111", "Invalid OK-ACCESS-KEY"),
    Refusal.BAD_SIGNATURE: (401, "50113", "Invalid Sign"),
    Refusal.BAD_TIMESTAMP: (401, "50102", "Timestamp request expired"),
    Refusal.FOREIGN_IP: (401, "50110", "Your IP 192.0.2.99 is not included in your API key's IP whitelist"),
    Refusal.MISSING_PERMISSION: (200, "50120", "This API key doesn't have permission to use this function"),
    Refusal.RATE_LIMIT: (429, "50011", "Requests too frequent"),
    Refusal.MAINTENANCE: (503, "50001", "Service temporarily unavailable"),
}


def _body(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": data}


class Twin(TwinVenue):
    """A main account with one reading audit key and two sub-accounts."""

    id = "okx"
    in_demo = True
    account_name = "main-okx"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "of a sub-account": {"about": {"uid": "70000000000000042", "type": "1"}},
        "without sub-accounts": {"sub_accounts": []},
    }
    further = (
        Spoken(400, {"code": "50004", "msg": "API endpoint request timeout", "data": []}),
        Spoken(200, {"code": "30030", "msg": "endpoint request failed", "data": []}),
        Spoken(200, {"code": "50007", "msg": "Account blocked", "data": []}),
    )
    credentials = ("apiKey", "secret", "password")

    def __init__(self) -> None:
        super().__init__()
        self.sub_accounts = _sub_accounts()
        self.sub_keys = _sub_keys()
        self.events: list[dict[str, Any]] = []
        self.held = sample("2", "-2")
        self.page = 100
        self.clock_ahead = timedelta(0)
        self.signed = {
            ("GET", "/api/v5/account/config"): self._config,
            ("GET", "/api/v5/users/subaccount/list"): self._list,
            ("GET", "/api/v5/users/subaccount/apikey"): self._keys_of_sub,
            ("GET", "/api/v5/asset/currencies"): self._currencies,
            **_okx_funds.routes(self.held),
        }
        self.public = {
            ("GET", "/api/v5/system/status"): lambda _request: _body(self.events),
            ("GET", "/api/v5/public/time"): lambda _request: _body([{"ts": str(int(self._now().timestamp() * 1000))}]),
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="5a6b7c8d-0000-4000-8000-0000000d3m0a",
                secret="DEMOSECRETOKX000000000000000000A",  # noqa: S106  (invented; the twin knows no other)
                password="Demo-Passphrase-1",  # noqa: S106
                about={
                    "uid": "70000000000000001",
                    "mainUid": "70000000000000001",
                    "type": "0",
                    "perm": "read_only",
                    "ip": "",
                    "label": "auditor",
                },
            )
        ]

    def attested(self) -> dict[str, Any]:
        """An owner of June 2024: an authenticator is enrolled, and SMS still opens everything."""
        return {
            "account": {
                "login_weakest_factor": "sms",
                "step_up_weakest_factor": "sms",
                "enrolled_factors": ["sms", "email", "totp"],
                "withdrawal_allowlist_enabled": False,
                "new_address_delay_hours": 0,
                "email_second_factor": "totp",
                "email_recovery_by_phone": True,
                "recovery_channels": ["email_link", "sms_code", "support_video"],
                "alert_channels": ["email", "sms"],
                "password_unique": True,
                "totp_cloud_synced": True,
                "shared_login": False,
                "anyone_left": False,
                "unknown_sessions": False,
                "keys_counted": 2,
                "phone_is_factor": True,
                "phone_port_lock": False,
                "weaker_factor_removable": True,
                "backup_factor_enrolled": False,
                "email_dedicated": False,
                "extensions_vetted": False,
                "several_people": False,
                "master_key_over_subaccounts": False,
                "malicious_package_found": False,
                "secrets_readable_by_agents": False,
                "support_call_rule": True,
                "freeze_rehearsed": False,
                "p2p_enabled": True,
                "vendors_complete": True,
            }
        }

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.clock_ahead

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("OK-ACCESS-KEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("OK-ACCESS-TIMESTAMP", "")
        try:
            age = self._now() - datetime.fromisoformat(stamp)
        except (ValueError, TypeError):
            raise Refused(Refusal.BAD_TIMESTAMP) from None
        if abs(age.total_seconds()) > _WINDOW_SECONDS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        digest = base64.b64encode(hmac_sha256(key.secret, stamp + request.method + request.raw_path + body)).decode()
        signed = same(digest, request.headers.get("OK-ACCESS-SIGN", ""))
        if not signed or request.headers.get("OK-ACCESS-PASSPHRASE") != key.password:
            raise Refused(Refusal.BAD_SIGNATURE)
        listed = [ip_network(entry, strict=False) for entry in key.about["ip"].split(",") if entry]
        if listed and not any(ip_address(self.caller) in block for block in listed):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message, "data": []}, status=status)

    def _config(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        fixed = {"kycLv": "2", "acctLv": "2", "posMode": "net_mode", "autoLoan": False, "roleType": "0", "level": "Lv1"}
        return _body([{**fixed, **key.about}])

    def _main_only(self, key: TwinKey) -> None:
        if key.about["uid"] != key.about["mainUid"]:
            raise Refused(Refusal.MISSING_PERMISSION)

    def _list(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._main_only(key)
        older_than = int(request.query.get("after", 10**15))
        newest_first = sorted(self.sub_accounts, key=lambda sub: -int(sub["ts"]))
        length = min(self.page, int(request.query.get("limit", 100)))
        return _body([sub for sub in newest_first if int(sub["ts"]) < older_than][:length])

    def _keys_of_sub(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._main_only(key)
        return _body(self.sub_keys.get(request.query.get("subAcct", ""), []))

    def _currencies(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        asked = request.query.get("ccy", "")
        listed = [ccy for ccy in ("BTC", "ETH", "USDC") if not asked or ccy in asked.split(",")]
        return _body(
            [{"ccy": ccy, "chain": ccy, "canWd": True, "wdQuota": "10000000", "usedWdQuota": "0"} for ccy in listed]
        )


def _sub_accounts() -> list[dict[str, Any]]:
    common = {"type": "1", "enable": True, "mobile": "", "frozenFunc": [], "canTransOut": False, "ifDma": False}
    return [
        {
            **common,
            "subAcct": "grid01",
            "uid": "70000000000000042",
            "label": "grid desk",
            "gAuth": False,
            "ts": "1712000000000",
        },
        {**common, "subAcct": "arb02", "uid": "70000000000000043", "label": "", "gAuth": True, "ts": "1713000000000"},
    ]


def _sub_keys() -> dict[str, list[dict[str, Any]]]:
    return {
        "grid01": [
            {
                "label": "grid-bot",
                "apiKey": "1b1b1b1b-0000-4000-8000-00000000g01a",
                "perm": "read_only,trade",
                "ip": "",
                "ts": "1776211200000",
            },
            {
                "label": "dashboard",
                "apiKey": "2c2c2c2c-0000-4000-8000-00000000g02b",
                "perm": "read_only",
                "ip": "198.51.100.20",
                "ts": "1722222222000",
            },
        ],
        "arb02": [],
    }
