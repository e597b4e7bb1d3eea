"""Kraken (spot) as its documentation describes it: form-encoded POSTs, API-Key and API-Sign headers, a nonce that only grows,
and every answer, refusals too, with HTTP 200 and an `error` array.

Source: https://docs.kraken.com/exchange/guides/rest/authentication and https://docs.kraken.com/api-reference/.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from auditor.twin import _kraken_funds
from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, same
from auditor.twin._holdings import sample

_REFUSALS = {
    Refusal.BAD_KEY: "EAPI:Invalid key",
    Refusal.BAD_SIGNATURE: "EAPI:Invalid signature",
    Refusal.BAD_TIMESTAMP: "EAPI:Invalid nonce",
    # Not documented: the page of errors has no text for a foreign address.
    Refusal.FOREIGN_IP: "EAPI:Invalid key",
    Refusal.MISSING_PERMISSION: "EGeneral:Permission denied",
    Refusal.RATE_LIMIT: "EAPI:Rate limit exceeded",
    Refusal.MAINTENANCE: "EService:Unavailable",
}
_LARGEST_NONCE = 2**64 - 1
_BOOK_NEEDS = {"query-funds", "withdraw-funds"}


def _body(result: Any) -> dict[str, Any]:
    return {"error": [], "result": result}


class Twin(TwinVenue):
    """One account: a tracker's key that may withdraw from anywhere, a careful key, a bot's key, and an address book with
    one entry that nobody confirmed.
    """

    id = "kraken"
    in_demo = True
    account_name = "main-kraken"
    further = (
        Spoken(200, {"error": ["EGeneral:Internal error"]}),
        Spoken(200, {"error": ["EAuth:Account temporary disabled"]}),
        Spoken(200, {"error": ["EInvented:Not documented"]}),
    )
    credentials = ("apiKey", "secret")

    def __init__(self) -> None:
        super().__init__()
        self.mode = "online"
        self.book = _book()
        self.nonces: dict[str, int] = {}
        """The last accepted nonce by public key; a request must bring a larger one."""
        self.form: dict[str, str] = {}
        """What the request being served asks for: nothing is awaited between its signature and its route."""
        self.held = sample("Success", "Failure")
        self.signed = {
            ("POST", "/0/private/GetApiKeyInfo"): self._key_info,
            ("POST", "/0/private/WithdrawAddresses"): self._withdraw_addresses,
            **_kraken_funds.routes(self.held, lambda: self.form),
        }
        self.public = {("GET", "/0/public/SystemStatus"): self._system_status}

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key(
                "Zk3QnV0hXc2lDEMOTRACKER0000000000000000000000000000000001",
                apiKeyName="portfolio tracker",
                permissions=[
                    "query-funds",
                    "query-open-trades",
                    "query-closed-trades",
                    "query-ledger",
                    "withdraw-funds",
                ],
                ipAllowlist=[],
                createdTime="1709290800",
                modifiedTime="1709290800",
            ),
            _key(
                "Qa7RwY2pLm9xDEMOAUDITOR0000000000000000000000000000000002",
                apiKeyName="audit-ro-2026",
                permissions=["query-ledger"],
                ipAllowlist=["198.51.100.7", "2001:db8:42::/64"],
                validUntil="1811808000",
                createdTime="1789000000",
                modifiedTime="1789000450",
            ),
            _key(
                "Tb5NcK8dFg1zDEMOGRIDBOT0000000000000000000000000000000003",
                apiKeyName="grid bot",
                permissions=["query-funds", "query-open-trades", "modify-trades", "close-trades", "create-ws-token"],
                ipAllowlist=["203.0.113.0/24"],
                createdTime="1751328000",
                modifiedTime="1751328000",
            ),
        ]

    def attested(self) -> dict[str, Any]:
        """A careful owner, whose one careless key undoes much of it."""
        return {
            "account": {
                "login_weakest_factor": "phishing_resistant",
                "step_up_weakest_factor": "phishing_resistant",
                "enrolled_factors": ["passkey", "hardware_key"],
                "settings_lock": True,
                "hold_after_password_change_hours": 24,
                "hold_after_two_factor_change_hours": 24,
                "hold_after_new_device_hours": 24,
                "email_second_factor": "phishing_resistant",
                "email_recovery_by_phone": False,
                "recovery_channels": ["email_link"],
                "alert_channels": ["email", "push"],
                "password_unique": True,
                "totp_cloud_synced": False,
                "oauth_send_scope_allowed": False,
                "extensions_vetted": True,
                "unknown_sessions": False,
                "shared_login": False,
                "anyone_left": False,
                "p2p_enabled": False,
                "internal_transfer_enabled": False,
                "master_key_over_subaccounts": False,
                "keys_counted": 3,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        key = self.keys.get(request.headers.get("API-Key", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        if request.content_type != "application/x-www-form-urlencoded":
            raise Refused(Refusal.BAD_SIGNATURE)
        form = dict(parse_qsl(body, keep_blank_values=True))
        nonce = form.get("nonce", "")
        if not same(_signature(key.secret, request.raw_path, nonce, body), request.headers.get("API-Sign", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        self._count(key, nonce)
        if not _allowed(self.caller, key):
            raise Refused(Refusal.FOREIGN_IP)
        self.form = form
        return key

    def _count(self, key: TwinKey, nonce: str) -> None:
        if (
            not (nonce.isascii() and nonce.isdigit())
            or not self.nonces.get(key.api_key, 0) < int(nonce) <= _LARGEST_NONCE
        ):
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.nonces[key.api_key] = int(nonce)

    def refuse(self, refusal: Refusal) -> web.Response:
        return web.json_response({"error": [_REFUSALS[refusal]]})

    def _key_info(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        """`lastUsed` is the second of this very request."""
        nonce = str(self.nonces[key.api_key])
        return _body({**key.about, "nonce": nonce, "lastUsed": str(int(datetime.now(UTC).timestamp()))})

    def _withdraw_addresses(self, _request: web.Request, key: TwinKey) -> dict[str, Any]:
        if not set(key.about["permissions"]) >= _BOOK_NEEDS:
            raise Refused(Refusal.MISSING_PERMISSION)
        asked = self.form.get("aclass", "currency")
        return _body(
            [entry for entry in self.book if (entry.get("asset") in _TOKENIZED) == (asked == "tokenized_asset")]
        )

    def _system_status(self, _request: web.Request) -> dict[str, Any]:
        return _body({"status": self.mode, "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})


def _key(api_key: str, **about: Any) -> TwinKey:
    """A sample key; its secret is 64 invented bytes, as base64."""
    fixed = {"apiKey": api_key, "nonceWindow": 0, "iban": "AA11 N84G DEMO PLE0"}
    times = {"validUntil": "0", "queryFrom": "0", "queryTo": "0"}
    secret = base64.b64encode(hashlib.sha512(b"invented secret of " + api_key.encode()).digest()).decode()
    return TwinKey(api_key=api_key, secret=secret, about={**fixed, **times, **about})


def _signature(secret: str, path: str, nonce: str, body: str) -> str:
    """HMAC-SHA512 of (URI path + SHA256(nonce + POST data)) under the base64-decoded secret, as base64."""
    try:
        raw = base64.b64decode(secret, validate=True)
    except binascii.Error:
        raise Refused(Refusal.BAD_SIGNATURE) from None
    message = path.encode() + hashlib.sha256((nonce + body).encode()).digest()
    return base64.b64encode(hmac.new(raw, message, hashlib.sha512).digest()).decode()


def _allowed(caller: str, key: TwinKey) -> bool:
    listed = [entry for entry in key.about.get("ipAllowlist") or [] if entry]
    return not listed or any(ip_address(caller) in ip_network(entry, strict=False) for entry in listed)


_TOKENIZED = {"TSLAx"}


def _book() -> list[dict[str, Any]]:
    """Addresses that cannot exist, the last but one added by nobody the owner knows."""
    return [
        {
            "address": "bc1qdemo0demo0demo0demo0demo0demo0demo00",
            "asset": "XBT",
            "method": "Bitcoin",
            "key": "cold-wallet-1",
            "verified": True,
        },
        {
            "address": "rDEMOxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "asset": "XXRP",
            "method": "XRP",
            "key": "new-exchange",
            "tag": "104512",
            "verified": False,
        },
        {
            "address": "DemoSo1anaAddressxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "asset": "TSLAx",
            "method": "Tesla xStock (Solana)",
            "key": "shares",
            "verified": True,
        },
    ]
