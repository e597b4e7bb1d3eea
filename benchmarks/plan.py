"""How long a fleet takes and what bounds it: a formula over the limits that connectors declare, and a simulation that checks it.

The simulation is the real budget and the real order of accounts on a clock that jumps from event to event, so that a day of
waiting takes seconds. `python -m benchmarks.plan` prints the table of docs/scale.md.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from auditor import collect
from auditor.exchanges import _load, _venue
from auditor.exchanges._base import Connector, Endpoint
from auditor.exchanges._budget import SHARE, Budgets

LATENCY = 0.05
DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What an address can do at one venue in a day, each endpoint asked once an account. `by` is what binds."""

    exchange: str
    accounts: float
    by: str


def bound(exchange: str, connector: Connector, asked: Sequence[Endpoint] | None = None) -> Bound:
    """Accounts a day from one address, by the documented limits and our share of them; `asked` if not all there is."""
    slowest, by = math.inf, "our own processor: limits are counted by key"
    limits: dict[str, float] = {}
    for one in asked or _asked(connector):
        if one.limit.per != "key":
            pool = one.limit.pool or one.name
            limits[pool] = limits.get(pool, 0.0) + one.limit.seconds / (SHARE * one.limit.calls)
    for pool, seconds in sorted(limits.items()):
        if DAY / seconds < slowest:
            slowest, by = DAY / seconds, pool
    return Bound(exchange=exchange, accounts=slowest, by=by)


def _asked(connector: Connector) -> list[Endpoint]:
    """What is asked for every account: public answers are the same for all."""
    return [one for one in connector.endpoints if not one.public]


def simulated(connector: Connector, accounts: int, asked: Sequence[Endpoint] | None = None) -> float:
    """Seconds, on a clock that jumps, in which `accounts` are read through the real budget from one address."""
    questions = asked or _asked(connector)

    async def fleet() -> float:
        budgets, turn = Budgets(), asyncio.Semaphore(collect.in_flight(connector))

        async def one(number: int) -> None:
            async with turn:
                for endpoint in questions:
                    await budgets.take(endpoint.name, endpoint.limit, str(number))
                    await asyncio.sleep(LATENCY)

        await asyncio.gather(*map(one, range(accounts)))
        return asyncio.get_running_loop().time()

    return _run(fleet())


def _run(fleet: Coroutine[Any, Any, float]) -> float:
    loop = _Jumping()
    try:
        return loop.run_until_complete(fleet)
    finally:
        loop.close()


class _Jumping(asyncio.SelectorEventLoop):
    """A loop in which waiting takes no time."""

    def __init__(self) -> None:
        self.passed = 0.0
        super().__init__(_Never(self))

    def time(self) -> float:
        return self.passed


class _Never(selectors.DefaultSelector):
    """Instead of waiting for what never comes, moves the clock to when the loop would stop waiting."""

    def __init__(self, loop: _Jumping) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.passed += max(timeout or 0.0, 0.0)
        return super().select(0)


def main() -> None:
    print("| exchange | calls an account | accounts a day and address | bound by |\n|---|---|---|---|")
    for exchange in _venue.ids():
        connector = _load.connector(exchange)
        if connector is not None:
            found = bound(exchange, connector)
            shown = "by processor" if math.isinf(found.accounts) else f"{found.accounts:,.0f}"
            print(f"| {exchange} | {len(_asked(connector))} | {shown} | {found.by} |")


if __name__ == "__main__":
    main()
