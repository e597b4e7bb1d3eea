"""Robinhood's Crypto Trading API as its documentation describes it: x-api-key, x-timestamp and an Ed25519 x-signature over key,
seconds, path, verb and body.

Source: https://docs.robinhood.com/crypto/trading/.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue


def _said(status: int, detail: str, kind: str = "client_error") -> tuple[int, dict[str, Any]]:
    return status, {"type": kind, "errors": [{"attr": None, "detail": detail}]}


_REFUSALS: dict[Refusal, tuple[int, dict[str, Any]]] = {
    Refusal.BAD_KEY: _said(401, "Authentication credentials were not provided or are incorrect."),
    Refusal.BAD_SIGNATURE: _said(401, "Authentication credentials were not provided or are incorrect."),
    Refusal.BAD_TIMESTAMP: _said(401, "Timestamp is invalid."),
    # No list of addresses is documented: the answer of a wrong key stands for it.
    Refusal.FOREIGN_IP: _said(401, "Authentication credentials were not provided or are incorrect."),
    Refusal.MISSING_PERMISSION: _said(403, "You do not have permission to perform this action."),
    Refusal.RATE_LIMIT: _said(429, "Request was throttled."),
    Refusal.MAINTENANCE: _said(503, "Service unavailable.", "server_error"),
}
_VALID = 30
"""Seconds a signature holds."""


class Twin(TwinVenue):
    """One account: a bot's key that reads the account too, one that may only order, and one that was switched off."""

    id = "robinhood"
    account_name = "main-robinhood"
    further = (
        Spoken(500, {"type": "server_error", "errors": [{"attr": None, "detail": "Internal error"}]}),
        Spoken(400, {"type": "client_error", "errors": [{"attr": None, "detail": "not documented"}]}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.account: dict[str, Any] = {
            "account_number": "000000000000",
            "status": "active",
            "buying_power": "12.3400",
            "buying_power_currency": "USD",
        }
        self.signed = {("GET", "/api/v1/crypto/trading/accounts/"): self._accounts}

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("rh-api-00000000-demo-0000-0000-000000000001", "accounts", "orders"),
            _key("rh-api-00000000-demo-0000-0000-000000000002", "orders", long=True),
            _key("00000000-demo-0000-0000-000000000003", "accounts", active=False),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "sms",
                "step_up_weakest_factor": "sms",
                "enrolled_factors": ["sms", "device"],
                "email_second_factor": "sms",
                "keys_counted": 3,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("x-api-key", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("x-timestamp", "")
        message = key.api_key + stamp + request.raw_path + request.method + body
        _verify(key, request.headers.get("x-signature", ""), message)
        if not stamp.isdigit() or abs(datetime.now(UTC).timestamp() - int(stamp)) > _VALID:
            raise Refused(Refusal.BAD_TIMESTAMP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, body = _REFUSALS[refusal]
        return web.json_response(body, status=status)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """A key that is switched off is answered in plain text, before anything else is looked at."""
        key = self.keys.get(request.headers.get("x-api-key", ""))
        if key is not None and not key.about["active"] and not self.troubles:
            return web.Response(status=401, text="API credential is not active.")
        return await super()._answer(request)

    def _accounts(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        if "accounts" not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)
        return self.account


def _verify(key: TwinKey, signature: str, message: str) -> None:
    """By the public half, which is all the exchange holds."""
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.about["public"]))
    try:
        public.verify(base64.b64decode(signature, validate=True), message.encode())
    except (InvalidSignature, binascii.Error):
        raise Refused(Refusal.BAD_SIGNATURE) from None


def _key(api_key: str, *permissions: str, active: bool = True, long: bool = False) -> TwinKey:
    """A sample key with an invented seed; `long` spells the secret as seed and public half together."""
    seed = hashlib.sha256(b"invented seed of " + api_key.encode()).digest()
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    secret = base64.b64encode(seed + public if long else seed).decode()
    about = {"public": base64.b64encode(public).decode(), "active": active}
    return TwinKey(api_key=api_key, secret=secret, permissions=frozenset(permissions), about=about)
