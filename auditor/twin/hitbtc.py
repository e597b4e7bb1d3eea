"""HitBTC as its documentation describes it: an Authorization header `HS256 base64(key:signature:milliseconds)`, and errors in
an object with a code.

Source: https://api.hitbtc.com (authentication, error codes).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_UNAUTHORISED = {"code": 1002, "message": "Authorization is required or has been failed", "description": ""}
_REFUSALS: dict[Refusal, tuple[int, dict[str, Any]]] = {
    # One code for all of them: that is what makes it a trap.
    Refusal.BAD_KEY: (401, _UNAUTHORISED),
    Refusal.BAD_SIGNATURE: (401, _UNAUTHORISED),
    Refusal.BAD_TIMESTAMP: (401, _UNAUTHORISED),
    Refusal.FOREIGN_IP: (401, _UNAUTHORISED),
    Refusal.MISSING_PERMISSION: (403, {"code": 1003, "message": "Action is forbidden for this API key"}),
    Refusal.RATE_LIMIT: (429, {"code": 429, "message": "Too many requests"}),
    Refusal.MAINTENANCE: (503, {"code": 503, "message": "Service unavailable"}),
}
_WINDOW = 10_000
"""Milliseconds a signature holds unless the request says otherwise."""


class Twin(TwinVenue):
    """One account with a sub-account: a key that sees the saved addresses, and one that sees nothing but itself."""

    id = "hitbtc"
    account_name = "main-hitbtc"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {"without sub-accounts": {"sub_accounts": []}}
    further = (
        Spoken(500, {"error": {"code": 500, "message": "Internal Server Error"}}),
        Spoken(504, {"error": {"code": 504, "message": "Gateway Timeout"}}),
        Spoken(403, {"error": {"code": 10021, "message": "User disabled"}}),
        Spoken(
            401,
            {
                "error": {
                    "code": 1002,
                    "message": "Authorization is required",
                    "description": "timestamp is out of window",
                }
            },
        ),
        Spoken(400, {"error": {"code": 98765, "message": "not documented"}}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.sub_accounts: list[dict[str, Any]] = [
            {"sub_account_id": "63829f3b2f4e0d0001", "email": "nobody@example.org", "status": "active"}
        ]
        self.white_list = _white_list()
        self.signed = {
            ("GET", "/api/3/sub-account"): lambda _request, _key: {"result": self.sub_accounts},
            ("GET", "/api/3/wallet/crypto/address/white-list"): self._addresses,
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("hitDEMOTRACKER00000000000000001", "Payment information", "Withdraw cryptocurrencies"),
            _key("hitDEMOTRADER000000000000000002", "Place/cancel orders"),
            _key("hitDEMOAUDITOR00000000000000003", "Payment information", ips=("203.0.113.20",)),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "email_otp",
                "withdrawal_allowlist_enabled": True,
                "email_second_factor": "sms",
                "keys_counted": 3,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            public_id, signature, stamp = base64.b64decode(token, validate=True).decode().split(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise Refused(Refusal.BAD_KEY) from None
        key = self.keys.get(public_id)
        if key is None or scheme != "HS256":
            raise Refused(Refusal.BAD_KEY)
        wanted = hmac_sha256(key.secret, request.method + request.raw_path + body + stamp).hex()
        if not same(wanted, signature):
            raise Refused(Refusal.BAD_SIGNATURE)
        now = int(datetime.now(UTC).timestamp() * 1000)
        if not stamp.isdigit() or abs(now - int(stamp)) > _WINDOW:
            raise Refused(Refusal.BAD_TIMESTAMP)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, error = _REFUSALS[refusal]
        return web.json_response({"error": error}, status=status)

    def _addresses(self, _request: web.Request, key: TwinKey) -> list[dict[str, Any]]:
        if "Payment information" not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)
        return self.white_list


def _key(api_key: str, *permissions: str, ips: tuple[str, ...] = ()) -> TwinKey:
    secret = "invented-secret-of-" + api_key
    return TwinKey(api_key=api_key, secret=secret, permissions=frozenset(permissions), ips=ips)


def _white_list() -> list[dict[str, Any]]:
    """Addresses that cannot exist; the second was added by nobody the owner knows."""
    return [
        {
            "address": "0xdemo0demo0demo0demo0demo0demo0demo0demo0",
            "currency": "ETH",
            "name": "cold wallet",
            "network": "ETH",
        },
        {
            "address": "bc1qdemo1demo1demo1demo1demo1demo1demo11",
            "currency": "BTC",
            "name": "backup 2",
            "network": "BTC",
        },
    ]
