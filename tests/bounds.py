"""Runs a quick part of the tests with other versions than the locked ones: the oldest that pyproject.toml allows, or the newest there are.

Run as `python -m tests.bounds lowest` or `newest`. Each makes an environment of its own in a temporary folder. The lowest
versions are locked with hashes in requirements/lowest.txt; the newest are whatever the package index has today.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

from tests.supply import LOCKED, ROOT, pins

LOWEST = ROOT / "requirements" / "lowest.txt"
QUICK = (
    "tests/ruleset/test_predicate.py",
    "tests/engine/test_evaluate.py",
    "tests/engine/test_intake_parquet.py",
    "tests/exchanges/test_okx.py",
    "tests/exchanges/test_robinhood.py",
    "tests/exchanges/test_signer.py",
    "tests/history/test_store.py",
    "tests/reports/test_reports_formats.py",
    "tests/test_notify.py",
    "tests/test_signing.py",
    "tests/vault",
    "tests/test_end_to_end.py",
)
"""Every library is used in one of them: signing, sending, parsing, evaluating, rendering, storing, notifying, encrypting."""


def main() -> int:
    if sys.argv[1:] not in (["lowest"], ["newest"]):
        sys.exit(__doc__)
    which, begun = sys.argv[1], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="auditor-bounds-") as folder:
        python = environment(Path(folder), which)
        code = subprocess.run(
            [str(python), "-m", "pytest", "-n", "auto", "-q", "-p", "no:cacheprovider", *QUICK],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        ).returncode
        print(f"{which}: {difference(python)}; {time.monotonic() - begun:.0f} s, exit code {code}")  # noqa: T201
    return code


def environment(folder: Path, which: str) -> Path:
    """An environment with these versions of all that the program and its tests need."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    newest = [*project["project"]["dependencies"], *project["dependency-groups"]["test"]]
    wanted = ["--require-hashes", "-r", str(LOWEST)] if which == "lowest" else newest
    options = ("--disable-pip-version-check", "install", "--quiet", "--only-binary", ":all:")
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *options, *wanted], check=True, timeout=600)
    return python


def difference(python: Path) -> str:
    """Which of our direct dependencies are of another version than the locked ones."""
    listed = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "list",
        "--format",
        "json",
        "--disable-pip-version-check",
    ]
    rows = json.loads(subprocess.run(listed, check=True, capture_output=True, text=True).stdout)
    locked = pins(LOCKED)
    other = [
        f"{row['name']} {row['version']}"
        for row in rows
        if locked.get(row["name"].lower().replace("_", "-"), row["version"]) != row["version"]
    ]
    return f"{len(other)} of {len(rows)} packages differ from the locked ones ({', '.join(other[:8]) or 'none'})"


if __name__ == "__main__":
    sys.exit(main())
