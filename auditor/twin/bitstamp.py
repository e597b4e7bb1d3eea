"""Bitstamp as its documentation describes it: X-Auth headers, an HMAC-SHA256 over key, verb, place, nonce, time and body, and
errors with a code, a reason and mostly HTTP 403.

Source: https://www.bitstamp.net/api/ (authentication, errors).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_REFUSALS: dict[Refusal, tuple[int, dict[str, Any]]] = {
    Refusal.BAD_KEY: (403, {"status": "error", "reason": "API key not found", "code": "API0001"}),
    Refusal.BAD_SIGNATURE: (403, {"status": "error", "reason": "Invalid signature", "code": "API0005"}),
    Refusal.BAD_TIMESTAMP: (403, {"status": "error", "reason": "Invalid nonce", "code": "API0004"}),
    Refusal.FOREIGN_IP: (403, {"status": "error", "reason": "IP address not allowed", "code": "API0002"}),
    Refusal.MISSING_PERMISSION: (403, {"status": "error", "reason": "No permission found", "code": "API0003"}),
    Refusal.RATE_LIMIT: (400, {"response_code": "400.002", "response_explanation": "Request rate limit exceeded."}),
    Refusal.MAINTENANCE: (503, {"error": "Bitstamp.net is under scheduled maintenance. We'll be back soon."}),
}
_NONCE = re.compile(r"[0-9a-z-]{36}\Z")
_WINDOW = 150_000
"""Milliseconds a timestamp may be old, and for which a nonce may not come again."""


class Twin(TwinVenue):
    """One account: a key that reads balances, and a trading key that may not even do that."""

    id = "bitstamp"
    account_name = "main-bitstamp"
    further = (
        Spoken(403, {"status": "error", "reason": "Account frozen", "code": "API0006"}),
        Spoken(400, {"status": "error", "reason": "not documented", "code": "API9876"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.balances: list[dict[str, str]] = [
            {"currency": "btc", "total": "0.10000000", "available": "0.10000000", "reserved": "0.00000000"},
            {"currency": "eur", "total": "250.00", "available": "200.00", "reserved": "50.00"},
        ]
        self.nonces: set[tuple[str, str]] = set()
        self.signed = {("POST", "/api/v2/account_balances/"): self._balances}

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("bstDEMOTRACKER000000000000000001", "Account balance", "User transactions"),
            _key("bstDEMOTRADER0000000000000000002", "Buy limit order", "Sell limit order"),
            _key("bstDEMOAUDITOR000000000000000003", "Account balance", ips=("203.0.113.20",)),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "phishing_resistant",
                "keys_counted": 3,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        given = {
            name: request.headers.get(f"X-Auth-{name}", "") for name in ("Signature", "Nonce", "Timestamp", "Version")
        }
        auth = request.headers.get("X-Auth", "")
        key = self.keys.get(auth.removeprefix("BITSTAMP "))
        if key is None or not auth.startswith("BITSTAMP "):
            raise Refused(Refusal.BAD_KEY)
        # The place is host and path. A client of ccxt strips "https://" only, so that on loopback "http://" stays in it.
        place = f"{request.scheme}://{request.host}{request.raw_path}"
        text = auth + request.method + place + request.headers.get("Content-Type", "") + given["Nonce"]
        wanted = hmac_sha256(key.secret, text + given["Timestamp"] + given["Version"] + body).hex()
        if given["Version"] != "v2" or not parse_qsl(body) or not same(wanted, given["Signature"].lower()):
            raise Refused(Refusal.BAD_SIGNATURE)
        self._once(key, given["Nonce"], given["Timestamp"])
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def _once(self, key: TwinKey, nonce: str, stamp: str) -> None:
        now = int(datetime.now(UTC).timestamp() * 1000)
        if not _NONCE.match(nonce) or not stamp.isdigit() or abs(now - int(stamp)) > _WINDOW:
            raise Refused(Refusal.BAD_TIMESTAMP)
        if (key.api_key, nonce) in self.nonces:
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.nonces.add((key.api_key, nonce))

    def refuse(self, refusal: Refusal) -> web.Response:
        status, body = _REFUSALS[refusal]
        return web.json_response(body, status=status)

    def _balances(self, _request: web.Request, key: TwinKey) -> list[dict[str, str]]:
        if "Account balance" not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)
        return self.balances


def _key(api_key: str, *permissions: str, ips: tuple[str, ...] = ()) -> TwinKey:
    secret = "invented-secret-of-" + api_key
    return TwinKey(api_key=api_key, secret=secret, permissions=frozenset(permissions), ips=ips)
