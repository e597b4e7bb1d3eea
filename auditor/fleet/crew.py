"""The workers of a run, and the loop that hands work to them, hears what they say, and takes back what they lost.

One piece of work a worker at a time, and each is pinned to the very process that was asked: Dask never runs one twice by
itself. What a plan does with a loss is the plan's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from auditor.errors import UsageError
from auditor.fleet import answer, door, errand, passport
from auditor.fleet.answer import Done, Failed
from auditor.fleet.brief import Brief
from auditor.fleet.passport import Passport, Shown
from auditor.redaction import printable, scrub
from auditor.values import frozen

if TYPE_CHECKING:
    from distributed import Client, Future

PERIOD = 1.0
"""Seconds between two looks at who is there."""
PATIENCE = 30.0
"""Seconds without any worker after which a run is given up."""
_FETCH = 120.0
_MOST_TOLD, _MOST_HEARD = 10, 1000
_UNKNOWN_THERE = ("ModuleNotFoundError", "ImportError", "AttributeError")
"""What Dask says where a process does not know our functions; it arrives as text."""


@frozen
class Member:
    """A worker that may work for this run. `egress` names the address under which exchanges see it."""

    address: str
    instance: str
    egress: str


@dataclass(slots=True, kw_only=True)
class Job:
    """One piece of work: a function of `errand` and what it is called with, after the run and the instance."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]


class Plan(Protocol):
    """What has to be done. Every job that was taken ends in exactly one of `done`, `failed` and `lost`."""

    def unfinished(self) -> bool:
        """Whether something is left to be taken, now or later."""
        ...

    def take(self, member: Member, idle: Collection[Member], present: Collection[Member]) -> Job | None:
        """Work for `member`, one of the `idle` ones; None where there is none for it now."""
        ...

    def told(self, said: Any) -> None:
        """Something a worker said while it works."""
        ...

    def done(self, job: Job, value: Any) -> None: ...

    def failed(self, job: Job, why: Failed, where: str) -> None: ...

    def lost(self, job: Job) -> None: ...


