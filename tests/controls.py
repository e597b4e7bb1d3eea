"""Fills the rules column of `docs/controls.md` from the rules' aliases: `python -m tests.controls`. A test fails when it is stale."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from auditor.model.rule import Rule
from auditor.ruleset import loader

PAGE = Path(__file__).resolve().parent.parent / "docs" / "controls.md"
ROW = re.compile(r"^\| ([A-Z]+-\d\d) \| ([^|\n]*) \|([^|\n]*)\|$", re.MULTILINE)
"""Code, what is asked, and the rules or why there is none."""


def page(text: str, rules: Iterable[Rule]) -> str:
    """The page with the rules of every code. What stands where a code has no rule is left alone."""
    by_code: dict[str, list[Rule]] = defaultdict(list)
    for rule in rules:
        for code in rule.aliases:
            by_code[code].append(rule)

    def filled(row: re.Match[str]) -> str:
        ranked = sorted(by_code[row[1]], key=lambda rule: (rule.severity.rank, rule.id))
        named = ", ".join(f"`{rule.id}` ({rule.severity.value})" for rule in ranked)
        return f"| {row[1]} | {row[2]} | {named or row[3].strip()} |"

    return ROW.sub(filled, text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(), loader.load(loader.shipped_folder())))
