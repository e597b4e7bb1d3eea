"""Evidence in parts, judged by whoever is free, and the parts put together again.

The same account always lands in the same part, and equals stay in the order in which they came: so the whole is what one
process would have made of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from auditor import pipeline
from auditor.engine.intake import Evidence
from auditor.errors import UsageError
from auditor.fleet import errand, table
from auditor.fleet.answer import Failed
from auditor.fleet.crew import Job, Member
from auditor.fleet.errand import line_of
from auditor.fleet.part import Keeping, Part, Tally, Whole
from auditor.model.evidence import SCHEMA, Problem, Reason
from auditor.model.facts import format_time
from auditor.pipeline import Run
from auditor.redaction import printable
from auditor.values import frozen

ATTEMPTS = 3
_LOST = (Reason.TIMEOUT, "each worker that was to judge this account was lost")


@dataclass(slots=True, kw_only=True)
class Share(Job):
    """One part: its number, what it was made of where that is a file, and how often it failed."""

    number: int
    url: str | None = None
    strikes: int = 0


@frozen
class Lost:
    """A part that nobody could judge, and why."""

    share: Share
    why: tuple[Reason, str]


class Judging:
    """The plan of an evaluation. Where there are more than `most` accounts, the `few` worst are kept in full."""

    def __init__(self, shares: Sequence[Share], *, most: int, few: int) -> None:
        self.whole = Whole(most, few)
        self.tables: dict[int, bytes] = {}
        self.counts: dict[int, int] = {}
        self.given_up: list[Lost] = []
        self._todo = deque(shares)

    def unfinished(self) -> bool:
        return bool(self._todo)

    def take(self, member: Member, idle: Collection[Member], present: Collection[Member]) -> Job | None:  # noqa: ARG002
        """The next part: any worker will do."""
        if not self._todo:
            return None
        share = self._todo.popleft()
        share.arguments = (*share.arguments[:2], self.whole.cutoff)
        return share

    def told(self, said: Any) -> None:
        """Nothing is said while judging; what was said late of a collection is not needed any more."""

    def done(self, job: Job, value: Any) -> None:
        assert isinstance(job, Share)
        assert isinstance(value, Part)
        self.add(job, value)

    def add(self, share: Share, part: Part) -> None:
        """Takes in what came of a part."""
        share.arguments = ()  # its evidence is not needed any more
        self.whole.add(share.number, part)
        self.counts[share.number] = part.tally.sum.accounts
        if part.table is not None:
            self.tables[share.number] = part.table

    def lost(self, job: Job) -> None:
        self._again(job, _LOST)

    def failed(self, job: Job, why: Failed, where: str) -> None:
        if not why.ours:
            why.throw(where)
        self._again(job, (Reason.MALFORMED_RESPONSE, f"the evaluation {why.message}"))

    def _again(self, job: Job, why: tuple[Reason, str]) -> None:
        assert isinstance(job, Share)
        job.strikes += 1
        if job.strikes < ATTEMPTS:
            self._todo.append(job)
        elif job.url is None:
            self.given_up.append(Lost(share=job, why=why))
        else:
            hint = "is it too large for a worker's memory? Cut it into smaller files"
            raise UsageError(f"{printable(job.url, limit=200)} could not be judged: {why[1]}", hint=hint)


def shares(evidence: Evidence, first: int) -> Iterator[Share]:
    """Trusted evidence in parts of some hundred accounts, numbered from `first`."""
    count = max(1, -(-len(evidence) // errand.AT_ONCE))
    parts: list[list[bytes]] = [[] for _ in range(count)]
    for one in evidence.documents():
        parts[part_of(one["account"]["name"], count)].append(line_of(one))
    filled = [part for part in parts if part]
    for number, part in enumerate(filled, first):
        yield Share(work=errand.judge, arguments=(number, b"".join(part)), number=number)


def part_of(name: str, parts: int) -> int:
    """The part in which an account lands, of so many: by its name alone."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:8]) % parts


def files(urls: Sequence[str], first: int) -> Iterator[Share]:
    """A part a file, numbered from `first`."""
    for number, url in enumerate(urls, first):
        yield Share(work=errand.judge_file, arguments=(number, url), number=number, url=url)


def stand_in(lost: Lost, run: Run) -> Part:
    """What is said of accounts that nobody could judge: nothing is known of them, and why."""
    reason, detail = lost.why
    _, lines, *_ = lost.share.arguments
    problem = Problem(
        endpoint="evaluation", reason=reason, detail=detail, facts=("api_keys", "addresses")
    ).to_document()
    names = [json.loads(line)["account"] for line in lines.splitlines()]
    empty = [
        {
            "schema": SCHEMA,
            "collected_at": format_time(run.now),
            "account": {"name": one["name"], "exchange": one["exchange"]},
            "problems": [problem],
        }
        for one in names
    ]
    tally, keeping, rows = Tally(), Keeping(len(empty), len(empty)), table.Table()
    with Evidence(run.now).add(empty) as evidence:
        accounts = tuple(pipeline.judge(evidence, run).accounts)
    for one in accounts:
        tally.add(one, {waiver.finding for waiver in run.waivers})
    keeping.add(accounts)
    rows.add(accounts)
    return Part(tally=tally, packed=keeping.packed(), table=rows.written())
