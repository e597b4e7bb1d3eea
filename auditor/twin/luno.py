"""Luno as its documentation describes it: key id and secret as HTTP Basic credentials, plain answers, and refusals as an
`error_code` beside a text.

Source: https://www.luno.com/en/developers/api and https://github.com/luno/luno-go.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, same

_REFUSALS = {
    Refusal.BAD_KEY: (401, "ErrUnauthorised", "Invalid API key"),
    Refusal.BAD_SIGNATURE: (401, "ErrApiKeyRevoked", "Your API key has been revoked"),
    # Requests carry no time, and no restriction by address is documented: there is nothing of the kind to refuse.
    Refusal.BAD_TIMESTAMP: (500, "ErrInternal", "Something went wrong. We're looking into it."),
    Refusal.FOREIGN_IP: (401, "ErrUnauthorised", "Invalid API key"),
    Refusal.MISSING_PERMISSION: (403, "ErrInsufficientPerms", "You do not have the required permissions"),
    Refusal.RATE_LIMIT: (429, "ErrTooManyRequests", "Too many requests"),
    Refusal.MAINTENANCE: (503, "ErrUnderMaintenance", "The exchange is under maintenance"),
}
_PAGE = 50


class Twin(TwinVenue):
    """An account whose audit key was let into the account of another person, with the right to make orders there."""

    id = "luno"
    account_name = "main-luno"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "linked to others": {
            "linked": [
                {
                    "created_at": 1700000000000,
                    "label": "x",
                    "permissions": ["Perm_W_Send", "Perm_W_ClientDebit", "Perm_W_Orders"],
                    "user_id": "u-demo-2",
                }
            ]
        }
    }
    further = (
        Spoken(500, {"error": "Deadline exceeded", "error_code": "ErrDeadlineExceeded"}),
        Spoken(400, {"error": "not documented", "error_code": "ErrInvented"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.balances: Any = [
            {"account_id": "1224342323", "asset": "XBT", "balance": "12.3456", "name": "REDACT wallet"}
        ]
        self.linked: list[Any] = [
            {
                "created_at": 1700000000000,
                "label": "REDACT PERSON",
                "permissions": ["Perm_R_Balance", "Perm_R_Orders", "Perm_W_Orders"],
                "user_id": "u-demo-1",
            }
        ]
        self.signed = {
            ("GET", "/api/1/balance"): self._balance,
            ("GET", "/api/1/users/linked"): self._users,
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="d3m0auditkey1",
                secret="d3m0-Secret_0000000000000000000000000000001",  # noqa: S106  (invented; the twin knows no other)
                permissions=frozenset({"Perm_R_Balance"}),
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "email_otp",
                "enrolled_factors": ["email", "totp"],
                "email_second_factor": "sms",
                "keys_counted": 2,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        del body
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(given).decode().partition(":")
        key = self.keys.get(name)
        if key is None or scheme != "Basic" or not same(secret, key.secret):
            raise Refused(Refusal.BAD_KEY)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"error": message, "error_code": code}, status=status)

    def _balance(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        if "Perm_R_Balance" not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)
        return {"balance": self.balances}

    def _users(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        start, length = int(request.query.get("offset", 0)), int(request.query.get("limit", _PAGE))
        return {"users": self.linked[start : start + length]}
