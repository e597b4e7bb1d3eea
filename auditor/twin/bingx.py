"""BingX as its documentation describes it: a hex HMAC over the query in the order of its names, the X-BX-APIKEY header, and
errors as numbers in `code` under HTTP 200. Two of its answers are flat: no code at all.

Source: https://bingx-api.github.io/docs-v3/.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar
from urllib.parse import unquote

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_WINDOW_MS = 5000
_FLAGS = {
    1: "enableSpotAndMarginTrading",
    2: "enableReading",
    3: "enableFutures",
    4: "permitsUniversalTransfer",
    5: "enableWithdrawals",
    7: "enableInternalTransfer",
}
_REFUSALS = {
    Refusal.BAD_KEY: (200, 100413, "Incorrect apiKey"),
    Refusal.BAD_SIGNATURE: (200, 100001, "Signature verification failed"),
    Refusal.BAD_TIMESTAMP: (200, 100421, "timestamp mismatch with the server time"),
    Refusal.FOREIGN_IP: (200, 100419, "your current request IP is not in the whitelist of the key"),
    Refusal.MISSING_PERMISSION: (200, 100004, "Permission denied as the API key was created without the permission"),
    Refusal.RATE_LIMIT: (200, 100410, "rate limitation"),
    Refusal.MAINTENANCE: (200, 100500, "system busy"),
}


def _body(data: Any) -> dict[str, Any]:
    return {"code": 0, "timestamp": 1763600000000, "data": data}


class Twin(TwinVenue):
    """A main account with a careful audit key and an unbound trading bot's key, and a sub-account with a bot of its own."""

    id = "bingx"
    account_name = "main-bingx"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {"without sub-accounts": {"subs": []}}
    further = (
        Spoken(200, {"code": 504, "msg": "Gateway timeout"}),
        Spoken(200, {"code": 109500, "msg": "Internal server error"}),
        Spoken(200, {"code": 987654, "msg": "not documented"}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.listed_as, self.subs_as = "apiInfos", "result"
        self.uid: Any = 18440029
        self.listed = _listed()
        self.subs = [
            {
                "subUid": "18450001",
                "subAccountString": "bot123456",
                "note": "",
                "freeze": False,
                "createTime": 1740000000000,
            }
        ]
        flat, nested = "/openApi/v1/account", "/openApi/account/v1"
        self.signed = {
            ("GET", f"{flat}/apiPermissions"): self._permissions,
            ("GET", f"{flat}/apiRestrictions"): self._restrictions,
            ("GET", f"{nested}/uid"): lambda _request, _key: _body({"uid": self.uid}),
            ("GET", f"{nested}/apiKey/query"): self._query,
            ("GET", "/openApi/subAccount/v1/list"): self._subs,
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="aBcDEMOexamplekeyAUDIT00000009Z",
                secret="D3m0SecretBingX00000000000000001",  # noqa: S106  (invented; the twin knows no other)
                about={
                    "permissions": [2],
                    "ipAddresses": ["198.51.100.7"],
                    "note": "audit",
                    "createTime": 1761900000000,
                },
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "enrolled_factors": ["totp", "passkey"],
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "phishing_resistant",
                "keys_counted": 2,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:  # noqa: ARG002
        key = self.keys.get(request.headers.get("X-BX-APIKEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        said, _, signature = request.rel_url.raw_query_string.rpartition("&signature=")
        if not same(hmac_sha256(key.secret, unquote(said)).hex(), signature):
            raise Refused(Refusal.BAD_SIGNATURE)
        stamp = request.query.get("timestamp", "")
        if not stamp.isdigit() or abs(datetime.now(UTC).timestamp() * 1000 - int(stamp)) > _WINDOW_MS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        listed = [entry for entry in key.about["ipAddresses"] if entry]
        if listed and not any(ip_address(self.caller) in ip_network(entry, strict=False) for entry in listed):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message = _REFUSALS[refusal]
        return web.json_response({"code": code, "msg": message, "timestamp": 1763600000000}, status=status)

    def _permissions(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        about = {name: key.about[name] for name in ("permissions", "ipAddresses", "note")}
        return {"apiKey": key.api_key, **about}

    def _restrictions(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        held = {_FLAGS[number] for number in key.about["permissions"]}
        flags = {flag: flag in held for flag in (*_FLAGS.values(), "enableVanillaOptions")}
        return {"ipRestrict": any(key.about["ipAddresses"]), "createTime": key.about["createTime"], **flags}

    def _query(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        return _body({self.listed_as: self.listed.get(request.query.get("uid", ""), [])})

    def _subs(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        page, length = int(request.query["page"]), int(request.query["limit"])
        rows = self.subs[(page - 1) * length : page * length]
        return _body({self.subs_as: rows, "pageId": page, "total": len(self.subs)})


def _listed() -> dict[str, list[dict[str, Any]]]:
    """Keys by UID, as the list masks them."""
    return {
        "18440029": [
            _entry("aB*******9Z", "audit****", [2], ["198.51.100.7"], 1761900000000),
            _entry("kQ*******1t", "bot****", [1, 2, 3, 4], [""], 1700000000000),
        ],
        "18450001": [_entry("zX*******7p", "grid****", [1, 2], ["203.0.113.0/24"], 1741000000000)],
    }


def _entry(key: str, note: str, permissions: list[int], ips: list[str], made: int) -> dict[str, Any]:
    fixed = {"status": 0, "createTime": made, "updateTime": made + 86_400_000}
    return {"apiKey": key, "note": note, "permissions": permissions, "ipAddresses": ips, **fixed}
