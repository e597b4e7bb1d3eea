"""HashKey Global as its documentation describes it: X-HK-APIKEY, an HMAC over the query as sent, `code` and `msg` when
refused, mostly with HTTP 200.

Source: https://hashkeyglobal-apidoc.readme.io/.
"""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_AHEAD_MS, _WINDOW_MS = 1000, 5000
_REFUSALS = {
    Refusal.BAD_KEY: (200, "0102", "Invalid APIKey"),
    Refusal.BAD_SIGNATURE: (200, "0002", "Incorrect signature"),
    Refusal.BAD_TIMESTAMP: (400, "-1021", "Timestamp for this request is outside of the recvWindow"),
    Refusal.FOREIGN_IP: (200, "0202", "Invalid IP"),
    Refusal.MISSING_PERMISSION: (200, "-1005", "No permission"),
    Refusal.RATE_LIMIT: (429, "0003", "Rate limit exceeded"),
    Refusal.MAINTENANCE: (200, "-1101", "Feature has been offline"),
}


class Twin(TwinVenue):
    """One user with a trading account, a sub-account and a fiat account; a key that may read, and a bound one."""

    id = "hashkey"
    account_name = "main-hashkey"
    further = (
        Spoken(400, {"code": "-1007", "msg": "Timeout waiting for response from backend server"}),
        Spoken(400, {"code": "-1000", "msg": "An unknown error occurred"}),
        Spoken(400, {"code": "-9876", "msg": "not documented"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.accounts: Any = [
            _account("1700000000000000001", "Main Trading Account", 1, 0),
            _account("1700000000000000002", "Sub Trading Account", 1, 1),
            _account("1700000000000000003", "Fiat Account", 6, 0),
        ]
        self.signed = {("GET", "/api/v1/account/type"): lambda _request, _key: self.accounts}

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("hkDEMOPUBLICREADER0000000000000000000000000000000000000000000001"),
            _key("hkDEMOPUBLICBOUND00000000000000000000000000000000000000000000002", "203.0.113.20"),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "sms",
                "withdrawal_allowlist_enabled": True,
                "anti_phishing_code_set": True,
                "keys_counted": 2,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("X-HK-APIKEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        query, _, signature = request.rel_url.raw_query_string.rpartition("&signature=")
        if not same(hmac_sha256(key.secret, query + body).hex(), signature.lower()):
            raise Refused(Refusal.BAD_SIGNATURE)
        stamp = request.query.get("timestamp", "")
        if not stamp.isdigit() or not -_AHEAD_MS < time.time() * 1000 - int(stamp) <= _WINDOW_MS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message}, status=status)


def _account(number: str, label: str, kind: int, index: int) -> dict[str, Any]:
    return {
        "accountId": number,
        "accountLabel": label,
        "accountType": kind,
        "accountIndex": index,
        "userId": "1700000001",
    }


def _key(api_key: str, *ips: str) -> TwinKey:
    return TwinKey(api_key=api_key, secret="invented-secret-of-" + api_key, ips=ips)
