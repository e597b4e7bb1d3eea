"""Whole processes, against the one library that every command line here needs, and against ccxt.

`--version` is timed by the clock; what judges an account is measured in processor time, which a busy machine does not change
and the network does not count in.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from auditor import demo
from auditor.model.settings import AccountConfig

ROUNDS = 3
ONE_CLASS = "from auditor.exchanges import _ccxt; _ccxt.exchange_class('okx')"
_CLICK = ("-c", "import click")
_JUDGED = {0, 4, 10, 11, 12, 13}


def ratio() -> float:
    return against(("-m", "auditor", "--version"), _CLICK)


def against(ours: tuple[str, ...], floor: tuple[str, ...]) -> float:
    """Fastest of several, in turn, so that a drifting machine hits both alike."""
    pairs = [(_seconds(*ours), _seconds(*floor)) for _ in range(ROUNDS)]
    return min(one for one, _ in pairs) / min(other for _, other in pairs)


def evaluated() -> float:
    """Processor time of `auditor evaluate` over one account, in times that of `import click`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "one.jsonl"
        file.write_text(json.dumps(_ONE))
        environ = _environ(folder)
        pairs = [(_judged(environ, "evaluate", str(file)), _processor(environ, *_CLICK)) for _ in range(ROUNDS)]
    return min(one for one, _ in pairs) / min(other for _, other in pairs)


def audited(*more: str) -> float:
    """Processor time of `auditor audit` of one account, in times that of `import click`.

    A process that imports the exchange's class of ccxt, with what this imports itself, is subtracted; its start is not.
    """
    twins = [one for one in demo.venues() if one.id == "okx"]
    with tempfile.TemporaryDirectory() as folder, demo.served(twins):
        environ = _environ(folder) | demo.environ(twins)
        command = ("audit", "--yes", "-c", str(_configuration(Path(folder), demo.account(twins[0]))), *more)
        rounds = [
            (
                _judged(environ, *command),
                _processor(environ, "-c", ONE_CLASS) - _processor(environ, "-c", "pass"),
                _processor(environ, *_CLICK),
            )
            for _ in range(ROUNDS)
        ]
    ours, theirs, floor = (min(one[column] for one in rounds) for column in range(3))
    return float(ours - theirs) / floor


_ONE = {
    "schema": "auditor/evidence/1",
    "account": {
        "name": "main",
        "exchange": "kraken",
        "kind": "main",
        "login_weakest_factor": "sms",
        "withdrawal_allowlist_enabled": False,
        "key_inventory_complete": False,
    },
    "api_keys": [
        {"label": "bot", "can_trade": True, "can_withdraw": False, "ip_allowlist": ["198.51.100.7"], "enabled": True},
        {
            "label": "old",
            "can_trade": True,
            "can_withdraw": True,
            "ip_bound": False,
            "created_at": "2024-01-03T00:00:00Z",
        },
    ],
    "addresses": [{"asset": "BTC", "label": "cold", "created_at": "2025-01-03T00:00:00Z"}],
    "problems": [{"endpoint": "events", "reason": "permission_denied", "facts": ["events"]}],
}


def _configuration(folder: Path, account: AccountConfig) -> Path:
    [block] = account.credentials
    lines = [f"      {field}: {reference}" for field, reference in block.items()]
    head = f"version: 1\naccounts:\n  - name: {account.name}\n    exchange: {account.exchange}\n"
    path = folder / "auditor.yaml"
    path.write_text(f"{head}    endpoint: {account.endpoint}\n    credentials:\n" + "\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def _environ(home: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # the first round compiles, as an installation does
    return kept | {"HOME": home, "PYTHONPYCACHEPREFIX": f"{home}/compiled"}


def _judged(environ: Mapping[str, str], *args: str) -> float:
    return _processor(environ, "-m", "auditor", *args, fine=_JUDGED)


def _processor(environ: Mapping[str, str], *args: str, fine: frozenset[int] | set[int] = frozenset({0})) -> float:
    """Seconds of processor time of a process, the system's share for it included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *args], check=False, capture_output=True, env=dict(environ))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode in fine, done.stderr.decode()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _seconds(*args: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *args], check=True, capture_output=True)
    return time.perf_counter() - begun
