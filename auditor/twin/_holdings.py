"""What the twin accounts hold and what left them: invented sums, and addresses that cannot exist. Knows no exchange.

`totals` are answered one after the other, the last one for good, so that two readings of one balance can differ on command,
as they did at OKX in March 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from auditor.twin._base import TwinKey
from auditor.values import frozen

Routes = dict[tuple[str, str], Callable[[web.Request, TwinKey], Any]]


@frozen
class Payout:
    """One withdrawal. `at` is in milliseconds; `state` is the venue's own word."""

    number: str
    asset: str
    amount: str
    at: int
    to: str
    state: str
    tag: str = ""


@dataclass(slots=True)
class Holdings:
    """Sums in US dollars (`trading` is a part of the total), amounts by asset, and withdrawals."""

    payouts: list[Payout]
    totals: list[float] = field(default_factory=lambda: [52340.55])
    trading: float = 40000.0
    assets: dict[str, str] = field(default_factory=lambda: {"BTC": "0.5", "USDT": "2340.55"})

    def total(self) -> float:
        """The next answer to the question what everything is worth."""
        return self.totals.pop(0) if len(self.totals) > 1 else self.totals[0]

    def between(self, since: int, until: int) -> list[Payout]:
        """The withdrawals of a time, both ends included, newest first."""
        return sorted((one for one in self.payouts if since <= one.at <= until), key=lambda one: -one.at)


def sample(done: str, cancelled: str) -> Holdings:
    """A small test, the payment it was for, one to a person who is named by a mail address, and an old one."""
    cold, day = "bc1qinvented00000000000000000000000000077", 86_400_000
    newest = 1_794_800_000_000  # 2026-11-16
    return Holdings(
        payouts=[
            Payout(number="70004", asset="BTC", amount="0.4", at=newest, to=cold, state=done),
            Payout(number="70003", asset="BTC", amount="0.001", at=newest - 3_600_000, to=cold, state=done),
            Payout(number="70002", asset="XRP", amount="25", at=newest - 9 * day, to="friend@demo.invalid", state=cancelled, tag="1001"),
            Payout(number="70001", asset="USDT", amount="12.5", at=newest - 300 * day, to="TInvented77", state=done),
        ]
    )  # fmt: skip
