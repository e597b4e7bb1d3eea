"""Hyperliquid: no login, no password, no API key, but an address on a chain, and wallets it lets sign for it ("agents").
Everything about an address is public, so the audit knows the address and nothing else; a private key is never sent.

The one endpoint takes the question as `type`. Source of every fact:
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint unless said otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Any

from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Seen, Sheet, Unavailable, failure
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason
from auditor.redaction import masked_id

ccxt_class = "hyperliquid"
credentials = ("walletAddress",)
serial = False

# Weights count per caller: most questions cost 20 of 1200 a minute. The page was not at hand, hence a little less.
INFO = Endpoint(
    name="info",
    verb="POST",
    host="api.hyperliquid.xyz",
    path="/info",
    api=("public",),
    call="info",
    own_key="user",
    limit=Limit(calls=50, seconds=60, per="address"),
    source="https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/info-endpoint",
)

endpoints = (INFO,)
# Nothing is signed, so no clock can be wrong.
clock: Endpoint | None = None

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_NOTHING = failure(Reason.MALFORMED_RESPONSE, "null", "answered with nothing where something was asked for")
_GONE_AGENT = "the exchange knows no such wallet: never approved, removed, expired or pruned"
_TEXTS = {
    "does not exist": failure(Reason.INVALID_KEY, "does not exist", _GONE_AGENT),
    "too many": failure(Reason.RATE_LIMITED, "too many"),
}
_ALL_KEYS = ("api_keys", "account.key_inventory_complete")
_UNSTATED = ("can_transfer", "can_withdraw", "can_manage")
_NO_POWERS: dict[str, Any] = dict.fromkeys(("can_trade", "can_trade_derivatives", *_UNSTATED), False)
_KINDS = {"user": "main", "subAccount": "sub", "vault": None}
_NOT_SHOWN = (
    "what an agent may do beyond orders is nowhere stated by the API: a withdrawal needs the master's own signature, but "
    "agents have a transfer of their own (agentSendAsset) whose limits are not documented"
)
_NO_ACCOUNT = {
    "agent": "this is the address of an agent (API wallet), for which every list is empty: give that of the account itself",
    "missing": "the exchange has never seen this address: give that of the account itself, and look for a slip in it",
}


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """`{status: "err", response: text}`; all else has only its status. `null` is how it says "none", and is told apart from an
    answer that is no JSON.
    """
    del endpoint
    if answer.status == 200 and answer.text.strip() == "null":  # noqa: PLR2004
        return _NOTHING
    if not isinstance(answer.body, dict) or answer.body.get("status") != "err":
        return None
    said = str(answer.body.get("response")).lower()
    known = next((meant for text, meant in _TEXTS.items() if text in said), None)
    return known or failure(Reason.MALFORMED_RESPONSE, "err", "refused in words we do not know")


def server_time(body: Any) -> int:
    """Never asked, for there is no `clock`."""
    del body
    raise ShapeError("$: no clock is asked")


async def collect(door: Door, sheet: Sheet) -> None:
    """What the address is comes first: the lists of an agent's own address are empty, and prove nothing."""
    role = await _role(door, sheet)
    if role not in _KINDS:
        await _status(door, sheet)
        return
    subs = [_sub_accounts(door, sheet)] if role == "user" else []
    whole, one_signer, *_ = await asyncio.gather(
        _agents(door, sheet), _signers(door, sheet), _status(door, sheet), *subs
    )
    # The agents of a sub-account are its master's; who approves them where there are several signers is not documented.
    if whole and one_signer and role == "user":
        with sheet.reading(INFO) as seen:
            seen.account(key_inventory_complete=True)


async def _asked(door: Door, question: str) -> Shape:
    """The answer about the account; `null`, which often means "none", as it is."""
    try:
        return Shape(await door.fetch(INFO, {"type": question}))
    except Unavailable as refusal:
        if refusal.failure.code != _NOTHING.code:
            raise
        return Shape(None)


async def _role(door: Door, sheet: Sheet) -> str:
    """What the address is, or "". The row of the calling "key" is the address: it opens nothing, it only names."""
    shows = ("account.kind", "account.parent", *_ALL_KEYS)
    role = ""
    with sheet.reading(INFO, *shows) as seen:
        answer = await _asked(door, "userRole")
        role = answer["role"].text()
        if role in _NO_ACCOUNT:
            sheet.problem(INFO, Reason.NOT_COLLECTED, _NO_ACCOUNT[role], *shows)
        elif role not in _KINDS:
            raise ShapeError("$.role: a role we do not know")
        else:
            seen.account(kind=_KINDS[role])
            seen.row(
                "api_key", is_audit_key=True, label="the address itself, which is public", can_read=True, **_NO_POWERS
            )
        if role == "subAccount":
            master = seen.field(answer, "data", lambda data: masked_id(_address(data["master"])), "account.parent")
            seen.account(parent=master)
    return role


