"""What runs on a worker: it shows its passport, collects, judges, and stops when it is told to.

Everything here is called by name through Dask. Nothing is raised and nothing printed: an answer is a value, or why there
is none.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor import collect as collecting
from auditor import pipeline
from auditor.attestations import Attestation
from auditor.config import AccountConfig
from auditor.engine.intake import Evidence
from auditor.errors import Fault, InputError, UsageError
from auditor.fleet import answer, passport, storage, table
from auditor.fleet.answer import Done, Failed
from auditor.fleet.brief import Brief, key
from auditor.fleet.part import Keeping, Part, Place, Tally
from auditor.fleet.passport import Shown
from auditor.model.evidence import Snapshot

if TYPE_CHECKING:
    from distributed import Worker

AT_ONCE = 100
"""Accounts that are judged together: their findings are objects, and so lie in memory side by side."""

_briefs: dict[str, Brief] = {}
_stopped: set[str] = set()


class _StoppedError(Exception):
    """The run was given up where it was started."""


def introduce(brief: Brief, *, dask_worker: Worker) -> Done[Shown] | Failed:
    """Takes the brief of a run and shows who this is."""

    def show() -> Shown:
        if brief.tables and find_spec("pyarrow") is None:
            raise UsageError("has no pyarrow, which --results needs: pip install 'exchange-auditor[fleet]' there")
        whose = key(brief.identity)
        egress = passport.egress(dask_worker.address, os.environ)
        _briefs[brief.id] = brief
        return Shown(passport=passport.own(whose, brief.nonce), instance=_instance(), egress=egress)

    return answer.of(show)


def dismiss(run: str) -> None:
    """Ends what still runs here of a run, and forgets it."""
    if _briefs.pop(run, None) is not None:
        _stopped.add(run)


def collect(
    run: str, instance: str, accounts: Sequence[AccountConfig], stated: Mapping[str, Attestation]
) -> Done[int] | Failed:
    """Reads accounts as one process would; each one's evidence is told as it comes. The value is how many there were."""
    brief = _briefs.get(run)
    if brief is None or instance != _instance():
        return _stranger()
    tell = _teller(run)

    def keep(snapshot: Snapshot) -> None:
        if run in _stopped:
            raise _StoppedError
        tell(json.dumps(snapshot.to_document(), ensure_ascii=True, allow_nan=False))

    def work() -> int:
        found = collecting.collect(
            accounts,
            stated=stated,
            identity=key(brief.identity),
            sources=brief.sources(),
            now=brief.now,
            keep=keep,
        )
        return len(found)

    return answer.of(work)


def judge(run: str, instance: str, number: int, lines: bytes, cutoff: Place | None) -> Done[Part] | Failed:
    """Judges trusted lines of evidence. Accounts that are better than `cutoff` need not come back in full."""
    brief = _briefs.get(run)
    if brief is None or instance != _instance():
        return _stranger()

    def slices() -> Iterator[Evidence]:
        yield Evidence(brief.now).take(lines)

    return answer.of(lambda: _judged(brief, number, slices(), cutoff))


def judge_file(run: str, instance: str, number: int, url: str, cutoff: Place | None) -> Done[Part] | Failed:
    """Judges a file of evidence that lies where every worker can read it. `cutoff` as in `judge`."""
    brief = _briefs.get(run)
    if brief is None or instance != _instance():
        return _stranger()

    def work() -> Part:
        with tempfile.TemporaryDirectory(prefix="auditor-") as folder:
            copy = Path(folder) / f"evidence{Path(url).suffix}"
            storage.get(url, copy)
            with Evidence(brief.now) as evidence:
                _read(evidence, copy, url)
                return _judged(brief, number, _slices(evidence), cutoff)

    return answer.of(work)


def _judged(brief: Brief, number: int, slices: Iterator[Evidence], cutoff: Place | None) -> Part:
    """The same evaluator over one slice after the other, and what is kept of each."""
    run, known = brief.run(), {one.finding for one in brief.waivers}
    tally, keeping, rows = Tally(), Keeping(brief.most if cutoff is None else 0, brief.few), table.Table()
    for evidence in slices:
        with evidence:
            accounts = tuple(pipeline.judge(evidence, run).accounts)
        for one in accounts:
            tally.add(one, known)
        keeping.add([one for one in accounts if cutoff is None or pipeline.worst_first(one) <= cutoff])
        if brief.tables:
            rows.add(accounts)
    written = rows.written() if brief.tables else None
    if written is not None and brief.results is not None:
        storage.put(storage.below(brief.results, table.name(number)), written)
        written = None
    return Part(tally=tally, packed=keeping.packed(), table=written)


def _read(evidence: Evidence, copy: Path, url: str) -> None:
    """Reads a copy; what is wrong in it is said of the file it was made of."""
    try:
        evidence.add_files([copy])
    except InputError as error:
        faults = [Fault(file=url, line=one.line, message=one.message, hint=one.hint) for one in error.faults]
    else:
        return
    raise InputError(faults)


def _slices(whole: Evidence) -> Iterator[Evidence]:
    lines = map(line_of, whole.documents())
    while some := b"".join(islice(lines, AT_ONCE)):
        yield Evidence(whole.now).take(some)


def line_of(document: Mapping[str, Any]) -> bytes:
    """A document in normal form as a line."""
    return json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _teller(run: str) -> Callable[[Any], None]:
    """Says something to whoever started the run, through the scheduler."""
    from distributed import get_worker

    worker = get_worker()
    return lambda said: worker.log_event(topic(run), said)


def topic(run: str) -> str:
    """Under which name the scheduler passes on what is told of a run."""
    return f"auditor-{run}"


def _stranger() -> Failed:
    return Failed(message="another process than the one that was asked", stranger=True)


@cache
def _instance() -> str:
    return secrets.token_hex(8)
