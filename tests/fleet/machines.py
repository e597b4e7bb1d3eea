"""A small fleet: a Dask scheduler in this process, so that its memory and all it is sent can be looked at, and workers that are
processes of their own, each with an environment of its own. TLS with certificates that are made here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auditor.config import AccountConfig
from auditor.twin._base import TwinVenue
from tests import stage

PATIENCE = 60.0
KEY = "ab" * 32
"""The identity key of the fleet, in the variable FLEET_KEY of every worker."""


@dataclass(frozen=True, slots=True)
class Papers:
    """Certificates of one fleet."""

    ca: Path
    cert: Path
    key: Path

    def options(self, cert: str = "--tls-cert", key: str = "--tls-key", ca: str = "--tls-ca") -> list[str]:
        return [ca, str(self.ca), cert, str(self.cert), key, str(self.key)]


def papers(folder: Path) -> Papers:
    """An authority, and one certificate signed by it."""
    folder.mkdir(parents=True, exist_ok=True)
    now, name = datetime.now(UTC), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a fleet of the tests")])
    authority, member = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def signed(whose: Any, *, ca: bool) -> x509.Certificate:
        subject = name if ca else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a machine")])
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(whose.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
            made = made.add_extension(here, critical=False)
        return made.sign(authority, hashes.SHA256())

    found = Papers(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    found.ca.write_bytes(signed(authority, ca=True).public_bytes(serialization.Encoding.PEM))
    found.cert.write_bytes(signed(member, ca=False).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    found.key.write_bytes(member.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return found


@dataclass(slots=True)
class Fleet:
    """A scheduler, and the workers that were started for it."""

    address: str
    papers: Papers
    folder: Path
    scheduler: Any = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    named: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def worker(self, environ: Mapping[str, str] | None = None, *options: str) -> subprocess.Popen[bytes]:
        """Starts a worker; `environ` is all it has of its own."""
        number = len(list(self.folder.glob("worker-*.log")))
        home = self.folder / f"home-{number}"
        home.mkdir()
        given = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(stage.ROOT), "FLEET_KEY": KEY}
        secure = self.papers.options(ca="--tls-ca-file") if self.address.startswith("tls") else []
        with (self.folder / f"worker-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "dask", "worker", self.address, "--no-nanny", "--nthreads", "1"),
                    *(
                        "--no-dashboard",
                        "--memory-limit",
                        "0",
                        "--name",
                        f"{number}",
                        "--local-directory",
                        str(home),
                        *secure,
                        *options,
                    ),
                ],
                env={**given, **(environ or {})},
                cwd=home,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.workers.append(process)
        self.named[f"{number}"] = process
        return process

    def dismiss(self, process: subprocess.Popen[bytes], how: int = signal.SIGKILL) -> None:
        """Ends a worker."""
        process.send_signal(how)
        process.wait(20)
        self.workers.remove(process)

    def busy(self) -> list[subprocess.Popen[bytes]]:
        """The workers that have something in hand."""
        return [self.named[str(one.name)] for one in self.scheduler.workers.values() if one.processing]

    def await_workers(self, count: int) -> None:
        """Waits until exactly so many workers are there."""
        until = time.monotonic() + PATIENCE
        while len(self.scheduler.workers) != count:
            assert time.monotonic() < until, self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        """All that the workers printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("worker-*.log")))

    def options(self) -> list[str]:
        """What leads a command to this fleet."""
        return ["--scheduler", self.address, *(self.papers.options() if self.address.startswith("tls") else [])]


@contextlib.contextmanager
def fleet(folder: Path, *, scheme: str = "tls") -> Iterator[Fleet]:
    """A scheduler without workers."""
    from distributed import LocalCluster, Security

    made = papers(folder / "papers")
    security = Security(
        require_encryption=True,
        **{
            f"tls_{role}_{part}": str(path)
            for role in ("client", "scheduler", "worker")
            for part, path in (("cert", made.cert), ("key", made.key))
        },
        tls_ca_file=str(made.ca),
    )
    with LocalCluster(
        n_workers=0,
        host="127.0.0.1",
        protocol=scheme,
        dashboard_address=":0",
        security=security if scheme == "tls" else None,
    ) as cluster:
        found = Fleet(cluster.scheduler_address, made, folder, cluster.scheduler)
        try:
            yield found
        finally:
            for process in list(found.workers):
                found.dismiss(process)


def customers(twin: TwinVenue, count: int) -> tuple[list[AccountConfig], dict[str, str]]:
    """Accounts with a key each, known to the twin, and the environment that holds the keys."""
    first = twin.sample_keys()[0]
    accounts, environ = [], {}
    for number in range(count):
        key = f"{first.api_key[:-6]}{number:06d}"
        twin.keys[key] = replace(first, api_key=key, about={**first.about, "label": f"bot-{number:06d}"})
        block = {}
        for part, value in {**twin.sample_credentials(), "apiKey": key}.items():
            name = f"{twin.id}_{part}_{number if part == 'apiKey' else ''}".upper()
            environ[name], block[part] = value, f"env:{name}"
        accounts.append(
            AccountConfig(
                name=f"{twin.id}-{number:06d}",
                exchange=twin.id,
                credentials=(block,),
                endpoint=twin.url,
                address_confirmed=True,
            )
        )
    return accounts, environ
