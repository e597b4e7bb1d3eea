"""Signals and a full disk at every endpoint and every moment of a whole audit, for each venue.

Each audit is a process of its own, forked from one that has the program loaded, and talks to a twin through the gate of
`fault_matrix`. What an earlier run acknowledged has to be there afterwards, byte for byte.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from auditor.twin._base import TwinVenue
from tests import fault_matrix as faults
from tests import stage
from tests.faulty_gate import ALWAYS, FAULTS, Fault, FaultyGate
from tests.test_canary import leaks

MOMENTS = {
    "connect": FAULTS["no word"],
    "headers": FAULTS["headers, then silence"],
    "body": FAULTS["half a body, then silence"],
    "between attempts": FAULTS["502 page"],
}
SIGNALS = {"SIGINT": 130, "SIGTERM": 143}
FULL = Fault(moment="disk", passes=True, spoil=lambda true: true)
NO_ROOM = 2
COMMAND = ("audit", "--no-notify", "-f", "json", "-o", "report.json")
_PAUSE, _PATIENCE = 30.0, 60.0
_ARRIVED = 0.15
"""Seconds after which what the gate has sent was read."""


def audit(work: str, environ: Mapping[str, str], heard: Connection) -> None:
    """The program, in the process that this is called in."""
    from auditor.cli import main
    from auditor.exchanges import _transport

    os.chdir(work)
    os.environ.clear()
    os.environ.update(environ)
    for number in (1, 2):
        os.dup2(heard.fileno(), number)
    sys.argv = ["auditor", *COMMAND]
    sys.dont_write_bytecode = True  # a module that is cached by half, for want of room, would be read by everybody
    with stage.hurried(attempts=3):
        _transport.FIRST_PAUSE = _PAUSE
        main()


@dataclass(slots=True)
class Machine:
    """A machine on which one account was audited before, and the gate that its exchange stands behind."""

    mine: stage.Stage
    gate: FaultyGate
    acknowledged: bytes
    runs: int

    def proven(self) -> int:
        """How many runs the history holds, after it was proved."""
        assert self.mine.run("history", "verify").code == 0
        return sum(row["kind"] == "run" for row in json.loads(self.mine.run("history", "list", "-f", "json").out))

    def befallen(self, path: str, fault: Fault, what: Callable[[BaseProcess], None]) -> tuple[int | None, str]:
        """An audit to which `what` happens when it asks for `path` and meets `fault`: its exit code, and what it said."""
        self.gate.path, self.gate.fault, self.gate.times = path, fault, ALWAYS
        self.gate.seen.clear()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["auditor.cli.audit", "ccxt", __name__])
        ear, mouth = context.Pipe(duplex=False)
        process = context.Process(target=audit, args=(str(self.mine.work), dict(self.mine.environ), mouth))
        acted: list[bool] = []
        self.gate.between = lambda: acted or (acted.append(True), what(process))  # type: ignore[func-returns-value]
        process.start()
        mouth.close()
        process.join(_PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
        self.gate.fault, self.gate.between = None, lambda: None
        said = os.read(ear.fileno(), 2**16).decode("utf-8", "replace")
        ear.close()
        return process.exitcode if acted else None, said

    def wrong(self, said: str) -> list[str]:
        """What an audit that was stopped has spoilt, or let out."""
        found = []
        if (self.mine.work / "report.json").read_bytes() != self.acknowledged:
            found.append("the report of before is another")
        files = self.mine.files()
        if any(name.endswith(".part") for name in files):
            found.append("half a file was left")
        texts = [said, *[raw.decode("utf-8", "replace") for raw in files.values()]]
        if leaks(self.gate.twin.sample_credentials().values(), *texts):
            found.append("a secret was left or said")
        return found


@contextmanager
def machine(twin: TwinVenue) -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="auditor-faults-") as home, faults.gated(twin) as gate:
        mine = stage.Stage(Path(home))
        table: dict[str, Any] = json.loads(mine.config(twin).read_text())
        table["accounts"][0] |= {"endpoint": gate.url, "address_confirmed": True}
        mine.write("auditor.yaml", json.dumps(table))
        first = mine.run(*COMMAND)
        assert first.code in {0, 4, 10, 11, 12, 13}, first.err
        found = Machine(mine, gate, (mine.work / "report.json").read_bytes(), 0)
        found.runs = found.proven()
        yield found


def number_of(process: BaseProcess) -> int:
    """The number of a process, which may ask before whoever started it knows."""
    while process.pid is None:
        time.sleep(0.01)
    return process.pid


def signalled(here: Machine, path: str, moment: str, name: str) -> list[str]:
    """A signal once the process has met what makes it wait."""

    def send(process: BaseProcess) -> None:
        threading.Timer(_ARRIVED, os.kill, (number_of(process), getattr(signal, name))).start()

    code, said = here.befallen(path, MOMENTS[moment], send)
    wrong = here.wrong(said)
    if code != SIGNALS[name] or said.strip() not in {"stopped", ""}:
        wrong.append(f"ended with {code}: {said[:80]!r}")
    return wrong


def full(here: Machine, path: str) -> list[str]:
    """From the moment that `path` is asked for, no file of the process can be written to."""

    def fill(process: BaseProcess) -> None:
        resource.prlimit(number_of(process), resource.RLIMIT_FSIZE, (0, 0))

    code, said = here.befallen(path, FULL, fill)
    wrong = here.wrong(said)
    if code != NO_ROOM:
        wrong.append(f"ended with {code}: {said[:80]!r}")
    return wrong


def matrix(twin: TwinVenue, *, most: int = 100) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Path -> moment -> a mark (`=` nothing lost, `!` otherwise), for the first `most` paths, and everything that went wrong."""
    table: dict[str, dict[str, str]] = {}
    wrong: list[str] = []
    with machine(twin) as here:
        for path in faults.paths_of(here.gate)[:most]:
            cells = {f"{how} at {moment}": signalled(here, path, moment, how) for moment in MOMENTS for how in SIGNALS}
            cells["no room on the disk"] = full(here, path)
            table[path] = {name: "!" if found else "=" for name, found in cells.items()}
            wrong += [f"{twin.id} {path} {name}: {one}" for name, found in cells.items() for one in found]
        if here.proven() != here.runs:
            wrong.append(f"{twin.id}: the history holds another number of runs")
    return table, wrong


def printed(table: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The rows of one venue."""
    return [f"  {path}: {', '.join(f'{name} {mark}' for name, mark in row.items())}" for path, row in table.items()]


def counted(tables: Mapping[str, Mapping[str, Mapping[str, str]]]) -> str:
    """How many audits there were, and how many of them lost nothing."""
    marks = [mark for table in tables.values() for row in table.values() for mark in row.values()]
    return f"{len(marks)} audits stopped or out of room: {marks.count('=')} lost nothing and ended with the right code"
