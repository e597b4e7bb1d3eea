"""Rule files to Rule values, and every fault of every file at once.

Puts the gates together (shape, cases, predicates, names) and knows where the shipped rules lie. Runs no rule.
"""

from __future__ import annotations

import hashlib
import json
import os.path
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from auditor import yamlio
from auditor.errors import Fault, InputError
from auditor.model.facts import SCOPES
from auditor.model.rule import Fix, Predicate, Rule, Severity
from auditor.redaction import printable
from auditor.ruleset import cases, predicate, prepared, shape
from auditor.values import frozen
from auditor.yamlio import Document

FAMILIES = ("key", "auth", "email", "withdrawal", "session", "vendor", "team", "venue", "monitor", "evidence", "alert")
"""What the ids of shipped rules begin with. Rules of users may begin as they like."""
_MAX_BYTES = 2**20
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}|[{}]")


@frozen
class _Loaded:
    """What came of one file: a rule, or faults."""

    rule: Rule | None
    faults: tuple[Fault, ...]
    line: int = 1


def load(folder: Path) -> list[Rule]:
    """The rules of one folder, by id. Raises InputError with every fault of every file."""
    return _whole([folder])


def load_all(folders: Iterable[Path], *, shipped: bool) -> list[Rule]:
    """The rules of all folders, and of the shipped pack where `shipped`, by id. Raises InputError with every fault."""
    return _whole([*([shipped_folder()] if shipped else []), *folders])


def check(path: Path) -> list[Fault]:
    """Everything wrong with a rule file, or with every rule file of a folder; empty where it would load."""
    if _is(path, stat.S_ISDIR):
        loaded = list(_folder(path))
        return list(InputError([fault for one in loaded for fault in one.faults]).faults)
    return list(InputError(list(_file(path).faults)).faults)


def shipped_folder() -> Path:
    """Where the rules of this package lie: inside an installed one, beside the source of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "_shipped" / "rules", package.parent / "rules"
    if installed.is_dir():
        return installed
    if (package.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    fault = Fault(
        file=str(installed), line=0, message="the shipped rules are not there", hint="install the package again"
    )
    raise InputError([fault])


def digest(rules: Iterable[Rule]) -> str:
    """The sha256 of what decides outcomes and weights. Texts, file names and the order of the input change nothing."""
    decides = sorted(
        [rule.id, rule.severity.value, rule.applies_to, rule.when.sql if rule.when else None, rule.require.sql]
        for rule in rules
    )
    return hashlib.sha256(json.dumps(decides, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _whole(folders: Iterable[Path]) -> list[Rule]:
    """All rules of the folders, a folder named twice read once; or InputError."""
    found = {os.path.realpath(folder): folder for folder in reversed(list(folders))}
    faults: list[Fault] = []
    rules: dict[str, Rule] = {}
    for folder in reversed(found.values()):
        for one in _folder(folder):
            faults.extend(one.faults)
            if one.rule is None:
                continue
            first = rules.setdefault(one.rule.id, one.rule)
            if first is not one.rule:
                faults.append(_taken(first, one))
    if faults:
        raise InputError(faults)
    return [rules[name] for name in sorted(rules)]


def _taken(first: Rule, second: _Loaded) -> Fault:
    assert second.rule is not None
    message = f"the id {first.id} is taken already by {first.file}"
    return Fault(
        file=second.rule.file, line=second.line, message=message, hint="rename one of the two files and its id"
    )


def _folder(folder: Path) -> Iterator[_Loaded]:
    """Every rule file of a folder, not of those below it. Files of other kinds are nobody's business."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        yield _failed(Fault(file=str(folder), line=0, message=f"cannot be read as a folder of rules: {reason}"))
        return
    named = [entry for entry in entries if entry.suffix.lower() in {".yaml", ".yml"}]
    if not named:
        fault = Fault(file=str(folder), line=0, message="holds no rule file", hint="rules are files named <id>.yaml")
        yield _failed(fault)
    for entry in named:
        yield _file(entry)


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether something is at `path` and of that kind; a pipe, for one, must not be opened at all."""
    try:
        return kind(path.stat().st_mode)
    except OSError:
        return False


def _failed(*faults: Fault) -> _Loaded:
    return _Loaded(rule=None, faults=faults)


def _file(path: Path) -> _Loaded:
    if path.suffix != ".yaml" and _is(path, stat.S_ISREG):
        hint = f"rename it to {printable(path.stem)}.yaml"
        return _failed(Fault(file=str(path), line=0, message="is not named *.yaml, and would not be read", hint=hint))
    if _is(path, lambda mode: not stat.S_ISREG(mode)):
        return _failed(Fault(file=str(path), line=0, message="is not a file"))
    known = _prepared(path)
    if known is not None:
        return _Loaded(rule=known, faults=())
    try:
        document = yamlio.read(path, max_bytes=_MAX_BYTES)
    except InputError as error:
        return _failed(*error.faults)
    return _document(document, path)


def _prepared(path: Path) -> Rule | None:
    """The rule of a file that was checked when the package was made and is still the same to the byte."""
    value = prepared.rule(path)
    if value is None:
        return None
    when, require = (
        predicate.check(value[name], applies_to=value["applies_to"]) if value.get(name) else None
        for name in ("when", "require")
    )
    assert require is not None
    return _rule(value, when, require, str(path))


def _document(document: Document, path: Path) -> _Loaded:
    faults = list(shape.faults(document))
    if not isinstance(document.value, dict):
        return _failed(*faults)
    faults.extend(cases.faults(document))
    faults.extend(_names(document, path))
    predicates: dict[str, Predicate] = {}
    for name in ("when", "require"):
        faults.extend(_predicate(document, name, predicates.__setitem__))
    faults.extend(_placeholders(document))
    if faults:
        return _failed(*faults)
    rule = _rule(document.value, predicates.get("when"), predicates["require"], str(path))
    return _Loaded(rule=rule, faults=(), line=document.line("id"))


def _names(document: Document, path: Path) -> Iterator[Fault]:
    """What the id must be: the file's name, of a known family where the rule is shipped, and info for evidence."""
    rule_id = document.value.get("id")
    if not isinstance(rule_id, str):
        return
    if rule_id != path.stem:
        message = f"the id {printable(rule_id, limit=100)} is not the name of the file"
        yield document.fault(message, "id", hint=f"write id: {printable(path.stem)}, or rename the file")
    family = rule_id.partition("-")[0]
    if family not in FAMILIES and _is_shipped(path):
        yield document.fault("the id begins with no known family", "id", hint=f"families: {', '.join(FAMILIES)}")
    if family == "evidence" and document.value.get("severity") in {"critical", "high", "medium", "low"}:
        message = "severity: rules about the evidence itself are info, and weigh nothing"
        yield document.fault(message, "severity", hint="write severity: info")


