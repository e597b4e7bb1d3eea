"""Deribit as its documentation describes it: JSON-RPC answers over GET, an Authorization header of its own, a request that is
good for one use, errors with HTTP 400, and a list of keys that carries the secrets of all of them.

Source: https://docs.deribit.com/api-reference/ and https://docs.deribit.com/articles/errors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_REFUSALS = {
    Refusal.BAD_KEY: (400, 13004, "invalid_credentials", None),
    Refusal.BAD_SIGNATURE: (401, 13009, "unauthorized", "bad_signature"),
    # Not documented: neither of these two has a code of its own.
    Refusal.BAD_TIMESTAMP: (401, 13009, "unauthorized", "bad_timestamp"),
    Refusal.FOREIGN_IP: (401, 13009, "unauthorized", "ip_not_in_whitelist"),
    Refusal.MISSING_PERMISSION: (403, 13403, "scope_exceeded", None),
    Refusal.RATE_LIMIT: (429, 10028, "too_many_requests", None),
    Refusal.MAINTENANCE: (503, 11051, "system_maintenance", None),
}
_HEADER = re.compile(r"deri-hmac-sha256 id=([^,]+),ts=(\d+),sig=([0-9a-f]{64}),nonce=([^,]+)\Z")
_WINDOW = timedelta(seconds=60)
_MAIN = 90210


def _body(result: Any) -> dict[str, Any]:
    times = {"usIn": 1795000000000000, "usOut": 1795000000000900, "usDiff": 900}
    return {"jsonrpc": "2.0", "result": result, "testnet": False, **times}


class Twin(TwinVenue):
    """A main account with one sub-account: a careful audit key, an unbound one that may withdraw and one that may make
    keys, and a log in which the second of them was made minutes after the password was changed.
    """

    id = "deribit"
    account_name = "main-deribit"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "of a sub-account": {
            "about": {
                "summary": {
                    "id": _MAIN + 1,
                    "type": "subaccount",
                    "security_keys_enabled": False,
                    "login_enabled": True,
                }
            }
        }
    }
    further = (
        Spoken(500, {"jsonrpc": "2.0", "error": {"code": 11094, "message": "internal_server_error"}}),
        Spoken(400, {"jsonrpc": "2.0", "error": {"code": 11098, "message": "account_locked"}}),
    )
    credentials = ("apiKey", "secret")

    def __init__(self) -> None:
        super().__init__()
        self.spent: set[tuple[str, str]] = set()
        """Nonces with what they signed: none is good twice. Two requests of one millisecond are told apart."""
        self.rows = [_row(number, key) for number, key in enumerate(self.sample_keys())]
        self.log = _log()
        self.book = _book()
        self.locks = [{"currency": "BTC", "locked": False}, {"currency": "ETH", "locked": False}]
        self.locked: Any = "false"
        self.page = 1000
        self.challenge = False
        self.assignments = ["login", "wallet"]
        self.signed = {
            ("GET", "/api/v2/private/get_account_summary"): self._summary,
            ("GET", "/api/v2/private/list_api_keys"): self._keys,
            ("GET", "/api/v2/private/get_subaccounts"): self._subaccounts,
            ("GET", "/api/v2/private/get_access_log"): self._access_log,
            ("GET", "/api/v2/private/get_user_locks"): lambda _request, key: _body(_may(key, "account") and self.locks),
            ("GET", "/api/v2/private/get_address_book"): self._address_book,
        }
        self.public = {
            ("GET", "/api/v2/public/get_currencies"): lambda _request: _body(
                [{"currency": name, "coin_type": name} for name in ("BTC", "ETH", "USDC")]
            ),
            ("GET", "/api/v2/public/status"): lambda _request: _body({"locked": self.locked, "locked_currencies": []}),
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("Zx81kQpa", name="audit_ro", max_scope="account:read wallet:read trade:none", ips=("198.51.100.7",)),
            _key("Qw72mLrb", name="treasury", max_scope="account:read trade:read wallet:read_write", ips=()),
            _key("Hd55nTvc", name="desk_bot", max_scope="account:read_write trade:read_write wallet:none", ips=()),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "enrolled_factors": ["totp"],
                "new_address_delay_hours": 0,
                "email_second_factor": "totp",
                "email_recovery_by_phone": False,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        found = _HEADER.match(request.headers.get("Authorization", ""))
        key = self.keys.get(found[1]) if found else None
        if found is None or key is None:
            raise Refused(Refusal.BAD_KEY)
        _, stamp, signature, nonce = found.groups()
        text = f"{stamp}\n{nonce}\n{request.method}\n{request.raw_path}\n{body}\n"
        if not same(hmac_sha256(key.secret, text).hex(), signature):
            raise Refused(Refusal.BAD_SIGNATURE)
        age = datetime.now(UTC) - datetime.fromtimestamp(int(stamp) / 1000, UTC)
        if abs(age) > _WINDOW or (nonce, signature) in self.spent:
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.spent.add((nonce, signature))
        if key.ips and not any(ip_address(self.caller) in ip_network(entry) for entry in key.ips):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, code, message, reason = _REFUSALS[refusal]
        error = {"code": code, "message": message, **({"data": {"reason": reason}} if reason else {})}
        return web.json_response({"jsonrpc": "2.0", "error": error, "testnet": False}, status=status)

    def _summary(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        _may(key, "account")
        held = {"currency": request.query["currency"], "equity": 0.5, "balance": 0.5, "email": "owner@example.org"}
        if request.query.get("extended") != "true":
            return _body(held)
        about = {"id": _MAIN, "type": "main", "username": "owner", "creation_timestamp": 1650000000000}
        flags = {"security_keys_enabled": True, "interuser_transfers_enabled": True, "login_enabled": False}
        return _body({**held, **about, **flags, **key.about.get("summary", {})})

    def _keys(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        _may(key, "account")
        demand = {"security_key_authorization_required": True, "challenge": "demo-challenge", "rp_id": "deribit.com"}
        return _body(demand if self.challenge else self.rows)

    def _subaccounts(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        _may(key, "account")
        common = {"email": "owner@example.org", "receive_notifications": False, "proof_id": "demo-proof"}
        main = {"id": _MAIN, "type": "main", "username": "owner", "login_enabled": True, "is_password": True}
        sub = {"id": _MAIN + 1, "type": "subaccount", "username": "owner_bot", "login_enabled": False}
        return _body(
            [
                {**common, **main, "security_keys_enabled": True, "security_keys_assignments": self.assignments},
                {**common, **sub, "security_keys_enabled": False, "security_keys_assignments": []},
            ]
        )

    def _access_log(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        _may(key, "account")
        offset, count = int(request.query.get("offset", 0)), int(request.query.get("count", 10))
        listed = self.log[offset : offset + min(count, self.page)]
        return _body({"records_total": len(self.log), "data": listed})

    def _address_book(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        _may(key, "wallet")
        asked = {"currency": request.query["currency"], "type": request.query["type"]}
        return _body([row for row in self.book if asked.items() <= row.items()])


def _may(key: TwinKey, area: str) -> bool:
    if not key.permissions & {f"{area}:read", f"{area}:read_write"}:
        raise Refused(Refusal.MISSING_PERMISSION)
    return True


def _key(client_id: str, *, name: str, max_scope: str, ips: tuple[str, ...]) -> TwinKey:
    """A sample key; its secret is invented from its name."""
    secret = hashlib.sha256(f"invented secret of {client_id}".encode()).hexdigest()
    about = {"name": name, "max_scope": max_scope}
    return TwinKey(api_key=client_id, secret=secret, ips=ips, permissions=frozenset(max_scope.split()), about=about)


def _row(number: int, key: TwinKey) -> dict[str, Any]:
    """A key as the list shows it, its secret included: the documented answer has it."""
    fixed = {"enabled": True, "default": False, "enabled_features": [], "timestamp": 1760011223344 + number}
    shown = {"client_id": key.api_key, "client_secret": key.secret, "public_key": None, "ip_whitelist": list(key.ips)}
    return {"id": number + 1, **fixed, **shown, **key.about}


def _log() -> list[dict[str, Any]]:
    """Newest first; two of the lines spell their name as the official example does."""
    home = {"ip": "198.51.100.7", "country": "Netherlands", "city": "Amsterdam"}
    away = {"ip": "192.0.2.99", "country": "Unknown", "city": "Unknown"}
    return [
        {"id": 507, "timestamp": 1763500300000, **away, "log": "new_api_key", "data": "Qw72mLrb"},
        {"id": 506, "timestamp": 1763500000000, **away, "log": "changed_password"},
        {"id": 505, "timestamp": 1763499900000, **away, "result": "success"},
        {"id": 504, "timestamp": 1763499800000, **away, "result": "failure"},
        {"id": 503, "timestamp": 1760011223344, **home, "log": "new_api_key", "data": "Zx81kQpa"},
        {"id": 502, "timestamp": 1700000000000, **home, "log": "enabled_subaccount_login", "data": {"uid": _MAIN + 1}},
        {"id": 501, "timestamp": 1650000100000, **home, "log": "enabled_tfa"},
    ]


def _book() -> list[dict[str, Any]]:
    """Addresses that cannot exist."""
    person = {"beneficiary_first_name": "Alice", "beneficiary_last_name": "Example", "beneficiary_address": "NL"}
    common = {"type": "withdrawal", "requires_confirmation": True, "agreed": True, "personal": True, **person}
    made = {"creation_timestamp": 1763000000000, "waiting_timestamp": 1763259200000, "status": "ready"}
    fresh = {"creation_timestamp": 1763500400000, "waiting_timestamp": 1763500400000, "status": "waiting"}
    return [
        {**common, **made, "currency": "BTC", "address": "bc1qdemo0demo0demo0demo0demo0demo0demo01", "label": "cold"},
        {**common, **fresh, "currency": "ETH", "address": "0xDEMO000000000000000000000000000000000001", "label": ""},
    ]
