"""What is said about the packages we install: a service that does not answer never looks like one that found nothing."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests import bounds, supply

ROOT = Path(__file__).resolve().parent.parent
WANTED = {"a-lib": "1.0", "b-lib": "2.0"}


def row(name: str, version: str, *flaws: str) -> dict[str, Any]:
    return {"name": name, "version": version, "vulns": [{"id": flaw} for flaw in flaws]}


def skipped(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "not found and could not be audited"}


@pytest.mark.parametrize(
    ("answers", "code", "says"),
    [
        ({"x": {"dependencies": [row("a-lib", "1.0"), row("b_lib", "2.0")]}}, 0, "2 packages looked up, 0 known flaws"),
        ({"x": {"dependencies": [row("a-lib", "1.0", "CVE-1"), row("b-lib", "2.0")]}}, 1, "a-lib 1.0: CVE-1"),
        ({"x": {"dependencies": [row("a-lib", "1.0", "CVE-1"), skipped("b-lib")]}}, 1, "for 1 of 2 packages (b-lib)"),
        ({"x": {"dependencies": [skipped("a-lib"), skipped("b-lib")]}}, 75, "for 2 of 2 packages"),
        ({"x": {"dependencies": [row("a-lib", "1.0"), skipped("b-lib")]}}, 75, "for 1 of 2 packages (b-lib)"),
        ({"x": {"dependencies": [row("a-lib", "0.9"), row("b-lib", "2.0")]}}, 75, "for 1 of 2 packages (a-lib)"),
        ({"x": {"dependencies": []}}, 75, "for 2 of 2"),
        ({"x": None, "y": None}, 75, "for 2 of 2"),
        ({"x": None, "y": {"dependencies": [row("a-lib", "1.0"), row("b-lib", "2.0")]}}, 0, "2 packages looked up"),
        (
            {
                "x": {"dependencies": [row("a-lib", "1.0"), skipped("b-lib")]},
                "y": {"dependencies": [row("b-lib", "2.0", "Z-1")]},
            },
            1,
            "b-lib 2.0: Z-1",
        ),
    ],
)
def test_only_what_was_looked_up_can_be_clean(answers: dict[str, Any], code: int, says: str) -> None:
    found, lines = supply.verdict(answers, WANTED)
    assert found == code and says in "\n".join(lines)
    assert ("known flaws" in lines[-1]) == (code == 0 or says in {"a-lib 1.0: CVE-1", "b-lib 2.0: Z-1"})


def test_the_next_service_is_asked_where_one_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    def nobody(service: str) -> None:
        asked.append(service)

    assert supply.audit(nobody) == supply.UNASKED
    said = capsys.readouterr().out.splitlines()
    assert asked == list(supply.SERVICES) and len(said) == 1 and said[0].startswith("not audited: ")


def test_one_service_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    everything = {"dependencies": [row(name, version) for name, version in supply.pins(supply.LOCKED).items()]}
    assert supply.audit(lambda service: everything if service == "pypi" else pytest.fail("asked twice")) == 0
    assert "0 known flaws" in capsys.readouterr().out


def test_the_list_of_parts_is_what_is_locked_and_the_same_twice(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        assert supply.sbom(tmp_path / name) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    components = json.loads((tmp_path / "a.json").read_text())["components"]
    assert all(one["purl"].startswith("pkg:pypi/") and one["externalReferences"][0]["hashes"] for one in components)


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT = [
    re.split(r"[\[<>=;~! ]", one)[0].lower()
    for one in [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *[one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra],
        *[one for group in PROJECT["dependency-groups"].values() for one in group],
    ]
]


@pytest.mark.parametrize("file", ["run.txt", "dev.txt", "lowest.txt"])
def test_everything_that_is_installed_is_pinned_and_hashed(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text().replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+ ", line), line[:80]
        assert re.search(r" --hash=sha256:[0-9a-f]{64}", line), line[:80]
        assert "://" not in line and "@" not in line.split("--hash")[0]


def test_every_direct_dependency_is_argued_for_in_one_row() -> None:
    """Every one, and no other."""
    page = (ROOT / "docs" / "dependencies.md").read_text()
    table = page.partition("## What is checked")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| Package")]
    named = [cell.strip().lower() for line in rows for cell in line.split("|")[1].split(",")]
    assert sorted(named) == sorted(set(DIRECT))
    for line in rows:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 4 and all(len(cell) > 3 for cell in cells[1:]), line


def test_the_lowest_versions_are_the_declared_ones() -> None:
    """What pyproject.toml says is the least is what is tried, of the program, its extras and its tests: no more and no less."""
    declared, tried = floors(bounds.declared()), supply.pins(bounds.LOWEST)
    assert {"pyarrow", "dask", "psycopg", "pytest", "hatchling"} <= declared.keys()
    assert declared == {name: Version(tried[name]) for name in declared}


def floors(declared: list[str]) -> dict[str, Version]:
    """Name and lowest allowed version of each requirement: every one has one."""
    found: dict[str, Version] = {}
    for one in map(Requirement, declared):
        (lowest,) = [said.version for said in one.specifier if said.operator == ">="]
        found[one.name.lower()] = Version(lowest)
    return found


@pytest.mark.parametrize("file", ["run.txt", "dev.txt"])
def test_the_locked_versions_are_allowed(file: str) -> None:
    locked = supply.pins(ROOT / "requirements" / file)
    groups = PROJECT["dependency-groups"]
    asked = [*PROJECT["project"]["dependencies"], *groups["install"]]
    if file == "dev.txt":
        asked = [*bounds.declared(), *groups["check"]]
    for one in map(Requirement, asked):
        assert one.specifier.contains(locked[one.name.lower()]), f"{one} is locked as {locked[one.name.lower()]}"


def test_the_quick_half_is_there() -> None:
    assert all((ROOT / path).exists() for path in bounds.QUICK)


def test_the_tests_that_the_threat_model_names_are_there() -> None:
    page = (ROOT / "SECURITY.md").read_text()
    promises = page.partition("## What it can be trusted to do")[2].partition("### Faults")[0]
    rows = [line.strip("|").split("|") for line in promises.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for *_, tried in rows:
        named = re.findall(r"`([a-z_/.]+)`", tried)
        assert named and all((ROOT / "tests" / one).exists() for one in named), tried
