"""Phemex as its documentation describes it: three headers, a signature over path, query and expiry, and one code (401)
for everything that has to do with a key.

Source: https://phemex-docs.github.io/ and, for the sub-accounts, https://github.com/phemex/phemex-api-docs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_LONGEST_EXPIRY = 120  # seconds
_REFUSALS: dict[Refusal, tuple[int, Any, str]] = {
    Refusal.BAD_KEY: (401, "401", "401 Failed to load API KEY."),
    Refusal.BAD_SIGNATURE: (401, 10500, "API Signature verification failed."),
    Refusal.BAD_TIMESTAMP: (401, "401", "401 Request Expired at 1795000000."),
    Refusal.FOREIGN_IP: (401, "401", "401 Request IP mismatch."),
    Refusal.MISSING_PERMISSION: (401, "401", "401 Insufficient privilege."),
    Refusal.RATE_LIMIT: (429, 429, "Too many requests."),
    Refusal.MAINTENANCE: (503, 503, "Service unavailable"),
}


def _body(data: Any) -> dict[str, Any]:
    return {"code": 0, "msg": "OK", "data": data}


class Twin(TwinVenue):
    """A main account with two sub-accounts, and a key of which nothing but its right to read can be seen."""

    id = "phemex"
    account_name = "main-phemex"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without sub-accounts": {"users": lambda rows: rows[:1]},
        "of a sub-account": {"users": lambda rows: rows[1:2]},
    }
    further = (
        Spoken(403, {"code": 11022, "msg": "Account is suspended", "data": None}),
        Spoken(400, {"code": 98765, "msg": "not documented", "data": None}),
    )
    credentials = ("apiKey", "secret")

    def __init__(self) -> None:
        super().__init__()
        self.users = [_user(700612, 0, "main"), _user(700613, 700612, "grid"), _user(700614, 700612, "arb")]
        self.page = 50
        self.signed = {
            ("GET", "/spot/wallets"): self._wallets,
            ("GET", "/phemex-user/users/children"): self._children,
        }

    def sample_keys(self) -> list[TwinKey]:
        return [_key("reader", {"read"}), _key("elsewhere", {"read"}, "203.0.113.7"), _key("mute", set())]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "email_otp",
                "step_up_weakest_factor": "email_otp",
                "enrolled_factors": ["email"],
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "none",
                "keys_counted": 1,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("x-phemex-access-token", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        expiry = request.headers.get("x-phemex-request-expiry", "")
        path, _, query = request.raw_path.partition("?")
        signed = hmac_sha256(key.secret, path + query + expiry + body).hex()
        if not same(signed, request.headers.get("x-phemex-request-signature", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if not (expiry.isascii() and expiry.isdigit()) or not 0 <= int(expiry) - time.time() <= _LONGEST_EXPIRY:
            raise Refused(Refusal.BAD_TIMESTAMP)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        if "read" not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message, "data": None}, status=status)

    def _wallets(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        held = {"currency": request.query.get("currency", "BTC"), "balanceEv": 123456789, "walletVid": 0}
        return _body([{**held, "lockedTradingBalanceEv": 0, "lockedWithdrawEv": 0, "lastUpdateTimeNs": 17 * 10**17}])

    def _children(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        offset = int(request.query.get("offset", 0))
        length = min(self.page, int(request.query.get("limit", 20)))
        return _body({"total": len(self.users), "rows": self.users[offset : offset + length]})


def _user(number: int, parent: int, name: str) -> dict[str, Any]:
    flags = {"passwordState": 1, "clientCnt": 1, "totp": 0 if parent else 1, "logon": 0, "status": 1}
    wallet = {"currency": "BTC", "currencyCode": 1, "totalBalance": "1.0", "totalBalanceEv": 100000000}
    person = {"email": "x**@**.com", "nickName": name, "parentEmail": "owner@example.org" if parent else None}
    return {"userId": number, "parentId": parent, **person, **flags, "wallet": wallet, "userMarginVo": []}


def _key(name: str, permissions: set[str], *ips: str) -> TwinKey:
    """A sample key; both halves are invented from its name."""
    halves = [hashlib.sha256(f"invented {half} of {name}".encode()).hexdigest() for half in ("id", "secret")]
    return TwinKey(api_key=f"demo-{halves[0][:31]}", secret=halves[1], ips=ips, permissions=frozenset(permissions))
