"""What the paths of an account say about its findings and questions: which failures lead to the money, which answers decide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from auditor.engine.derived import closure
from auditor.model.report import AttackPath, Finding, Outcome, PathStatus
from auditor.model.rule import Rule
from auditor.threats.model import Model


def losing(paths: Sequence[AttackPath], model: Model) -> list[AttackPath]:
    """The paths that end in a loss of funds."""
    goals = {goal.id for goal in model.goals if goal.losing_funds}
    return [path for path in paths if path.goal in goals]


def marked(
    findings: Sequence[Finding], rules: Mapping[str, Rule], paths: Sequence[AttackPath], model: Model
) -> tuple[Finding, ...]:
    """The findings, each failure with whether an open way to lose funds rests on it, and these first within their severity.

    Possible ways count as well: nothing that is known stops them.
    """
    facts = {line.fact for path in losing(paths, model) for step in path.steps for line in step.evidence}
    resting = set(closure(facts))
    on_path = {
        rule: bool(resting & set(closure(rules[rule].require.facts)))
        for rule in {one.rule for one in findings if one.outcome is Outcome.FAIL}
    }
    told = [replace(one, on_path=one.outcome is Outcome.FAIL and on_path[one.rule]) for one in findings]
    outcomes = list(dict.fromkeys(one.outcome for one in told))  # they come worst first
    return tuple(sorted(told, key=lambda one: (outcomes.index(one.outcome), one.severity.rank, not one.on_path)))


def decided(paths: Sequence[AttackPath], model: Model) -> dict[str, float]:
    """Fact -> how many possible ways to lose funds it would decide; a way that waits for several counts a part for each."""
    found: dict[str, float] = defaultdict(float)
    for path in losing(paths, model):
        for fact in path.unknown if path.status is PathStatus.POSSIBLE else ():
            found[fact] += 1 / len(path.unknown)
    return dict(found)
