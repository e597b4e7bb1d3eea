"""Coinbase Exchange as its documentation describes it: CB-ACCESS headers, HMAC-SHA256 under the Base64-decoded secret, a
passphrase, and `{message}` for every refusal.

Source: https://docs.cdp.coinbase.com/exchange/rest-api/authentication and the pages of the two endpoints.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from ipaddress import ip_address, ip_network
from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey, TwinVenue, same

_WINDOW_SECONDS = 30
_STAMP = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?\Z")
_REFUSALS = {
    Refusal.BAD_KEY: (401, "Invalid API Key"),
    Refusal.BAD_SIGNATURE: (401, "invalid signature"),
    Refusal.BAD_TIMESTAMP: (400, "request timestamp expired"),
    Refusal.FOREIGN_IP: (401, "IP does not match IP whitelist"),  # not documented; seen by users
    Refusal.MISSING_PERMISSION: (403, "Forbidden"),
    Refusal.RATE_LIMIT: (429, "Private rate limit exceeded"),
    Refusal.MAINTENANCE: (400, "The exchange is under maintenance"),
}


class Twin(TwinVenue):
    """One profile, seen by a key that nothing describes, and an address book with an entry for all assets."""

    id = "coinbaseexchange"
    account_name = "main-coinbaseexchange"
    credentials = ("apiKey", "secret", "password")

    def __init__(self) -> None:
        super().__init__()
        self.profiles = _profiles()
        self.book = _book()
        self.signed = {
            ("GET", "/profiles"): lambda _request, _key: self.profiles,
            ("GET", "/address-book"): lambda _request, _key: self.book,
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("d3m0000000000000000000000000audt"),
            _key("d3m0000000000000000000000000desk", ips=("198.51.100.0/24",)),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "enrolled_factors": ["totp"],
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "totp",
                "keys_counted": 2,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("CB-ACCESS-KEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("CB-ACCESS-TIMESTAMP", "")
        if not _STAMP.match(stamp) or abs(time.time() - float(stamp)) > _WINDOW_SECONDS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        digest = _signature(key.secret, stamp + request.method + request.raw_path + body)
        signed = same(digest, request.headers.get("CB-ACCESS-SIGN", ""))
        if not signed or not same(key.password, request.headers.get("CB-ACCESS-PASSPHRASE", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if key.ips and not any(ip_address(self.caller) in ip_network(entry) for entry in key.ips):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, message = _REFUSALS[refusal]
        return web.json_response({"message": message}, status=status)


def _key(api_key: str, ips: tuple[str, ...] = ()) -> TwinKey:
    """A sample key; its secret is 64 invented bytes, as Base64."""
    secret = base64.b64encode(hashlib.sha512(b"invented secret of " + api_key.encode()).digest()).decode()
    return TwinKey(api_key=api_key, secret=secret, password="Demo-Passphrase-" + api_key[-4:], ips=ips)


def _signature(secret: str, text: str) -> str:
    try:
        raw = base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise Refused(Refusal.BAD_SIGNATURE) from None
    return base64.b64encode(hmac.new(raw, text.encode(), hashlib.sha256).digest()).decode()


def _profiles() -> list[dict[str, Any]]:
    common = {"user_id": "5fd3m000000000000000000a", "active": True, "created_at": "2022-06-04T21:22:32.226Z"}
    return [
        {**common, "id": "0d3m0000-0000-4000-8000-0000000000p1", "name": "default", "is_default": True},
        {**common, "id": "0d3m0000-0000-4000-8000-0000000000p2", "name": "market making", "is_default": False},
    ]


def _book() -> list[dict[str, Any]]:
    """Addresses that cannot exist; the last one was added last night for every asset."""
    return [
        {
            "id": "0d3m0000-0000-4000-8000-0000000000a1",
            "address": "bc1qdemo0demo0demo0demo0demo0demo0demo01",
            "currency": "BTC",
            "label": "cold wallet",
            "address_book_added_at": "2026-10-01T02:03:04.000Z",
            "destination_tag": None,
            "is_verified_self_hosted_wallet": True,
            "vasp_id": None,
            "business_name": None,
            "business_country_code": None,
            "network": "bitcoin",
        },
        {
            "id": "0d3m0000-0000-4000-8000-0000000000a2",
            "address": "0xDEM0000000000000000000000000000000000001",
            "currency": "_ALL_ASSETS_",
            "label": "desk",
            "address_book_added_at": "2026-11-19T23:59:00.000Z",
            "is_verified_self_hosted_wallet": False,
        },
    ]
