"""Gemini as its documentation describes it: POSTs whose payload stands, as Base64, in a header and is signed with
HMAC-SHA384; a nonce that only grows; `{result: error, reason, message}` for every refusal.

Source: https://developer.gemini.com/ (private API invocation; roles; error codes).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, same

_REFUSALS = {
    Refusal.BAD_KEY: (400, "InvalidApiKey", "InvalidApiKey"),
    Refusal.BAD_SIGNATURE: (400, "InvalidSignature", "InvalidSignature"),
    Refusal.BAD_TIMESTAMP: (400, "InvalidNonce", "Nonce '1' has not increased since your last call"),
    Refusal.FOREIGN_IP: (403, "ApiKeyIpFilteringFailure", "The address 192.0.2.99 is not allowed for this key"),
    Refusal.MISSING_PERMISSION: (
        403,
        "MissingRole",
        "To access this endpoint, assign one of these roles [Auditor] to the key",
    ),
    Refusal.RATE_LIMIT: (429, "RateLimit", "Requests were made too frequently"),
    Refusal.MAINTENANCE: (503, "Maintenance", "The system is down for maintenance"),
}
_NETWORKS = "bitcoin ethereum bitcoincash litecoin zcash filecoin dogecoin tezos solana polkadot avalanche cosmos xrpl"


class Twin(TwinVenue):
    """A tax program's key that may withdraw, a key that only reads and a bot's; two people; a book with a new entry."""

    id = "gemini"
    account_name = "main-gemini"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "in custody": {"account": {"account": {"created": 1600000000000, "type": "custody"}, "users": []}}
    }
    further = (
        Spoken(500, {"result": "error", "reason": "System", "message": "We are experiencing technical issues"}),
        Spoken(403, {"result": "error", "reason": "AccountClosed", "message": "The account is closed"}),
        Spoken(200, {"result": "error", "reason": "NotDocumented", "message": ""}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.account = _account()
        self.book = _book()
        self.nonces: dict[str, int] = {}
        """The last accepted nonce by public key; a request must bring a larger one."""
        self.signed = {
            ("POST", "/v1/roles"): lambda _request, key: dict(key.about),
            ("POST", "/v1/account"): lambda _request, _key: self.account,
        }
        for network in _NETWORKS.split():
            self.signed["POST", f"/v1/approvedAddresses/account/{network}"] = self._addresses

    def sample_keys(self) -> list[TwinKey]:
        return [
            _key("account-D3M0TAXPROGRAM000001", trader=True, fund_manager=True),
            _key("account-D3M0AUDITOR000000002", auditor=True, ips=("198.51.100.0/24",)),
            _key("account-D3M0GRIDBOT000000003", trader=True),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "totp",
                "step_up_weakest_factor": "totp",
                "enrolled_factors": ["totp", "passkey"],
                "withdrawal_allowlist_enabled": True,
                "email_second_factor": "phishing_resistant",
                "keys_counted": 3,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        del body  # the payload is in the header
        key = self.keys.get(request.headers.get("X-GEMINI-APIKEY", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        payload = request.headers.get("X-GEMINI-PAYLOAD", "")
        digest = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha384).hexdigest()
        if not same(digest, request.headers.get("X-GEMINI-SIGNATURE", "")):
            raise Refused(Refusal.BAD_SIGNATURE)
        asked = json.loads(base64.b64decode(payload))
        if asked.get("request") != request.path:
            raise Refused(Refusal.BAD_SIGNATURE)
        self._count(key, str(asked.get("nonce")))
        if key.ips and not any(ip_address(self.caller) in ip_network(entry) for entry in key.ips):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def _count(self, key: TwinKey, nonce: str) -> None:
        if not (nonce.isascii() and nonce.isdigit()) or int(nonce) <= self.nonces.get(key.api_key, 0):
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.nonces[key.api_key] = int(nonce)

    def refuse(self, refusal: Refusal) -> web.Response:
        status, reason, message = _REFUSALS[refusal]
        return web.json_response({"result": "error", "reason": reason, "message": message}, status=status)

    def _addresses(self, request: web.Request, _key: TwinKey) -> dict[str, Any]:
        network = request.path.rpartition("/")[2]
        return {"approvedAddresses": [entry for entry in self.book if entry.get("network") == network]}


def _key(
    api_key: str, *, auditor: bool = False, trader: bool = False, fund_manager: bool = False, ips: tuple[str, ...] = ()
) -> TwinKey:
    roles = {"isAuditor": auditor, "isFundManager": fund_manager, "isTrader": trader}
    secret = "DEMOSECRETGEMINI" + api_key[-12:]
    return TwinKey(api_key=api_key, secret=secret, ips=ips, about={"counterparty_id": "D3M0GEMI", **roles})


def _account() -> dict[str, Any]:
    return {
        "account": {"accountName": "Primary", "shortName": "primary", "type": "exchange", "created": "1600000000000"},
        "users": [
            {
                "name": "Sample Person",
                "lastSignIn": "2026-11-19T10:11:12.345Z",
                "status": "Active",
                "countryCode": "US",
                "isVerified": True,
            },
            {
                "name": "Former Colleague",
                "lastSignIn": "2024-01-02T03:04:05.006Z",
                "status": "Suspended",
                "countryCode": "US",
                "isVerified": False,
            },
        ],
        "memo_reference_code": "GEMD3M0P1",
    }


def _book() -> list[dict[str, Any]]:
    """Addresses that cannot exist; the last one was added by nobody the owner knows, for the whole group."""
    return [
        {
            "network": "bitcoin",
            "scope": "account",
            "label": "cold wallet",
            "status": "active",
            "createdAt": "1700000000000",
            "address": "bc1qdemo0demo0demo0demo0demo0demo0demo01",
        },
        {
            "network": "ethereum",
            "scope": "group",
            "label": "added last night",
            "status": "pending-time",
            "createdAt": "1794900000000",
            "address": "0xDEM0000000000000000000000000000000000004",
        },
    ]
