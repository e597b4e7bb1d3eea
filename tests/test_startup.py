"""Start-up: what each command imports, and how long the smallest one takes beside the library that every one needs."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from auditor.cli import _COMMANDS as COMMANDS
from auditor.engine.few import MOST_DOCUMENTS
from tests import stage
from tests.cli.test_transcripts import EVIDENCE

HEAVY = {
    "ccxt",
    "aiohttp",
    "duckdb",
    "sqlglot",
    "jinja2",
    "rich",
    "keyring",
    "jsonschema",
    "msgspec",
    "yarl",
    "cryptography",
    "yaml",
    "alembic",
    "apprise",
    "dask",
    "distributed",
    "pyarrow",
    "sqlalchemy",
}
OWN_RULE = """id: own-rule
title: A key reads only
severity: low
lifecycle: stable
since: "1"
applies_to: api_key
require: NOT api_key.can_trade
message: "{api_key.label} can trade"
why: it need not
how_we_know: the exchange says so
fix: {effort: low, text: take the permission away, steps: {default: [take it away]}}
controls: []
cases:
  - {name: reads, api_keys: [{can_trade: false}], expect: pass}
  - {name: trades, api_keys: [{can_trade: true}], expect: fail}
  - {name: who knows, api_keys: [{}], expect: unknown}
"""
ROUNDS = 9
ROOM, ROOM_TO_JUDGE = 2.0, 6.0
"""Times the start of a process that imports click alone; the second in processor time."""

_LOOK = """
import json, sys
from auditor.cli import main
try:
    main({args!r})
except SystemExit:
    pass
sys.stderr.write(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))
"""


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path)
    made.write("evidence.yaml", EVIDENCE)
    one = {"schema": "auditor/evidence/1", "account": {"name": "main", "exchange": "okx"}}
    made.write("evidence.jsonl", json.dumps(one) + "\n")
    made.write("many.jsonl", (json.dumps(one) + "\n") * (MOST_DOCUMENTS + 1))
    made.write("own/own-rule.yaml", OWN_RULE)
    made.write("mine.yaml", "id: mine\nrequire: api_key.ip_bound AND NOT api_key.can_withdraw\napplies_to: api_key\n")
    made.run("evaluate", "evidence.yaml", "-f", "json", "-o", "report.json", "--fail-on", "critical")
    return made


def imported(mine: stage.Stage, *args: str) -> set[str]:
    """The heavy packages that a process holds after a command."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK.format(args=list(args))],
        cwd=mine.work,
        env=mine.environ,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return HEAVY & set(json.loads(done.stderr.decode().splitlines()[-1]))


@pytest.mark.parametrize(
    ("args", "needed"),
    [
        (("--version",), set()),
        (("--help",), set()),
        ((), set()),
        (("nonsense",), set()),
        (("exchanges",), set()),
        (("exchanges", "okx"), set()),
        (("rules", "list"), set()),
        (("rules", "show", "auth-sms-weakest"), set()),
        (("rules", "check", "mine.yaml"), {"yaml", "sqlglot"}),
        (("report", "report.json"), {"yaml", "msgspec"}),
        (("evaluate", "evidence.jsonl"), set()),
        (("evaluate", "evidence.yaml"), {"yaml"}),
        (("evaluate", "evidence.jsonl", "-f", "html"), {"jinja2"}),
        (("evaluate", "evidence.jsonl", "--rules", "own"), {"yaml", "sqlglot"}),
        (("evaluate", "many.jsonl"), {"duckdb", "msgspec"}),
        (("waivers", "list"), {"yaml"}),
        (("history", "list"), {"yaml"}),
        (("schedule", "cron"), {"yaml"}),
        *(((name, "--help"), {"yaml"}) for name in COMMANDS),
    ],
    ids=lambda part: " ".join(sorted(part) if isinstance(part, set) else part),
)
def test_a_command_imports_what_it_uses_and_no_more(mine: stage.Stage, args: tuple[str, ...], needed: set[str]) -> None:
    assert imported(mine, *args) <= needed


_REMEMBER = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from auditor.history import check, store
kept = store.open_store("sqlite:///history.db", key=Path("signing.key"))
kept.append("run", datetime(2026, 1, 1, tzinfo=UTC), lambda view: {("", "run"): len(view.records())})
assert check.verify(kept)[0] == [] and check.look(kept) == []
sys.stderr.write(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))
"""


def test_a_history_in_a_file_needs_sqlalchemy_once(mine: stage.Stage) -> None:
    """When it is begun. To import it takes longer than all that is done with a history."""

    def remembered() -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", _REMEMBER],
            cwd=mine.work,
            env=mine.environ,
            capture_output=True,
            check=True,
            timeout=60,
        )
        return HEAVY & set(json.loads(done.stderr))

    assert remembered() == {"cryptography", "sqlalchemy", "alembic"}
    assert remembered() == {"cryptography"}


def test_one_account_is_judged_before_a_database_would_have_started(
    mine: stage.Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    def processor(*args: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *args], cwd=mine.work, env=mine.environ, check=False, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    judging = ("-m", "auditor", "evaluate", "evidence.jsonl")
    processor(*judging)
    ratio = min(processor(*judging) for _ in range(5)) / min(processor("-c", "import click") for _ in range(5))
    with capsys.disabled():
        sys.stdout.write(f"\nauditor evaluate, one account: {ratio:.2f} of `import click` in processor time\n")
    assert ratio < ROOM_TO_JUDGE


def seconds(*args: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *args], check=True, capture_output=True)
    return time.perf_counter() - begun


def test_version_starts_nearly_as_fast_as_click_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Taken in turn, so that a machine that is busy with something else is busy for both."""
    pairs = [(seconds("-m", "auditor", "--version"), seconds("-c", "import click")) for _ in range(ROUNDS)]
    ratio = min(ours for ours, _ in pairs) / min(floor for _, floor in pairs)
    middle = statistics.median(ours / floor for ours, floor in pairs)
    with capsys.disabled():
        sys.stdout.write(f"\nauditor --version: {ratio:.2f} of `import click` at best, {middle:.2f} in the middle\n")
    assert ratio < ROOM
