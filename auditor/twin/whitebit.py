"""WhiteBIT as its documentation describes it: JSON posts that name their own path and a growing nonce, their Base64 signed
with HMAC-SHA512 in three X-TXC- headers; and a key used from a foreign address is switched off.

Source: https://docs.whitebit.com/ and https://help.whitebit.com/.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey, TwinVenue, same

_OFF = {"code": 2, "message": "This action is unauthorized. Enable your key in API settings"}
_REFUSALS: dict[Refusal, tuple[int, dict[str, Any]]] = {
    Refusal.BAD_KEY: (401, {"code": 10, "message": "Unauthorized request."}),
    Refusal.BAD_SIGNATURE: (401, {"code": 10, "message": "Unauthorized request."}),
    Refusal.BAD_TIMESTAMP: (422, {"code": 0, "message": "Too many requests."}),
    Refusal.FOREIGN_IP: (401, _OFF),
    Refusal.MISSING_PERMISSION: (403, {"code": 0, "message": "This API Key is not authorized to perform this action."}),
    Refusal.RATE_LIMIT: (429, {"message": "Too many requests."}),
    Refusal.MAINTENANCE: (503, {"code": 5, "message": "Service temporarily unavailable"}),
}
_FIRST, _SECOND = "8e667b4a-0000-4988-8af5-000000000001", "8e667b4a-0000-4988-8af5-000000000002"
_PAGE = 30


class Twin(TwinVenue):
    """A main account with two sub-accounts: a bot's unbound key that may withdraw, and a switched-off one."""

    id = "whitebit"
    account_name = "main-whitebit"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {"without sub-accounts": {"subs": [], "sub_keys": []}}

    def __init__(self) -> None:
        super().__init__()
        self.up: Any = "1"
        self.page = _PAGE
        self.subs = [_sub(_FIRST, "grid"), _sub(_SECOND, "arb")]
        self.sub_keys = [
            _sub_key("b1d2c3a4-0000-4000-8000-000000000001", _FIRST, "grid key", type="2"),
            _sub_key("b1d2c3a4-0000-4000-8000-000000000002", _SECOND, "old key", isEnabled=False),
        ]
        self.ips = {"b1d2c3a4-0000-4000-8000-000000000002": ["203.0.113.7", "203.0.113.8"]}
        self.nonces: dict[str, int] = {}
        """The last accepted nonce by public key; a request must bring a larger one."""
        self.switched_off: set[str] = set()
        self.form: dict[str, Any] = {}
        """What the request being served asks for: nothing is awaited between its signature and its route."""
        place = "/api/v4/sub-account"
        self.signed = {
            ("POST", f"{place}/list"): lambda _request, _key: self._part(self.subs),
            ("POST", f"{place}/api-key/list"): lambda _request, _key: self._part(self.sub_keys),
            ("POST", f"{place}/api-key/ip-address/list"): self._ips_of,
        }
        self.public = {("GET", "/api/v4/public/platform/status"): lambda _request: {"status": self.up}}

    def sample_keys(self) -> list[TwinKey]:
        return [TwinKey(api_key="wbDEMOaudit0000000001", secret="d3m0-whitebit-1", ips=("198.51.100.7",))]  # noqa: S106  (invented)

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "enrolled_factors": ["totp"],
                "email_second_factor": "sms",
                "keys_counted": 1,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("X-TXC-APIKEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        payload = base64.b64encode(body.encode()).decode()
        digest = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha512).hexdigest()
        signed = same(digest, request.headers.get("X-TXC-SIGNATURE", ""))
        if not signed or request.headers.get("X-TXC-PAYLOAD") != payload:
            raise Refused(Refusal.BAD_SIGNATURE)
        self.form = json.loads(body)
        if self.form.get("request") != request.path:
            raise Refused(Refusal.BAD_SIGNATURE)
        if key.ips and ip_address(self.caller) not in {ip_address(one) for one in key.ips}:
            self.switched_off.add(key.api_key)
        if key.api_key in self.switched_off:
            raise Refused(Refusal.FOREIGN_IP)
        self._count(key, str(self.form.get("nonce", "")))
        return key

    def _count(self, key: TwinKey, nonce: str) -> None:
        if not nonce.isdigit() or int(nonce) <= self.nonces.get(key.api_key, 0):
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.nonces[key.api_key] = int(nonce)

    def refuse(self, refusal: Refusal) -> web.Response:
        status, body = _REFUSALS[refusal]
        return web.json_response(body, status=status)

    def _part(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        offset, limit = int(self.form.get("offset", 0)), int(self.form.get("limit", self.page))
        return {"offset": offset, "limit": limit, "data": rows[offset : offset + limit]}

    def _ips_of(self, _request: web.Request, _key: TwinKey) -> dict[str, Any]:
        return {"data": self.ips.get(self.form.get("apiKeyId", ""), [])}


def _sub(id_: str, alias: str) -> dict[str, Any]:
    return {
        "id": id_,
        "alias": alias,
        "userId": "u-123456",
        "email": "g***@example.invalid",
        "status": "active",
        "color": "#00ff00",
        "kyc": {"shareKyc": True, "kycStatus": "shared"},
        "permissions": {"spotEnabled": True, "collateralEnabled": False},
    }


def _sub_key(id_: str, owner: str, title: str, **fields: Any) -> dict[str, Any]:
    fixed = {"isEnabled": True, "apiSecret": "", "type": "1", "lastActivity": 1763000000, "restrictAccess": False}
    public = {"apiKey": f"wbDEMOsubkey{id_[-4:]}", "accessEndpoints": []}
    return {"subAccountId": owner, "id": id_, "title": title, **fixed, **public, **fields}
