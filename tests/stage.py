"""A stage for whole runs: twins on loopback, a configuration that points at them, and the program as a function or a process.

Everything a run may touch (HOME, XDG, the working folder, the environment) is made here and belongs to one test.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from unittest import mock

from auditor import demo, twin
from auditor.exchanges import _budget, _transport
from auditor.twin._base import TwinVenue

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)

ROSY: dict[str, Any] = {
    "login_weakest_factor": "phishing_resistant",
    "step_up_weakest_factor": "phishing_resistant",
    "login_needs_second_factor": True,
    "step_up_needs_second_factor": True,
    "enrolled_factors": ["passkey", "hardware_key"],
    "downgrade_possible": False,
    "totp_cloud_synced": False,
    "recovery_channels": [],
    "password_unique": True,
    "email_second_factor": "phishing_resistant",
    "email_recovery_by_phone": False,
    "alert_channels": ["push"],
    "allowlist_disable_delay_hours": 72,
    "new_address_delay_hours": 72,
    "hold_after_password_change_hours": 72,
    "hold_after_two_factor_change_hours": 72,
    "hold_after_new_device_hours": 72,
    "allowlisted_withdrawal_needs_factor": True,
    "p2p_enabled": False,
    "oauth_send_scope_allowed": False,
    "unknown_sessions": False,
    "extensions_vetted": True,
    "shared_login": False,
    "anyone_left": False,
    "vendors_complete": True,
}
"""What an owner may state at best, short of what an API can show too: any further pass has to come from an endpoint."""


@dataclass(slots=True)
class Ran:
    """What a run said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(slots=True)
class Stage:
    """One user's machine."""

    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.home / "work"

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        self.environ = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "TMPDIR": str(_made(self.home / "tmp")),
            "PYTHONPATH": str(ROOT),
            **self.environ,
        }

    def run(self, *args: str) -> Ran:
        """The program in this process: everything but the start of the interpreter, at NOW."""
        from auditor.cli import _voice, command

        out, err = _stream(), _stream()
        with (
            mock.patch.dict(os.environ, self.environ, clear=True),
            contextlib.chdir(self.work),
            mock.patch.object(sys, "stdout", out),
            mock.patch.object(sys, "stderr", err),
            frozen(),
        ):
            code = _voice.speak(command, list(args))
        return Ran(code, _text(out), _text(err))

    def process(self, *args: str, **options: Any) -> Ran:
        """The program as a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "auditor", *args],
            cwd=self.work,
            env=self.environ,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
            **options,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def config(self, *twins: TwinVenue, name: str = "auditor.yaml", more: Mapping[str, Any] | None = None) -> Path:
        """A configuration with an account a twin, credentials in the environment; `more` goes into every account."""
        self.environ |= demo.environ(list(twins))
        accounts = []
        for one in twins:
            account = demo.account(one)
            row: dict[str, Any] = {"name": account.name, "exchange": account.exchange, "endpoint": one.url}
            accounts.append({**row, "credentials": dict(account.credentials[0]), **(more or {})})
        return self.write(name, json.dumps({"version": 1, "accounts": accounts}, indent=1))

    def write(self, name: str, text: str | bytes, mode: int = 0o600) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return path

    def files(self) -> dict[str, bytes]:
        """Everything that lies in this user's folders."""
        return {str(path.relative_to(self.home)): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}


class _Frozen(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return NOW.astimezone(tz)


@contextlib.contextmanager
def frozen() -> Iterator[None]:
    """Every module that takes the time takes NOW, so that no expectation ages."""
    with contextlib.ExitStack() as stack:
        commands = ("audit", "attest", "collect", "evaluate", "paths", "rules", "waive", "waivers")
        for name in ("pipeline", *(f"cli.{name}" for name in commands)):
            module = importlib.import_module(f"auditor.{name}")
            stack.enter_context(mock.patch.object(module, "datetime", _Frozen))
        yield


@contextlib.contextmanager
def hurried(attempts: int = 1) -> Iterator[None]:
    """No pauses: budgets that are never spent, and no second attempt. What waiting means is tested with the transport."""
    with (
        mock.patch.object(_budget, "SHARE", 1e6),
        mock.patch.object(_transport, "FIRST_PAUSE", 0.01),
        mock.patch.object(_transport, "ATTEMPTS", attempts),
    ):
        yield


def every_twin() -> list[TwinVenue]:
    """A twin of every venue that has one, in the demo or not."""
    names = sorted(found.name for found in pkgutil.iter_modules(twin.__path__) if not found.name.startswith("_"))
    return [importlib.import_module(f"auditor.twin.{name}").Twin() for name in names]


@contextlib.contextmanager
def twins(*names: str) -> Iterator[dict[str, TwinVenue]]:
    """Twins of the venues of the demo, or of the named ones, serving."""
    chosen = [one for one in every_twin() if one.id in names] if names else demo.venues()
    with demo.served(chosen):
        yield {one.id: one for one in chosen}


def attestation(one: TwinVenue, facts: Mapping[str, Any], at: str = "2026-11-01") -> str:
    """The text of an attestation file."""
    table = {
        "schema": "auditor/evidence/1",
        "attested_at": at,
        "account": {"name": one.account_name, "exchange": one.id, **facts},
    }
    return json.dumps(table, indent=1)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()
