"""HTX as its documentation describes it: signed queries, `code` and `message` under HTTP 200, keys of master and sub-users.

Source: https://huobiapi.github.io/docs/spot/v1/en/ (authentication; sub user management; wallet; market status).
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_HOST = "api.huobi.pro"  # part of what is signed, wherever the request goes
_WINDOW_SECONDS = 60
_MASTER = 310044556
_UNSIGNED = "api-signature-not-valid"
_OLD_REFUSALS = {
    Refusal.BAD_KEY: (_UNSIGNED, "Signature not valid: Incorrect Access key"),
    Refusal.BAD_SIGNATURE: (_UNSIGNED, "Signature not valid: Verification failure"),
    Refusal.BAD_TIMESTAMP: (_UNSIGNED, "Signature not valid: Invalid submission time or incorrect time format"),
    Refusal.FOREIGN_IP: (_UNSIGNED, "Signature not valid: the IP is not bound to the key"),
    Refusal.RATE_LIMIT: ("rate-too-many-requests", "exceeded rate limit"),
    Refusal.MAINTENANCE: ("system-maintenance", "System is in maintenance"),
}


def _body(data: Any, **more: Any) -> dict[str, Any]:
    return {"code": 200, "message": "success", "data": data, **more}


class Twin(TwinVenue):
    """A master user with three keys, one of them the reading audit key and one expired, a sub-user, and saved addresses."""

    id = "htx"
    account_name = "main-htx"
    further = (
        Spoken(
            200, {"status": "error", "err-code": "gateway-internal-error", "err-msg": "internal error", "data": None}
        ),
        Spoken(200, {"status": "error", "err-code": "not-documented", "err-msg": "", "data": None}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.listed: dict[str, Any] = _keys()
        self.sub_users: list[Any] = [{"uid": 310050001, "userState": "normal"}]
        self.book = _book()
        self.market = 1
        self.page = 100
        self.uid = _MASTER
        self.clock_ahead = timedelta(0)
        self.signed = {
            ("GET", "/v2/user/uid"): lambda _request, _key: _body(self.uid),
            ("GET", "/v2/user/api-key"): self._api_keys,
            ("GET", "/v2/sub-user/user-list"): self._user_list,
            ("GET", "/v2/account/withdraw/address"): self._addresses,
        }
        self.public = {
            ("GET", "/v2/market-status"): lambda _request: _body({"marketStatus": self.market}),
            ("GET", "/v1/common/timestamp"): lambda _request: {"status": "ok", "data": int(self._now() * 1000)},
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="8c1f22aa-77d0be12-aa04c3d9-d3m0a",
                secret="0f1e2d3c-demosecr-ethtx000-00001",  # noqa: S106  (invented; the twin knows no other)
                ips=("198.51.100.7",),
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "sms",
                "step_up_weakest_factor": "sms_and_email",
                "enrolled_factors": ["sms", "email"],
                "withdrawal_allowlist_enabled": True,
            }
        }

    def _now(self) -> float:
        return (datetime.now(UTC) + self.clock_ahead).timestamp()

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.query.get("AccessKeyId", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        try:
            stamp = datetime.strptime(request.query.get("Timestamp", ""), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            raise Refused(Refusal.BAD_TIMESTAMP) from None
        if abs(self._now() - stamp.timestamp()) > _WINDOW_SECONDS:
            raise Refused(Refusal.BAD_TIMESTAMP)
        path, _, query = request.raw_path.partition("?")
        signed = "&".join(sorted(part for part in query.split("&") if not part.startswith("Signature=")))
        digest = base64.b64encode(hmac_sha256(key.secret, f"{request.method}\n{_HOST}\n{path}\n{signed}")).decode()
        if body or not same(digest, request.query.get("Signature", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        if refusal is Refusal.MISSING_PERMISSION:
            return web.json_response({"code": 1002, "message": "forbidden"})
        code, message = _OLD_REFUSALS[refusal]
        return web.json_response({"status": "error", "err-code": code, "err-msg": message, "data": None})

    def _master_only(self) -> dict[str, Any] | None:
        """HTX answers a sub-user like this, under HTTP 200."""
        return None if self.uid == _MASTER else {"code": 403, "message": "forbidden for sub user"}

    def _api_keys(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        return self._master_only() or _body(self.listed.get(request.query.get("uid", ""), []))

    def _user_list(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        start = int(request.query.get("fromId", 0))
        end = start + self.page
        more = {"nextId": end} if end < len(self.sub_users) else {}
        return self._master_only() or _body(self.sub_users[start:end], **more)

    def _addresses(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        saved = [row for row in self.book if row["currency"] == request.query.get("currency")]
        start, limit = int(request.query.get("fromId", 0)), min(int(request.query.get("limit", 100)), 500)
        return self._master_only() or _body(saved[start : start + limit], nextId=start + limit)


def _keys() -> dict[str, Any]:
    def key(id_: str, note: str, permission: str, addresses: str, days: int, made: int) -> dict[str, Any]:
        return {
            "accessKey": id_,
            "status": "normal" if days else "expired",
            "note": note,
            "permission": permission,
            "ipAddresses": addresses,
            "validDays": days,
            "createTime": made,
            "updateTime": made + 1000,
        }

    return {
        str(_MASTER): [
            key("8c1f22aa-77d0be12-aa04c3d9-d3m0a", "audit", "readOnly", "198.51.100.7", -1, 1761900000000),
            key("11aa22bb-33cc44dd-55ee66ff-d3m0b", "old bot", "trade,readOnly,withdraw", "", 41, 1690000000000),
            key("00998877-66554433-22110099-d3m0c", "expired", "readOnly,trade", "", 0, 1650000000000),
        ],
        "310050001": [
            key("aa998877-66554433-22110099-d3m0d", "grid", "readOnly,trade", "203.0.113.0/24", -1, 1740000000000)
        ],
    }


def _book() -> list[dict[str, Any]]:
    address = "TInventedAddr0000000000000000000002"
    return [{"currency": "usdt", "chain": "trc20usdt", "note": "cold", "addressTag": "", "address": address}]
