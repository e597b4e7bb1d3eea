"""Writes `sample_reports/` anew: `python -m tests.samples`. A test fails when they are stale."""

from __future__ import annotations

from pathlib import Path

from auditor import demo

FOLDER = Path(__file__).resolve().parent.parent / "sample_reports"

if __name__ == "__main__":
    demo.write_samples(FOLDER)
