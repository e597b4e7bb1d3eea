"""What belongs to a rule or to an action of the attack model stands once in a document: taken out of the rows, and put back.

A row that says otherwise than the table (other steps, an edited text) keeps its own words, so nothing is lost. Knows no
format beyond JSON values; `json` lays them out, `parse` makes a Report of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from auditor.model.report import AttackPath, Finding, Outcome, PathStep

_OF_A_RULE = ("title", "why", "how_we_know", "incidents")
_OF_AN_ACTION = ("needs", "gives", "attack", "incidents")
TABLES = ("rules", "actions", "goals", "capabilities")
"""The tables beside the accounts of a document, each by id."""


@dataclass(slots=True)
class Once:
    """The tables of one document, filled as its accounts go by."""

    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)
    goals: dict[str, str] = field(default_factory=dict)
    capabilities: dict[str, str] = field(default_factory=dict)
    _variants: dict[Any, str] = field(default_factory=dict)
    """What an action asks and gives, with its id -> the row of `actions` that says so."""

    def tables(self) -> dict[str, dict[str, Any]]:
        """What was met so far, sorted."""
        return {name: dict(sorted(getattr(self, name).items())) for name in TABLES}

    def finding(self, one: Finding, exchange: str) -> dict[str, Any]:
        """What a finding says beyond its rule. `fix` is there for what fails, else None where it is that of the rule."""
        rule = self.rules.get(one.rule)
        if rule is None:
            fix = {"effort": one.fix.effort, "text": one.fix.text, "steps": {}}
            rule = self.rules[one.rule] = {**{name: getattr(one, name) for name in _OF_A_RULE}, "fix": fix}
        own = {name: getattr(one, name) for name in _OF_A_RULE if getattr(one, name) != rule[name]}
        known = rule["fix"]
        steps = known["steps"].setdefault(exchange, one.fix.steps)
        usual = (one.fix.effort, one.fix.text, one.fix.steps) == (known["effort"], known["text"], steps)
        return {"fix": None if usual and one.outcome is not Outcome.FAIL else one.fix, **own}

    def path(self, one: AttackPath, steps: Steps) -> dict[str, Any]:
        """What a path says beyond its goal and what its attacker begins with; its steps point into those of the account."""
        told = (("goal_text", self.goals, one.goal), ("capability_text", self.capabilities, one.capability))
        own = {
            name: getattr(one, name)
            for name, table, id_ in told
            if table.setdefault(id_, words := getattr(one, name)) != words
        }
        return {"steps": [steps.row(step) for step in one.steps], **own}

    def action(self, step: PathStep) -> str:
        """The row of `actions` for a step: its action, and a number where the same action asks or gives something else."""
        key = (step.action, step.needs, step.gives, step.attack, step.incidents)
        if key not in self._variants:
            name, number = step.action, 1
            while name in self.actions:
                number += 1
                name = f"{step.action}#{number}"
            self._variants[key] = name
            self.actions[name] = {part: getattr(step, part) for part in _OF_AN_ACTION}
        return self._variants[key]


@dataclass(slots=True)
class Steps:
    """The steps of one account, each once however many of its paths take it."""

    once: Once
    rows: list[dict[str, Any]] = field(default_factory=list)
    _met: dict[int, tuple[PathStep, dict[str, Any]]] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)

    def row(self, step: PathStep) -> dict[str, Any]:
        """A step as it stands in a path: `step` is its place in the account's own list, from 0."""
        if id(step) not in self._met:  # the step is kept beside it: a number would be given anew after it is gone
            told = {"does": self.once.action(step), "cost": step.cost, "delay_hours": step.delay_hours}
            told |= {"evidence": step.evidence, "unknown": step.unknown}
            place = self._places.setdefault(_content(told), len(self.rows))
            if place == len(self.rows):
                self.rows.append(told)
            shown = {"action": step.action, "text": step.text, "status": step.status, "step": place}
            self._met[id(step)] = (step, shown)
        return self._met[id(step)][1]


def _content(told: Mapping[str, Any]) -> str:
    import msgspec

    return json.dumps(msgspec.to_builtins(told), sort_keys=True)


def whole(account: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """An account's rows with what the tables say of them. One of a version that had no tables comes back as it is."""
    paths, steps = account["paths"], account.get("steps", [])
    found = {name: value for name, value in account.items() if name != "steps"}
    found["findings"] = [_finding(row, tables.get("rules", {}), account["exchange"]) for row in account["findings"]]
    found["paths"] = None if paths is None else [_path(row, tables, steps) for row in paths]
    return found


def _finding(row: Mapping[str, Any], rules: Mapping[str, Any], exchange: str) -> dict[str, Any]:
    rule = rules.get(row["rule"], {})
    fix = row["fix"]
    if fix is None:
        usual = rule["fix"]
        fix = {"effort": usual["effort"], "text": usual["text"], "steps": usual["steps"][exchange]}
    return {**{name: rule[name] for name in _OF_A_RULE if name in rule}, **row, "fix": fix}


def _path(row: Mapping[str, Any], tables: Mapping[str, Any], steps: Any) -> dict[str, Any]:
    texts = {
        name: tables[table][row[by]]
        for name, table, by in (("goal_text", "goals", "goal"), ("capability_text", "capabilities", "capability"))
        if name not in row
    }
    return {**texts, **row, "steps": list(_steps(row["steps"], tables, steps))}


def _steps(rows: Iterable[Mapping[str, Any]], tables: Mapping[str, Any], steps: Any) -> Iterable[dict[str, Any]]:
    for row in rows:
        if "step" not in row:
            yield dict(row)
            continue
        place = row["step"]
        if not isinstance(place, int) or not 0 <= place < len(steps):
            raise ValueError("a step that is not there")
        told = steps[place]
        shown = {name: value for name, value in {**told, **row}.items() if name not in {"does", "step"}}
        yield {**tables["actions"][told["does"]], **shown}
