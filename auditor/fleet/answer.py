"""What comes back from a piece of work: its value, or why there is none, in words that may be shown.

A worker never raises: an exception would travel with its text, and what stands in that nobody has looked at.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from auditor.errors import AuditorError, CredentialError, Fault, InputError, UsageError
from auditor.values import frozen

T = TypeVar("T")


@frozen
class Done(Generic[T]):
    """The value of a piece of work."""

    value: T


@frozen
class Failed:
    """Why a piece of work has no value. `code` is the exit code of contract 3; 1 is a bug of ours.

    `stranger` where the process is not the one that was asked: the worker was started again meanwhile.
    """

    message: str
    hint: str | None = None
    code: int = AuditorError.exit_code
    faults: tuple[Fault, ...] = ()
    stranger: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is a bug, and no fault of what the user gave."""
        return self.code == 1

    def throw(self, where: str = "") -> NoReturn:
        """The error that one process would have ended with. `where` names the worker."""
        if self.faults:
            raise InputError(list(self.faults))
        kind = CredentialError if self.code == CredentialError.exit_code else UsageError
        raise kind("\n".join(f"{where}{line}" for line in self.message.splitlines()), hint=self.hint)


def raised(work: Callable[[], T]) -> Done[T] | BaseException:
    """What comes of `work`, or what ended it, whatever that is: it runs in a thread of its own and is looked at here."""
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(work)
        error = ended.exception()
    return Done(value=ended.result()) if error is None else error


def of(work: Callable[[], T]) -> Done[T] | Failed:
    """What comes of `work`, fit to travel."""
    ended = raised(work)
    if isinstance(ended, Done):
        return ended
    if isinstance(ended, InputError):
        return Failed(message=ended.message, code=ended.exit_code, faults=ended.faults)
    if isinstance(ended, AuditorError):
        return Failed(message=ended.message, hint=ended.hint, code=ended.exit_code)
    return Failed(message=f"failed ({_place(ended)}); please report it", code=1)


def _place(error: BaseException) -> str:
    """The kind of an error and the line it came from: its text may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
