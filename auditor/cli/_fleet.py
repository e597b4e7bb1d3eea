"""The options --scheduler and what belongs to it: whether a run's work is done here or on other machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from auditor.cli import _voice
from auditor.errors import UsageError
from auditor.redaction import printable

if TYPE_CHECKING:
    from auditor.attestations import Attestation
    from auditor.collect import Progress
    from auditor.config import AccountConfig, Config
    from auditor.credentials import Sources
    from auditor.fleet.run import Way
    from auditor.model.evidence import Snapshot
    from auditor.model.report import Report
    from auditor.model.rule import Severity
    from auditor.pipeline import Run

_Command = TypeVar("_Command", bound=Callable[..., Any])
_ADDRESS = re.compile("[a-z][a-z0-9+.-]*://")
_OTHERS = ("tls_ca", "tls_cert", "tls_key", "results", "worst")


class Hands(Protocol):
    """Who does the work of a run."""

    def collect(
        self, accounts: Sequence[AccountConfig], *, stated: Mapping[str, Attestation], progress: Progress
    ) -> list[Snapshot]: ...

    def judge(self, snapshots: Sequence[Snapshot]) -> Report: ...


def options(command: _Command) -> _Command:
    """--scheduler, --tls-ca, --tls-cert, --tls-key, --results and --worst."""
    file = click.Path(path_type=Path)
    for option in (
        click.option(
            "--worst",
            type=click.IntRange(min=1),
            metavar="N",
            help="With --scheduler: report the N worst accounts only (default: all up to 10,000, else 100).",
        ),
        click.option(
            "--results",
            metavar="PLACE",
            help="With --scheduler: also keep a row an account as Parquet, in a folder here or at s3://, gs://, file:// ...",
        ),
        click.option("--tls-key", type=file, metavar="FILE", help="The key of that certificate (PEM)."),
        click.option("--tls-cert", type=file, metavar="FILE", help="This machine's certificate in the fleet (PEM)."),
        click.option("--tls-ca", type=file, metavar="FILE", help="Who signs the fleet's certificates (PEM)."),
        click.option(
            "--scheduler",
            metavar="URL",
            help="Do the work on the workers of this Dask scheduler: tls://HOST:8786 (tcp:// on this machine only).",
        ),
    ):
        command = option(command)
    return command


def way(options: Mapping[str, Any], identity: str, settings: Config | None) -> Way | None:
    """How the work goes to other machines; None where it stays here. Raises UsageError."""
    if options["scheduler"] is None:
        for name in _OTHERS:
            if options[name] is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} belongs to --scheduler", hint="give the scheduler's address"
                )
        return None
    from auditor.fleet import door, run

    return run.Way(
        scheduler=door.check(options["scheduler"]),
        tls=door.Tls(ca=options["tls_ca"], cert=options["tls_cert"], key=options["tls_key"]),
        identity=identity,
        results=options["results"],
        worst=options["worst"],
        settings=settings,
    )


def refuse(options: Mapping[str, Any], option: str) -> None:
    """Raises UsageError where the work is to be done by a fleet, which knows nothing of `option`."""
    if options["scheduler"] is not None:
        raise UsageError(f"{option} is for one machine", hint="--results keeps what a fleet found, a row an account")


@contextmanager
def hands(
    chosen: Way | None,
    run: Run,
    accounts: Sequence[AccountConfig],
    sources: Sources,
    *,
    quiet: bool,
    meanwhile: Callable[[], object],
) -> Iterator[Hands]:
    """Who collects and judges: this process, which may do something `meanwhile`, or the fleet. Raises UsageError."""
    if chosen is None:
        yield _Own(run, sources, meanwhile)
        return
    from auditor.fleet import brief
    from auditor.fleet.run import opened

    assert chosen.settings is not None
    brief.check(chosen.settings, accounts)
    with opened(chosen, run, _unsaid if quiet else _voice.say, whole=True) as fleet:
        yield fleet


def evaluated(chosen: Way, run: Run, files: Sequence[str], *, quiet: bool) -> tuple[Report, frozenset[Severity]]:
    """The report of a fleet on evidence files, and the severities that fail for accounts it leaves out."""
    from auditor.fleet.run import opened

    with opened(chosen, run, _unsaid if quiet else _voice.say, whole=False) as fleet:
        return fleet.evaluate(files)


def paths(files: Sequence[str]) -> list[Path]:
    """Files on this machine. Raises UsageError for an address: those are read by workers."""
    for one in files:
        if _ADDRESS.match(one):
            hint = "add --scheduler, or fetch the file first"
            raise UsageError(f"{printable(one, limit=200)} is read by the workers of a fleet", hint=hint)
    return [Path(one) for one in files]


def shown(report: Report, chosen: Way | None) -> tuple[Report, frozenset[Severity]]:
    """The report as it is shown, and the severities that fail for accounts it leaves out: a fleet may have too many."""
    if chosen is None:
        return report, frozenset()
    from auditor.fleet.run import shown as cut

    return cut(report, chosen)


def _unsaid(_text: str) -> None:
    """No remark."""


class _Own:
    """Collects and judges in the process that was started."""

    def __init__(self, run: Run, sources: Sources, meanwhile: Callable[[], object]) -> None:
        self._run, self._sources, self._meanwhile = run, sources, meanwhile

    def collect(
        self, accounts: Sequence[AccountConfig], *, stated: Mapping[str, Attestation], progress: Progress
    ) -> list[Snapshot]:
        from auditor import collect

        whose, now = self._run.identity, self._run.now
        return collect.collect(
            accounts,
            stated=stated,
            identity=whose,
            sources=self._sources,
            now=now,
            progress=progress,
            meanwhile=self._meanwhile,
        )

    def judge(self, snapshots: Sequence[Snapshot]) -> Report:
        from auditor import pipeline
        from auditor.engine.intake import Evidence

        with Evidence(self._run.now).add(snapshot.to_document() for snapshot in snapshots) as evidence:
            return pipeline.judge(evidence, self._run)
