"""Hyperliquid as its documentation describes it: one public endpoint that takes its question as `type` and an address as
`user`, and answers to anybody.

Source: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from aiohttp import web

from auditor.twin._base import Refusal, Refused, TwinKey, TwinVenue

_UNREADABLE = (422, "Failed to deserialize the JSON body into the target type")
_UNKNOWN = (
    200,
    {"status": "err", "response": "User or API Wallet 0x00000000000000000000000000000000000000ff does not exist."},
)
_REFUSALS: dict[Refusal, tuple[int, Any]] = {
    # Reads want no key: what an order of a removed agent is answered stands for it.
    Refusal.BAD_KEY: _UNKNOWN,
    Refusal.BAD_SIGNATURE: _UNKNOWN,
    Refusal.BAD_TIMESTAMP: _UNREADABLE,
    Refusal.FOREIGN_IP: (403, "The distribution is configured to block access from your country."),
    Refusal.MISSING_PERMISSION: _UNREADABLE,
    Refusal.RATE_LIMIT: (429, None),
    Refusal.MAINTENANCE: (503, "Service Unavailable"),
}
MASTER = "0x99999999000000000000000000000000000000a1"
_SUB, _AGENT, _OTHER = (f"0x{number:040x}" for number in (0x7001, 0x1001, 0x1002))
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class Twin(TwinVenue):
    """A master account with two named agents, one that never expires, and one without a name."""

    id = "hyperliquid"
    account_name = "main-hyperliquid"
    states: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "without sub-accounts": {"answers": lambda told: {**told, "subAccounts": None}},
        "of a sub-account": {
            "answers": lambda told: {**told, "userRole": {"role": "subAccount", "data": {"master": "0x" + "ab" * 20}}}
        },
        "several signers": {
            "answers": lambda told: {
                **told,
                "userToMultiSigSigners": {"authorizedUsers": ["0x" + "ab" * 20, "0x" + "cd" * 20], "threshold": 2},
            }
        },
    }
    credentials = ("walletAddress",)

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {
            "userRole": {"role": "user"},
            "extraAgents": [
                {"name": "grid", "address": _AGENT, "validUntil": 1799000000000},
                {"name": "old bot", "address": _OTHER, "validUntil": None},
            ],
            "webData2": {
                "agentAddress": "0x3333333333333333333333333333333333333333",
                "agentValidUntil": 1798000000000,
                "serverTime": 1795000000000,
                "isVault": False,
                "user": MASTER,
                "cumLedger": "0.0",
            },
            "userToMultiSigSigners": None,
            "subAccounts": [
                {"name": "s1", "subAccountUser": _SUB, "master": MASTER, "clearinghouseState": {}, "spotState": {}}
            ],
            "exchangeStatus": {"time": 1795000000000, "specialStatuses": None},
        }
        self.signed = {("POST", "/info"): lambda _request, key: self.answers[key.about["type"]]}

    def sample_keys(self) -> list[TwinKey]:
        return [TwinKey(api_key=MASTER, secret="")]

    def _named(self, key: TwinKey) -> dict[str, str]:
        return {"walletAddress": key.api_key}

    def attested(self) -> dict[str, Any]:
        return {"account": {"withdrawal_second_approver": False, "anyone_left": False, "shared_login": False}}

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        """Who is asked about. The body is what it takes, and nothing more: any address will do."""
        try:
            asked = json.loads(body)
        except ValueError:
            raise Refused(Refusal.MISSING_PERMISSION) from None
        wanted = request.headers.get("Content-Type") == "application/json" and asked.keys() == {"type", "user"}
        if not wanted or asked["type"] not in self.answers or not _ADDRESS.fullmatch(asked["user"]):
            raise Refused(Refusal.MISSING_PERMISSION)
        return TwinKey(api_key=asked["user"], secret="", about=asked)

    def refuse(self, refusal: Refusal) -> web.Response:
        status, said = _REFUSALS[refusal]
        return (
            web.Response(status=status, text=said) if isinstance(said, str) else web.json_response(said, status=status)
        )
