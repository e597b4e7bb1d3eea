"""A line for a user's crontab."""

from __future__ import annotations

import shlex

from auditor.errors import UsageError
from auditor.schedule import Plan
from auditor.schedule.every import Slots

_TEXT = """# Add this to the crontab of the user who owns the configuration: crontab -e
# cron knows nothing of a login: an env: reference needs its variable set here or in the environment of cron; file:,
# keyring: and vault: references need none.{mail}
{when} {command}
"""
_MAIL = "\n# Nobody is notified by the configuration: cron mails what is printed."


def render(plan: Plan) -> dict[str, str]:
    """auditor.crontab."""
    words = [*plan.program, *plan.audit(plan.config)]
    if any("\\" in word for word in words):
        raise UsageError("cron cannot be given a backslash in a path or option", hint="use another path")
    quiet = plan.told or plan.output
    command = shlex.join(words).replace("%", "\\%") + (" >/dev/null" if quiet else "")
    return {"auditor.crontab": _TEXT.format(mail="" if quiet else _MAIL, when=fields(plan.slots), command=command)}


def fields(slots: Slots) -> str:
    """The five fields of a crontab line."""
    hours = "*" if len(slots.hours) == 24 else ",".join(map(str, slots.hours))  # noqa: PLR2004  (hours of a day)
    return f"{','.join(map(str, slots.minutes))} {hours} * * {slots.weekday % 7 if slots.weekday else '*'}"
