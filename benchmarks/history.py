"""A million keys of ten thousand accounts in a history: what it costs to store, list, compare and approve them.

`python -m benchmarks.history [URL] [ACCOUNTS]` fills an empty SQLite file, or the empty PostgreSQL database at URL, with one
run of all accounts and, once that is approved, one of a tenth of them, then measures each command as a whole process in seconds of processor (its own, and of the children it waits for) and
the largest memory it held. What the server of PostgreSQL spends is told by its own clock.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditor.history import inventory, ledger, runs, store
from auditor.history.baseline import Baseline
from auditor.history.ledger import Ledger
from auditor.history.store import Body, Store, View
from auditor.identity import Identity
from auditor.model.evidence import Snapshot

KEYS, TENTH = 100, 10
NOW = (datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))
COMMANDS = (
    ("keys", "diff"),
    ("keys", "diff", "-f", "json"),
    ("keys", "diff", "-a", "account-00007"),
    ("keys", "list"),
    ("keys", "list", "-a", "account-00007", "-f", "json"),
)
_WHO = Identity.ephemeral("benchmark")


def _key(account: int, number: int, run: int) -> dict[str, Any]:
    """A key as connectors show it. At the second run one of a thousand may do more than before."""
    wider = run == 1 and (account * KEYS + number) % 1000 == 0
    return {
        "fingerprint": f"{account:08x}{number:08x}{0:016x}",
        "masked_id": "…0a1b",
        "label": f"bot-{account}-{number}",
        "can_read": True,
        "can_trade": number % 2 == 0,
        "can_transfer": False,
        "can_withdraw": wider,
        "permissions": ["read", "trade"] if number % 2 == 0 else ["read"],
        "ip_bound": True,
        "ip_allowlist": ["198.51.100.20", "203.0.113.0/24"],
        "enabled": True,
        "created_at": "2025-03-03T00:00:00Z",
        "last_used_at": f"2026-11-{18 + run}T00:00:00Z",
    }


def _ledger(account: int, run: int, before: Ledger | None) -> Ledger:
    keys = [_key(account, number, run) for number in range(KEYS)]
    facts = {"name": f"account-{account:05}", "exchange": "okx", "key_inventory_complete": True}
    return ledger.read(Snapshot(collected_at=NOW[run], account=facts, api_keys=keys), before, _WHO.fingerprint).ledger


def fill(kept: Store, accounts: int, run: int) -> None:
    """Stores the inventories of all accounts as one run, through the store's own append."""

    def both(account: int) -> tuple[Ledger, Ledger | None]:
        first = _ledger(account, 0, None)
        return (_ledger(account, 1, first), first) if run else (first, None)

    said: dict[tuple[str, str], Any] = {
        ("", "run"): {"v": 2, "run": {"ruleset_sha256": ""}, "summary": {}, "problems": [], "accounts": []}
    }

    def parts(view: View) -> dict[tuple[str, str], Any]:
        def rows(name: str) -> list[inventory.Row]:
            after, before = both(int(name.partition("-")[2]))
            said[name, runs.INVENTORY] = Body.of(after.to_document())
            approved = runs.approvals(view, name)[0] if run else Baseline()
            return inventory.rows(after, before, approved)

        names = [f"account-{account:05}" for account in range(accounts)]
        return {**inventory.write(view.connection, names, rows), **said}

    kept.append("run", NOW[run], parts)


def _waited(pid: int) -> tuple[float, float, int]:
    """Seconds by the clock, seconds of processor, and MB of a process that has to succeed."""
    begun = time.perf_counter()
    _, status, used = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024


def _stored(kept: Store, accounts: int, run: int) -> None:
    if (pid := os.fork()) == 0:
        fill(kept, accounts, run)
        os._exit(0)
    _row(f"a run of {accounts * KEYS} keys, made and stored", _waited(pid))


def _ran(config: Path, url: str, *command: str) -> None:
    words = [sys.executable, "-m", "auditor", *command, "-c", str(config)]
    environ = {**os.environ, "HISTORY": url, "HOME": str(config.parent)}
    with Path(os.devnull).open("wb") as nowhere:
        pid = os.posix_spawn(words[0], words, environ, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)])
        _row(" ".join(command), _waited(pid))


def _row(what: str, figures: tuple[float, float, int]) -> None:
    print(f"| `{what}` | {figures[0]:.1f} | {figures[1]:.1f} | {figures[2]} |", flush=True)


def main() -> None:
    given = sys.argv[1:]
    accounts = int(given[1]) if len(given) > 1 else 10_000
    with tempfile.TemporaryDirectory(prefix="auditor-bench-") as folder:
        place = Path(folder)
        url = given[0] if given and given[0] != "sqlite" else f"sqlite:///{place / 'history.db'}"
        kept = store.open_store(url, key=place / "signing.key")
        config = place / "auditor.yaml"
        config.write_text(
            "version: 1\naccounts: [{name: a, exchange: okx}]\nhistory: env:HISTORY\n"
            f"identity_key: file:{place / 'identity.key'}\n"
        )
        config.chmod(0o600)
        print(
            f"{accounts * KEYS} keys of {accounts} accounts\n| what | s by the clock | s of CPU | MB |\n|---|--:|--:|--:|"
        )
        _stored(kept, accounts, 0)
        _ran(config, url, "keys", "diff")
        _ran(config, url, "keys", "approve", "--all", "--yes", "--by", "bench")
        _stored(kept, accounts // TENTH, 1)
        for command in COMMANDS:
            _ran(config, url, *command)


if __name__ == "__main__":
    main()
