"""Packages that are known to steal from people who trade by program: a dated list with sources, and whether one is installed.

Goes by the names of the folders that installers make. Nothing of a package is run or read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from auditor import yamlio
from auditor.values import frozen

_PYTHON = {"site-packages", "dist-packages"}
_NODE = "node_modules"
INSTALLED = frozenset({*_PYTHON, _NODE})
"""Folders in which packages are."""
_NORMAL = re.compile(r"[-_.]+")


@frozen
class Package:
    """A package that is known to steal, from the dated list."""

    ecosystem: str
    name: str
    seen: str
    what: str
    source: str

    def is_called(self, name: str) -> bool:
        """Whether a package of this name is it."""
        if self.name.endswith("/*"):
            return name.startswith(self.name[:-1])
        return name == self.name


@cache
def known_packages() -> tuple[Package, ...]:
    """The dated list of packages that steal."""
    rows = yamlio.read(Path(__file__).with_name("malicious_packages.yaml")).value["packages"]
    return tuple(Package(**{name: str(value) for name, value in row.items()}) for row in rows)


def found(folder: Path, names: Collection[str]) -> Iterator[tuple[Package, str]]:
    """The packages of the list that are installed in a folder or in those of its folders (`names`) that hold packages, and
    where.
    """
    inner = [folder / name for name in sorted(INSTALLED & set(names))]
    for where in [folder, *inner] if folder.name in INSTALLED else inner:
        for ecosystem, name, place in _python(where) if where.name in _PYTHON else _node(where):
            yield from (
                (one, str(place)) for one in known_packages() if one.ecosystem == ecosystem and one.is_called(name)
            )


def _python(where: Path) -> Iterator[tuple[str, str, Path]]:
    """A wheel's name has underscores where its project's has dashes."""
    for one in _entries(where):
        yield "pypi", _NORMAL.sub("-", one.name.partition("-")[0]).lower(), where


def _node(where: Path) -> Iterator[tuple[str, str, Path]]:
    """Those of a `node_modules`, and of the one that may lie in each of them."""
    for one in _entries(where):
        if one.name.startswith("@"):
            for scoped in _entries(one):
                yield "npm", f"{one.name}/{scoped.name}", where
                yield from _within(scoped)
        elif one.name == ".pnpm":
            for kept in _entries(one):
                yield from _within(kept)
        else:
            yield "npm", one.name, where
            yield from _within(one)


def _within(package: Path) -> Iterator[tuple[str, str, Path]]:
    nested = package / _NODE
    if not package.is_symlink() and not nested.is_symlink() and nested.is_dir():
        yield from _node(nested)


def _entries(where: Path) -> list[Path]:
    try:
        return sorted(where.iterdir())
    except OSError:
        return []
