"""XT as its documentation describes it: xt-validate headers, a hex HMAC over them, the verb, the path and the query, and
answers as `rc`, `mc` and `result`, refusals with HTTP 200 included.

Source: https://doc.xt.com and https://github.com/xt-com/xt-api (User Center: signature, apiKey, account).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_REFUSALS = {
    Refusal.BAD_KEY: (200, "AUTH_101"),
    Refusal.BAD_SIGNATURE: (200, "AUTH_103"),
    Refusal.BAD_TIMESTAMP: (200, "AUTH_105"),
    Refusal.FOREIGN_IP: (200, "AUTH_104"),
    Refusal.MISSING_PERMISSION: (200, "AUTH_106"),
    Refusal.RATE_LIMIT: (429, "FAILURE"),
    Refusal.MAINTENANCE: (503, "FAILURE"),
}
_SIGNED_HEADERS = ("algorithms", "appkey", "recvwindow", "timestamp")


def _body(result: Any) -> dict[str, Any]:
    return {"rc": 0, "mc": "SUCCESS", "ma": [], "result": result}


class Twin(TwinVenue):
    """A main account with an audit key and an unbound bot's key that withdraws, and a sub-account with a key of the older kind."""

    id = "xt"
    account_name = "main-xt"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without sub-accounts": {"accounts": lambda rows: rows[:1], "listed": lambda rows: rows[:1]}
    }
    further = (
        Spoken(200, {"rc": 1, "mc": "COMMON_003", "ma": [], "result": None}),
        Spoken(200, {"rc": 1, "mc": "INVENTED_001", "ma": [], "result": None}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.clock_ahead = timedelta(0)
        self.accounts = _accounts()
        self.listed = _listed()
        self.lists_subs_at_once = False
        self.signed = {
            ("GET", "/v4/user/account/api-key"): self._keys,
            ("GET", "/v4/user/account"): lambda _request, _key: _body(self.accounts),
        }
        self.public = {("GET", "/v4/public/time"): lambda _request: _body({"serverTime": self._now()})}

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="00d3m000-0000-4000-8000-00000000000a",
                secret="d3m0secret0000000000000000000000000000aa",  # noqa: S106  (invented; the twin knows no other)
                ips=("198.51.100.7",),
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "sms",
                "step_up_weakest_factor": "sms_and_email",
                "enrolled_factors": ["sms", "email", "totp"],
                "email_second_factor": "totp",
            }
        }

    def _now(self) -> int:
        return int(time.time() * 1000 + self.clock_ahead.total_seconds() * 1000)

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        given = {name: request.headers.get(f"xt-validate-{name}", "") for name in (*_SIGNED_HEADERS, "signature")}
        key = self.keys.get(given["appkey"])
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        head = "&".join(f"xt-validate-{name}={given[name]}" for name in _SIGNED_HEADERS)
        query = "&".join(f"{name}={value}" for name, value in sorted(request.query.items()))
        parts = [head, request.method, request.path, *(part for part in (query, body) if part)]
        if not same(hmac_sha256(key.secret, "#".join(parts)).hex(), given["signature"]):
            raise Refused(Refusal.BAD_SIGNATURE)
        if abs(self._now() - int(given["timestamp"])) > int(given["recvwindow"]):
            raise Refused(Refusal.BAD_TIMESTAMP)
        if key.ips and ip_address(self.caller) not in {ip_address(one) for one in key.ips}:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code = _REFUSALS[refusal]
        return web.json_response({"rc": 1, "mc": code, "ma": [], "result": None}, status=status)

    def _keys(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        wanted = request.query.get("userAccountId")
        shown = [row for row in self.listed if self.lists_subs_at_once or wanted or _of_main(row)]
        return _body([row for row in shown if wanted is None or row["userAccountId"] == wanted])


def _of_main(row: Any) -> bool:
    return not isinstance(row, dict) or row.get("userAccountLevel") != 2  # noqa: PLR2004


def _accounts() -> list[dict[str, Any]]:
    made = {"createTime": "2022-04-19 02:02:42", "updateTime": "2022-04-19 02:02:42"}
    return [
        {"id": "1352123154435", "accountName": "master", "userId": 1352123154435, "level": 1, **made},
        {"id": "1626456841938669570", "accountName": "grid01", "userId": 1352123154435, "level": 2, **made},
    ]


def _listed() -> list[dict[str, Any]]:
    """Keys as the documentation shows them, secrets included; these are invented."""
    common = {"userId": 1352123154435, "isLock": 0, "tags": None, "updateTime": "2026-10-01 09:15:00"}
    main = {**common, "userAccountId": "1352123154435", "userAccountLevel": 1}
    return [
        {
            **main,
            "id": 1,
            "keyName": "audit",
            "bindIps": "198.51.100.7",
            "accessKey": "00d3m000-0000-4000-8000-00000000000a",
            "secretKey": "d3m0secret0000000000000000000000000000aa",
            "roleScopes": "QUERY",
            "createTime": "2026-10-01 09:15:00",
        },
        {
            **main,
            "id": 2,
            "keyName": "bot",
            "bindIps": "",
            "accessKey": "00d3m000-0000-4000-8000-00000000000b",
            "secretKey": "d3m0secret0000000000000000000000000000bb",
            "roleScopes": "QUERY,TRADE,WITHDRAW",
            "createTime": "2023-02-17 05:41:43",
        },
        {
            **common,
            "id": 3,
            "userAccountId": "1626456841938669570",
            "userAccountLevel": 2,
            "keyName": "grid",
            "bindIps": "203.0.113.9, 203.0.113.10",
            "accessKey": "00d3m000-0000-4000-8000-00000000000c",
            "secretKey": "d3m0secret0000000000000000000000000000cc",
            "roleScopes": "QUERY_TRADE",
            "createTime": "2023-02-20 07:39:56.768",
        },
    ]
