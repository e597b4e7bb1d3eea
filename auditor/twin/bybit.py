"""Bybit as its documentation describes it: X-BAPI headers, `retCode` under HTTP 200, cursors, sub-accounts with keys.

Source: https://bybit-exchange.github.io/docs/v5/guide (authentication), user/*, asset/*, system-status, error.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin import _bybit_funds
from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same
from auditor.twin._holdings import sample

_REFUSALS = {
    Refusal.BAD_KEY: (10003, "API key is invalid."),
    Refusal.BAD_SIGNATURE: (10004, "error sign! origin_string[1776000000000auditBYBITdemo00015000]"),
    Refusal.BAD_TIMESTAMP: (10002, "invalid request, please check your server timestamp or recv_window param."),
    Refusal.FOREIGN_IP: (10010, "Unmatched IP, please check your API key's bound IP addresses."),
    Refusal.MISSING_PERMISSION: (10005, "Permission denied, please check your API key permissions."),
    Refusal.RATE_LIMIT: (10006, "Too many visits. Exceeded the API Rate Limit."),
    Refusal.MAINTENANCE: (10016, "Server error."),
}
_CATEGORIES = "ContractTrade Spot Wallet Options Derivatives CopyTrading BlockTrade Exchange NFT Affiliate Earn"
_OF_MASTERS = "FiatP2P FiatBitPay FiatConvertBroker BitCard ByXPost"
_UID = 55500001


def permissions(master: bool = False, **granted: list[str]) -> dict[str, list[str]]:  # noqa: FBT001, FBT002
    """The `permissions` of a key: every documented category, empty unless granted."""
    names = _CATEGORIES.split() + (_OF_MASTERS.split() if master else [])
    return {name: granted.get(name, []) for name in names}


def _never(days: int) -> dict[str, Any]:
    return {"expiredAt": "1970-01-01T00:00:00Z", "deadlineDay": days}


class Twin(TwinVenue):
    """A master account with a reading audit key, a key that pays out, and three sub-accounts; one holds custody."""

    id = "bybit"
    in_demo = True
    account_name = "main-bybit"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {"connected to an app": {"about": {"type": 2}}}
    further = (
        Spoken(200, {"retCode": 10000, "retMsg": "Server Timeout", "result": {}}),
        Spoken(200, {"retCode": 10008, "retMsg": "Common banned", "result": {}}),
        Spoken(200, {"retCode": 987654, "retMsg": "not documented", "result": {}}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.members = _members()
        self.movable = ["555000020", "555000021"]
        self.sub_keys = _sub_keys()
        self.book = _book()
        self.events: list[dict[str, Any]] = []
        self.page = 20
        self.clock_ahead = timedelta(0)
        self.held = sample("success", "CancelByUser")
        self.signed = {
            ("GET", "/v5/user/query-api"): lambda _request, key: self._body(dict(key.about)),
            ("GET", "/v5/user/query-sub-members"): self._members,
            ("GET", "/v5/user/submembers"): self._member_pages,
            ("GET", "/v5/asset/transfer/query-sub-member-list"): self._ids,
            ("GET", "/v5/user/sub-apikeys"): self._keys_of_sub,
            ("GET", "/v5/asset/withdraw/query-address"): self._addresses,
            **_bybit_funds.routes(self.held, self._body),
        }
        self.public = {
            ("GET", "/v5/system/status"): lambda _request: self._body({"list": self.events}),
            ("GET", "/v5/market/time"): lambda _request: self._body({"timeSecond": str(self._now() // 1000)}),
        }

    def sample_keys(self) -> list[TwinKey]:
        about = {
            "rsaPublicKey": "",
            "secret": "",
            "userID": _UID,
            "vipLevel": "No VIP",
            "uta": 1,
            "unified": 0,
            "type": 1,
        }
        master = {**about, "isMaster": True, "parentUid": "0", "kycLevel": "LEVEL_1", "kycRegion": "MYS"}
        reads = permissions(master=True, Wallet=["AccountTransfer"], Spot=["SpotTrade"], Exchange=["ExchangeHistory"])
        pays = permissions(master=True, Wallet=["AccountTransfer", "SubMemberTransfer", "Withdraw"])
        grid = permissions(Wallet=["SubMemberTransferList"], Derivatives=["DerivativesTrade"])
        notes = [
            (master, "auditor", 1, reads, ["*"], {"expiredAt": "2027-01-30T04:05:06Z", "deadlineDay": 71}),
            (master, "payout", 0, pays, ["198.51.100.0/24"], _never(-2)),
            (
                {**master, "isMaster": False, "parentUid": str(_UID), "userID": 555000020},
                "grid",
                0,
                grid,
                ["198.51.100.7"],
                _never(-2),
            ),
        ]
        return [
            TwinKey(
                api_key=f"{note}BYBITdemo0001",
                secret=f"DEMOSECRETBYBIT0000000000000000{note}",  # invented; the twin knows no other
                about={
                    **who,
                    **ends,
                    "note": note,
                    "apiKey": f"{note}BYBITdemo0001",
                    "readOnly": read_only,
                    "permissions": granted,
                    "ips": ips,
                    "createdAt": "2026-11-01T04:05:06Z",
                },
            )
            for who, note, read_only, granted, ips, ends in notes
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "sms_and_email",
                "enrolled_factors": ["sms", "email", "totp"],
                "withdrawal_allowlist_enabled": True,
                "anti_phishing_code_set": False,
            }
        }

    def _now(self) -> int:
        return int((datetime.now(UTC) + self.clock_ahead).timestamp() * 1000)

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        """The signed text is time, key, window and the query exactly as it came, or the body of a POST."""
        public_id = request.headers.get("X-BAPI-API-KEY", "")
        key = self.keys.get(public_id)
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        stamp, window = request.headers.get("X-BAPI-TIMESTAMP", ""), request.headers.get("X-BAPI-RECV-WINDOW", "5000")
        if not (stamp.isdigit() and window.isdigit()) or not -int(window) <= int(stamp) - self._now() < 1000:  # noqa: PLR2004
            raise Refused(Refusal.BAD_TIMESTAMP)
        sent = request.raw_path.partition("?")[2] if request.method == "GET" else body
        if not same(
            hmac_sha256(key.secret, stamp + public_id + window + sent).hex(), request.headers.get("X-BAPI-SIGN", "")
        ):
            raise Refused(Refusal.BAD_SIGNATURE)
        listed = [] if "*" in key.about["ips"] else [ip_network(entry) for entry in key.about["ips"]]
        if listed and not any(ip_address(self.caller) in block for block in listed):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        code, message = _REFUSALS[refusal]
        return web.json_response({**self._body({}), "retCode": code, "retMsg": message})

    def _body(self, result: dict[str, Any]) -> dict[str, Any]:
        return {"retCode": 0, "retMsg": "", "result": result, "retExtInfo": {}, "time": self._now()}

    def _master_with(self, key: TwinKey, *wanted: str) -> None:
        """Refuses a sub-account's key, and one without any of the `wanted` permissions of the wallet."""
        held = key.about["permissions"].get("Wallet", [])
        if not key.about["isMaster"] or (wanted and not set(wanted) & set(held)):
            raise Refused(Refusal.MISSING_PERMISSION)

    def _members(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._master_with(key, "AccountTransfer", "SubMemberTransfer", "Withdraw")
        return self._body({"subMembers": self.members[:1000]})

    def _member_pages(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._master_with(key, "AccountTransfer", "SubMemberTransfer", "Withdraw")
        size, start = int(request.query.get("pageSize", 100)), int(request.query.get("nextCursor", "0"))
        end = start + min(size, self.page)
        return self._body(
            {"subMembers": self.members[start:end], "nextCursor": str(end) if end < len(self.members) else "0"}
        )

    def _ids(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._master_with(key)
        ids = [member["uid"] for member in self.members]
        return self._body({"subMemberIds": ids, "transferableSubMemberIds": self.movable})

    def _keys_of_sub(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._master_with(key)
        rows = self.sub_keys.get(request.query.get("subMemberId", ""), [])
        return self._paged("result", rows, request, int(request.query.get("limit", 20)))

    def _addresses(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._master_with(key, "Withdraw")
        kind = request.query.get("addressType", "0")
        rows = [row for row in self.book if kind == "2" or str(row["addressType"]) == kind]
        return self._paged("rows", rows, request, int(request.query.get("limit", 50)))

    def _paged(self, name: str, rows: list[dict[str, Any]], request: web.Request, limit: int) -> dict[str, Any]:
        """A page and the cursor behind it: base64 with its padding, which means something else in a URL."""
        start = int(base64.b64decode(request.query.get("cursor", "")).decode().removeprefix("from:") or 0)
        end = start + min(limit, self.page)
        cursor = base64.b64encode(f"from:{end}".encode()).decode() if end < len(rows) else ""
        return self._body({name: rows[start:end], "nextPageCursor": cursor})


def _members() -> list[dict[str, Any]]:
    common = {"memberType": 1, "status": 1, "remark": "", "accountMode": 5}
    return [
        {**common, "uid": "555000020", "username": "gridbot01"},
        {**common, "uid": "555000021", "username": "arbdesk02"},
        {**common, "uid": "555000022", "username": "custody03", "memberType": 6},
    ]


def sub_key(note: str, **changed: Any) -> dict[str, Any]:
    """A row of sub-apikeys: by default a personal key that trades, bound to no address, for another 60 days."""
    trades = permissions(ContractTrade=["Order", "Position"], Spot=["SpotTrade"], Derivatives=["DerivativesTrade"])
    usual = {"id": "98765", "ips": ["*"], "apiKey": f"{note}BYBITdemo9999", "note": note, "status": 3, "type": 1}
    times = {"expiredAt": "2027-01-19T00:00:00Z", "createdAt": "2026-10-21T00:00:00Z", "deadlineDay": 60}
    return {**usual, **times, "permissions": trades, "secret": "******", "readOnly": False, "flag": "hmac", **changed}


def _sub_keys() -> dict[str, list[dict[str, Any]]]:
    moves = permissions(Wallet=["AccountTransfer", "SubMemberTransferList"], Spot=["SpotTrade"], Earn=["Earn"])
    bound: dict[str, Any] = {**_never(-2), "status": 1, "ips": ["198.51.100.20"], "createdAt": "2025-04-02T00:00:00Z"}
    return {
        "555000020": [sub_key("grid"), sub_key("CopyBotApp", type=2, permissions=moves)],
        "555000021": [
            sub_key("arb", **bound, permissions=moves, flag="rsa"),
            sub_key("dashboard", **bound, readOnly=True),
            sub_key("old", status=2, expiredAt="2026-02-01T00:00:00Z", createdAt="2025-11-03T00:00:00Z", deadlineDay=0),
        ],
        "555000022": [],
    }


def _book() -> list[dict[str, Any]]:
    common = {"chain": "ETH", "tag": "", "status": 0, "addressType": 0, "verified": 0}
    mine, hers = "0xinvented0000000000000000000000000000aaaa", "0xinvented0000000000000000000000000000bbbb"
    return [
        {**common, "coin": "USDT", "address": mine, "remark": "cold", "createdAt": "1765000000"},
        {**common, "coin": "baseCoin", "address": hers, "remark": "desk", "verified": 1, "createdAt": "1775000000"},
        {
            **common,
            "coin": "",
            "chain": "",
            "address": "55500077",
            "remark": "",
            "addressType": 1,
            "createdAt": "1776000000",
        },
        {**common, "coin": "USDT", "address": hers, "remark": "new", "status": 1, "createAt": "1795000000"},
    ]
