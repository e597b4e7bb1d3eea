"""What one would write with ccxt's manual beside it: one account after the other, one call after the other, by the implicit methods.

Knows nothing of the auditor. ccxt's own throttle is off, though it is on by default: with it every call would wait longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import ccxt


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an account showed: the labels of its keys ("" for one without), and how many saved addresses."""

    labels: tuple[str, ...]
    addresses: int


def read(exchange: str, credentials: dict[str, str], url: str) -> Seen:
    """Everything that a key may read of keys and addresses, from the exchange that answers at `url`."""
    client = getattr(ccxt, exchange)({**credentials, "enableRateLimit": False})
    client.urls["api"] = _moved(client.urls["api"], url)
    labels, addresses = READERS[exchange](client)
    return Seen(labels=tuple(sorted(labels)), addresses=addresses)


def _moved(leaf: Any, url: str) -> Any:
    if isinstance(leaf, dict):
        return {name: _moved(value, url) for name, value in leaf.items()}
    return url + urlsplit(leaf).path


def _okx(client: Any) -> tuple[list[str], int]:
    own = client.private_get_account_config()["data"][0]
    client.public_get_system_status()
    client.private_get_asset_currencies({"ccy": "BTC"})
    labels, page, subs = [own["label"]], {"limit": "100"}, {}
    while True:
        rows = client.private_get_users_subaccount_list(page)["data"]
        fresh = [row for row in rows if row["subAcct"] not in subs]
        subs.update({row["subAcct"]: row for row in fresh})
        if not fresh:
            break
        page["after"] = str(min(int(row["ts"]) for row in rows) + 1)
    for name in subs:
        labels += [row["label"] for row in client.private_get_users_subaccount_apikey({"subAcct": name})["data"]]
    return labels, 0


def _binance(client: Any) -> tuple[list[str], int]:
    client.sapi_get_account_apirestrictions()
    client.sapi_get_system_status()
    client.private_get_account({"omitZeroBalances": "true"})
    client.sapi_get_account_status()
    client.request("capital/withdraw/quota", ["sapi"])
    addresses = client.sapi_get_capital_withdraw_address_list()
    labels: list[str] = [""]
    subs: list[dict[str, Any]] = []
    page = 1
    while True:
        rows = client.sapi_get_sub_account_list({"page": page, "limit": 200})["subAccounts"]
        if not rows:
            break
        subs, page = subs + rows, page + 1
    for sub in subs:
        asked = {"email": sub["email"].replace("@", "%40").replace("+", "%2B"), "page": 1, "size": 100}
        for key in client.request("sub-account/subAccountApi", ["sapi"], "GET", asked)["list"]:
            of_key = {"email": asked["email"], "subAccountApiKey": key["apikey"]}
            client.sapi_get_sub_account_subaccountapi_iprestriction(of_key)
            labels.append(key["apiName"])
    return labels, len(addresses)


def _bybit(client: Any) -> tuple[list[str], int]:
    labels = [client.private_get_v5_user_query_api()["result"]["note"]]
    client.public_get_v5_system_status()
    subs = client.private_get_v5_user_query_sub_members()["result"]["subMembers"]
    client.private_get_v5_asset_transfer_query_sub_member_list()
    for sub in subs:
        asked = {"subMemberId": sub["uid"], "limit": 20}
        labels += [row["note"] for row in client.private_get_v5_user_sub_apikeys(asked)["result"]["result"]]
    return labels, 0


def _kraken(client: Any) -> tuple[list[str], int]:
    own = client.private_post_getapikeyinfo()["result"]
    client.public_get_systemstatus()
    classes: Iterable[str] = ("currency", "tokenized_asset")
    books = [client.private_post_withdrawaddresses({"aclass": one})["result"] for one in classes]
    return [own["apiKeyName"]], sum(map(len, books))


READERS: dict[str, Callable[[Any], tuple[list[str], int]]] = {
    "okx": _okx,
    "binance": _binance,
    "bybit": _bybit,
    "kraken": _kraken,
}