def _address(cell: Shape) -> str:
    if not _ADDRESS.fullmatch(cell.text()):
        raise ShapeError(f"{cell.at}: an address expected")
    return cell.text().lower()


async def _agents(door: Door, sheet: Sheet) -> bool:
    """The named agents, then the one without a name; whether all of them were read. Both lists forget an agent that was
    removed or has expired.
    """
    found: list[str | None] = []
    named = unnamed = False
    with sheet.reading(INFO, *_ALL_KEYS) as seen:
        for row in (await _asked(door, "extraAgents")).rows():
            label = seen.field(row, "name", Shape.text, "api_key.label")
            found.append(_agent(seen, row, "address", "validUntil", label=label))
        named = True
    with sheet.reading(INFO, *_ALL_KEYS) as seen:
        state = await _asked(door, "webData2")
        user = seen.field(state, "user", _address) if state.get("user") else None
        sheet.account_id = hashlib.sha256(user.encode()).hexdigest() if user else None
        if state["agentAddress"].value is not None:
            found.append(_agent(seen, state, "agentAddress", "agentValidUntil"))
        unnamed = True
    if found:
        sheet.problem(INFO, Reason.NOT_EXPOSED, _NOT_SHOWN, *(f"api_key.{power}" for power in _UNSTATED))
    return named and unnamed and None not in found


def _agent(seen: Seen, row: Shape, address: str, until: str, *, label: str | None = None) -> str | None:
    """One agent, and its address where that could be read. It signs orders for the account and its sub-accounts, from
    anywhere: signatures know no IP addresses.
    """
    row.keys()  # an item that is no object is no agent
    public_id = seen.field(row, address, _address, *_ALL_KEYS)
    shows = ("api_key.expires_at", "api_key.never_expires")
    expires = seen.field(row, until, lambda cell: cell.time_ms() if cell.value is not None else "", *shows)
    seen.row(
        "api_key",
        public_id=public_id,
        label=label,
        kind="agent",
        enabled=True,
        can_read=True,
        can_trade=True,
        can_trade_derivatives=True,
        ip_bound=False,
        expires_at=expires or None,
        never_expires=None if expires is None else not expires,
    )
    return public_id


async def _signers(door: Door, sheet: Sheet) -> bool:
    """Whether one signature is enough, and known to be. That it is proves nothing about who must agree before it is
    given: a wallet may itself need several people.
    """
    with sheet.reading(INFO, "account.withdrawal_second_approver", "account.key_inventory_complete") as seen:
        answer = await _asked(door, "userToMultiSigSigners")
        if answer.value is None:
            return True
        threshold = answer["threshold"].integer()
        signers = {_address(cell) for cell in answer["authorizedUsers"].rows()}
        if not 1 <= threshold <= len(signers):
            raise ShapeError("$.threshold: more signatures than signers, or none")
        seen.account(withdrawal_second_approver=threshold > 1 or None)
    return False


async def _sub_accounts(door: Door, sheet: Sheet) -> None:
    """Where there are none, no key is over any. Those that exist have no keys of their own: the master signs for them as
    whoever logs in elsewhere does, and whether an agent may move their funds is not documented.
    """
    with sheet.reading(INFO, "account.master_key_over_subaccounts") as seen:
        answer = await _asked(door, "subAccounts")
        there_are = answer.value is not None and bool(answer.rows())
        seen.account(master_key_over_subaccounts=None if there_are else False)


async def _status(door: Door, sheet: Sheet) -> None:
    """Normal is `null`, and anything else is not; ccxt lets a list pass for normal. That the address comes with this
    question too is of no use, and does no harm.
    """
    with sheet.reading(INFO, "venue.status") as seen:
        answer = await _asked(door, "exchangeStatus")
        answer["time"].time_ms()
        special = answer["specialStatuses"]
        if special.value is not None and (not isinstance(special.value, (str, list, dict)) or not special.value):
            raise ShapeError(f"{special.at}: neither null nor a status")
        seen.venue(status="ok" if special.value is None else "maintenance")
