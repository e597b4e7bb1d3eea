"""Kills writers with SIGKILL: each child runs a number of lines of the history's code further than the one before it, and then
others at odd times.

Says how many were killed, which acknowledged records were lost, and what `verify` found after any of them, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from auditor import files, signing
from auditor.history import alchemy, check, store
from tests.history.conftest import append

_HERE = (str(Path(store.__file__).parent), files.__file__, signing.__file__)
_STEP = 11
_TIMED = 12


def child(url: str, key: Path, after: int, told: int) -> None:
    """Opens the history and appends a record, unless it is killed first. Says the number on `told`."""
    left = after

    def line(_frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return line

    def call(frame: FrameType, _event: str, _arg: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(_HERE) else None

    sys.settrace(call)
    record = append(store.open_store(url, key=key))[0]
    os.write(told, f"{record.seq}\n".encode())
    sys.settrace(None)


def busy(url: str, key: Path, told: int) -> None:
    """Appends until it is killed."""
    kept = store.open_store(url, key=key)
    while True:
        os.write(told, f"{append(kept)[0].seq}\n".encode())


def main(url: str, key: Path) -> dict[str, Any]:
    alchemy.of_file(Path("unused"))  # what is imported by now need not be imported by every child
    reading, writing = os.pipe()
    killed, faults, after = 0, list[str](), 1
    while True:
        pid = os.fork()
        if pid == 0:
            try:
                child(url, key, after, writing)
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(store.NoHistoryError):
            faults += [f"after {after} lines: {one}" for one in check.verify(store.open_store(url, key=key))[0]]
        if not os.WIFSIGNALED(status):
            break
        killed, after = killed + 1, after + _STEP
    for turn in range(_TIMED):  # and in the middle of what is not our code: a commit, a flush to the disk
        pid = os.fork()
        if pid == 0:
            busy(url, key, writing)
        time.sleep(0.05 + 0.0113 * turn)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        faults += [f"after a while ({turn}): {one}" for one in check.verify(store.open_store(url, key=key))[0]]
    os.close(writing)
    acknowledged = {int(word) for word in os.read(reading, 2**16).split()}
    with store.open_store(url, key=key).reading() as view:
        there = {record.seq for record in view.records()}
    return {"killed": killed, "lost": sorted(acknowledged - there), "faults": faults, "records": len(there)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
