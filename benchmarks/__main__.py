"""Prints each claim as a ratio, measured against its floor in the same run on the same machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks import audit, evaluation, paths, startup

CLAIMS: tuple[tuple[str, float, Callable[[], float]], ...] = (
    ("auditor --version / python -c 'import click'", 2.0, startup.ratio),
    ("four accounts at 100 ms latency / longest chain of dependent calls", 1.5, audit.ratio),
    ("shipped rules over 100,000 keys from JSON lines / orjson decoding them into memory", 3.0, evaluation.ratio),
    ("one account, all capabilities, paths and fixes / 50 ms", 1.0, paths.one),
    ("attack paths of 10,000 accounts, from evidence to fixes / 30 s", 1.0, paths.all_),
)
ROUNDS = 5


def main() -> None:
    for name, limit, measure in CLAIMS:
        measure()  # a warm-up that does not count
        ratios = sorted(measure() for _ in range(ROUNDS))
        median = statistics.median(ratios)
        verdict = "holds" if median <= limit else "MISSED"
        print(f"{median:5.2f}  (from {ratios[0]:.2f} to {ratios[-1]:.2f}; limit {limit:g}, {verdict})  {name}")


if __name__ == "__main__":
    main()
