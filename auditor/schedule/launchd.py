"""An agent for launchd on macOS. It names times of the day, because those are made up for after the machine slept."""

from __future__ import annotations

import plistlib

from auditor.schedule import Plan
from auditor.schedule.every import Slots

LABEL = "exchange-auditor"


def render(plan: Plan) -> dict[str, str]:
    """exchange-auditor.plist, for ~/Library/LaunchAgents."""
    log = f"{plan.home}/Library/Logs/exchange-auditor.log"
    agent = {
        "Label": LABEL,
        "ProgramArguments": [*plan.program, *plan.audit(plan.config)],
        "StartCalendarInterval": times(plan.slots),
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Nice": 10,
        "Umask": 0o077,
        "StandardOutPath": "/dev/null" if plan.told or plan.output else log,
        "StandardErrorPath": log,
    }
    return {f"{LABEL}.plist": plistlib.dumps(agent, sort_keys=False).decode()}


def times(slots: Slots) -> list[dict[str, int]]:
    """A table for each time; a part that is left out means any."""
    day = {"Weekday": slots.weekday % 7} if slots.weekday else {}
    every_hour = len(slots.hours) == 24  # noqa: PLR2004  (hours of a day)
    hours: list[dict[str, int]] = [{}] if every_hour else [{"Hour": hour} for hour in slots.hours]
    return [{**day, **hour, "Minute": minute} for hour in hours for minute in slots.minutes]
