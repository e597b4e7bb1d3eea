"""bitFlyer Lightning as its documentation describes it: ACCESS headers, a hex HMAC of time, verb, path and body, plain
answers, and refusals as a negative `status` with an `error_message`.

Source: https://lightning.bitflyer.com/docs?lang=en (Authentication; Get API Key Permissions; Exchange status).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey, TwinVenue, hmac_sha256, same

_REFUSALS = {
    Refusal.BAD_KEY: (401, -500, "Key not found"),
    Refusal.BAD_SIGNATURE: (401, -500, "Invalid signature"),
    Refusal.BAD_TIMESTAMP: (401, -500, "Invalid ACCESS-TIMESTAMP"),
    # No restriction by address is documented: what a key is told that looks for one is that it does not exist.
    Refusal.FOREIGN_IP: (401, -500, "Key not found"),
    Refusal.MISSING_PERMISSION: (401, -500, "Permission denied"),
    Refusal.RATE_LIMIT: (429, -1, "Over API limit per period, per IP address"),
    Refusal.MAINTENANCE: (500, -2, "Under maintenance"),
}
_WINDOW_SECONDS = 60
_READS = ("getpermissions", "getbalance", "getcollateral", "getchildorders", "getexecutions")


class Twin(TwinVenue):
    """An account whose audit key was given the right to send coins as well."""

    id = "bitflyer"
    account_name = "main-bitflyer"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "a key that only reads": {"words": ["/v1/me/getpermissions", "/v1/me/getbalance"]}
    }

    def __init__(self) -> None:
        super().__init__()
        self.words: list[Any] | None = None
        self.health: Any = "NORMAL"
        self.signed = {("GET", "/v1/me/getpermissions"): self._permissions}
        self.public = {("GET", "/v1/gethealth"): lambda _request: {"status": self.health}}

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="D3m0AuditKeyOfF1yer001",
                secret="d3m0SecretOfF1yer0000000000000000000000000A=",  # noqa: S106  (invented; the twin knows no other)
                permissions=frozenset(f"/v1/me/{call}" for call in (*_READS, "sendcoin")),
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "sms",
                "step_up_weakest_factor": "sms",
                "withdrawal_allowlist_enabled": True,
                "email_second_factor": "totp",
                "keys_counted": 1,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("ACCESS-KEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("ACCESS-TIMESTAMP", "")
        if not stamp.isdigit() or abs(time.time() - int(stamp)) > _WINDOW_SECONDS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        digest = hmac_sha256(key.secret, stamp + request.method + request.raw_path + body).hex()
        if not same(digest, request.headers.get("ACCESS-SIGN", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if request.path not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"status": code, "error_message": message, "data": None}, status=status)

    def _permissions(self, _request: web.Request, key: TwinKey) -> list[Any]:
        return sorted(key.permissions) if self.words is None else self.words
