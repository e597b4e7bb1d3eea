"""The architecture, held by a test: who may import whom, one owner a library, sizes, and where secrets are revealed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "auditor"
FILES = sorted(PACKAGE.rglob("*.py"))

LAYERS = (
    ("values",),
    ("errors",),
    ("endpoints", "files", "redaction", "spool", "yamlio"),
    ("model", "vault"),
    ("ruleset",),
    (
        "engine",
        "reports",
        "credentials",
        "lookalikes",
        "exchanges._ccxt",
        "exchanges._shape",
        "exchanges._venue",
    ),
    (
        "attestations",
        "cases",
        "config",
        "doubt",
        "exposure",
        "identity",
        "notify",
        "signing",
        "threats",
        "waivers",
        "exchanges._base",
    ),
    (
        "exchanges._signer",
        "exchanges._budget",
        "exchanges._body",
        "exchanges._deadline",
        "exchanges._hosts",
        "exchanges._http",
        "exchanges._once",
        "exchanges._silence",
    ),
    ("exchanges._gate",),
    ("exchanges._transport", "exchanges.*"),
    ("exchanges._load", "twin"),
    ("snapshots", "answers", "envelope", "history", "local", "signers"),
    ("collect", "journal", "memory"),
    ("pipeline",),
    ("bots", "census", "demo", "fleet", "schedule"),
    ("watch",),
    ("cli",),
    ("__main__",),
)
"""Bottom first. A module imports its own room and what stands lower, never up and never another room beside it."""

OWNERS = {
    "ccxt": {"exchanges._signer", "exchanges._ccxt"},
    "alembic": {"history"},
    "apprise": {"notify"},
    "cryptography": {"signing", "vault.crypto", "exchanges._signer", "twin"},
    "dask": {"fleet"},
    "distributed": {"fleet"},
    "fsspec": {"fleet"},
    "pyarrow": {"fleet"},
    "sqlalchemy": {"history"},
    "aiohttp": {"exchanges._transport", "exchanges._body", "exchanges._hosts", "exchanges._http", "twin"},
    "yarl": {"exchanges._http"},
    "duckdb": {"engine"},
    "sqlglot": {"ruleset"},
    "jinja2": {"reports"},
    "markupsafe": {"reports"},
    "rich": {"reports"},
    "click": {"cli"},
    "keyring": {"credentials"},
    "msgspec": {"model", "engine", "journal", "reports"},
    "jsonschema": {"config", "reports", "ruleset"},
    "yaml": {"yamlio", "attestations", "cli"},
}
HEAVY = {
    "alembic",
    "apprise",
    "ccxt",
    "cryptography",
    "dask",
    "distributed",
    "fsspec",
    "pyarrow",
    "sqlalchemy",
    "aiohttp",
    "duckdb",
    "sqlglot",
    "jinja2",
    "rich",
    "keyring",
    "jsonschema",
    "msgspec",
    "yarl",
}
"""Imported where they are used, so that a command pays for what it does."""

REVEALERS = {
    "exposure",
    "local",
    "vault",
    "redaction",
    "exchanges._signer",
    "identity",
    "collect",
    "memory",
    "notify.delivery",
}
BROAD = 2
LONGEST_FILE, LONGEST_FUNCTION = 350, 60
ALSO_OF_THE_CORE = {
    "memory",
    "history",
    "notify",
    "schedule",
    "threats",
    "waivers",
    "ruleset",
    "engine",
    "model",
    "reports",
    "cli",
    "pipeline",
    "collect",
    "snapshots",
    "config",
    "doubt",
    "demo",
    "bots",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Dotted names a file imports, and whether at the top of the module."""
    top = {id(node) for node in tree(path).body}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield (inner if _is_module(inner) else node.module), id(node) in top


