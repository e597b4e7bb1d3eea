"""A service and a timer for systemd, shut off from all it does not need (`systemd-analyze security` shows how far)."""

from __future__ import annotations

import re

from auditor.schedule import REPORTED, Plan
from auditor.schedule.every import Slots

_SERVICE = """# Install, as root:
#   cp auditor.service auditor.timer /etc/systemd/system/
#   systemctl daemon-reload && systemctl enable --now auditor.timer
# Run `auditor audit` once by hand before: it makes the folders that stand under ReadWritePaths.
# Values for env: references belong into /etc/auditor/environment (root, mode 0600), a NAME=value a line.
[Unit]
Description=Audit of exchange accounts through read-only keys
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
EnvironmentFile=-/etc/auditor/environment
ExecStart={command}
# These say what was found; the audit itself succeeded.
SuccessExitStatus={codes}
TimeoutStartSec={timeout}
Nice=10
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
LockPersonality=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
{writes}RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""
_TIMER = """[Unit]
Description=Audit of exchange accounts, every so often

[Timer]
OnCalendar={when}
# Made up for once after the machine was off.
Persistent=true
RandomizedDelaySec={late}

[Install]
WantedBy=timers.target
"""
_NAMEABLE = re.compile(r"""[^"'\\]+""")  # systemd starts no program with a quote or a backslash in its path
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def render(plan: Plan) -> dict[str, str]:
    """auditor.service and auditor.timer."""
    through: tuple[str, ...] = () if _NAMEABLE.fullmatch(plan.program[0]) else ("/bin/sh", "-c", 'exec "$0" "$@"')
    first, *rest = [*through, *plan.program, *plan.audit(plan.config)]
    service = _SERVICE.format(
        user=plan.user,
        command=" ".join([_quoted(first), *(_quoted(word.replace("$", "$$")) for word in rest)]),
        codes=" ".join(map(str, REPORTED)),
        timeout=max(3600, int(plan.slots.every.total_seconds())),
        writes="".join(f"ReadWritePaths={_quoted('-' + folder)}\n" for folder in plan.writes),
    )
    return {
        "auditor.service": service,
        "auditor.timer": _TIMER.format(when=calendar(plan.slots), late=int(plan.late.total_seconds())),
    }


def calendar(slots: Slots) -> str:
    """The slots as systemd writes them, in UTC: no hour is skipped or run twice when the clocks change."""
    hours = "*" if len(slots.hours) == 24 else ",".join(map(str, slots.hours))  # noqa: PLR2004  (hours of a day)
    day = f"{_DAYS[slots.weekday - 1]} " if slots.weekday else ""
    return f"{day}*-*-* {hours}:{','.join(map(str, slots.minutes))}:00 UTC"


def _quoted(word: str) -> str:
    """One word of a unit file. A dollar is doubled by the caller where systemd looks for variables."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
