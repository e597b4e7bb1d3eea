"""Upbit (Korea) as its documentation describes it: a JSON web token with key, nonce and the hash of the query, plain
answers, and refusals as a word in `error.name`.

Source: https://docs.upbit.com/kr/reference/auth and https://docs.upbit.com/kr/reference/rest-api-guide.
"""

from __future__ import annotations

import base64
import hashlib
import json
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue, hmac_sha256, same

_REFUSALS = {
    Refusal.BAD_KEY: (401, "invalid_access_key", "잘못된 엑세스 키입니다."),
    Refusal.BAD_SIGNATURE: (401, "jwt_verification", "Jwt 토큰 검증에 실패했습니다."),
    Refusal.BAD_TIMESTAMP: (401, "nonce_used", "이미 사용된 nonce입니다."),
    Refusal.FOREIGN_IP: (401, "no_authorization_ip", "This is not a verified IP."),
    Refusal.MISSING_PERMISSION: (401, "out_of_scope", "권한이 부족합니다."),
    Refusal.RATE_LIMIT: (429, "too_many_requests", "Too many API requests"),
    Refusal.MAINTENANCE: (500, "server_error", "서버에 문제가 발생했습니다."),
}


class Twin(TwinVenue):
    """An account with the audit key, a bot's key and one that has expired, and two addresses the API may pay to."""

    id = "upbit"
    account_name = "main-upbit"
    further = (Spoken(400, {"error": {"name": "not_documented", "message": ""}}),)

    def __init__(self) -> None:
        super().__init__()
        self.nonces: set[str] = set()
        self.listed = _listed()
        self.member = _member()
        self.addresses = _addresses()
        self.signed = {
            ("GET", "/v1/api_keys"): lambda _request, _key: self.listed,
            ("GET", "/v1/withdraws/chance"): self._chance,
            ("GET", "/v1/withdraws/coin_addresses"): self._book,
        }

    def sample_keys(self) -> list[TwinKey]:
        return [
            TwinKey(
                api_key="UpbitDemoAuditKey0000000000000000000000A",
                secret="UpbitDemoSecret000000000000000000000000A",  # noqa: S106  (invented; the twin knows no other)
                ips=("198.51.100.7",),
                permissions=frozenset({"view_withdraws"}),
            )
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "none",
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "totp",
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        del body
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        parts = token.split(".")
        if scheme != "Bearer" or len(parts) != 3:  # noqa: PLR2004
            raise Refused(Refusal.BAD_SIGNATURE)
        head, said = (json.loads(_decoded(part)) for part in parts[:2])
        key = self.keys.get(said.get("access_key", ""))
        if key is None:
            raise Refused(Refusal.BAD_KEY)
        if head != {"alg": "HS256", "typ": "JWT"}:
            raise Refused(Refusal.BAD_SIGNATURE)
        if not same(hmac_sha256(key.secret, f"{parts[0]}.{parts[1]}").hex(), _decoded(parts[2]).hex()):
            raise Refused(Refusal.BAD_SIGNATURE)
        query = request.query_string
        digest = hashlib.sha512(query.encode()).hexdigest() if query else None
        if said.get("query_hash") != digest or (query and said.get("query_hash_alg") != "SHA512"):
            raise Refused(Refusal.BAD_SIGNATURE)
        if not said.get("nonce") or said["nonce"] in self.nonces:
            raise Refused(Refusal.BAD_TIMESTAMP)
        self.nonces.add(said["nonce"])
        if ip_address(self.caller) not in {ip_address(one) for one in key.ips}:
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        status, name, message = _REFUSALS[refusal]
        return web.json_response({"error": {"name": name, "message": message}}, status=status)

    def _needs(self, key: TwinKey, permission: str) -> None:
        if permission not in key.permissions:
            raise Refused(Refusal.MISSING_PERMISSION)

    def _chance(self, request: web.Request, key: TwinKey) -> dict[str, Any]:
        self._needs(key, "view_withdraws")
        code = request.query["currency"]
        return {
            "member_level": self.member,
            "currency": {"code": code, "withdraw_fee": "0.0005", "is_coin": True, "wallet_state": "working"},
            "account": {"currency": code, "balance": "12.3456", "locked": "0.0", "unit_currency": "KRW"},
            "withdraw_limit": {"currency": code, "daily": "10.0", "remaining_daily": "10.0", "can_withdraw": True},
        }

    def _book(self, _request: web.Request, key: TwinKey) -> list[dict[str, Any]]:
        self._needs(key, "view_withdraws")
        return self.addresses


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _listed() -> list[dict[str, Any]]:
    return [
        {"access_key": "UpbitDemoAuditKey0000000000000000000000A", "expire_at": "2027-10-01T10:00:00+09:00"},
        {"access_key": "UpbitDemoBotKey000000000000000000000000B", "expire_at": "2027-03-02T10:00:00+09:00"},
        {"access_key": "UpbitDemoOldKey000000000000000000000000C", "expire_at": "2026-06-11T09:00:00+09:00"},
    ]


def _member() -> dict[str, Any]:
    return {
        "security_level": 3,
        "fee_level": 0,
        "email_verified": True,
        "identity_auth_verified": True,
        "bank_account_verified": True,
        "two_factor_auth_verified": True,
        "locked": False,
        "wallet_locked": False,
    }


def _addresses() -> list[dict[str, Any]]:
    """Addresses that cannot exist, and owners who do not."""
    person = {"beneficiary_name": "REDACT PERSON", "beneficiary_company_name": None}
    return [
        {
            "currency": "ETH",
            "net_type": "ETH",
            "network_name": "Ethereum",
            "withdraw_address": "0xDEMO1111",
            "secondary_address": None,
            "exchange_name": None,
            "wallet_type": "MetaMask",
            "beneficiary_type": None,
            **person,
        },
        {
            "currency": "XRP",
            "net_type": "XRP",
            "network_name": "Ripple",
            "withdraw_address": "rDEMOaddr2",
            "secondary_address": "104512",
            "exchange_name": "Bitget",
            "wallet_type": None,
            "beneficiary_type": "individual",
            **person,
        },
    ]
