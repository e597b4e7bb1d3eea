"""Never more than the share of a documented limit, in any window, by whatever number of callers; and nobody is forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges._base import Limit
from auditor.exchanges._budget import SHARE, Budgets


class Leaping(asyncio.SelectorEventLoop):
    """A loop whose clock leaps to the next timer, so that hours pass in no time."""

    now = 100.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


def leap(main: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await main()

    with asyncio.Runner(loop_factory=Leaping) as runner:
        return runner.run(run())


def most_in_any_window(times: list[float], seconds: float) -> int:
    return max(sum(start <= other < start + seconds - 1e-6 for other in times) for start in times)


LIMITS = st.builds(
    Limit,
    calls=st.one_of(st.integers(1, 60), st.floats(0.2, 300)),
    seconds=st.sampled_from([0.5, 1.0, 2.0, 5.0, 60.0]),
    per=st.sampled_from(["key", "address"]),
)


@settings(max_examples=150, deadline=None)
@given(limit=LIMITS, arrivals=st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_no_window_ever_holds_more_than_the_share(limit: Limit, arrivals: list[float]) -> None:
    budgets = Budgets()
    times: list[float] = []

    async def one(after: float) -> None:
        await asyncio.sleep(after)
        await budgets.take("endpoint", limit, "key")
        times.append(asyncio.get_running_loop().time())

    async def main() -> None:
        await asyncio.gather(*[one(after) for after in arrivals])

    leap(main)
    assert len(times) == len(arrivals)
    allowed = max(1, int(limit.calls * SHARE + 1e-6))
    assert most_in_any_window(times, limit.seconds) <= allowed
    if limit.calls * SHARE < 1:
        assert most_in_any_window(times, limit.seconds / limit.calls / SHARE) <= 1


@settings(max_examples=60, deadline=None)
@given(costs=st.lists(st.sampled_from([6000.0, 600.0, 60.0, 30.0, 12.0]), min_size=1, max_size=80))
def test_endpoints_of_one_pool_share_one_allowance_by_weight(costs: list[float]) -> None:
    budgets = Budgets()
    spent: list[tuple[float, float]] = []

    async def one(calls: float) -> None:
        await budgets.take(f"costs {calls}", Limit(calls=calls, seconds=60, per="address", pool="weight"), "key")
        spent.append((asyncio.get_running_loop().time(), 1 / calls))

    async def main() -> None:
        await asyncio.gather(*[one(calls) for calls in costs])

    leap(main)
    for start, _ in spent:
        used = sum(part for at, part in spent if start <= at < start + 60 - 1e-6)
        assert used <= SHARE + 1e-6


def test_the_budget_is_used_and_not_only_kept() -> None:
    limit = Limit(calls=40, seconds=2)

    async def main() -> float:
        budgets = Budgets()
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(101):
            await budgets.take("endpoint", limit, "key")
        return loop.time() - started

    assert leap(main) == pytest.approx(20.0, abs=0.1)


def test_first_come_first_served() -> None:
    limit = Limit(calls=8, seconds=1)
    order: list[int] = []

    async def main() -> None:
        budgets = Budgets()

        async def one(number: int) -> None:
            await budgets.take("endpoint", limit, "key")
            order.append(number)

        await asyncio.gather(*[one(number) for number in range(50)])

    leap(main)
    assert order == list(range(50))


@settings(max_examples=80, deadline=None)
@given(arrivals=st.lists(st.floats(0, 4), min_size=2, max_size=40), cancelled=st.sets(st.integers(0, 39)))
def test_nobody_goes_before_who_came_earlier(arrivals: list[float], cancelled: set[int]) -> None:
    """Also who comes at the moment when there is room, while others are about to be let through; and some give up."""
    limit = Limit(calls=8, seconds=1)
    came: list[int] = []
    went: list[int] = []

    async def main() -> None:
        budgets = Budgets()

        async def one(number: int) -> None:
            await asyncio.sleep(arrivals[number])
            came.append(number)
            await budgets.take("endpoint", limit, "key")
            went.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(len(arrivals))]
        await asyncio.sleep(2)
        for number in cancelled & set(range(len(tasks))):
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    leap(main)
    assert went == [number for number in came if number in set(went)]
    assert set(range(len(arrivals))) - set(went) <= cancelled


@pytest.mark.parametrize(("per", "seconds"), [("key", 0.0), ("address", 40.0)])
def test_keys_have_allowances_of_their_own_unless_the_venue_counts_addresses(per: str, seconds: float) -> None:
    limit = Limit(calls=4, seconds=1, per=per)

    async def main() -> float:
        budgets = Budgets()
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*[budgets.take("endpoint", limit, f"key {number}") for number in range(41)])
        return asyncio.get_running_loop().time() - started

    assert leap(main) == pytest.approx(seconds, abs=0.01)


def test_endpoints_have_allowances_of_their_own() -> None:
    limit = Limit(calls=4, seconds=1)

    async def main() -> float:
        budgets = Budgets()
        await asyncio.gather(*[budgets.take(f"endpoint {number}", limit, "key") for number in range(20)])
        return asyncio.get_running_loop().time()

    assert leap(main) == Leaping.now


def test_a_cancelled_caller_takes_no_turn_and_blocks_nobody() -> None:
    limit = Limit(calls=4, seconds=10)

    async def main() -> float:
        budgets = Budgets()
        await budgets.take("endpoint", limit, "key")
        started = asyncio.get_running_loop().time()
        waiting = [asyncio.create_task(budgets.take("endpoint", limit, "key")) for _ in range(5)]
        await asyncio.sleep(1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await budgets.take("endpoint", limit, "key")
        return asyncio.get_running_loop().time() - started

    assert leap(main) == pytest.approx(10.0, abs=0.01)


def test_the_wait_is_told_before_it_is_waited_for() -> None:
    limit = Limit(calls=1, seconds=5)

    async def main() -> tuple[float, float]:
        budgets = Budgets()
        before = budgets.wait("status", limit, "key")
        await budgets.take("status", limit, "key")
        return before, budgets.wait("status", limit, "key")

    assert leap(main) == (0.0, pytest.approx(20.0))


def test_the_real_clock_keeps_the_share_too() -> None:
    limit = Limit(calls=40, seconds=0.2)
    times: list[float] = []

    async def main() -> None:
        budgets = Budgets()

        async def one() -> None:
            await budgets.take("endpoint", limit, "key")
            times.append(time.monotonic())

        await asyncio.gather(*[one() for _ in range(40)])

    asyncio.run(main())
    assert most_in_any_window(times, 0.19) <= 10
    assert times[-1] - times[0] >= 0.58
