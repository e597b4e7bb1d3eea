"""Coinbase International: read-only since 2026-10-01. What it held for institutions is a Deribit account now, read with a key
made there, by the calls and in the words of the Deribit connector: its log, its keys, its locks.

Keys of the old exchange are accepted nowhere. Keys of the Coinbase developer portal reach the same accounts through a gateway
that wants a token exchanged first, which is not done here: audit them as coinbase.
Source: https://docs.deribit.com/articles/intx-api-migration and https://docs.cdp.coinbase.com/intx/docs.
"""

from __future__ import annotations

from dataclasses import replace

from auditor.exchanges import deribit
from auditor.exchanges._base import Answer, Endpoint, Failure

ccxt_class, credentials, serial = deribit.ccxt_class, deribit.credentials, deribit.serial
endpoints, clock, server_time = deribit.endpoints, deribit.clock, deribit.server_time
collect = deribit.collect

_RETIRED = (
    "Deribit does not know this key. Keys of Coinbase International were retired in 2026, which is no sign of an attack; keys "
    "of the Coinbase developer portal belong to the exchange coinbase; a key made at Deribit may have been deleted"
)


def classify(answer: Answer, endpoint: Endpoint) -> Failure | None:
    """As at Deribit, but a key that is not known there is most likely one of the old exchange, and not a revoked one."""
    refused = deribit.classify(answer, endpoint)
    return replace(refused, meaning=_RETIRED) if refused is not None and refused.code == "13004" else refused
