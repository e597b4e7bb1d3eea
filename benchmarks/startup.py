"""Start-up of whole processes, against the one library that every command line here needs, and against ccxt."""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 3
ONE_CLASS = "from auditor.exchanges import _ccxt; _ccxt.exchange_class('okx')"


def ratio() -> float:
    return against(("-m", "auditor", "--version"), ("-c", "import click"))


def against(ours: tuple[str, ...], floor: tuple[str, ...]) -> float:
    """Fastest of several, in turn, so that a drifting machine hits both alike."""
    pairs = [(_seconds(*ours), _seconds(*floor)) for _ in range(ROUNDS)]
    return min(one for one, _ in pairs) / min(other for _, other in pairs)


def _seconds(*args: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *args], check=True, capture_output=True)
    return time.perf_counter() - begun
