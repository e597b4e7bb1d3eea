"""The plan on paper: its formula agrees with the real budget on a clock that jumps, and nobody is asked faster than allowed."""

from __future__ import annotations

import math

import pytest

from auditor import collect
from auditor.exchanges import _load, _venue
from benchmarks import plan

LIMITED = ("binance", "mexc", "bitfinex")


@pytest.mark.parametrize("exchange", LIMITED)
def test_the_formula_is_what_the_budget_does(exchange: str) -> None:
    connector = _load.connector(exchange)
    assert connector is not None
    accounts = 2_500
    done = accounts / plan.simulated(connector, accounts) * plan.DAY
    assert done == pytest.approx(plan.bound(exchange, connector).accounts, rel=0.05)


def test_where_keys_are_counted_a_fleet_takes_little_longer_than_one_account() -> None:
    connector = _load.connector("okx")
    assert connector is not None and math.isinf(plan.bound("okx", connector).accounts)
    assert plan.simulated(connector, collect.MOST_AT_ONCE) < 1.5 * plan.simulated(connector, 1)


def test_every_exchange_that_is_read_has_a_bound() -> None:
    found = [plan.bound(one, made) for one in _venue.ids() if (made := _load.connector(one)) is not None]
    assert len(found) > 20 and all(one.accounts > 1000 for one in found)


def test_the_clock_that_jumps_waits_as_long_as_it_is_told() -> None:
    import asyncio

    async def both() -> float:
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
        return asyncio.get_running_loop().time()

    assert plan._run(both()) == pytest.approx(7200)
