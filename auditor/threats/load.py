"""Model files to a Model: shape by the published schema, names by each other, conditions by the checker of rules.

Every fault of every file is reported at once, with its line. Runs nothing of the model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from auditor import yamlio
from auditor.errors import Fault, InputError
from auditor.model.facts import catalogue, suggestion
from auditor.ruleset import kleene, predicate, shape
from auditor.ruleset.kleene import ALWAYS, Condition, both, known, negation
from auditor.threats.model import Delay, Model, Move, Remedy, Rows, Setting, State
from auditor.yamlio import Document

SHIPPED = Path(__file__).with_name("model.yaml")
_MAX_BYTES = 2**21


@cache
def schema() -> dict[str, Any]:
    """The published JSON Schema of a model file."""
    table: dict[str, Any] = json.loads(Path(__file__).with_name("model.schema.json").read_text(encoding="utf-8"))
    return table


@cache
def shipped() -> Model:
    """The model of this package."""
    return load()


def load(extra: Iterable[Path] = ()) -> Model:
    """The shipped model and what the files of a user add to it. Raises InputError with every fault."""
    documents = [yamlio.shipped(SHIPPED), *(yamlio.read(path, max_bytes=_MAX_BYTES) for path in extra)]
    read = [one for one in documents if one.lines]  # what was parsed when the package was made was looked at then
    faults = [fault for one in read for fault in shape.faults(one, schema())]
    if faults:
        raise InputError(faults)
    reading = _Reading(documents)
    model = reading.model()
    if reading.faults:
        raise InputError(reading.faults)
    return model


def check(path: Path) -> list[Fault]:
    """Everything wrong with a model file of a user; empty where it would load."""
    try:
        load([path])
    except InputError as error:
        return list(error.faults)
    return []


class _Reading:
    """One pass over all documents. It goes on after a fault, so that one reading mends the files."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents = documents
        self.faults: list[Fault] = []
        self.taken: dict[str, str] = {}
        self.states: dict[str, State] = {}
        self.loot: dict[str, tuple[str, dict[str, Condition]]] = {}

    def model(self) -> Model:
        sections = ("capabilities", "states", "goals")
        for document in self.documents:
            for section in sections:
                for name, row in document.value.get(section, {}).items():
                    self.state(document, section, name, row)
        for document in self.documents:
            for name, row in document.value.get("loot", {}).items():
                self.spoils(document, name, row)
        capabilities = [name for one in self.documents for name in one.value.get("capabilities", {})]
        moves = [move for one in self.documents for move in self.actions(one)]
        remedies = [remedy for one in self.documents for remedy in self.changes(one)]
        together = [group for one in self.documents for group in self.groups(one, capabilities)]
        texts = json.dumps([one.value for one in self.documents], sort_keys=True)
        return Model(
            states=self.states,
            capabilities=tuple(capabilities),
            together=tuple(dict.fromkeys(together)),
            moves=tuple(moves),
            remedies=tuple(remedies),
            sha256=hashlib.sha256(texts.encode()).hexdigest(),
        )

    def fault(self, document: Document, message: str, *place: str | int, hint: str | None = None) -> None:
        self.faults.append(document.fault(f"{shape.label(place)}: {message}", *place, hint=hint))

    def unique(self, document: Document, kind: str, name: str, *place: str | int) -> None:
        first = self.taken.setdefault(f"{kind} {name}", f"{document.file}:{document.line(*place)}")
        if first != f"{document.file}:{document.line(*place)}":
            self.fault(document, f"the id {name} is taken already by {first}", *place, hint="choose another id")

    def state(self, document: Document, section: str, name: str, row: dict[str, Any]) -> None:
        self.unique(document, "state", name, section, name)
        self.states[name] = State(
            id=name,
            text=row["text"],
            mutes=frozenset(row.get("mutes", [])),
            goal=section == "goals",
            losing_funds=row.get("losing_funds", False),
        )

    def named(self, document: Document, names: Iterable[str], *place: str | int, goals: bool = True) -> tuple[str, ...]:
        known = {name for name, state in self.states.items() if goals or not state.goal}
        for at, name in enumerate(names):
            if name not in known:
                meant = shape.guess(name, sorted(known))
                self.fault(document, f"nothing is called {name}{meant}", *place, at, hint="declare it under states")
        return tuple(names)

    def condition(self, document: Document, row: dict[str, Any], key: str, scope: str, *place: str | int) -> Condition:
        if key not in row:
            return ALWAYS
        try:
            return kleene.condition(predicate.check(row[key], applies_to=scope))
        except predicate.PredicateError as error:
            self.fault(document, error.message, *place, key, hint=error.hint)
            return ALWAYS

    def spoils(self, document: Document, name: str, row: dict[str, Any]) -> None:
        here = ("loot", name)
        self.unique(document, "loot", name, *here)
        gives = row["gives"]
        self.named(document, gives, *here, "gives", goals=False)
        conditions = {state: self.condition(document, gives, state, row["scope"], *here, "gives") for state in gives}
        self.loot[name] = (row["scope"], conditions)

    def actions(self, document: Document) -> Iterator[Move]:
        for at, row in enumerate(document.value.get("actions", [])):
            here = ("actions", at)
            self.unique(document, "action", row["id"], *here, "id")
            if not row.get("have") and not row.get("any"):
                self.fault(
                    document,
                    "needs nothing, so that everybody could",
                    *here,
                    hint="say what it starts from: have or any",
                )
            if not row.get("gives") and "takes" not in row:
                self.fault(document, "leads nowhere", *here, hint="say what it gives")
            for gives, rows in self.yields(document, row, *here):
                yield self.move(document, row, gives, rows, *here)

    def yields(
        self, document: Document, row: dict[str, Any], *here: str | int
    ) -> Iterator[tuple[tuple[str, ...], Rows | None]]:
        """What an action gives, and the row it needs for it: all at once, or from a row each thing by itself."""
        each = row.get("for_each")
        scope = each["scope"] if each else "account"
        which = self.condition(document, each, "when", scope, *here, "for_each") if each else ALWAYS
        if row.get("gives"):
            given = self.named(document, row["gives"], *here, "gives")
            yield given, Rows(scope=scope, when=which) if each else None
        if "takes" not in row:
            return
        if row["takes"] not in self.loot:
            self.fault(
                document,
                f"no loot is called {row['takes']}{shape.guess(row['takes'], list(self.loot))}",
                *here,
                "takes",
            )
            return
        of, states = self.loot[row["takes"]]
        if of != scope:
            self.fault(document, f"takes from {of}", *here, "takes", hint=f"write for_each: {{scope: {of}}}")
        for state, condition in states.items():
            yield (state,), Rows(scope=of, when=both(which, condition))

    def move(
        self, document: Document, row: dict[str, Any], gives: tuple[str, ...], rows: Rows | None, *here: str | int
    ) -> Move:
        unless = self.condition(document, row, "unless", "account", *here)
        barred = self.condition(document, row, "unless_known", "account", *here)
        dearer = row.get("dearer")
        return Move(
            action=row["id"],
            text=row["text"],
            have=self.named(document, row.get("have", []), *here, "have", goals=False),
            any=tuple(
                self.named(document, group, *here, "any", number, goals=False)
                for number, group in enumerate(row.get("any", []))
            ),
            when=both(
                self.condition(document, row, "when", "account", *here),
                *([] if unless is ALWAYS else [negation(unless)]),
                *([] if barred is ALWAYS else [negation(known(barred))]),
            ),
            rows=rows,
            gives=gives,
            cost=row["cost"],
            dearer=self.condition(document, dearer, "when", "account", *here, "dearer") if dearer else None,
            dearer_by=dearer["by"] if dearer else 0,
            delays=tuple(
                self.delay(document, one, *here, "delays", number) for number, one in enumerate(row.get("delays", []))
            ),
            why=row.get("why", ""),
            attack=tuple(row.get("attack", [])),
            incidents=tuple(row.get("incidents", [])),
        )

    def delay(self, document: Document, row: dict[str, Any], *place: str | int) -> Delay:
        path = row["hours"]
        fact = catalogue().get(path)
        if fact is None or fact.kind not in {"number", "int"} or fact.scope not in predicate.EVERYWHERE:
            meant = suggestion(path) if fact is None else ""
            self.fault(document, f"{path} is no number of hours{meant}", *place, "hours")
        if "if" in row:
            self.named(document, [row["if"]], *place, goals=False)
        when = self.condition(document, row, "when", "account", *place)
        return Delay(hours=path, state=row.get("if"), when=when)

    def changes(self, document: Document) -> Iterator[Remedy]:
        for at, row in enumerate(document.value.get("changes", [])):
            here = ("changes", at)
            self.unique(document, "change", row["id"], *here, "id")
            yield Remedy(
                id=row["id"],
                text=row["text"],
                effort=row["effort"],
                needs=self.condition(document, row, "needs", "account", *here),
                offered=self.condition(document, row, "offered", "account", *here),
                sets=tuple(
                    self.setting(document, one, *here, "sets", number) for number, one in enumerate(row["sets"])
                ),
            )

    def setting(self, document: Document, row: dict[str, Any], *place: str | int) -> Setting:
        scope = row.get("scope", "account")
        for path, value in row["facts"].items():
            fact = catalogue().get(path)
            if fact is None:
                self.fault(document, f"unknown fact {path}{suggestion(path)}", *place, "facts", path)
            elif fact.scope != scope:
                self.fault(document, f"is no fact of {scope}", *place, "facts", path, hint=f"write scope: {fact.scope}")
            elif wrong := fact.check(value):
                self.fault(document, wrong, *place, "facts", path)
        return Setting(scope=scope, when=self.condition(document, row, "when", scope, *place), facts=dict(row["facts"]))

    def groups(self, document: Document, capabilities: list[str]) -> Iterator[tuple[str, ...]]:
        for at, group in enumerate(document.value.get("together", [])):
            for number, name in enumerate(group):
                if name not in capabilities:
                    meant = shape.guess(name, capabilities)
                    self.fault(document, f"no capability is called {name}{meant}", "together", at, number)
            if len(set(group)) < 2:  # noqa: PLR2004  (a pair)
                self.fault(document, "one capability is looked at anyway", "together", at, hint="name two")
            yield tuple(sorted(set(group)))