class Crew:
    """The workers that hold the brief of one run."""

    def __init__(self, client: Client, brief: Brief, ours: Passport, say: Callable[[str], None]) -> None:
        self.members: dict[str, Member] = {}
        self._client, self._brief, self._ours, self._say = client, brief, ours, say
        self._refused: dict[str, str] = {}
        self._running: dict[str, tuple[Future, Member, Job]] = {}
        self._inbox: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._numbers = 0
        self._met = False
        self._looked = self._seen = time.monotonic()
        client.subscribe_topic(errand.topic(brief.id), lambda event: self._inbox.put(("told", event[1])))

    def carry_out(self, plan: Plan) -> None:
        """Does all of a plan. Raises what the plan raises, and UsageError where there is nobody to do it."""
        self._seen = time.monotonic()
        try:
            while plan.unfinished() or self._running:
                self._muster(plan)
                self._hand_out(plan)
                self._hear(plan)
        finally:
            if self._running:
                futures = [future for future, _, _ in self._running.values()]
                self._running.clear()
                answer.raised(lambda: self._client.cancel(futures))
                self.dismiss()

    def dismiss(self) -> None:
        """Ends on every worker what is left of the run, as far as anybody can be reached."""
        self.members.clear()
        answer.raised(lambda: self._client.run(errand.dismiss, self._brief.id, on_error="ignore"))

    def _muster(self, plan: Plan) -> None:
        """Who is there: newcomers show their passport, and what the missing had in hand is lost."""
        now = time.monotonic()
        if self.members and now - self._looked < PERIOD:
            return
        self._looked = now
        present = self._present()
        for gone in self.members.keys() - present:
            self._drop(self.members[gone], plan)
        self._refused = {address: why for address, why in self._refused.items() if address in present}
        new = sorted(present - self.members.keys() - self._refused.keys())
        if new:
            shown = self._client.run(errand.introduce, self._brief, workers=new, on_error="return")
            for address in new:
                self._admit(address, shown.get(address))
        if self.members:
            self._seen, self._met = now, True
        elif now - self._seen > PATIENCE or (present and not self._met):
            raise self._nobody(present)

    def _present(self) -> set[str]:
        found = answer.raised(lambda: {address for address, threads in self._client.nthreads().items() if threads})
        if isinstance(found, Done):
            return found.value
        problem = type(found).__name__
        hint = "start it again and repeat the command; nothing of this run is stored"
        raise UsageError(f"the scheduler does not answer any more ({problem})", hint=hint)

    def _admit(self, address: str, shown: object) -> None:
        """Takes a worker on, or says why not."""
        if not door.is_private(address):
            why = "is reached in plain text over a network: start it with certificates"
        elif isinstance(shown, Done) and isinstance(shown.value, Shown):
            wrong = passport.differences(self._ours, shown.value.passport)
            if not wrong:
                found = shown.value
                self.members[address] = Member(address=address, instance=found.instance, egress=found.egress)
                return
            why = "; ".join(wrong)
        elif isinstance(shown, Failed):
            why = shown.message
        elif any(word in repr(shown) for word in _UNKNOWN_THERE):
            why = "has no exchange-auditor of this version: pip install 'exchange-auditor[fleet]' there"
        else:
            why = f"did not answer ({type(shown).__name__})"
        self._refused[address] = why
        if len(self._refused) <= _MOST_TOLD:
            self._say(f"remark: the worker {_shown(address)} is left out: {_shown(why)}")

    def _nobody(self, present: Collection[str]) -> UsageError:
        if not present:
            hint = "start `dask worker` on each machine with the address of the scheduler"
            return UsageError("the scheduler has no workers", hint=hint)
        reasons = sorted({_shown(why) for why in self._refused.values()})[:_MOST_TOLD]
        hint = "install the same version on every machine, with the same identity key: docs/scale.md"
        return UsageError("\n".join(["no worker can be used:", *(f"it {why}" for why in reasons)]), hint=hint)

    def _hand_out(self, plan: Plan) -> None:
        busy = {member.address for _, member, _ in self._running.values()}
        idle = [member for address, member in sorted(self.members.items()) if address not in busy]
        while idle:
            member = idle[0]
            job = plan.take(member, idle, self.members.values())
            if job is not None:
                self._start(member, job)
            idle = idle[1:]

    def _start(self, member: Member, job: Job) -> None:
        self._numbers += 1
        key = f"auditor-{self._brief.id}-{self._numbers}"
        future = self._client.submit(
            job.work,
            self._brief.id,
            member.instance,
            *job.arguments,
            key=key,
            workers=[member.address],
            allow_other_workers=False,
            pure=False,
        )
        self._running[key] = (future, member, job)
        future.add_done_callback(lambda ended: self._inbox.put(("ended", ended.key)))

    def _hear(self, plan: Plan) -> None:
        """Whatever was said since, or within the next moments."""
        with suppress(Empty):
            for heard in range(_MOST_HEARD):
                kind, said = self._inbox.get(timeout=0.0 if heard else PERIOD)
                if kind == "told":
                    plan.told(said)
                else:
                    self._end(said, plan)

    def _end(self, key: str, plan: Plan) -> None:
        if key not in self._running:  # its worker was gone before
            return
        future, member, job = self._running.pop(key)
        ended = _outcome(future)
        if isinstance(ended, Done):
            plan.done(job, ended.value)
        elif ended is None:
            plan.lost(job)
        elif ended.stranger:
            self.members.pop(member.address, None)
            plan.lost(job)
        else:
            plan.failed(job, ended, f"on {_shown(member.address)}: ")

    def _drop(self, member: Member, plan: Plan) -> None:
        """A worker is gone, with all it had in hand."""
        del self.members[member.address]
        for key, (future, whose, job) in list(self._running.items()):
            if whose == member:
                del self._running[key]
                future.cancel()
                plan.lost(job)


def _outcome(future: Future) -> Done[Any] | Failed | None:
    """What came of a piece of work; None where it was lost with its worker."""
    if future.status == "error":
        said = type(future.exception(timeout=_FETCH)).__name__
        return None if said == "KilledWorker" else Failed(message=f"the worker failed ({said})", code=1)
    if future.status != "finished":
        return None
    try:
        ended: Done[Any] | Failed = future.result(timeout=_FETCH)
    except (OSError, TimeoutError, CancelledError):
        return None
    return ended


def _shown(text: str) -> str:
    return printable(scrub(text), limit=300)
