"""The contenders: each is given the same rows and the same rules, and says of every row and rule F (fails), O (does not) or U.

A program of its own for an environment of its own (requirements/bench.txt); it imports nothing of the auditor. Reads a
JSON file {"rows": [...], "rules": {id: {"fail": [[[fact, sign, constant]]], "ok": ...}}}; compiles first, warms up on a
few rows, and times the evaluation alone.
"""

from __future__ import annotations

import gc
import json
import operator
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Verdicts = Callable[[Row], str]
SIGNS = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
ROUNDS = 3


def name(fact: str) -> str:
    return fact.replace(".", "_")


@dataclass
class Reported:
    """What a check function reports of a resource, as cloud auditors in Python do."""

    check_id: str
    status: str
    resource: Row
    status_extended: str = ""


def check_functions(rules: dict[str, Any]) -> Verdicts:
    """One Python function a check, which makes a report object of every resource."""

    def source(alternatives: list[Any]) -> str:
        def atom(fact: str, sign: str, value: Any) -> str:
            held = f"row[{name(fact)!r}]"
            python = {"=": "==", "<>": "!="}.get(sign, sign)
            return f"({held} is not None and {held} {python} {value!r})"

        return " or ".join("(" + " and ".join(atom(*one) for one in group) + ")" for group in alternatives) or "False"

    checks = {
        rule: eval(f"lambda row: 'F' if {source(said['fail'])} else 'O' if {source(said['ok'])} else 'U'")
        for rule, said in rules.items()
    }

    def verdicts(row: Row) -> str:
        reports = [Reported(check_id=rule, status=check(row), resource=row) for rule, check in checks.items()]
        return "".join(one.status for one in reports)

    return verdicts


def two_valued(holds: Callable[[Row], list[bool]]) -> Verdicts:
    """From what an engine says of fail and ok of each rule in turn."""

    def verdicts(row: Row) -> str:
        said = holds(row)
        return "".join("F" if said[at] else "O" if said[at + 1] else "U" for at in range(0, len(said), 2))

    return verdicts


def written(alternatives: list[Any], atom: Callable[[str, str, Any], str], both: str, either: str) -> str:
    return either.join(
        "(" + both.join(atom(name(fact), sign, value) for fact, sign, value in group) + ")" for group in alternatives
    )


def cel_python(rules: dict[str, Any]) -> Verdicts:
    import celpy

    def atom(fact: str, sign: str, value: Any) -> str:
        cel = {"=": "==", "<>": "!="}.get(sign, sign)
        return f"(has(row.{fact}) && row.{fact} {cel} {json.dumps(value)})"

    environment = celpy.Environment()
    programs = [
        environment.program(environment.compile(written(said[part], atom, " && ", " || ")))
        for said in rules.values()
        for part in ("fail", "ok")
    ]

    def holds(row: Row) -> list[bool]:
        known = {"row": celpy.json_to_cel({fact: value for fact, value in row.items() if value is not None})}
        return [bool(program.evaluate(known)) for program in programs]

    return two_valued(holds)


def zen_engine(rules: dict[str, Any]) -> Verdicts:
    import zen

    def atom(fact: str, sign: str, value: Any) -> str:
        says = {"=": "==", "<>": "!="}.get(sign, sign)
        return f"({fact} != null and {fact} {says} {json.dumps(value)})"

    programs = [
        zen.compile_expression(written(said[part], atom, " and ", " or "))
        for said in rules.values()
        for part in ("fail", "ok")
    ]
    return two_valued(lambda row: [bool(program.evaluate(row)) for program in programs])


def regopy(rules: dict[str, Any]) -> Verdicts:
    from regopy import Interpreter

    def atom(fact: str, sign: str, value: Any) -> str:
        says = {"=": "==", "<>": "!="}.get(sign, sign)
        return f"input.{fact} != null; input.{fact} {says} {json.dumps(value)}"

    lines = ["package checks"]
    for number, said in enumerate(rules.values()):
        for part in ("fail", "ok"):
            lines.append(f"default {part}{number} = false")
            bodies = ("; ".join(atom(name(fact), sign, value) for fact, sign, value in group) for group in said[part])
            lines += [f"{part}{number} {{ {body} }}" for body in bodies]
    rego = Interpreter()
    rego.add_module("checks", "\n".join(lines))

    def holds(row: Row) -> list[bool]:
        rego.set_input(row)
        found = json.loads(str(rego.query("x = data.checks")))
        said = (
            (found[0] if isinstance(found, list) else found)["bindings"]["x"]
            if "bindings" in str(found)
            else found["x"]
        )
        return [said[f"{part}{number}"] for number in range(len(rules)) for part in ("fail", "ok")]

    return two_valued(holds)


def cloud_custodian(rules: dict[str, Any]) -> Verdicts:
    from c7n.filters.core import FilterRegistry, ValueFilter

    words = {"=": "eq", "<>": "ne", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
    registry = FilterRegistry("keys")
    registry.register("value", ValueFilter)

    def atom(fact: str, sign: str, value: Any) -> dict[str, Any]:
        return {"type": "value", "key": fact, "op": words[sign], "value": value}

    def known(fact: str) -> dict[str, Any]:
        return {"type": "value", "key": fact, "value": "present"}

    def filters(alternatives: list[Any]) -> list[Any]:
        groups = [
            {
                "and": [
                    part for fact, sign, value in group for part in (known(name(fact)), atom(name(fact), sign, value))
                ]
            }
            for group in alternatives
        ]
        return [registry.factory(group, None) for group in groups]

    made = [filters(said[part]) for said in rules.values() for part in ("fail", "ok")]
    return two_valued(lambda row: [any(group.process([row]) for group in groups) for groups in made])


ENGINES: dict[str, Callable[[dict[str, Any]], Verdicts]] = {
    "check functions": check_functions,
    "cel-python": cel_python,
    "zen-engine": zen_engine,
    "regopy": regopy,
    "Cloud Custodian": cloud_custodian,
}


def main(file: str, engine: str, most: str) -> None:
    given = json.loads(Path(file).read_text())
    rows = [{name(fact): value for fact, value in row.items()} for row in given["rows"][: int(most)]]
    verdicts = ENGINES[engine](given["rules"])
    answers = [verdicts(row) for row in rows[: max(1, len(rows) // 10)]]  # a warm-up that does not count
    took = []
    for _ in range(ROUNDS):
        gc.collect()
        begun = time.perf_counter()
        answers = [verdicts(row) for row in rows]
        took.append(time.perf_counter() - begun)
    json.dump({"seconds": statistics.median(took), "rows": len(rows), "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
