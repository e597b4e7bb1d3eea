"""A census: what the rules say of very many accounts, as Parquet files and one tally, without an object for each key.

For millions of keys. It knows no attack paths and no waivers: those are for accounts that somebody will look at.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

from auditor.engine.files import processors
from auditor.engine.intake import Evidence
from auditor.engine.tables import TABLES, Part
from auditor.engine.wide import WORST, Standing, Tally, Wide
from auditor.errors import UsageError
from auditor.exchanges import _venue
from auditor.model.report import Outcome
from auditor.model.rule import Rule

GROUP = 256 * 2**20
"""Bytes of evidence that are judged together; each processor needs as much memory or so, whatever the whole takes."""
TALLY = "tally.json"


def take(evidence: Evidence, rules: Sequence[Rule], folder: Path, *, floor: float) -> Tally:
    """Writes `accounts-0001.parquet`, `api_keys-0001.parquet` ... and `tally.json` into `folder`, which must be empty or
    not there yet, all of them or none. Accounts under the coverage `floor` get no letter. Raises UsageError, InputError.
    """
    venues = {name: _venue.load(name).policy_facts() for name in sorted(evidence.exchanges & set(_venue.ids()))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", hint="name a folder that is not there yet")
        with tempfile.TemporaryDirectory(prefix=".auditor-", dir=folder) as place:

            def judge(number: int, parts: Sequence[Part]) -> Tally:
                """One group, in a database of its own that uses one processor: they share nothing and wait for nobody."""
                group = Path(place) / f"{number:04}"
                group.mkdir()
                with Wide(parts, evidence.now, rules, venues, group) as wide:
                    wide.write()
                    return wide.tally(floor)

            with ThreadPoolExecutor(processors()) as crew:
                tallies = list(crew.map(judge, count(1), _groups(evidence.parts)))
            whole = merged(tallies)
            (Path(place) / TALLY).write_text(json.dumps(as_table(whole), indent=1) + "\n")
            for path in sorted(Path(place).glob("*/*.parquet")):
                path.rename(folder / f"{path.stem}-{path.parent.name}.parquet")
            (Path(place) / TALLY).rename(folder / TALLY)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    return whole


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    group: list[Part] = []
    held = 0
    for part in parts:
        size = sum(path.stat().st_size for table in TABLES if (path := part.path(table)).exists())
        if group and held + size > GROUP:
            yield group
            group, held = [], 0
        group.append(part)
        held += size
    yield group


def merged(tallies: Sequence[Tally]) -> Tally:
    """One tally of several, each of other accounts."""
    first, *others = tallies
    for other in others:
        coverages = [one for one in (first.coverage, other.coverage) if one is not None]
        first = replace(
            first,
            accounts=first.accounts + other.accounts,
            incomplete=first.incomplete + other.incomplete,
            thin=first.thin + other.thin,
            subjects=_sum(first.subjects, other.subjects),
            rules={id_: _sum(said, other.rules[id_]) for id_, said in first.rules.items()},
            grades=dict(sorted(_sum(first.grades, other.grades).items())),
            coverage=min(coverages, default=None),
            worst=tuple(sorted((*first.worst, *other.worst), key=_place)[:WORST]),
        )
    return first


def _place(one: Standing) -> tuple[Any, ...]:
    return one.low, one.high, one.name


def _sum(one: Mapping[Any, int], other: Mapping[Any, int]) -> dict[Any, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in (*one, *other)}


def as_table(tally: Tally) -> dict[str, Any]:
    """The tally as JSON has it."""
    rules = {id_: {outcome.value: said.get(outcome, 0) for outcome in Outcome} for id_, said in tally.rules.items()}
    return {**asdict(tally), "rules": rules}
