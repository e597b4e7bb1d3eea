"""Runs a quick part of the tests with other versions than the locked ones: the oldest that pyproject.toml allows, or the newest there are.

Run as `python -m tests.bounds lowest` or `newest`. Each makes an environment of its own in a temporary folder, extras
included. The lowest versions are locked with hashes in requirements/lowest.txt; the newest are whatever the package index
has today.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

from tests.supply import LOCKED, ROOT, pins

LOWEST = ROOT / "requirements" / "lowest.txt"
GROUPS = ("install", "test")
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
    which = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="auditor-bounds-") as folder:
        python = environment(Path(folder), which)
        installed, (other, count) = spent(), difference(python)
        differing = f"{len(other)} of {count} packages differ from the locked ones ({', '.join(other[:8]) or 'none'})"
        if not other:
            print(f"{which}: {differing}: the whole suite runs with these")  # noqa: T201
            return 0
        code = subprocess.run(
            [str(python), "-m", "pytest", "-n", "auto", "-q", "-p", "no:cacheprovider", *QUICK],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        ).returncode
        seconds = f"{installed:.0f} s of CPU to install, {spent() - installed:.0f} s to test"
        print(f"{which}: {differing}; {seconds}, exit code {code}")  # noqa: T201
    return code


def spent() -> float:
    """Seconds of CPU that our processes took until now."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def declared() -> list[str]:
    """Requirements of the program, of its extras, and of what builds and tests it, as pyproject.toml has them."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = table["project"]["optional-dependencies"].values()
    lists = [table["project"]["dependencies"], *extras, *[table["dependency-groups"][name] for name in GROUPS]]
    return [one for requirements in lists for one in requirements]


def environment(folder: Path, which: str) -> Path:
    """An environment with these versions of all that the program and its tests need. Most of it is never imported, so it is
    not compiled ahead.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    wanted = ["--require-hashes", "-r", str(LOWEST)] if which == "lowest" else declared()
    options = ("--disable-pip-version-check", "install", "--quiet", "--no-compile", "--only-binary", ":all:")
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *options, *wanted], check=True, timeout=600)
    return python


def difference(python: Path) -> tuple[list[str], int]:
    """Which packages are of another version than the locked ones, of how many."""
    options = ("list", "--format", "json", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "--python", str(python), *options]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    locked = pins(LOCKED)
    other = [
        f"{row['name']} {row['version']}"
        for row in rows
        if locked.get(row["name"].lower().replace("_", "-"), row["version"]) != row["version"]
    ]
    return other, len(rows)


if __name__ == "__main__":
    sys.exit(main())
