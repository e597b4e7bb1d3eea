"""A private PostgreSQL: a cluster of its own in a temporary folder, on a free port of this machine, with a password.

Where no server is installed the tests on it are skipped and say so, unless AUDITOR_REQUIRE_POSTGRES is set, as CI does.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

REQUIRED = "AUDITOR_REQUIRE_POSTGRES"


@dataclass(frozen=True)
class Cluster:
    """A running server. `password` is that of its superuser."""

    port: int
    password: str

    def url(self, database: str) -> str:
        return f"postgresql://auditor:{self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


def program(name: str) -> str | None:
    """A program of the newest server that is installed."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")]))


@contextmanager
def running() -> Iterator[Cluster]:
    initdb, server = program("initdb"), program("pg_ctl")
    if initdb is None or server is None:
        if os.environ.get(REQUIRED):
            pytest.fail("PostgreSQL is not installed, and this run has to test on it")
        pytest.skip("PostgreSQL is not installed here: the history was tested on SQLite only")
    # As root it has to be another user's: the server refuses to run as root.
    nobody = pwd.getpwnam("nobody")
    owner = {"user": nobody.pw_uid, "group": nobody.pw_gid} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="auditor-pg-", dir="/tmp"))
    password = secrets.token_hex(12)
    try:
        (folder / "password").write_text(password)
        if owner:
            for path in (folder, folder / "password"):
                shutil.chown(path, **owner)
        port = _free_port()
        cluster = folder / "cluster"
        made = ["-U", "auditor", "-A", "scram-sha-256", "--pwfile", str(folder / "password"), "-E", "UTF8", "--no-sync"]
        _run([initdb, "-D", str(cluster), *made], folder, owner)
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=60"
        _run([server, "-D", str(cluster), "-w", "-l", str(folder / "log"), "-o", options, "start"], folder, owner)
        try:
            yield Cluster(port, password)
        finally:
            _run([server, "-D", str(cluster), "-m", "immediate", "stop"], folder, owner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(words: list[str], folder: Path, owner: dict[str, int]) -> None:
    plain = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    subprocess.run(words, cwd=folder, env=plain, check=True, stdout=subprocess.DEVNULL, **owner)  # type: ignore[call-overload]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
        return number
