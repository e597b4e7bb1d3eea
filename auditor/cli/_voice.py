"""How the program talks: results to stdout, everything else to stderr, lower case, no final full stop, a hint where there is one.

The one handler of our own bugs stands here: it shows where, never what was in the variables.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from auditor.errors import AuditorError, InputError
from auditor.redaction import printable, scrub

_MOST_FAULTS = 30


def say(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(text, err=True)


def progress(name: str, done: int, total: int) -> None:
    """One line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        click.echo(f"\r\033[Kcollected {done} of {total}: {name}{end}", err=True, nl=False)


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
        result = command.main(args=args, prog_name="auditor", standalone_mode=False)
    except AuditorError as error:
        complain(error)
        return error.exit_code
    except click.ClickException as error:
        say(f"error: {_safe(error.format_message())}")
        if isinstance(error, click.UsageError) and error.ctx:
            say(f"  hint: {error.ctx.command_path} --help")
        return 2
    except (click.Abort, KeyboardInterrupt):
        say("stopped")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:  # noqa: BLE001  (our own bug: said so, scrubbed, exit code 1)
        _confess(error)
        return 1
    return result if isinstance(result, int) else 0


def _confess(error: Exception) -> None:
    say(f"error: this is a bug in auditor: {type(error).__name__}: {_safe(str(error))}")
    for frame in traceback.extract_tb(error.__traceback__)[-6:]:
        say(f"  at {os.path.basename(frame.filename)}:{frame.lineno} in {frame.name}")  # noqa: PTH119  (a name, not a path)
    say("  hint: please report it with these lines; they hold no secret")


def _safe(text: str) -> str:
    return printable(scrub(text), limit=600)
