"""Bitfinex as its documentation describes it: JSON posted with an HMAC-SHA384 over path, nonce and body, answers that are
arrays, and `["error", code, text]` for every refusal.

Source: https://docs.bitfinex.com/reference/ and https://docs.bitfinex.com/docs/rest-auth.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, same

_REFUSALS: dict[Refusal, tuple[int, list[Any]]] = {
    # The reference lists 200 and 400; clients meet 500 for most refusals.
    Refusal.BAD_KEY: (500, ["error", 10100, "apikey: invalid"]),
    Refusal.BAD_SIGNATURE: (500, ["error", 10100, "apikey: digest invalid"]),
    Refusal.BAD_TIMESTAMP: (500, ["error", 10114, "nonce: small"]),
    # Not documented: no text for a foreign address is known.
    Refusal.FOREIGN_IP: (500, ["error", 10100, "apikey: invalid"]),
    Refusal.MISSING_PERMISSION: (500, ["error", 10001, "api_key: permission invalid"]),
    Refusal.RATE_LIMIT: (500, ["error", 11010, "ratelimit: error"]),
    Refusal.MAINTENANCE: (500, ["error", 20060, "maintenance"]),
}
_SCOPES = (
    "account",
    "history",
    "orders",
    "positions",
    "funding",
    "settings",
    "wallets",
    "withdraw",
    "ui_withdraw",
    "bfxpay",
)
_PAGE = 4


class Twin(TwinVenue):
    """One account: a key meant for a tax program that may also withdraw, a read-only one, and a log that shows who made it."""

    id = "bitfinex"
    account_name = "main-bitfinex"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without a second factor": {"user": lambda told: [*told[:26], [], *told[27:]]}
    }
    further = (Spoken(200, ["error", 98765, "not documented"]),)

    def __init__(self) -> None:
        super().__init__()
        self.status = 1
        self.user = _user(["u2f", "otp"])
        self.logins = _logins()
        self.changes = _changes()
        self.nonces: dict[str, int] = {}
        """The last accepted nonce by public key; a request must bring a larger one."""
        self.asked: dict[str, Any] = {}
        """What the request being served asks for: nothing is awaited between its signature and its route."""
        self.signed = {
            ("POST", "/v2/auth/r/permissions"): self._permissions,
            ("POST", "/v2/auth/r/info/user"): self._info,
            ("POST", "/v2/auth/r/logins/hist"): self._login_history,
            ("POST", "/v2/auth/r/audit/hist"): self._change_log,
        }
        self.public = {("GET", "/v2/platform/status"): lambda _request: [self.status]}

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("bfxDEMOTAXPROGRAM0000000000000000000000001", reads=_SCOPES[:9], writes=("wallets", "withdraw")),
            _key("bfxDEMOAUDITOR000000000000000000000000002", reads=("account", "history", "wallets")),
            _key(
                "bfxDEMOGRIDBOT000000000000000000000000003", reads=("orders", "wallets"), writes=("orders", "positions")
            ),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "totp",
                "keys_counted": 4,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("bfx-apikey", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        nonce = request.headers.get("bfx-nonce", "")
        text = f"/api{request.raw_path}{nonce}{body}"
        wanted = hmac.new(key.secret.encode(), text.encode(), hashlib.sha384).hexdigest()
        if not same(wanted, request.headers.get("bfx-signature", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        if not (nonce.isascii() and nonce.isdigit()) or int(nonce) <= self.nonces.get(key.api_key, 0):
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.nonces[key.api_key] = int(nonce)
        if key.ips and self.caller not in key.ips:
            raise Refused(Refusal.FOREIGN_IP)
        self.asked = json.loads(body)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, body = _REFUSALS[refusal]
        return web.json_response(body, status=status)

    def _permissions(self, _request: web.Request, key: TwinKey) -> list[Any]:
        rights: dict[str, list[int]] = key.about["rights"]
        return [[scope, *flags] for scope, flags in rights.items()]

    def _info(self, _request: web.Request, key: TwinKey) -> list[Any]:
        self._needs_account(key)
        return self.user

    def _login_history(self, _request: web.Request, key: TwinKey) -> list[Any]:
        self._needs_account(key)
        return self._page(self.logins, place=2)

    def _change_log(self, _request: web.Request, key: TwinKey) -> list[Any]:
        self._needs_account(key)
        return self._page(self.changes, place=0)

    def _needs_account(self, key: TwinKey) -> None:
        if not key.about["rights"]["account"][0]:
            raise Refused(Refusal.MISSING_PERMISSION)

    def _page(self, rows: list[list[Any]], *, place: int) -> list[list[Any]]:
        """Newest first; `end` is included."""
        end = int(self.asked.get("end", 2**63))
        return sorted((row for row in rows if row[place] <= end), key=lambda row: -int(row[place]))[:_PAGE]


def _key(api_key: str, *, reads: tuple[str, ...], writes: tuple[str, ...] = ()) -> TwinKey:
    rights = {scope: [int(scope in reads), int(scope in writes)] for scope in _SCOPES}
    return TwinKey(api_key=api_key, secret="invented-secret-of-" + api_key, about={"rights": rights})


def _user(modes: list[str]) -> list[Any]:
    """The documented array of 55 places; nothing in it belongs to anybody."""
    told: dict[int, Any] = {
        0: 1234567,
        1: "nobody@example.org",
        2: "invented-user",
        3: 1500000000000,
        4: 1,
        5: 3,
        7: "Lisbon",
        8: "en",
        9: "bitfinex",
        10: 1,
        18: 0,
        19: 0,
        26: modes,
        44: "2026-11-19T08:07:06.500Z",
        49: ["PT", "PT_Lisbon"],
        50: ["PT"],
        51: "individual",
        54: 0,
    }
    return [told.get(place) for place in range(55)]


def _logins() -> list[list[Any]]:
    """Daily logins from one place, and one from elsewhere: the extra part is JSON inside a string."""
    home = {"geo": "Porto, PT", "user_agent": {"os": "Linux x86_64", "browser": "Firefox", "raw": "Mozilla/5.0"}}
    away = {"geo": "Elsewhere, ZZ", "user_agent": {"os": "Windows 10", "browser": "Chrome", "raw": "Mozilla/5.0"}}
    usual = [(1794000000000 + day * 86_400_000, "203.0.113.20", home) for day in range(9)]
    rows = [*usual, (1794645000000, "198.51.100.99", away)]
    return [[91000000 + at % 99991, None, at, None, ip, None, None, json.dumps(extra)] for at, ip, extra in rows]


def _changes() -> list[list[Any]]:
    said = [
        (1794645060000, "settings: api key created", "198.51.100.99"),
        (1794100000000, "settings: timezone", "203.0.113.20"),
    ]
    return [[at, None, text, None, None, ip, "Mozilla/5.0 (invented)"] for at, text, ip in said]
