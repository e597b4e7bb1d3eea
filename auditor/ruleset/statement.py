"""A rule as one SQL statement for a warehouse that already holds the facts: the text that runs here, in standard SQL.

Knows the layout that docs/warehouse.md describes (one table a subject type, `account_name` in each) and no database. The
conditions stand in it as the checker wrote them: nothing is translated.
"""

from __future__ import annotations

from auditor.model.rule import Rule
from auditor.ruleset.words import CLOCK

NOW = f"CROSS JOIN (SELECT CURRENT_TIMESTAMP AS {CLOCK}) AS clock"
"""The clock of a statement: to judge as of another moment, write that moment there."""


def outcome(rule: Rule) -> str:
    """The outcome of a rule as an expression over `scope.name` and `now_`: 'fail', 'unknown', 'not_applicable' or 'pass'."""
    when = rule.when.sql if rule.when else "TRUE"
    risk = f"({when} AND NOT {rule.require.sql})"
    return (
        f"CASE WHEN {risk} THEN 'fail'\n"
        f"     WHEN {risk} IS NULL THEN 'unknown'\n"
        f"     WHEN NOT {when} THEN 'not_applicable'\n"
        "     ELSE 'pass' END"
    )


def select(rule: Rule) -> str:
    """A query that gives every subject of the rule's type with its outcome."""
    scope = rule.applies_to
    joined = [
        f"JOIN {other} ON {other}.account_name = {scope}.account_name\n"
        for other in ("account", "venue")
        if other != scope
    ]
    return f"SELECT {scope}.*, {outcome(rule)} AS outcome\nFROM {scope}\n{''.join(joined)}{NOW}"