def _is_shipped(path: Path) -> bool:
    try:
        return os.path.realpath(path.parent) == os.path.realpath(shipped_folder())
    except InputError:
        return False


def _applies_to(document: Document) -> str | None:
    """The subject type, where it is a real one; without it no fact can be said to be out of place."""
    value = document.value.get("applies_to")
    return value if value in SCOPES else None


def _predicate(document: Document, name: str, keep: Callable[[str, Predicate], Any]) -> Iterator[Fault]:
    text, applies_to = document.value.get(name), _applies_to(document)
    if not isinstance(text, str) or not text.strip() or applies_to is None:
        return
    try:
        keep(name, predicate.check(text, applies_to=applies_to))
    except predicate.PredicateError as error:
        yield document.fault(f"{name}: {error.message}", name, hint=error.hint)


def _placeholders(document: Document) -> Iterator[Fault]:
    text, applies_to = document.value.get("message"), _applies_to(document)
    if not isinstance(text, str) or applies_to is None:
        return
    for found in _PLACEHOLDER.finditer(text):
        if found[1] is None:
            yield document.fault(
                "message: a brace is alone", "message", hint="braces stand around a fact: {api_key.label}"
            )
        elif (fault := predicate.unreadable(found[1], applies_to=applies_to)) is not None:
            yield document.fault(f"message: {fault.message}", "message", hint=fault.hint)


def _rule(value: dict[str, Any], when: Predicate | None, require: Predicate, file: str) -> Rule:
    plain: dict[str, Any] = {
        name: value[name] for name in ("id", "title", "lifecycle", "since", "applies_to", "message", "why")
    }
    lists: dict[str, Any] = {
        name: tuple(value.get(name, ())) for name in ("controls", "incidents", "aliases", "references", "cases")
    }
    fix = value["fix"]
    return Rule(
        **plain,
        **lists,
        severity=Severity(value["severity"]),
        how_we_know=value["how_we_know"],
        when=when,
        require=require,
        fix=Fix(
            effort=fix["effort"],
            text=fix["text"],
            remedy=fix.get("remedy"),
            steps={name: tuple(steps) for name, steps in fix.get("steps", {}).items()},
        ),
        file=file,
    )
