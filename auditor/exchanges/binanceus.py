"""Binance.US: a company, an exchange and a login of its own, behind an API in the words of Binance. A key shows that it
works, the state of the account and whether there are sub-accounts; what it may do and from where no documented call says.

Source of every fact: https://docs.binance.us/ unless said otherwise; what errors mean is Binance's.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from auditor.exchanges import binance
from auditor.exchanges._base import Answer, Door, Endpoint, Failure, Limit, Sheet
from auditor.exchanges._shape import Shape, ShapeError
from auditor.model.evidence import Reason

ccxt_class, credentials, serial = "binanceus", binance.credentials, binance.serial
server_time = binance.server_time

_DOCS = "https://docs.binance.us/"
_ACCOUNT_WEIGHT = Limit(calls=120, seconds=60, per="address", pool="weight")
_LIGHT = Limit(calls=1200, seconds=60, per="address", pool="weight")


def _endpoint(path: str, api: str, call: str, limit: Limit, *, public: bool = False) -> Endpoint:
    return Endpoint(
        name=call,
        verb="GET",
        host="api.binance.us",
        path=path,
        api=(api,),
        call=call,
        limit=limit,
        public=public,
        unescaped="sub-account" in call,
        source=_DOCS,
    )


ACCOUNT = _endpoint("/api/v3/account", "private", "account", _ACCOUNT_WEIGHT)
ACCOUNT_STATUS = _endpoint("/sapi/v3/accountStatus", "sapiV3", "accountStatus", _LIGHT)
SUB_ACCOUNTS = _endpoint("/sapi/v3/sub-account/list", "sapiV3", "sub-account/list", _LIGHT)
TIME = _endpoint("/api/v3/time", "public", "time", _LIGHT, public=True)

# The status of the system wants a signature here, which ccxt does not give it.
endpoints = (ACCOUNT, ACCOUNT_STATUS, SUB_ACCOUNTS, TIME)
clock = TIME

_ALIKE = {ACCOUNT: binance.RESTRICTIONS, SUB_ACCOUNTS: binance.SUB_ACCOUNTS}
"""What says of a refusal here what that call says of it there: that reading is enough, or that it takes a main account."""
_ABOUT_THE_KEY, _NOT_KNOWN = {Reason.INVALID_KEY, Reason.IP_NOT_ALLOWED}, {"-2008", "-2014", "-2015"}
_OTHER_SITE = "a key of binance.com is not known here and is answered alike (that is the exchange binance)"


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """As at Binance, but a key that is not known may be one of the other company's."""
    refused = binance.classify(answer, _ALIKE.get(endpoint, endpoint))
    if refused is None or refused.reason not in _ABOUT_THE_KEY or refused.code not in _NOT_KNOWN:
        return refused
    return replace(refused, meaning=f"{refused.meaning}; {_OTHER_SITE}")


async def collect(door: Door, sheet: Sheet) -> None:
    """The account first, because a refusal there means the key itself; then the rest at once."""
    await _calling_key(door, sheet)
    await asyncio.gather(_account_status(door, sheet), _sub_accounts(door, sheet))


async def _calling_key(door: Door, sheet: Sheet) -> None:
    """That the key is accepted and may read. `canTrade` and `canWithdraw` are flags of the account and say nothing of it;
    balances are not kept.
    """
    with sheet.reading(ACCOUNT, "api_keys") as seen:
        account = Shape(await door.fetch(ACCOUNT))
        account["balances"].rows()
        uid = account.get("uid")
        sheet.account_id = str(uid.integer()) if uid else None
        seen.row("api_key", is_audit_key=True, can_read=True, enabled=True)


async def _account_status(door: Door, sheet: Sheet) -> None:
    """One word; what another one than `Normal` means is not guessed."""
    with sheet.reading(ACCOUNT_STATUS, "account.status") as seen:
        if Shape(await door.fetch(ACCOUNT_STATUS))["msg"].text().lower() != "normal":
            raise ShapeError("$.msg: not Normal: look at the account")
        seen.account(status="normal")


async def _sub_accounts(door: Door, sheet: Sheet) -> None:
    """Who has sub-accounts is a main account, and over none there is no key. Mailboxes and phone numbers stay here; that
    `gAuth` is on is said of a sub-account's login alone.
    """
    with sheet.reading(SUB_ACCOUNTS, "account.kind", "account.master_key_over_subaccounts") as seen:
        rows = Shape(await door.fetch(SUB_ACCOUNTS))["subAccounts"].rows()
        seen.account(kind="main" if rows else None, master_key_over_subaccounts=None if rows else False)
