"""Builds the wheel twice, installs it into a clean environment, and runs its own demo there: the packaging is part of the design.

Run as `python -m tests.wheel`. The environment gets the locked dependencies of the running one through a path file, so
that only the project itself comes from the wheel.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="auditor-wheel-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
        (wheel,) = folder.glob("*.whl")
        (sdist,) = folder.glob("*.tar.gz")
        same_again(folder, wheel, sdist)
        python = clean_environment(folder / "env", wheel)
        run(str(python), "-m", "auditor", "demo", "-o", str(folder / "out"), cwd=folder)
        report = json.loads((folder / "out" / "report.json").read_text())
        assert report["run"]["sample"] is True
        assert len(report["accounts"]) >= 4, "the wheel carries every twin"
        assert (folder / "out" / "report.html").stat().st_size > 10_000
        where = run(str(python), "-c", "import auditor; print(auditor.__file__)", cwd=folder).strip()
        assert where.startswith(str(folder)), f"the demo ran from {where}"
        print(f"wheel {wheel.name} ({wheel.stat().st_size // 1024} KiB) and {sdist.name}: the demo ran from the wheel")  # noqa: T201


def same_again(folder: Path, *first: Path) -> None:
    """Builds both anew from the unpacked archive, at another place, under another zone, umask and order of hashing."""
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder / "elsewhere", filter="data")
    (source,) = (folder / "elsewhere").iterdir()
    other = folder / "again"
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--sdist",
        "--outdir",
        str(other),
        str(source),
    ]
    run("env", "TZ=Pacific/Kiritimati", "LC_ALL=C", "sh", "-c", f"umask 077; exec {shlex.join(command)}")
    for one in first:
        digests = [hashlib.sha256((place / one.name).read_bytes()).hexdigest() for place in (folder, other)]
        assert digests[0] == digests[1], f"{one.name} is not the same when it is built again"
        print(f"{one.name} built twice: sha256 {digests[0]}")  # noqa: T201


def clean_environment(target: Path, wheel: Path) -> Path:
    """A new environment with the wheel, and this environment's dependencies without the editable project."""
    venv.create(target, with_pip=False)
    python = target / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(target), "platbase": str(target)}))
    run(
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
        str(wheel),
    )
    dependencies = target / "dependencies"
    dependencies.mkdir()
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if "auditor" not in installed.name and installed.suffix != ".pth":
            (dependencies / installed.name).symlink_to(installed)
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return python


def run(*command: str, cwd: Path | None = None) -> str:
    """Output of a command; its errors and its exit code are ours."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
