"""`auditor rules`: the rule catalogue, and what a writer of rules needs: check and test."""

from __future__ import annotations

import difflib
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from auditor.cli import _voice
from auditor.errors import InputError, UsageError
from auditor.model.rule import Rule
from auditor.redaction import printable

_CONFIG = click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file, for its rule folders."
)
_FORMAT = click.option("-f", "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


_SHOWN = click.option(
    "-f", "--format", "form", type=click.Choice(["text", "json", "sql"]), default="text", show_default=True
)
_HELP = """The rule catalogue; validates and tests rule files, your own too.

\b
Examples:
  auditor rules list
  auditor rules show auth-sms-weakest
  auditor rules test my-rules/
"""


@click.group("rules", help=_HELP)
def command() -> None:
    pass


@command.command("list", epilog="\b\nExample:\n  auditor rules list -f json")
@_CONFIG
@_FORMAT
def list_(config_path: Path | None, form: str) -> None:
    """Every rule that an audit would run, worst first."""
    rules = sorted(_rules(config_path), key=lambda rule: (rule.severity.rank, rule.id))
    if form == "json":
        _voice.result(json.dumps([_brief(rule) for rule in rules], indent=1))
        return
    wide = max((len(rule.id) for rule in rules), default=0)
    for rule in rules:
        title = printable(rule.title)
        if sys.stdout.isatty():
            title = textwrap.shorten(title, max(20, _width() - wide - 12), placeholder="…")
        _voice.result(f"{rule.severity.value:8}  {printable(rule.id):{wide}}  {title}")


@command.command("show", epilog="\b\nExample:\n  auditor rules show auth-sms-weakest")
@click.argument("rule_id", metavar="ID")
@_CONFIG
@_SHOWN
def show(rule_id: str, config_path: Path | None, form: str) -> None:
    """One rule in full: what it asks, why, how it is known, what to do. As sql: one statement for a warehouse."""
    rules = {rule.id: rule for rule in _rules(config_path)}
    if rule_id not in rules:
        close = difflib.get_close_matches(rule_id, rules, 1)
        raise UsageError(
            f"there is no rule {rule_id!r}", hint=f"did you mean {close[0]}?" if close else "auditor rules list"
        )
    if form == "json":
        _voice.result(json.dumps(_whole(rules[rule_id]), indent=1))
    elif form == "sql":
        from auditor.ruleset import statement

        _voice.result(statement.select(rules[rule_id]))
    else:
        _voice.result("\n".join(_card(rules[rule_id])))


@command.command("check", epilog="\b\nExample:\n  auditor rules check my-rules/")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(paths: tuple[Path, ...]) -> int:
    """Everything wrong with rule files or folders, with file and line. Exit code 2 if anything is."""
    from auditor.ruleset import loader

    faults = [fault for path in paths for fault in loader.check(path)]
    if faults:
        _voice.complain(InputError(faults))
        return 2
    _voice.result(f"{len(paths)} checked: nothing wrong" if len(paths) > 1 else "nothing wrong")
    return 0


@command.command("test", epilog="\b\nExample:\n  auditor rules test my-rules/")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def test(paths: tuple[Path, ...]) -> int:
    """Run the cases that rules carry (the shipped pack's without PATHS). Exit code 2 if one fails."""
    from auditor import cases
    from auditor.ruleset import loader

    rules = loader.load_all(paths, shipped=not paths)
    failures = cases.run(rules, now=datetime.now(UTC))
    for failure in failures:
        _voice.say(
            f"error: {printable(failure.file, limit=400)}: case {printable(failure.case)!r} expects {failure.expected}, got {failure.got}"
        )
    total = sum(len(rule.cases) for rule in rules)
    _voice.result(f"{len(rules)} rules, {total} cases, {len(failures)} failed")
    return 2 if failures else 0


def _rules(config_path: Path | None) -> tuple[Rule, ...]:
    from auditor.ruleset import loader

    if config_path is None:
        return tuple(loader.load_all((), shipped=True))
    from auditor import pipeline
    from auditor.cli import _options

    return pipeline.rule_files(_options.settings(config_path, ()))


def _brief(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "severity": rule.severity.value,
        "applies_to": rule.applies_to,
        "lifecycle": rule.lifecycle,
    }


def _whole(rule: Rule) -> dict[str, Any]:
    return {
        **_brief(rule),
        "since": rule.since,
        "when": rule.when.sql if rule.when else None,
        "require": rule.require.sql,
        "facts": rule.facts,
        "message": rule.message,
        "why": rule.why,
        "how_we_know": rule.how_we_know,
        "fix": {"effort": rule.fix.effort, "text": rule.fix.text, "steps": rule.fix.steps},
        "controls": rule.controls,
        "incidents": rule.incidents,
        "aliases": rule.aliases,
        "references": rule.references,
        "cases": len(rule.cases),
    }


def _card(rule: Rule) -> list[str]:
    """The rule as a person reads it."""
    steps = rule.fix.steps.get("default", ())
    parts = [
        ("about", (f"every {rule.applies_to}" + (f" where {_readable(rule.when.sql)}" if rule.when else ""),)),
        ("requires", (_readable(rule.require.sql),)),
        ("why", (rule.why,)),
        ("how we know", (rule.how_we_know,)),
        ("what to do", (f"({rule.fix.effort} effort) {rule.fix.text}", *(f"- {step}" for step in steps))),
        ("related to", (", ".join(rule.controls),)),
        ("incidents", (", ".join(rule.incidents),)),
    ]
    lines = [f"{rule.id} ({rule.severity.value}, {rule.lifecycle}, since {rule.since})", *_wrapped(rule.title, "")]
    for name, texts in parts:
        if any(texts):
            lines += ["", name, *(line for text in texts for line in _wrapped(text, "  "))]
    return lines


def _wrapped(text: str, indent: str) -> Sequence[str]:
    return textwrap.wrap(
        printable(" ".join(text.split()), limit=4000), _width(), initial_indent=indent, subsequent_indent=indent
    )


def _readable(sql: str) -> str:
    return sql.replace("now_", "now")


def _width() -> int:
    return min(shutil.get_terminal_size().columns, 100) if sys.stdout.isatty() else 80
