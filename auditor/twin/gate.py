"""Gate as its documentation describes it: KEY, Timestamp and SIGN headers, plain lists, errors with `label` and `message`.

Source: https://www.gate.com/docs/developers/apiv4/en/ (authentication; account; sub-account; wallet).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import unquote

from aiohttp import web

from auditor.twin import _gate_funds
from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, same
from auditor.twin._holdings import sample

_WINDOW_SECONDS = 60
_OWNER = 20114455
_REFUSALS = {
    Refusal.BAD_KEY: (401, "INVALID_KEY", "Invalid key provided"),
    Refusal.BAD_SIGNATURE: (401, "INVALID_SIGNATURE", "Signature mismatch"),
    Refusal.BAD_TIMESTAMP: (403, "REQUEST_EXPIRED", "gap between request Timestamp and server time exceeds 60"),
    Refusal.FOREIGN_IP: (403, "IP_FORBIDDEN", "Request IP not in whitelist"),
    Refusal.MISSING_PERMISSION: (403, "FORBIDDEN", "API key has no permission for this operation"),
    Refusal.RATE_LIMIT: (429, "TOO_MANY_REQUESTS", "Request Rate Limit Exceeded"),
    Refusal.MAINTENANCE: (503, "TOO_BUSY", "System busy. Please try again later"),
}


class Twin(TwinVenue):
    """A main account with three keys: the reading one of the audit, a forgotten bot's, a locked one; and two addresses."""

    id = "gate"
    account_name = "main-gate"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "with sub-accounts": {
            "sub_accounts": [{"remark": "bot", "login_name": "subbot1", "state": 1, "user_id": 20990001}],
            "sub_keys": {
                "20990001": [
                    {
                        "user_id": 20990001,
                        "mode": 1,
                        "name": "grid",
                        "perms": [{"name": "spot", "read_only": False}],
                        "ip_whitelist": [],
                        "key": "9b77e0d1c2a3********************",
                        "state": 1,
                        "created_at": 1730000000,
                        "updated_at": 1730000000,
                        "last_access": 1763500000,
                    }
                ]
            },
        }
    }
    further = (
        Spoken(500, {"label": "INTERNAL", "message": "Internal server error"}),
        Spoken(403, {"label": "ACCOUNT_LOCKED", "message": "Account is locked"}),
        Spoken(400, {"label": "NOT_DOCUMENTED", "message": ""}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.sub_accounts: list[dict[str, Any]] = []
        self.sub_keys: dict[str, list[dict[str, Any]]] = {}
        self.listed = _keys()
        self.book = _book()
        self.is_main = True
        self.clock_ahead = timedelta(0)
        self.held = sample("DONE", "CANCEL")
        self.signed = {
            **_gate_funds.routes(self.held),
            ("GET", "/api/v4/account/detail"): self._detail,
            ("GET", "/api/v4/account/main_keys"): lambda _request, _key: self._main_only(self.listed),
            ("GET", "/api/v4/sub_accounts"): lambda _request, _key: self._main_only(self.sub_accounts),
            ("GET", "/api/v4/sub_accounts/{user_id}/keys"): self._keys_of_sub,
            ("GET", "/api/v4/wallet/saved_address"): self._addresses,
        }
        self.public = {("GET", "/api/v4/spot/time"): lambda _request: {"server_time": int(self._now() * 1000)}}

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="a41f0c77e9b2d3m0d3m0d3m0d3m00001",
                secret="demosecretgatedemosecretgatedemosecretgate0001",  # noqa: S106  (invented; the twin knows no other)
                ips=("198.51.100.7",),
                about={"ip_whitelist": ["198.51.100.7"], "currency_pairs": [], "key": {"mode": 1}},
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "none",
                "step_up_weakest_factor": "email_otp",
                "enrolled_factors": ["email", "totp"],
                "withdrawal_allowlist_enabled": False,
            }
        }

    def _keys_of_sub(self, request: web.Request, _key: TwinKey) -> Any:
        return self._main_only(self.sub_keys.get(request.path.split("/")[-2], []))

    def _now(self) -> float:
        return (datetime.now(UTC) + self.clock_ahead).timestamp()

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("KEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("Timestamp", "")
        if not stamp.isdigit() or abs(self._now() - int(stamp)) > _WINDOW_SECONDS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        path, _, query = request.raw_path.partition("?")
        hashed = hashlib.sha512(body.encode()).hexdigest()
        text = "\n".join([request.method, path, unquote(query), hashed, stamp])  # the query is signed as it reads
        digest = hmac.new(key.secret.encode(), text.encode(), hashlib.sha512).hexdigest()
        if not same(digest, request.headers.get("SIGN", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, label, message = _REFUSALS[refusal]
        return web.json_response({"label": label, "message": message}, status=status)

    def _main_only(self, listed: Any) -> Any:
        if not self.is_main:
            raise Refused(Refusal.MISSING_PERMISSION)
        return listed

    def _detail(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        fixed = {"user_id": _OWNER, "tier": 0, "tier_expire_time": "0001-01-01T00:00:00Z", "copy_trading_role": 0}
        return {**fixed, **key.about}

    def _addresses(self, request: web.Request, _key: TwinKey) -> list[dict[str, Any]]:
        currency = request.query.get("currency", "").lower()
        page, limit = int(request.query.get("page", 1)), min(int(request.query.get("limit", 50)), 100)
        saved = [row for row in self.book if row["currency"] == currency]
        return saved[(page - 1) * limit : page * limit]


def _keys() -> list[dict[str, Any]]:
    common = {"mode": 1, "user_id": _OWNER, "currency_pairs": []}
    return [
        {
            **common,
            "state": 1,
            "name": "auditor",
            "perms": [{"name": "account", "read_only": True}, {"name": "wallet", "read_only": True}],
            "ip_whitelist": ["198.51.100.7"],
            "key": "a41f0c77e9b2*****",
            "created_at": 1761900000,
            "update_at": 1761900500,
            "last_access": 1795000000,
        },
        {
            **common,
            "state": 1,
            "name": "old bot",
            "perms": [{"name": "spot", "read_only": False}, {"name": "wallet", "read_only": False}],
            "ip_whitelist": [],
            "currency_pairs": ["BTC_USDT"],
            "key": "77d0be12aa04*****",
            "created_at": 1700000000,
            "update_at": 1700000000,
            "last_access": 1704000000,
        },
        {
            **common,
            "state": 2,
            "name": "locked",
            "perms": [{"name": "futures", "read_only": False}],
            "ip_whitelist": ["203.0.113.0/24"],
            "key": "0f1e2d3c4b5a*****",
            "created_at": "1710000000",
            "update_at": "1711000000",
            "last_access": "1710000000",
        },
    ]


def _book() -> list[dict[str, Any]]:
    return [
        {"currency": "usdt", "chain": "TRX", "address": "TInventedAddr0000000000000000000001", "name": "cold"}
        | {"tag": "", "verified": "0"},
        {"currency": "xrp", "chain": "XRP", "address": "rInventedAddr000000000000000000002", "name": "desk"}
        | {"tag": "12345", "verified": "1"},
    ]
