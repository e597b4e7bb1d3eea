"""How long it still takes: told when it can be told, of the slowest exchange, and never half of what it is."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.cli import _voice
from auditor.cli._eta import ENOUGH, TOO_EARLY, Forecast, in_words
from auditor.exchanges._base import Limit
from auditor.exchanges._budget import Budgets
from tests.exchanges.test_budget import leap


def names(wanted: dict[str, int]) -> dict[str, str]:
    return {f"{place}-{number}": place for place, number_of in wanted.items() for number in range(number_of)}


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (5401, "1.5 h"), (32_400, "9.0 h")]
)
def test_it_is_said_in_words(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


def test_a_steady_pace_is_foreseen_exactly() -> None:
    forecast = Forecast(names({"one": 1000}))
    for number in range(500):
        forecast.came(f"one-{number}", (number + 1) * 0.5)
        if number >= ENOUGH:
            assert forecast.left((number + 1) * 0.5) == pytest.approx((999 - number) * 0.5)


def test_nothing_is_foreseen_too_early_or_from_too_few() -> None:
    forecast = Forecast(names({"one": 1000}))
    for number in range(100):
        forecast.came(f"one-{number}", TOO_EARLY - 1)
    assert forecast.left(TOO_EARLY - 1) is None
    few = Forecast(names({"one": 1000}))
    for number in range(ENOUGH - 1):
        few.came(f"one-{number}", 60 + number)
    assert few.left(100) is None
    few.came("one-999", 100)
    assert few.left(100) is not None


def test_an_exchange_of_which_nothing_is_known_is_not_passed_over() -> None:
    forecast = Forecast(names({"quick": 1000, "slow": 1000}))
    for number in range(900):
        forecast.came(f"quick-{number}", 20 + number / 100)
    assert forecast.left(29) is None


def test_the_slowest_exchange_decides() -> None:
    forecast = Forecast(names({"quick": 900, "slow": 1000}))
    for number in range(100):
        forecast.came(f"slow-{number}", number + 1)
        for at in range(8):
            forecast.came(f"quick-{number * 8 + at}", number + 1)
    assert forecast.left(100) == pytest.approx(900)


def test_an_exchange_that_stands_still_does_not_come_nearer_to_its_end_for_ever() -> None:
    """What was foreseen passes, and nobody came: nothing less than no time is left, and the next one says how long it is."""
    forecast = Forecast(names({"one": 100}))
    for number in range(50):
        forecast.came(f"one-{number}", 20 + number)
    assert forecast.left(10_000) == 0
    forecast.came("one-50", 10_000)
    assert forecast.left(10_000) == pytest.approx(10_000 / 51 * 49)


def test_under_a_limit_that_lets_bursts_through_it_is_never_half_of_what_it_is() -> None:
    """A quarter of 300 calls a minute: 75 at once, and then nothing for a minute. The real budget, on a clock that leaps."""
    limit, wanted = Limit(calls=300, seconds=60, per="address"), 1000
    forecast, ends = Forecast(names({"one": wanted})), []
    told: list[tuple[float, float]] = []

    async def main() -> None:
        budgets, numbers, clock = Budgets(), count(), asyncio.get_running_loop().time
        begun = clock()

        async def reader() -> None:
            while (number := next(numbers)) < wanted:
                await budgets.take("call", limit, "key")
                await asyncio.sleep(0.05)
                ends.append(clock() - begun)
                forecast.came(f"one-{number}", ends[-1])
                if (left := forecast.left(ends[-1])) is not None:
                    told.append((ends[-1], left))

        await asyncio.gather(*[reader() for _ in range(15)])

    leap(main)
    assert len(told) > wanted * 0.9
    wrong = [(at, left, ends[-1] - at) for at, left in told if not 0.85 <= (at + left) / ends[-1] <= 1.25]
    assert not wrong, wrong[:5]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1000)), max_size=200))
def test_whatever_comes_the_time_left_is_a_time(events: list[tuple[str, float]]) -> None:
    forecast, now, came = Forecast(names({"a": 200, "b": 200})), 0.0, {"a": 0, "b": 0}
    for place, later in events:
        now += later
        forecast.came(f"{place}-{came[place]}", now)
        came[place] += 1
        left = forecast.left(now)
        assert left is None or left >= 0
    forecast.came("a stranger", now)


def test_the_line_on_the_terminal_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = 0.0, []
    monkeypatch.setattr(_voice, "progress", lambda *line: lines.append(line))
    tell = _voice.Progress(names({"one": 100}), clock=lambda: now)
    for number in range(100):
        now = (number + 1) * 1.0
        tell(f"one-{number}", number + 1, 100)
    assert lines[0] == ("one-0", 1, 100) and lines[-1] == ("one-99", 100, 100)
    assert lines[49] == ("one-49, about 50 s left", 50, 100) and len(lines) == 100


def test_thousands_in_a_moment_are_not_thousands_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = 0.0, []
    monkeypatch.setattr(_voice, "progress", lambda *line: lines.append(line))
    tell = _voice.Progress(names({"one": 10_000}), clock=lambda: now)
    for number in range(10_000):
        now = number / 10_000
        tell(f"one-{number}", number + 1, 10_000)
    assert len(lines) < 20 and lines[-1] == ("one-9999", 10_000, 10_000)
