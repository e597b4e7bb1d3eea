"""Everything a person can be told went wrong. Bottom of the house: imports nothing of the package.

An error carries what happened, a hint saying what to do about it, and the exit code of contract 3.
"""

from __future__ import annotations

from dataclasses import dataclass


class AuditorError(Exception):
    """Root of all errors a user can do something about. Never holds a secret: `message` is printed as it is."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AuditorError):
    """A command was called in a way that cannot work."""


class CredentialError(AuditorError):
    """A credential reference could not be read, or may not be used."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fault:
    """One thing wrong in one file. `line` counts from 1; 0 where the fault belongs to the whole file."""

    file: str
    line: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}"


class InputError(AuditorError):
    """One or more faults in files the user gave. All of them are kept, so that one reading mends the file."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(sorted(set(faults), key=lambda fault: (fault.file, fault.line, fault.message)))
        super().__init__("\n".join(str(fault) for fault in self.faults))
