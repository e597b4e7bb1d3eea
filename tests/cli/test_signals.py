"""A signal while the engine computes: the program stops as it is asked to, and calls nothing a bug."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BUSY = """
import os, sys, threading
import click
from auditor.cli import _voice
_voice.settle()

@click.command()
def command():
    import duckdb
    threading.Timer(0.3, os.kill, (os.getpid(), int(sys.argv[1]))).start()
    duckdb.connect().execute("SELECT count(*) FROM range(10000000) a, range(10000) b WHERE a.range * b.range % 7 = 3").fetchall()

sys.exit(_voice.speak(command, []))
"""


@pytest.mark.parametrize(("how", "code", "said"), [(signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 143, "")])
def test_a_signal_in_the_engine_is_no_bug(how: signal.Signals, code: int, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", BUSY, str(int(how))], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr.strip()) == (code, "", said)
