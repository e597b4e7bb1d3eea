"""The matrix of faults for people: every fault at every endpoint and every moment of every venue, and the counts.

Run as `python -m tests.faults [VENUE ...]`.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor

from tests import fault_matrix, fault_moments, stage
from tests.faulty_gate import FAULTS


def printed(tables: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """The matrix for people: two marks a cell (`=` nothing lost, `?` unknown with a reason), always and once."""
    lines = []
    for venue, table in tables.items():
        lines.append(f"{venue}  (always, once)")
        for path, row in table.items():
            lines.append(f"  {path}")
            by_moment: dict[str, list[str]] = {}
            for name, marks in row.items():
                by_moment.setdefault(FAULTS[name].moment, []).append(f"{name} {marks}")
            lines += [f"    {moment}: {', '.join(cells)}" for moment, cells in by_moment.items()]
    return "\n".join([*lines, counted(tables)])


def counted(tables: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """How many runs there were, and how they ended."""
    counts = Counter("".join(mark for table in tables.values() for row in table.values() for mark in row.values()))
    runs, paths = sum(counts.values()), sum(map(len, tables.values()))
    return f"{runs} runs over {paths} endpoints: {counts['=']} lost nothing, {counts['?']} ended with a reason"


Found = tuple[dict[str, dict[str, str]], dict[str, dict[str, str]], list[str]]
"""Of a venue: the matrix of what befalls requests, that of what befalls the process, and all that went wrong."""


def of_venue(name: str) -> Found:
    twin = next(one for one in stage.every_twin() if one.id == name)
    requests, wrong = fault_matrix.matrix(twin)
    moments, also = fault_moments.matrix(twin)
    return requests, moments, wrong + also


def main(names: list[str]) -> int:
    chosen = names or [one.id for one in stage.every_twin()]
    requests, moments, wrong = {}, {}, []
    workers = min(len(chosen), 2 * (os.cpu_count() or 1))  # most of it is waiting
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for name, found in zip(chosen, pool.map(of_venue, chosen), strict=True):
            requests[name], moments[name], faults = found
            wrong += faults
            said = [*printed({name: requests[name]}).splitlines()[:-1], *fault_moments.printed(moments[name]), *faults]
            print("\n".join(said), flush=True)  # noqa: T201
    print(counted(requests), fault_moments.counted(moments), f"{len(wrong)} went wrong", sep="\n")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
