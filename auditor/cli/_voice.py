"""How the program talks: results to stdout, everything else to stderr, lower case, no final full stop, a hint where there is one.

The one handler of our own bugs stands here: it shows where, never what was in the variables.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import click

from auditor.cli._eta import Forecast, in_words
from auditor.errors import AuditorError, InputError
from auditor.redaction import printable, scrub

_MOST_FAULTS = 30
_A_GLANCE = 0.1
"""Seconds for which a line of progress stands at least."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_NOT_OURS = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP}
"""What an operating system says of a path that somebody gave, wherever it is first looked at."""
_BROKEN_PIPE = 141
"""What a shell reports of a program that was ended by a closed pipe."""
_STOPPED, _ENDED = 130, 143
_CUT_SHORT = "Query interrupted"
"""How DuckDB reports a signal that came while it computed; what the signal's handler raised is swallowed there."""
_asked_to_end: list[int] = []


def say(text: str) -> None:
    """Lines for the person, on stderr; what a terminal would obey is made visible. Where nobody listens any more they are
    lost.
    """
    with suppress(OSError):
        click.echo("\n".join(printable(line, limit=len(line)) for line in text.split("\n")), err=True)


def result(content: bytes | str) -> None:
    """A result, on stdout and in UTF-8. A reader that has seen enough (`| head`) changes nothing of what is found."""
    results([content if isinstance(content, bytes) else f"{content}\n".encode("utf-8", "replace")])


def results(chunks: Iterable[bytes]) -> None:
    """A result in pieces."""
    try:
        sys.stdout.flush()
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _deafen()


def progress(name: str, done: int, total: int) -> None:
    """One line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        click.echo(f"\r\033[Kcollected {done} of {total}: {name}{end}", err=True, nl=False)


class Progress:
    """The same with the time that is left, once there is enough to tell it from. `places` is account name -> where it is asked."""

    def __init__(self, places: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._forecast = Forecast(places)
        self._shown = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        elapsed = self._clock() - self._begun
        self._forecast.came(name, elapsed)
        if elapsed - self._shown < _A_GLANCE and 1 < done < total:
            return
        self._shown = elapsed
        left = self._forecast.left(elapsed) if done < total else None
        progress(name if left is None else f"{name}, about {in_words(left)} left", done, total)


def silent(name: str, done: int, total: int) -> None:
    """No progress."""


def complain(error: AuditorError) -> None:
    """An error a user can do something about: every fault on a line, then the hints, each once."""
    if isinstance(error, InputError):
        for fault in error.faults[:_MOST_FAULTS]:
            say(f"error: {_safe(str(fault))}")
            if fault.hint:
                say(f"  hint: {_safe(fault.hint)}")
        if len(error.faults) > _MOST_FAULTS:
            say(f"error: and {len(error.faults) - _MOST_FAULTS} more")
        return
    for line in error.message.splitlines():
        say(f"error: {_safe(line)}")
    if error.hint:
        say(f"  hint: {_safe(error.hint)}")


def speak(command: click.Command, args: Sequence[str] | None) -> int:
    """Runs the program and returns its exit code (contract 3)."""
    try:
        code = command.main(args=args, prog_name="auditor", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except AuditorError as error:
        complain(error)
        return error.exit_code
    except click.ClickException as error:
        return _refuse(error)
    except (click.Abort, KeyboardInterrupt):
        say("stopped")
        return _STOPPED
    except BrokenPipeError:
        _deafen()
        return _BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  (our own bug: said so, scrubbed, exit code 1)
        return _interrupted() if type(error) is RuntimeError and str(error) == _CUT_SHORT else _confess(error)


def settle() -> None:
    """What a whole process needs once: streams, even where it was started without; `kill` ends it as Ctrl-C does; and what
    Python itself would print about an object it cannot clean up (the text of an exception) never reaches the screen.
    """
    import signal

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  (for the life of the process)

    def stop(number: int, _frame: object) -> None:
        _asked_to_end.append(number)
        raise SystemExit(_ENDED)

    signal.signal(signal.SIGTERM, stop)
    sys.unraisablehook = lambda _event: None


def _interrupted() -> int:
    if _asked_to_end:
        return _ENDED
    say("stopped")
    return _STOPPED


def _refuse(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.ctx.get_help())
        return 2
    say(f"error: {_safe(error.format_message())}")
    if isinstance(error, click.UsageError) and error.ctx:
        say(f"  hint: {error.ctx.command_path} --help")
    return 2


def _deafen() -> None:
    """From now on stdout goes nowhere, so that the end of the process does not fail on what is still buffered."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _confess(error: Exception) -> int:
    import traceback

    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        _deafen()
        say(f"error: the result could not be written: {error.strerror}")
        return AuditorError.exit_code
    if isinstance(error, FileNotFoundError) and error.filename is None:  # as tempfile alone raises it
        say("error: there is no temporary folder that can be written to")
        say("  hint: is the disk full? TMPDIR names another folder")
        return AuditorError.exit_code
    if isinstance(error, OSError) and error.errno in _NOT_OURS and error.filename is not None:
        path = (
            printable(os.fsdecode(error.filename), limit=200) if isinstance(error.filename, (str, bytes)) else "a file"
        )
        say(f"error: {_safe(path)}: {error.strerror}")
        return AuditorError.exit_code
    say(f"error: this is a bug in auditor: {type(error).__name__}: {_safe(str(error))}")
    for frame in traceback.extract_tb(error.__traceback__)[-6:]:
        say(f"  at {os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}")  # noqa: PTH119  (a name, not a path)
    say("  hint: please report it with these lines; they hold no secret")
    return 1


def _safe(text: str) -> str:
    return printable(scrub(text), limit=600)
