"""A census: what the rules say of very many accounts, as Parquet files and one tally, without an object for each key.

For millions of keys. It knows no attack paths and no waivers: those are for accounts that somebody will look at.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from auditor.engine.files import processors
from auditor.engine.intake import Evidence
from auditor.engine.tables import Part
from auditor.engine.wide import Wide
from auditor.engine.wide_tally import WORST, Standing, Tally, tally
from auditor.engine.wide_write import write
from auditor.errors import UsageError
from auditor.exchanges import _venue
from auditor.model.report import Outcome
from auditor.model.rule import Rule

_Used = TypeVar("_Used")
GROUP = 64 * 2**20
"""Bytes of evidence. Smaller parts are judged together up to so many; a part is bounded where it is read, and so is the memory
that a group needs on each processor, whatever the whole takes.
"""
TALLY = "tally.json"


def take(evidence: Evidence, rules: Sequence[Rule], folder: Path, *, floor: float) -> Tally:
    """Writes `accounts-0001.parquet`, `api_keys-0001.parquet` ... and `tally.json` into `folder`, which must be empty or
    not there yet, all of them or none. Accounts under the coverage `floor` get no letter. Raises UsageError, InputError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", hint="name a folder that is not there yet")
        with tempfile.TemporaryDirectory(prefix=".auditor-", dir=folder) as place:
            whole = merged(each(evidence, rules, Path(place), lambda wide: _written(wide, floor)))
            (Path(place) / TALLY).write_text(json.dumps(as_table(whole), indent=1) + "\n")
            for path in sorted(Path(place).glob("*/*.parquet")):
                path.rename(folder / f"{path.stem}-{path.parent.name}.parquet")
            (Path(place) / TALLY).rename(folder / TALLY)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from None
    return whole


def _written(wide: Wide, floor: float) -> Tally:
    write(wide)
    return tally(wide, floor)


def each(evidence: Evidence, rules: Sequence[Rule], place: Path, use: Callable[[Wide], _Used]) -> list[_Used]:
    """What is made of each group of accounts, judged in a database of its own that uses one processor: they share nothing
    and wait for nobody. `place` gets a folder a group. Raises InputError, OSError.
    """
    venues = {name: _venue.load(name).policy_facts() for name in sorted(evidence.exchanges & set(_venue.ids()))}

    def judge(number: int, parts: Sequence[Part]) -> _Used:
        folder = place / f"{number:04}"
        folder.mkdir()
        with Wide(parts, evidence.now, rules, venues, folder) as wide:
            return use(wide)

    with ThreadPoolExecutor(processors()) as crew:
        return list(crew.map(judge, count(1), _groups(evidence.parts)))


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    group: list[Part] = []
    held = 0
    for part in parts:
        if group and held + part.size > GROUP:
            yield group
            group, held = [], 0
        group.append(part)
        held += part.size
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
