"""The sample reports are what the program prints today."""

from __future__ import annotations

from pathlib import Path

from auditor import demo
from tests.samples import FOLDER


def test_sample_reports_are_not_stale(tmp_path: Path) -> None:
    demo.write_samples(tmp_path)
    fresh = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name != "README.md"}
    assert kept.keys() == fresh.keys()
    stale = [name for name in fresh if kept[name] != fresh[name]]
    assert not stale, f"{stale} differ: run `make samples` and look at the difference"


def test_the_finding_that_the_readme_shows_is_a_real_one() -> None:
    shown = (FOLDER.parent / "README.md").read_text().split("```")[1].strip()
    assert shown.startswith("✗ HIGH")
    assert shown in (FOLDER / "report.txt").read_text()
