"""What is installed with the program: whether a flaw is known in any of it (`audit`), and the list of it (`sbom`).

Run as `python -m tests.supply audit` or `python -m tests.supply sbom FILE`. Both read the locked requirements, not this
machine. A flaw is exit code 1; where nobody could be asked it is 75, said in one line, and never looks like "none".
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / "requirements" / "dev.txt"
SHIPPED = ROOT / "requirements" / "run.txt"
SERVICES = ("pypi", "osv")
CLEAN, FLAWED, UNASKED = 0, 1, 75
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")


def pins(path: Path) -> dict[str, str]:
    """Name -> version of every locked requirement."""
    return dict(found.groups() for line in path.read_text().splitlines() if (found := _PIN.match(line)))


def ask(service: str) -> dict[str, Any] | None:
    """The answer of a vulnerability service about everything that is locked; None where there is none."""
    options = ("--disable-pip", "--no-deps", "-f", "json", "--progress-spinner", "off", "--timeout", "10")
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCKED), "-s", service, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return answer if isinstance(answer, dict) and isinstance(answer.get("dependencies"), list) else None


def verdict(answers: Mapping[str, dict[str, Any] | None], wanted: Mapping[str, str]) -> tuple[int, list[str]]:
    """Exit code and lines. A package counts as looked up only where a service gave a list, empty or not, for its version."""
    looked_up: set[str] = set()
    flaws: set[str] = set()
    for answer in answers.values():
        for row in (answer or {}).get("dependencies", []):
            name = str(row.get("name", "")).lower().replace("_", "-")
            if isinstance(row.get("vulns"), list) and row.get("version") == wanted.get(name):
                looked_up.add(name)
                flaws |= {f"{name} {row['version']}: {one['id']}" for one in row["vulns"]}
    lines = sorted(flaws)
    unasked = sorted(wanted.keys() - looked_up)
    if unasked:
        named = ", ".join(unasked[:5]) + (" and more" if len(unasked) > 5 else "")
        lines.append(
            f"not audited: no vulnerability service answered for {len(unasked)} of {len(wanted)} packages ({named})"
        )
    else:
        lines.append(f"{len(wanted)} packages looked up, {len(flaws)} known flaws")
    return FLAWED if flaws else UNASKED if unasked else CLEAN, lines


def audit(asking: Callable[[str], dict[str, Any] | None] = ask) -> int:
    """Asks one service after the other until everything was looked up."""
    wanted = pins(LOCKED)
    answers: dict[str, dict[str, Any] | None] = {}
    code, lines = UNASKED, [""]
    for service in SERVICES:
        answers[service] = asking(service)
        code, lines = verdict(answers, wanted)
        if code != UNASKED:
            break
    print("\n".join(lines))  # noqa: T201
    return code


def sbom(target: Path) -> int:
    """Writes what a user installs as CycloneDX, and reads it back: every pin is in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    options = ("--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--of", "JSON", "-o", str(target))
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", *options, str(SHIPPED)]
    subprocess.run(command, check=True, timeout=120)
    document = json.loads(target.read_text())
    listed = {one["name"]: one["version"] for one in document["components"]}
    assert document["bomFormat"] == "CycloneDX" and listed == pins(SHIPPED), "the list is what is locked"
    print(f"{target}: CycloneDX {document['specVersion']}, {len(listed)} components")  # noqa: T201
    return CLEAN


def main(args: Sequence[str]) -> int:
    if list(args) == ["audit"]:
        return audit()
    if len(args) == 2 and args[0] == "sbom":
        return sbom(Path(args[1]))
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
