"""Hypothesis runs the same examples every time, so that a change is judged by what it changed.

`HYPOTHESIS_PROFILE=explore make test` looks for new ones; what it finds becomes an example or a test of its own.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counts and tables that tests have `told`: what a worker prints is not shown."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))
