"""Kraken Futures as its documentation describes it: two services behind one host, each with errors of its own, and a
signature over the path below /derivatives, or over the whole path at the service that checks keys.

Source: https://docs.kraken.com/exchange/guides/futures/rest and https://docs.kraken.com/api-reference/.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, same

_REFUSED = {"result": "error", "error": "authenticationError", "serverTime": "2026-11-20T00:00:00.000Z"}
_REFUSALS: dict[Refusal, tuple[int, dict[str, str]]] = {
    Refusal.BAD_KEY: (401, {"error": "authenticationError", "message": "unknown key", "suberror": ""}),
    Refusal.BAD_SIGNATURE: (401, {"error": "authenticationError", "message": "bad signature", "suberror": ""}),
    Refusal.BAD_TIMESTAMP: (200, {**_REFUSED, "error": "nonceBelowThreshold"}),
    # Not documented: no text for a foreign address is known.
    Refusal.FOREIGN_IP: (200, _REFUSED),
    Refusal.MISSING_PERMISSION: (200, _REFUSED),
    Refusal.RATE_LIMIT: (200, {**_REFUSED, "error": "apiLimitExceeded"}),
    Refusal.MAINTENANCE: (200, {**_REFUSED, "error": "unavailable"}),
}
_MASTER = "7f1c2d3e-0000-4000-8000-123456789abc"


class Twin(TwinVenue):
    """A main account with one sub-account: a dashboard's key that trades and withdraws from anywhere, and a careful one."""

    id = "krakenfutures"
    account_name = "main-krakenfutures"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "of a sub-account": {"master": "9f1c2d3e-0000-4000-8000-123456789999"},
        "without sub-accounts": {"subs": []},
    }
    further = (
        Spoken(200, {"result": "error", "error": "Server Error"}),
        Spoken(200, {"result": "error", "error": "notDocumented"}),
    )
    credentials = ("apiKey", "secret")

    def __init__(self) -> None:
        super().__init__()
        sub = {"accountUid": "8f1c2d3e-0000-4000-8000-123456789abc", "email": "sub@example.org", "fullName": "Bo Bot"}
        self.master = _MASTER
        self.subs: list[Any] = [{**sub, "holdingAccounts": [], "futuresAccounts": [], "flexAccount": {}}]
        self.signed = {
            ("GET", "/api/auth/v1/api-keys/v3/check"): lambda _request, key: dict(key.about),
            ("GET", "/derivatives/api/v3/subaccounts"): self._subaccounts,
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("general FULL_ACCESS", general="FULL_ACCESS", transfer="FULL_ACCESS", blocks=[]),
            _key("careful", general="READ_ONLY", transfer="NO_ACCESS", blocks=["198.51.100.0/28"]),
            _key("check only", general="NO_ACCESS", transfer="NO_ACCESS", blocks=["198.51.100.7/32"]),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "none",
                "enrolled_factors": ["totp"],
                "settings_lock": False,
                "keys_counted": 2,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("APIKey", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        path, _, query = request.raw_path.partition("?")
        signed = (query or body) + path.removeprefix("/derivatives")
        if not same(_signature(key.secret, signed), request.headers.get("Authent", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        blocks = key.about["allowedCidrBlocks"]
        if blocks and not any(ip_address(self.caller) in ip_network(block) for block in blocks):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, body = _REFUSALS[refusal]
        return web.json_response(body, status=status)

    def _subaccounts(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        if key.about["permissions"]["general"] == "NO_ACCESS" or key.about["accountUid"] != _MASTER:
            raise Refused(Refusal.MISSING_PERMISSION)
        answer = {"result": "success", "serverTime": "2026-11-20T00:00:00.000Z", "masterAccountUid": self.master}
        return {**answer, "subaccounts": self.subs}


def _key(name: str, *, general: str, transfer: str, blocks: list[str]) -> TwinKey:
    """A sample key; both halves are invented from its name, as base64."""
    public, secret = (hashlib.sha512(f"invented {half} of {name}".encode()).digest() for half in ("key", "secret"))
    api_key = base64.b64encode(public[:42]).decode()
    about = {
        "apiKey": api_key,
        "accountUid": _MASTER,
        "iiban": "AA08 N84G DEMO PLE0",
        "createdAt": "2025-08-24T14:15:22Z",
        "permissions": {"general": general, "transfer": transfer},
        "allowedCidrBlock": None,
        "allowedCidrBlocks": blocks,
    }
    return TwinKey(api_key=api_key, secret=base64.b64encode(secret).decode(), about=about)


def _signature(secret: str, text: str) -> str:
    """HMAC-SHA512 over SHA-256 of (data + path) under the base64-decoded secret, as base64."""
    try:
        raw = base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise Refused(Refusal.BAD_SIGNATURE) from None
    return base64.b64encode(hmac.new(raw, hashlib.sha256(text.encode()).digest(), hashlib.sha512).digest()).decode()
