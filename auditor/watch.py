"""The loop for those without a scheduler: when the next run is due, whatever happens to the clock, and one watcher at a time.

Knows neither what a run is nor how it is told: both are handed in, as are the clock and chance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from auditor.errors import UsageError

STEP = 30.0
"""Seconds between two looks at the clock: how late a run is at most after a machine wakes up."""
SLACK = 120.0
"""Seconds by which the wall clock may fall behind the steady one before it is taken to have been set back."""
DONE = frozenset({0, 4, 10, 11, 12, 13})
"""Exit codes of a run that came to its end and said what it found (contract 3)."""
_UNUSABLE = frozenset({2, 3})


class Clock(Protocol):
    """The time of the day, a time that nobody can set, and a wait that ends early (True) when it is time to stop."""

    def wall(self) -> datetime: ...
    def steady(self) -> float: ...
    def wait(self, seconds: float) -> bool: ...


@dataclass(slots=True)
class Timetable:
    """Slots a fixed length apart. A slot that was slept through is made up for once; none is run twice.

    The wall clock decides, because the steady one stands still while a laptop sleeps. The steady one stands behind it,
    for the case that somebody sets the wall clock back.
    """

    every: timedelta
    slot: datetime
    backstop: float

    def due(self, wall: datetime, steady: float, late: timedelta) -> bool:
        """Whether the next run should begin. `late` is the chance by which it waits."""
        return wall >= self.slot + late or steady >= self.backstop + late.total_seconds()

    def advance(self, wall: datetime, steady: float) -> None:
        """To the first slot after now: whatever was missed meanwhile is not made up for again."""
        self.slot = min(self.slot, wall)  # where the clock was set back the slots begin anew
        self.slot += ((wall - self.slot) // self.every + 1) * self.every
        self.backstop = steady + (self.slot - wall).total_seconds() + SLACK


def watch(
    run: Callable[[], int],
    beat: Callable[[int], None],
    *,
    every: timedelta,
    late: Callable[[], timedelta],
    clock: Clock,
    tell: Callable[[datetime], None] = lambda _next: None,
) -> int:
    """Runs at once and then at every slot, until the clock says stop. Returns the exit code of the program.

    `beat` is called with the exit code of each run that came to its end. A first run that cannot even be configured ends
    the loop: nobody would look at the second one.
    """
    table = Timetable(every=every, slot=clock.wall(), backstop=clock.steady())
    first = True
    while True:
        code = run()
        if clock.wait(0):
            return 0
        if first and code in _UNUSABLE:
            return code
        if code in DONE:
            beat(code)
        first = False
        table.advance(clock.wall(), clock.steady())
        tell(table.slot)
        wait = late()
        while not table.due(clock.wall(), clock.steady(), wait):
            if clock.wait(_step(table, clock, wait)):
                return 0


def _step(table: Timetable, clock: Clock, late: timedelta) -> float:
    left = (table.slot + late - clock.wall()).total_seconds()
    return min(STEP, max(left, 0.01))


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Holds the lock at `path` for as long as this process lives and no longer. Raises UsageError where another holds it."""
    descriptor = -1
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        other = _take(descriptor)
        problem = None
    except OSError as error:
        problem = f"the lock {path} cannot be made: {error.strerror or type(error).__name__}"
    try:
        if problem is not None:
            raise UsageError(problem, hint="it is kept in the XDG state folder")
        if other is not None:
            raise UsageError(f"another `auditor watch` of this configuration is running{other}", hint="one is enough")
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _take(descriptor: int) -> str | None:
    """Takes the lock and writes down whose it is; where it is held, who holds it in words."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.read(descriptor, 20).decode("ascii", "replace").strip()
        return f" (process {other})" if other.isdigit() else ""
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return None
