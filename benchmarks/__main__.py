"""Prints what the performance claims rest on: ratios of one run on one machine, and every contender beside us.

`python -m benchmarks` measures the claims; with `--contenders PYTHON`, an interpreter that has requirements/bench.txt, the
other engines too; `--markdown` prints the tables of README.md with machine and date.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from auditor.exchanges._base import Limit
from benchmarks import audit, contenders, evaluation, fleet, startup

ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is measured, against which floor, and the ratio it must not pass (`most`) or must reach (`least`)."""

    name: str
    floor: str
    measure: Callable[[], float]
    most: float | None = None
    least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The median of some rounds after a warm-up, and how far they lay apart."""

    claim: Claim
    median: float
    best: float
    worst: float

    @property
    def holds(self) -> bool:
        most, least = self.claim.most, self.claim.least
        return (most is None or self.median <= most) and (least is None or self.median >= least)


CLAIMS = (
    Claim(
        name="`auditor --version`, whole process", floor='`python -c "import click"`', measure=startup.ratio, most=2.0
    ),
    Claim(
        name="`auditor evaluate` of one account, whole process, as processor time",
        floor='`python -c "import click"`',
        measure=startup.evaluated,
        most=4.3,
    ),
    Claim(
        name="`auditor audit --no-history` of one account, whole process but for ccxt's import, as processor time",
        floor='`python -c "import click"`',
        measure=lambda: startup.audited("--no-history"),
        most=4.3,
    ),
    Claim(
        name="the same with its history",
        floor='`python -c "import click"`',
        measure=startup.audited,
        most=4.3,
    ),
    Claim(
        name="`auditor rules list`, whole process",
        floor='`python -c "import ccxt"`',
        measure=lambda: startup.against(("-m", "auditor", "rules", "list"), ("-c", "import ccxt")),
        most=1.0,
    ),
    Claim(
        name="importing one exchange of ccxt as the auditor does",
        floor='`python -c "import ccxt.async_support"`',
        measure=lambda: startup.against(("-c", startup.ONE_CLASS), ("-c", "import ccxt.async_support")),
        most=0.7,
    ),
    Claim(
        name="four accounts of four venues at 100 ms latency, collected and judged",
        floor="the longest chain of dependent calls (five)",
        measure=audit.ratio,
        most=1.5,
    ),
    Claim(
        name="a plain sequential ccxt script with the same calls, one account: its time, judging nothing",
        floor="ours, judged",
        measure=lambda: audit.against_a_script(("okx",)),
    ),
    Claim(
        name="the same for four accounts of four venues",
        floor="ours, judged",
        measure=audit.against_a_script,
        least=1.0,
    ),
    Claim(
        name="all shipped rules over 1,000,000 keys from JSON lines, validation included, by the clock",
        floor="msgspec checking and decoding the same lines",
        measure=evaluation.against_msgspec,
        most=2.5,
    ),
    Claim(
        name="the same of accounts with 100 keys each instead of 5",
        floor="msgspec checking and decoding the same lines",
        measure=lambda: evaluation.against_msgspec(each=evaluation.MANY_EACH),
        most=2.5,
    ),
    Claim(
        name="the same as processor time, 5 keys each",
        floor="msgspec checking and decoding the same lines",
        measure=evaluation.against_msgspec_on_a_processor,
    ),
    Claim(
        name="the same by the clock, 5 keys each, and the tables written",
        floor="msgspec checking and decoding the same lines",
        measure=evaluation.written_against_msgspec,
    ),
    Claim(
        name="all shipped rules over 1,000,000 keys from Parquet, by the clock",
        floor="pyarrow reading the same file",
        measure=evaluation.against_pyarrow,
        most=3.0,
    ),
    Claim(
        name="the same of accounts with 100 keys each instead of 5",
        floor="pyarrow reading the same file",
        measure=lambda: evaluation.against_pyarrow(each=evaluation.MANY_EACH),
        most=3.0,
    ),
    Claim(
        name="the same, 5 keys each, and the tables written",
        floor="pyarrow reading the same file",
        measure=evaluation.written_against_pyarrow,
    ),
    Claim(
        name="gigabytes held by a census of 1,000,000 keys, written",
        floor="one",
        measure=evaluation.gigabytes,
        most=1.0,
    ),
    Claim(
        name="2,000 accounts of three venues in one process: requests for each second of its CPU, journal included",
        floor="one",
        measure=fleet.ratio,
        least=5000,
    ),
    Claim(
        name="the same: CPU a request",
        floor="the bare HTTP client, same process and server",
        measure=fleet.against_the_floor,
    ),
    Claim(
        name="allowed rate that is used where a limit binds",
        floor="the allowed rate",
        measure=lambda: asyncio.run(fleet.rate_used(Limit(calls=400, seconds=1.0), 3.0)),
        least=0.95,
    ),
)


def measured(claim: Claim, rounds: int = ROUNDS) -> Measured:
    """Measures a claim: once as a warm-up that does not count, then `rounds` times."""
    claim.measure()
    ratios = sorted(claim.measure() for _ in range(rounds))
    return Measured(claim=claim, median=statistics.median(ratios), best=ratios[0], worst=ratios[-1])


def machine() -> str:
    """What it was measured on, and when."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    cores = len([line for line in _lines("/proc/cpuinfo") if line.startswith("processor")])
    load = next(iter(_lines("/proc/loadavg")), "?").split(" ")[0]
    return f"{datetime.now(UTC):%Y-%m-%d}, {cores} x {cpu.partition(':')[2].strip() or cpu}, load {load}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--contenders", metavar="PYTHON", help="an interpreter that has the other engines")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    given = options.parse_args()
    print(f"{machine()}\n\n| what | against | limit | median | from, to |\n|---|---|---|---|---|")
    for claim in CLAIMS:
        one = measured(claim, given.rounds)
        limit = f"at most {claim.most:g}" if claim.most else f"at least {claim.least:g}" if claim.least else "told"
        verdict = "" if one.holds else " MISSED"
        print(
            f"| {claim.name} | {claim.floor} | {limit}{verdict} | {one.median:.4g} | {one.best:.4g}, {one.worst:.4g} |",
            flush=True,
        )
    if given.contenders:
        print("\n| engine | ms for 1,000 keys | times ours | keys compared |\n|---|---|---|---|")
        for row in contenders.standings(given.contenders):
            print(f"| {row.engine} | {row.milliseconds:.4g} | {row.ratio:.3g} | {row.compared} |")


if __name__ == "__main__":
    main()
