"""The three-valued conditions answer what DuckDB answers: every condition of the model, and predicates made by chance."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor import yamlio
from auditor.engine.derived import DERIVED
from auditor.engine.evaluate import Evaluation
from auditor.engine.intake import Evidence
from auditor.model.facts import catalogue, format_time
from auditor.model.report import Outcome
from auditor.model.rule import Predicate
from auditor.ruleset import kleene, predicate
from auditor.threats import load
from tests.engine import test_oracle as chanced
from tests.engine.invented import rule

from .invented import NOW, document, value

quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def conditions() -> list[tuple[str, str]]:
    """Every predicate text of the shipped model with the scope it is about."""
    table = yamlio.read(load.SHIPPED).value
    found: list[tuple[str, str]] = []
    for action in table["actions"]:
        found += [("account", action[name]) for name in ("when", "unless", "unless_known") if name in action]
        found += [(action["for_each"]["scope"], action["for_each"]["when"])] if "for_each" in action else []
        found += [("account", one["when"]) for one in action.get("delays", []) if "when" in one]
        found += [("account", action["dearer"]["when"])] if "dearer" in action else []
    for change in table["changes"]:
        found += [("account", change[name]) for name in ("needs", "offered") if name in change]
        found += [(one.get("scope", "account"), one["when"]) for one in change["sets"] if "when" in one]
    for loot in table["loot"].values():
        found += [(loot["scope"], text) for text in loot["gives"].values()]
    return list(dict.fromkeys(found))


def test_the_model_has_conditions_of_every_kind() -> None:
    assert {scope for scope, _ in conditions()} == {"account", "api_key", "address", "vendor"}
    assert len(conditions()) > 50


@quick
@given(st.integers(0, 2**32).map(random.Random))
def test_every_condition_of_the_model_is_what_the_engine_says(chance: random.Random) -> None:
    checked = [(scope, predicate.check(text, applies_to=scope)) for scope, text in conditions()]
    facts = {path for _, one in checked for path in one.facts}
    # A fact that would be derived where it is absent is given as null, which it then stays.
    tables: dict[str, dict[str, Any]] = {"account": {}, "venue": {}, "api_key": {}, "address": {}, "vendor": {}}
    for path in sorted(facts):
        scope, name = path.split(".")
        if chance.random() < 0.65:
            tables[scope][name] = value(path, chance)
        elif path in DERIVED:
            tables[scope][name] = None
    rows = {"api_keys": [tables["api_key"]], "addresses": [tables["address"]], "vendors": [tables["vendor"]]}
    complete = dict.fromkeys(("key_inventory_complete", "addresses_complete", "vendors_complete"), True)
    one = document({**tables["account"], **complete}, tables["venue"], **rows)
    known = {
        f"{scope}.{name}": held for scope, table in tables.items() for name, held in table.items() if held is not None
    }
    rules = [rule(f"r{number}", scope, one) for number, (scope, one) in enumerate(checked)]
    said = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.UNKNOWN}
    with Evidence(NOW).add([one]) as evidence, Evaluation(evidence, rules, {}) as evaluation:
        [subjects] = list(evaluation.documents())
        found = {name: outcome for subject in subjects for name, outcome in subject.outcomes.items()}
    for number, (_, one_predicate) in enumerate(checked):
        mine = kleene.condition(one_predicate).value(known, NOW)
        assert found[f"r{number}"] is said[mine], one_predicate.sql


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(chanced._tree, st.integers(0, 2**32).map(random.Random))
def test_any_predicate_is_what_the_engine_says(tree: Any, chance: random.Random) -> None:
    checked = predicate.check(chanced.spelled(tree), applies_to="api_key")
    one, subjects = chanced.invented(chance)
    with (
        Evidence(chanced.NOW).add([one]) as evidence,
        Evaluation(evidence, [rule("r", "api_key", checked)], {}) as evaluation,
    ):
        [found] = list(evaluation.documents())
    answers = {subject.number: subject.outcomes["r"] for subject in found if subject.scope == "api_key"}
    said = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.UNKNOWN}
    condition = kleene.condition(checked)
    for number, outcome in answers.items():
        facts = subjects[0] if number == 0 else subjects[number]
        assert outcome is said[condition.value(facts, chanced.NOW)]


@quick
@given(chanced._tree, st.integers(0, 2**32).map(random.Random))
def test_what_is_open_would_decide_and_what_is_ground_does(tree: Any, chance: random.Random) -> None:
    condition = kleene.condition(predicate.check(chanced.spelled(tree), applies_to="api_key"))
    _, subjects = chanced.invented(chance)
    for facts in subjects:
        truth = condition.value(facts, NOW)
        open_, grounds = condition.open(facts, NOW), condition.grounds(facts, NOW)
        if truth is None:
            assert open_ and not grounds
            assert all(facts.get(path) is None for path in open_)
        else:
            assert not open_
            alone = {path: facts[path] for path in grounds}
            assert condition.value(alone, NOW) is truth, "the grounds alone do not carry it"


def test_times_and_intervals() -> None:
    old = kleene.condition(
        predicate.check("account.password_changed_at < now - INTERVAL '90' DAY", applies_to="account")
    )
    for days, truth in ((89, False), (90, False), (91, True)):
        assert old.value({"account.password_changed_at": NOW - timedelta(days=days)}, NOW) is truth
    assert old.value({}, NOW) is None
    assert catalogue()["account.password_changed_at"].check(format_time(NOW)) is None


def test_nothing_needed_is_always_so() -> None:
    assert kleene.both() is kleene.ALWAYS
    assert kleene.ALWAYS.value({}, NOW) is True
    one = kleene.condition(Predicate(sql="account.p2p_enabled", facts=("account.p2p_enabled",)))
    assert kleene.both(kleene.ALWAYS, one) is one
