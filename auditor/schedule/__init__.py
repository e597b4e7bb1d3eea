"""Ready unit files for the scheduler a user already has: one module a scheduler, `render(plan) -> {file name: text}`. Pure.

A plan names paths and references, never a secret. Whatever stands in it is quoted for the scheduler that reads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import timedelta

from auditor.errors import UsageError
from auditor.schedule.every import Slots
from auditor.values import frozen

SCHEDULERS = {
    "systemd": "systemd",
    "cron": "cron",
    "launchd": "launchd",
    "kubernetes": "kubernetes",
    "github-actions": "github",
}
"""Scheduler -> its module."""
REPORTED = (4, 10, 11, 12, 13)
"""Exit codes with which an audit says what it found: to a scheduler it has done its work (contract 3)."""
_MOST_LATE = timedelta(minutes=15)


@frozen
class Plan:
    """What is to run, when, as whom. Paths are absolute.

    `variables` are the environment variables that the configuration refers to; `writes` are folders an audit writes to;
    `told` says whether somebody hears of the result without reading what is printed.
    """

    program: tuple[str, ...]
    version: str
    config: str
    place: str
    options: tuple[str, ...]
    slots: Slots
    user: str
    home: str
    variables: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    told: bool = False
    output: bool = False
    shards: int = 1
    image: str = ""

    @property
    def late(self) -> timedelta:
        """By how much a run may be later by chance, so that not everybody asks at once."""
        return min(self.slots.every / 10, _MOST_LATE)

    def audit(self, config: str) -> tuple[str, ...]:
        """The arguments of `auditor`."""
        return ("audit", "--yes", "--quiet", "-c", config, *self.options)


def render(name: str, plan: Plan) -> dict[str, str]:
    """The files for a scheduler by name. Raises UsageError for what it cannot be given."""
    for text in (*plan.program, plan.config, plan.place, *plan.options, *plan.writes, plan.user, plan.home, plan.image):
        if not text.isprintable():
            raise UsageError("a path or option holds a control character", hint="no scheduler can be given this one")
    render_: Callable[[Plan], dict[str, str]] = importlib.import_module(f"auditor.schedule.{SCHEDULERS[name]}").render
    return render_(plan)
