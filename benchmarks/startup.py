"""Start-up of the whole process, against importing the one library that every command line here needs."""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 9


def ratio() -> float:
    """Fastest of several, in turn, so that a drifting machine hits both alike."""
    ours, floor = [], []
    for _ in range(ROUNDS):
        ours.append(_seconds("-m", "auditor", "--version"))
        floor.append(_seconds("-c", "import click"))
    return min(ours) / min(floor)


def _seconds(*args: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *args], check=True, capture_output=True)
    return time.perf_counter() - begun
