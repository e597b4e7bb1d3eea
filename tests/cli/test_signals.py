"""A signal while the engine computes: the program stops as it is asked to, and calls nothing a bug."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BUSY = """
import os, sys, time
import click
from auditor.cli import _voice
_voice.settle()

@click.command()
def command():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(30)
    except BaseException:  # as DuckDB does with what a signal's handler raises while it computes
        raise RuntimeError(sys.argv[2]) from None

sys.exit(_voice.speak(command, []))
"""


def ended(how: signal.Signals, words: str) -> tuple[int, str]:
    ran = subprocess.run(
        [sys.executable, "-c", BUSY, str(int(how)), words], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == ""
    return ran.returncode, ran.stderr.strip()


@pytest.mark.parametrize(("how", "code", "said"), [(signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 143, "")])
def test_a_signal_in_the_engine_is_no_bug(how: signal.Signals, code: int, said: str) -> None:
    assert ended(how, "Query interrupted") == (code, said)


def test_what_is_a_bug_stays_one() -> None:
    code, said = ended(signal.SIGINT, "anything else")
    assert code == 1 and "bug in auditor" in said
