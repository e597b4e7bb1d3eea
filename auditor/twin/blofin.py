"""BloFin as its documentation describes it: five ACCESS- headers, a Base64 of the hex HMAC over path, verb, time, nonce and
body, one object in `data`, and refusals as text in `code`.

Source: https://docs.blofin.com/index.html.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_WINDOW_MS = 60_000
_REFUSALS = {
    Refusal.BAD_KEY: (200, "152401", "Access key does not exist"),
    Refusal.BAD_SIGNATURE: (200, "152409", "Signature verification failed"),
    Refusal.BAD_TIMESTAMP: (200, "152405", "Request timestamp expired"),
    Refusal.FOREIGN_IP: (200, "152406", "This IP is not in the list of the key"),
    Refusal.MISSING_PERMISSION: (200, "152404", "This operation is not supported"),
    Refusal.RATE_LIMIT: (429, "429", "Too Many Requests"),
    Refusal.MAINTENANCE: (503, "503", "Service Unavailable"),
}


class Twin(TwinVenue):
    """A main account with an unbound audit key in its 90 days, and a vendor's key that may write."""

    id = "blofin"
    account_name = "main-blofin"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "of a sub-account": {"about": {"parentUid": "20099887766554"}},
        "linked to an app": {"about": {"type": 2}},
    }
    further = (
        Spoken(200, {"code": "500", "msg": "Internal Server Error"}),
        Spoken(200, {"code": "987654", "msg": "not documented"}),
    )
    credentials = ("apiKey", "secret", "password")

    def __init__(self) -> None:
        super().__init__()
        self.nonces: set[str] = set()
        self.signed = {("GET", "/api/v1/user/query-apikey"): self._query}

    def sample_keys(self) -> list[TwinKey]:
        own = {
            "uid": "20011223344",
            "apiName": "audit",
            "readOnly": 1,
            "ips": [],
            "type": 1,
            "expireTime": "1800000000000",
        }
        vendor = {"apiName": "copy-trader", "readOnly": 0, "ips": ["203.0.113.0/24"], "type": 2, "expireTime": "0"}
        fixed = {"createTime": "1792224000000", "referralCode": "", "parentUid": "0"}
        return [
            TwinKey(
                api_key=api_key,
                secret=f"d3m0-secret-of-{api_key}",
                password=f"Demo-Phrase-{api_key[-1]}",
                about={**fixed, **about},
            )
            for api_key, about in (("bfDEMOaudit00000001", own), ("bfDEMOvendor0000002", {**own, **vendor}))
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "sms",
                "enrolled_factors": ["email", "sms", "totp", "passkey"],
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "sms",
                "keys_counted": 2,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        said = {
            name: request.headers.get(f"ACCESS-{name}", "")
            for name in ("KEY", "SIGN", "TIMESTAMP", "NONCE", "PASSPHRASE")
        }
        key = self.keys.get(said["KEY"])
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        text = f"{request.raw_path}{request.method}{said['TIMESTAMP']}{said['NONCE']}{body}"
        digest = base64.b64encode(hmac_sha256(key.secret, text).hex().encode()).decode()
        if not same(digest, said["SIGN"]) or said["PASSPHRASE"] != key.password:
            raise Refused(Refusal.BAD_SIGNATURE)
        stamp = said["TIMESTAMP"]
        late = not stamp.isdigit() or abs(datetime.now(UTC).timestamp() * 1000 - int(stamp)) > _WINDOW_MS
        if late or said["NONCE"] in self.nonces:
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.nonces.add(said["NONCE"])
        listed = [entry for entry in key.about["ips"] if entry]
        if listed and not any(ip_address(self.caller) in ip_network(entry, strict=False) for entry in listed):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message}, status=status)

    def _query(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        return {"code": "0", "msg": "success", "data": {**key.about, "apiKey": key.api_key}}
