"""Bitget as its documentation describes it: ACCESS headers, `code` and `msg` in every body, two families of calls.

Source: https://www.bitget.com/api-doc/ (signature; unified account info, sub-accounts, withdrawal addresses; classic
account info and virtual sub-accounts).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import unquote

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_WINDOW_MS = 30_000
_REFUSALS = {
    Refusal.BAD_KEY: (400, "40006", "Invalid ACCESS_KEY"),
    Refusal.BAD_SIGNATURE: (400, "40009", "sign signature error"),
    Refusal.BAD_TIMESTAMP: (400, "40008", "Request timestamp expired"),
    Refusal.FOREIGN_IP: (400, "40018", "Invalid IP"),
    Refusal.MISSING_PERMISSION: (200, "40014", "Incorrect permissions, need uta_mgt permissions"),
    Refusal.RATE_LIMIT: (429, "429", "Too Many Requests"),
    Refusal.MAINTENANCE: (200, "40200", "Server upgrade, please try again later"),
}


def _body(data: Any) -> dict[str, Any]:
    return {"code": "00000", "msg": "success", "requestTime": 1776000000000, "data": data}


def _said(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "msg": message, "requestTime": 1776000000000, "data": None}


class Twin(TwinVenue):
    """A unified main account with a reading audit key, two sub-accounts, one of them an agent's, and saved addresses."""

    id = "bitget"
    account_name = "main-bitget"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "of a sub-account": {"about": {"parentId": "1234500001"}},
        "classic": {"unified": False},
    }
    further = (
        Spoken(400, {"code": "40010", "msg": "Request timed out", "data": None}),
        Spoken(400, {"code": "40015", "msg": "System error, please try again later", "data": None}),
        Spoken(400, {"code": "40013", "msg": "User status is abnormal", "data": None}),
        Spoken(400, {"code": "98765", "msg": "not documented", "data": None}),
    )
    credentials = ("apiKey", "secret", "password")

    def __init__(self) -> None:
        super().__init__()
        self.unified = True
        self.page = 100
        self.sub_accounts = _sub_accounts()
        self.sub_keys = _sub_keys()
        self.addresses = _addresses()
        self.clock_ahead = timedelta(0)
        self.signed = {
            ("GET", "/api/v3/account/info"): self._info,
            ("GET", "/api/v3/user/sub-list"): self._subs,
            ("GET", "/api/v3/user/sub-api-list"): self._keys_of_sub,
            ("GET", "/api/v3/account/withdraw-address"): self._book,
            ("GET", "/api/v2/spot/account/info"): self._old_info,
            ("GET", "/api/v2/user/virtual-subaccount-list"): self._old_subs,
            ("GET", "/api/v2/user/virtual-subaccount-apikey-list"): self._old_keys,
        }
        self.public = {("GET", "/api/v2/public/time"): lambda _request: _body({"serverTime": str(self._now_ms())})}

    def sample_keys(self) -> list[TwinKey]:
        account = {"userId": "1234500001", "inviterId": "", "parentId": "", "channelCode": "", "channel": ""}
        return [
            TwinKey(
                api_key="bg_0d3m0a0d3m0a0d3m0a0d3m0a0d3m0a01",
                secret="demosecretbitget000000000000000a",  # noqa: S106  (invented; the twin knows no other)
                password="DemoPassphrase1",  # noqa: S106
                ips=("198.51.100.7",),
                about={
                    **account,
                    "ips": "198.51.100.7",
                    "permType": "read-only",
                    "permissions": ["uta_mgt", "uta_trade"],
                    "authorities": ["stor", "coor", "chor"],
                    "regisTime": "1600000000000",
                },
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "email_otp",
                "step_up_weakest_factor": "sms",
                "enrolled_factors": ["sms", "email", "totp"],
                "withdrawal_allowlist_enabled": False,
            }
        }

    def _now_ms(self) -> int:
        return int((datetime.now(UTC) + self.clock_ahead).timestamp() * 1000)

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("ACCESS-KEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp = request.headers.get("ACCESS-TIMESTAMP", "")
        if not stamp.isdigit() or abs(self._now_ms() - int(stamp)) > _WINDOW_MS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        text = stamp + request.method + unquote(request.raw_path) + body  # the query is signed as it reads
        digest = base64.b64encode(hmac_sha256(key.secret, text)).decode()
        if not same(digest, request.headers.get("ACCESS-SIGN", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if not same(key.password, request.headers.get("ACCESS-PASSPHRASE", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response(_said(code, message), status=status)

    def _family(self, *, unified: bool) -> dict[str, Any] | None:
        if unified is self.unified:
            return None
        meaning = "You are in Unified Account mode, and the Classic Account API is not supported at this time"
        return _said("40085", meaning) if self.unified else _said("40025", "User does not have this permission")

    def _info(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        return self._family(unified=True) or _body({n: v for n, v in key.about.items() if n != "authorities"})

    def _old_info(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        about = {name: value for name, value in key.about.items() if name not in {"permType", "permissions"}}
        return self._family(unified=False) or _body({**about, "traderType": "not_trader"})

    def _sub(self, key: TwinKey, *, unified: bool) -> dict[str, Any] | None:
        parent = key.about.get("parentId")
        return self._family(unified=unified) or (_said("40048", "must be the parent account") if parent else None)

    def _slice(self, request: web.Request, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int, bool]:
        start, length = int(request.query.get("cursor", 0)), min(int(request.query.get("limit", 100)), self.page)
        end = start + length
        return rows[start:end], end, end < len(rows)

    def _subs(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        page, cursor, more = self._slice(request, self.sub_accounts)
        listed = {"list": page, "hasNext": more, "cursor": str(cursor)}
        return self._sub(key, unified=True) or _body(listed)

    def _keys_of_sub(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        page, cursor, more = self._slice(request, self.sub_keys.get(request.query.get("subUid", ""), []))
        listed = {"items": page, "hasNext": str(more).lower(), "cursor": str(cursor)}
        return self._sub(key, unified=True) or _body(listed)

    def _book(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        start, length = int(request.query.get("cursor", 0)), min(int(request.query.get("limit", 10)), 10)
        page = self.addresses[start : start + length]
        return self._family(unified=True) or _body({"addressList": page, "cursor": str(start + len(page))})

    def _old_subs(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        start = int(request.query.get("idLessThan", 0))
        page = self.sub_accounts[start : start + self.page]
        listed = [
            {
                "subAccountUid": sub["subUid"],
                "subAccountName": sub["username"],
                "label": sub["note"],
                "status": "normal",
            }
            for sub in page
        ]
        answer = {"subAccountList": listed, "endId": str(start + len(page)) if page else None}
        return self._sub(key, unified=False) or _body(answer)

    def _old_keys(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        uid = request.query.get("subAccountUid", "")
        words = {"uta_trade": ["spot_trade", "contract_trade"], "uta_mgt": ["transfer"]}
        rows = [
            {
                "subAccountUid": uid,
                "label": row["note"],
                "subAccountApiKey": row["apiKey"],
                "permList": [word for area in row["permissions"] for word in words[area]],
                "ipList": row["ips"],
            }
            for row in self.sub_keys.get(uid, [])
        ]
        unbound = None if key.about["ips"] else _said("22010", "Please bind ip whitelist address")
        return self._sub(key, unified=False) or unbound or _body(rows)


def _sub_accounts() -> list[dict[str, Any]]:
    common = {"status": "normal", "accountMode": "unified", "createdTime": "1760000000000"}
    return [
        {
            **common,
            "subUid": "1234500098",
            "username": "gridsub@virtual-bitget.example",
            "type": "virtual",
            "note": "grid",
        },
        {**common, "subUid": "1234500099", "username": "helper@virtual-bitget.example", "type": "agent", "note": "ai"},
    ]


def _sub_keys() -> dict[str, list[dict[str, Any]]]:
    return {
        "1234500098": [
            {
                "apiKey": "bg_1a2b3c4d5e6f000000000000000000b1",
                "note": "grid bot",
                "type": "read_write",
                "permissions": ["uta_trade"],
                "ips": [],
                "ts": "1770000000000",
            }
        ],
        "1234500099": [
            {
                "apiKey": "bg_1a2b3c4d5e6f000000000000000000b2",
                "note": "assistant",
                "type": "read_write",
                "permissions": ["uta_mgt", "uta_trade"],
                "ips": ["203.0.113.9"],
                "ts": "1779000000000",
            }
        ],
    }


def _addresses() -> list[dict[str, Any]]:
    row = {"coin": "BTC", "chain": "BTC", "countryCode": "", "memo": "", "type": "regular", "internalType": ""}
    return [
        {**row, "address": "bc1qinvented0000000000000000000000000009", "label": "cold", "createdTime": "1700000000000"},
        {**row, "address": "bc1qinvented000000000000000000000000000a", "label": "new", "createdTime": "1795000000000"},
    ]
