"""The sample reports are what the program prints today; their pictures are there, and everything says that it is a sample."""

from __future__ import annotations

import re

import pytest

from auditor.reports import FORMATS
from tests import samples
from tests.samples import EVIDENCE, FOLDER


@pytest.fixture(scope="module")
def fresh() -> dict[str, bytes]:
    return samples.written(samples.reports())


def test_sample_reports_are_not_stale(fresh: dict[str, bytes]) -> None:
    kept = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
    reports = {name for name in kept if not name.startswith(("evidence/", "pictures/"))}
    assert reports == set(fresh)
    stale = [name for name in fresh if kept[name].read_bytes() != fresh[name]]
    assert not stale, f"{stale} differ: run `make samples` and look at the difference"


def test_every_report_says_that_it_is_a_sample(fresh: dict[str, bytes]) -> None:
    for name, content in fresh.items():
        if name != "README.md":
            assert re.search(
                rb'These accounts are samples|"sample": ?true|"labels": ?\["sample"\]|,sample\r\n(?s:.*),true\r\n$',
                content,
            ), name


def test_the_index_shows_every_picture_and_every_file(fresh: dict[str, bytes]) -> None:
    index = fresh["README.md"].decode()
    named = set(re.findall(r"\]\(([^)]+)\)", index))
    assert {name for name in fresh if name != "README.md"} <= named
    assert all((FOLDER / name).is_file() for name in named)
    pictures = [name for name in named if name.endswith(".png")]
    assert len(pictures) == len(list(EVIDENCE.glob("*.yaml"))) + 3
    for name in pictures:
        assert (FOLDER / name).read_bytes().startswith(b"\x89PNG"), name
        assert 10_000 < (FOLDER / name).stat().st_size < 500_000, name


def test_samples_of_incidents_are_named_after_them() -> None:
    from auditor.ruleset import loader

    known = {incident for rule in loader.load_all([], shipped=True) for incident in rule.incidents}
    names = {path.stem for path in EVIDENCE.iterdir()}
    assert len(names) == 3
    assert names <= known


def test_every_format_has_its_sample(fresh: dict[str, bytes]) -> None:
    for form in FORMATS.values():
        assert sum(name.endswith(f"/report.{form.suffix}") for name in fresh) == 4


def test_the_finding_that_the_readme_shows_is_a_real_one() -> None:
    shown = (FOLDER.parent / "README.md").read_text().split("```")[1].strip()
    assert shown.startswith("✗ HIGH")
    assert shown in (FOLDER / samples.TWIN / "report.txt").read_text()


def test_the_readme_shows_pictures_that_are_there() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(sample_reports/([^)]+)\)", (FOLDER.parent / "README.md").read_text())
    assert {"pictures/terminal.png", "pictures/ways.png"} < set(shown)
    assert all((FOLDER / name).is_file() for name in shown)
