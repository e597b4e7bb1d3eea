"""One timer for many: each ends exactly when it is late, none before, and nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.exchanges._deadline import Deadlines

from .test_budget import leap

SECONDS = 5.0


async def lasting(deadlines: Deadlines, seconds: float) -> float | None:
    """When it was ended, counted from its begin; None where it ended by itself."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    one = deadlines.start()
    try:
        async with one:
            await asyncio.sleep(seconds)
    except TimeoutError:
        return loop.time() - started
    finally:
        deadlines.stop(one)
    return None


def timers() -> int:
    loop: Any = asyncio.get_running_loop()
    return sum(not one.cancelled() for one in loop._scheduled)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 12)), min_size=1, max_size=30))
def test_what_is_late_is_ended_then_and_nothing_else(runs: list[tuple[float, float]]) -> None:
    async def one(deadlines: Deadlines, after: float, seconds: float) -> float | None:
        await asyncio.sleep(after)
        return await lasting(deadlines, seconds)

    async def main() -> list[float | None]:
        deadlines = Deadlines(SECONDS)
        return await asyncio.gather(*[one(deadlines, after, seconds) for after, seconds in runs])

    for (_, seconds), ended in zip(runs, leap(main), strict=True):
        if abs(seconds - SECONDS) > 1e-6:
            assert (ended is not None) is (seconds > SECONDS)
        assert ended is None or ended == pytest.approx(SECONDS)


def test_a_thousand_have_one_timer_and_leave_none() -> None:
    async def main() -> tuple[int, int]:
        deadlines = Deadlines(SECONDS)
        before = timers()
        waiting = [deadlines.start() for _ in range(1000)]
        during = timers() - before
        for one in waiting:
            deadlines.stop(one)
        deadlines.close()
        return during, timers() - before

    assert leap(main) == (1, 0)


def test_whoever_is_cancelled_is_not_told_that_it_took_too_long() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(lasting(Deadlines(SECONDS), 100))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    leap(main)


def test_the_timer_comes_again_for_those_that_began_later() -> None:
    async def main() -> list[float | None]:
        deadlines = Deadlines(SECONDS)
        assert await lasting(deadlines, 1) is None
        late = await asyncio.gather(lasting(deadlines, 100), lasting(deadlines, 100))
        await asyncio.sleep(50)
        return [*late, await lasting(deadlines, 100)]

    assert leap(main) == [pytest.approx(SECONDS)] * 3