def _is_module(dotted: str) -> bool:
    if not dotted.startswith("auditor"):
        return False
    place = PACKAGE.parent.joinpath(*dotted.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def layer(module: str) -> tuple[int, str]:
    """The layer of a module and the room in it. The longest name wins; `exchanges.*` are the connectors."""
    found = [
        (len(room), level, room)
        for level, rooms in enumerate(LAYERS)
        for room in rooms
        if module == room
        or module.startswith(room + ".")
        or (room == "exchanges.*" and module.startswith("exchanges."))
    ]
    assert found, f"{module} stands in no layer: give it one"
    exact = [one for one in found if one[2] != "exchanges.*"] or found
    _, level, room = max(exact)
    return level, room


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    module = name_of(path)
    if module in {"", "exchanges"}:
        return
    level, room = layer(module)
    for target, _ in imports(path):
        if not target.startswith("auditor") or target in {"auditor", "auditor.exchanges"}:
            continue
        below, other = layer(target.removeprefix("auditor."))
        assert other == room or below < level, f"{module} imports {target}: up, or sideways into another room"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_library_has_one_owner_and_heavy_ones_are_imported_where_used(path: Path) -> None:
    module = name_of(path)
    for target, at_top in imports(path):
        library = target.partition(".")[0]
        owners = OWNERS.get(library)
        if owners is None:
            continue
        assert any(module == owner or module.startswith(owner + ".") for owner in owners), f"{module} imports {library}"
        if library in HEAVY and not module.startswith("twin"):
            assert not at_top or _only_for_types(path, target), f"{module} imports {library} at the top"


def _only_for_types(path: Path, target: str) -> bool:
    guarded = [node for node in tree(path).body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    return any(target in ast.dump(node) for node in guarded)


def test_no_library_is_used_that_is_not_declared() -> None:
    import sys
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["fleet"]]
    known = {name.split(">")[0].strip().lower() for name in declared}
    known |= {"yaml", "pyyaml", "yarl", "markupsafe", "fsspec"}  # what those bring along
    for path in FILES:
        for target, _ in imports(path):
            library = target.partition(".")[0]
            assert library in sys.stdlib_module_names or library == "auditor" or library.lower() in known, (
                f"{path}: {library}"
            )


def test_sizes() -> None:
    for path in FILES:
        lines = path.read_text().count("\n")
        assert lines <= LONGEST_FILE, f"{name_of(path)} has {lines} lines"
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{name_of(path)}.{node.name} has {length} lines"


def test_broad_excepts_stand_in_two_places() -> None:
    broad = [
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and _names(node.type) & {"BaseException", "Exception", ""}
    ]
    assert len(broad) <= BROAD, broad


def _names(node: ast.expr | None) -> set[str]:
    if node is None:
        return {""}
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    return {one.id for one in nodes if isinstance(one, ast.Name)}


def test_secrets_are_revealed_in_few_places() -> None:
    for path in FILES:
        calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute) and node.attr == "reveal"]
        assert not calls or name_of(path) in REVEALERS, f"{name_of(path)} reveals a secret"


def test_the_core_names_no_exchange() -> None:
    """A new exchange costs files named after it and nothing else."""
    ids = {path.stem for path in (PACKAGE / "exchanges").glob("*.yaml")}
    for path in FILES:
        if name_of(path).partition(".")[0] not in ALSO_OF_THE_CORE:
            continue
        docs = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                assert node.value not in ids, f"{name_of(path)}:{node.lineno} names {node.value}"


def test_nothing_reads_the_clock_or_the_environment_at_import() -> None:
    for path in FILES:
        for node in tree(path).body:
            if isinstance(
                node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.Import, ast.ImportFrom)
            ):
                continue
            dumped = ast.dump(node)
            assert "attr='now'" not in dumped, f"{name_of(path)}:{node.lineno}"
            assert "attr='environ'" not in dumped, f"{name_of(path)}:{node.lineno}"


def test_every_module_says_what_it_is() -> None:
    for path in FILES:
        if name_of(path) != "__main__":
            assert ast.get_docstring(tree(path)), f"{name_of(path)} has no header"
