"""Binance.US as its documentation describes it: signed and refused as at Binance, with fewer calls and paths of its own.

Source: https://docs.binance.us/.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin import binance
from auditor.twin._base import Refusal, Refused, Spoken, TwinKey


class Twin(binance.Twin):
    """A main account with an audit key and one sub-account."""

    id = "binanceus"
    in_demo = False
    account_name = "main-binanceus"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {"without sub-accounts": {"subs": []}}
    further = (
        *binance.Twin.further,
        Spoken(403, {"code": -1002, "msg": "You are not authorized to execute this request."}),
        Spoken(400, {"code": -98765, "msg": "not documented"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.account: Any = {"canTrade": True, "canWithdraw": True, "balances": [], "uid": 910000001}
        self.status_word: Any = "Normal"
        self.subs: Any = [{"email": "bot@demo.invalid", "status": "enabled", "activated": True, "gAuth": True}]
        time = self.public["GET", "/api/v3/time"]
        self.signed = {
            ("GET", "/api/v3/account"): lambda _request, _key: self.account,
            ("GET", "/sapi/v3/accountStatus"): lambda _request, _key: {"msg": self.status_word, "success": True},
            ("GET", "/sapi/v3/sub-account/list"): self._subs,
        }
        self.public = {("GET", "/api/v3/time"): time}

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("DemoPublicAuditKeyBinanceUS000000000000000000000000000000000A001", "198.51.100.7", main=True),
            _key("DemoPublicSubKeyBinanceUS00000000000000000000000000000000000B002", main=False),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "enrolled_factors": ["totp"],
                "withdrawal_allowlist_enabled": False,
                "keys_counted": 2,
            }
        }

    def _subs(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        if not key.about["main"]:
            raise Refused(Refusal.MISSING_PERMISSION)
        return {"success": True, "subAccounts": self.subs}


def _key(api_key: str, *ips: str, main: bool) -> TwinKey:
    return TwinKey(api_key=api_key, secret="invented-secret-of-" + api_key, ips=ips, about={"main": main})
