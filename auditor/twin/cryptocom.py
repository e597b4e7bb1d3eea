"""Crypto.com Exchange as its documentation describes it: JSON posts that name their method, a hex HMAC over method, id, key,
parameters and nonce, and errors as numbers in `code`.

Source: https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_WINDOW_MS = 60_000
_METHOD = "private/get-accounts"
_REFUSALS = {
    Refusal.BAD_KEY: (401, 40101, "UNAUTHORIZED"),
    Refusal.BAD_SIGNATURE: (401, 40101, "UNAUTHORIZED"),
    Refusal.BAD_TIMESTAMP: (401, 40102, "INVALID_NONCE"),
    Refusal.FOREIGN_IP: (401, 40103, "IP_ILLEGAL"),
    Refusal.MISSING_PERMISSION: (401, 40104, "USER_TIER_INVALID"),
    Refusal.RATE_LIMIT: (429, 42901, "TOO_MANY_REQUESTS"),
    Refusal.MAINTENANCE: (503, 9010001, "SYSTEM_MAINTENANCE"),
}


class Twin(TwinVenue):
    """A main account with a second factor and one sub-account; the person's data are invented."""

    id = "cryptocom"
    account_name = "main-cryptocom"
    further = (
        Spoken(408, {"id": 1, "method": "", "code": 40801, "message": "REQUEST_TIMEOUT"}),
        Spoken(500, {"id": 1, "method": "", "code": 50001, "message": "ERR_INTERNAL"}),
        Spoken(403, {"id": 1, "method": "", "code": 202, "message": "ACCOUNT_IS_SUSPENDED"}),
        Spoken(400, {"id": 1, "method": "", "code": 98765, "message": "not documented"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.master = _account("11111111-aaaa-4bbb-8ccc-000000000001", "REDACT", email="demo.person@example.invalid")
        sub = _account("22222222-aaaa-4bbb-8ccc-000000000002", "REDACT", email="demo.person+sub@example.invalid")
        self.subs = [{**sub, "label": "bot-sub", "two_fa_enabled": False, "create_time": 1700000000000}]
        self.signed = {("POST", f"/exchange/v1/{_METHOD}"): self._accounts}

    def sample_keys(self) -> list[TwinKey]:
        return [TwinKey(api_key="d3m0crypt0c0mAUDIT01", secret="cxakp_d3m0_0000000000000001")]  # noqa: S106  (invented)

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "kind": "main",
                "login_weakest_factor": "totp",
                "enrolled_factors": ["totp"],
                "withdrawal_allowlist_enabled": True,
                "email_second_factor": "totp",
                "keys_counted": 1,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        if request.content_type != "application/json":
            raise Refused(Refusal.BAD_SIGNATURE)
        said = json.loads(body)
        key = self.keys.get(said.get("api_key", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        parts = "".join(f"{name}{said['params'][name]}" for name in sorted(said["params"]))
        text = f"{said['method']}{said['id']}{key.api_key}{parts}{said['nonce']}"
        method = request.path.removeprefix("/exchange/v1/")
        if said["method"] != method or not same(hmac_sha256(key.secret, text).hex(), said.get("sig", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if abs(datetime.now(UTC).timestamp() * 1000 - int(said["nonce"])) > _WINDOW_MS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        if key.ips and ip_address(self.caller) not in {ip_address(one) for one in key.ips}:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"id": 1, "method": _METHOD, "code": code, "message": message}, status=status)

    def _accounts(self, _request: web.Request, _key: TwinKey) -> dict[str, Any]:
        result = {"master_account": self.master, "sub_account_list": self.subs}
        return {"id": 1, "method": _METHOD, "code": 0, "result": result}


def _account(uuid: str, name: str, *, email: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "master_account_uuid": "11111111-aaaa-4bbb-8ccc-000000000001",
        "margin_account_uuid": "11111111-aaaa-4bbb-8ccc-00000000000f",
        "enabled": True,
        "tradable": True,
        "name": f"{name} PERSON",
        "email": email,
        "mobile_number": "+15550100042",
        "country_code": "MT",
        "address": f"{name} STREET 1",
        "margin_access": "DISABLED",
        "derivatives_access": "DISABLED",
        "create_time": 1620000000000,
        "update_time": 1763000000000,
        "two_fa_enabled": True,
        "kyc_level": "ADVANCED",
        "suspended": False,
        "terminated": False,
    }
