"""WOO X as its documentation describes it: x-api-key, x-api-timestamp and an HMAC over time, verb, path with query and body;
`success` in every body, and one code for most refusals.

Source: https://developer.woox.io/.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_WINDOW_MS = 60_000
_ALIKE = (
    401,
    -1002,
    "API key or secret is invalid, it may because key have insufficient permission or expired/revoked.",
)
_REFUSALS = {
    Refusal.BAD_KEY: _ALIKE,
    Refusal.BAD_SIGNATURE: _ALIKE,
    Refusal.BAD_TIMESTAMP: (400, 317179, "Request has failed as the receive window: 5000 millisecond is exceeded"),
    Refusal.FOREIGN_IP: _ALIKE,
    Refusal.MISSING_PERMISSION: _ALIKE,
    Refusal.RATE_LIMIT: (429, -1003, "Rate limit exceed."),
    Refusal.MAINTENANCE: (200, "-1011", "The system is under maintenance."),
}


def now_ms() -> int:
    return int(time.time() * 1000)


def _said(data: Any) -> dict[str, Any]:
    return {"success": True, "data": data, "timestamp": now_ms()}


class Twin(TwinVenue):
    """A main account: an audit key, an unbound key of a bot that may withdraw, and a sub-account with a key of its own."""

    id = "woo"
    account_name = "main-woo"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {"without sub-accounts": {"sub_accounts": []}}
    further = (
        Spoken(500, {"success": False, "code": "-1000", "message": "An unknown error occurred"}),
        Spoken(400, {"success": False, "code": "302307", "message": "Account is frozen"}),
        Spoken(400, {"success": False, "code": "-98765", "message": "not documented"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.info: Any = {
            "applicationId": "00000000-demo-4000-8000-000000000001",
            "account": "owner@demo.invalid",
            "alias": "owner@demo.invalid",
            "otpauth": True,
            "accountMode": "FUTURES",
            "accountType": "Main",
        }
        self.listed: Any = _listed()
        self.total: Any = None
        self.largest_page = 1000
        self.sub_accounts: Any = [
            {"applicationId": "00000000-demo-4000-8000-000000000002", "name": "bot1", "createdTime": "1606897264.994"}
        ]
        self.system: Any = {"status": 0, "msg": "System is functioning properly."}
        self.signed = {
            ("GET", "/v3/account/info"): lambda _request, _key: _said(self.info),
            ("GET", "/v3/account/credentials"): self._credentials,
            ("GET", "/v3/account/subAccounts/all"): self._subs,
        }
        self.public = {("GET", "/v3/public/systemInfo"): lambda _request: _said(self.system)}

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("+PwooDEMOREADER000000000001==", "main"),
            _key("+PwooDEMOSUBREADER0000000001==", "sub"),
            _key("+PwooDEMOBOUND00000000000001==", "main", "203.0.113.20"),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "enrolled_factors": ["totp"],
                "withdrawal_allowlist_enabled": False,
                "recovery_channels": ["email_link", "support_docs"],
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("x-api-key", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("x-api-timestamp", "")
        text = stamp + request.method + request.raw_path + body
        if not same(hmac_sha256(key.secret, text).hex(), request.headers.get("x-api-signature", "").lower()):
            raise Refused(Refusal.BAD_SIGNATURE)
        if not stamp.isdigit() or abs(now_ms() - int(stamp)) > _WINDOW_MS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"success": False, "code": code, "message": message}, status=status)

    def _credentials(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        """A main account's key is shown the keys of its sub-accounts too. Pages hold 25 unless asked for more."""
        shown = (
            self.listed if "main" in key.permissions else [row for row in self.listed if row["accountName"] != "Main"]
        )
        page, size = int(request.query.get("page", 1)), min(int(request.query.get("size", 25)), self.largest_page)
        meta = {"total": len(shown) if self.total is None else self.total, "recordsPerPage": size, "currentPage": page}
        return _said({"rows": shown[(page - 1) * size : page * size], "meta": meta})

    def _subs(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        if "main" not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)
        return _said({"rows": self.sub_accounts})


def _key(api_key: str, whose: str, *ips: str) -> TwinKey:
    return TwinKey(api_key=api_key, secret="invented-secret-of-" + api_key, permissions=frozenset({whose}), ips=ips)


def _listed() -> list[dict[str, Any]]:
    """`allowedIPs` is left out of a key that is bound to nothing."""
    main, sub = {"accountName": "Main", "userId": 12523}, {"accountName": "bot1", "userId": 12524}
    ips = ["203.0.113.10", "203.0.113.11"]
    return [
        {**main, "apiKey": "+PwooDEMOREADER000000000001==", "permissions": ["READ"], "allowedIPs": ["198.51.100.7"]},
        {**main, "apiKey": "+QwooDEMOTREASURY0000000001==", "permissions": ["READ", "TRADE", "WITHDRAWAL"]},
        {**sub, "apiKey": "+RwooDEMOBOT000000000000001==", "permissions": ["READ", "TRADE"], "allowedIPs": ips},
    ]
